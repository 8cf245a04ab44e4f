//! What a query cost, in the shape that Grafana and logcli read.

use serde_json::{Value as Json, json};
use std::time::Duration;
use store::QueryUsage;

pub(super) struct Statistics {
    pub(super) usage: QueryUsage,
    pub(super) took: Duration,
}

impl Statistics {
    pub(super) fn json(&self, entries_returned: usize) -> Json {
        let seconds = self.took.as_secs_f64().max(1e-9);
        let (bytes, lines) = (self.usage.bytes_read, self.usage.samples_read);
        let chunks = json!({
            "totalChunksRef": 0, "totalChunksDownloaded": 0, "chunksDownloadTime": 0,
            "queryReferencedStructuredMetadata": false,
            "chunk": {
                "headChunkBytes": 0, "headChunkLines": 0, "decompressedBytes": bytes, "decompressedLines": lines,
                "compressedBytes": 0, "totalDuplicates": 0, "postFilterLines": 0,
                "headChunkStructuredMetadataBytes": 0, "decompressedStructuredMetadataBytes": 0
            },
            "chunkRefsFetchTime": 0, "congestionControlLatency": 0, "pipelineWrapperFilteredLines": 0
        });
        json!({
            "summary": {
                "bytesProcessedPerSecond": (bytes as f64 / seconds) as u64,
                "linesProcessedPerSecond": (lines as f64 / seconds) as u64,
                "totalBytesProcessed": bytes,
                "totalLinesProcessed": lines,
                "execTime": self.took.as_secs_f64(),
                "queueTime": 0,
                "subqueries": 0,
                "totalEntriesReturned": entries_returned,
                "splits": 0,
                "shards": 0,
                "totalPostFilterLines": 0,
                "totalStructuredMetadataBytesProcessed": 0
            },
            "querier": {"store": chunks},
            "ingester": {
                "totalReached": 0, "totalChunksMatched": 0, "totalBatches": 0, "totalLinesSent": 0,
                "store": {"totalChunksRef": 0, "totalChunksDownloaded": 0, "chunksDownloadTime": 0, "chunk": {}}
            },
            "cache": {"chunk": {}, "index": {}, "result": {}, "statsResult": {}, "volumeResult": {}, "seriesResult": {}, "labelResult": {}, "instantMetricResult": {}},
            "index": {"totalChunks": 0, "postFilterChunks": 0, "shardsDuration": 0, "usedBloomFilters": false}
        })
    }
}
