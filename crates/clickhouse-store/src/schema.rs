//! The tables (`docs/formats/clickhouse.md`). A change that is not only an added column makes a new
//! table with a new number; data in old ones stay until retention drops them.
//!
//! Every setting whose default differs between versions, or is not what we promise, is written
//! down: a token is remembered for 10,000 inserts, and an insert is answered after its fsync.

use crate::{client::Client, error::Error, sql};

/// One table.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What we insert and select, in order.
    pub(crate) columns: &'static str,
    definition: &'static str,
}

const SETTINGS: &str = "SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, \
                        fsync_part_directory = 1";

impl Table {
    pub(crate) fn create(&self) -> String {
        format!("CREATE TABLE IF NOT EXISTS {} {} {SETTINGS}", self.name, self.definition)
    }
}

pub(crate) const SERIES: Table = Table {
    name: "series_v1",
    columns: "day, metric, id, labels",
    definition: "(
        day Int64,
        metric LowCardinality(String),
        id UInt128,
        labels Map(LowCardinality(String), String) CODEC(ZSTD(3)),
        INDEX label_values mapValues(labels) TYPE bloom_filter(0.01) GRANULARITY 1
    ) ENGINE = ReplacingMergeTree PARTITION BY day ORDER BY (metric, id)",
};

pub(crate) const SAMPLES: Table = Table {
    name: "samples_v1",
    columns: "metric, id, ts, value, start, histogram",
    definition: "(
        metric LowCardinality(String),
        id UInt128 CODEC(ZSTD(1)),
        ts Int64 CODEC(DoubleDelta, ZSTD(1)),
        value Float64 CODEC(Gorilla, ZSTD(1)),
        start Int64 CODEC(Delta, ZSTD(1)),
        histogram String CODEC(ZSTD(3)),
        time DateTime64(3) ALIAS fromUnixTimestamp64Milli(ts)
    ) ENGINE = ReplacingMergeTree PARTITION BY intDiv(ts, 86400000) ORDER BY (metric, id, ts)",
};

pub(crate) const EXEMPLARS: Table = Table {
    name: "exemplars_v1",
    columns: "metric, id, ts, hash, labels, value",
    definition: "(
        metric LowCardinality(String),
        id UInt128 CODEC(ZSTD(1)),
        ts Int64 CODEC(DoubleDelta, ZSTD(1)),
        hash UInt64,
        labels Map(LowCardinality(String), String) CODEC(ZSTD(3)),
        value Float64 CODEC(ZSTD(1))
    ) ENGINE = ReplacingMergeTree PARTITION BY intDiv(ts, 86400000) ORDER BY (metric, id, ts, hash)",
};

pub(crate) const METADATA: Table = Table {
    name: "metadata_v1",
    columns: "family, kind, help, unit, arrival",
    definition: "(
        family String,
        kind LowCardinality(String),
        help String,
        unit LowCardinality(String),
        arrival UInt64
    ) ENGINE = ReplacingMergeTree(arrival) ORDER BY family",
};

pub(crate) const STREAMS: Table = Table {
    name: "streams_v1",
    columns: "day, id, labels",
    definition: "(
        day Int64,
        id UInt128,
        labels Map(LowCardinality(String), String) CODEC(ZSTD(3)),
        INDEX label_values mapValues(labels) TYPE bloom_filter(0.01) GRANULARITY 1
    ) ENGINE = ReplacingMergeTree PARTITION BY day ORDER BY id",
};

pub(crate) const LOGS: Table = Table {
    name: "logs_v1",
    columns: "stream, ts, hash, rank, length, line, metadata",
    definition: "(
        stream UInt128 CODEC(ZSTD(1)),
        ts Int64 CODEC(Delta, ZSTD(1)),
        hash UInt64 CODEC(NONE),
        rank UInt64 CODEC(Delta, ZSTD(1)),
        length UInt32 CODEC(ZSTD(1)),
        line String CODEC(ZSTD(3)),
        metadata Map(LowCardinality(String), String) CODEC(ZSTD(3)),
        time DateTime64(9) ALIAS fromUnixTimestamp64Nano(ts),
        INDEX line_pieces line TYPE ngrambf_v1(4, 32768, 3, 0) GRANULARITY 1
    ) ENGINE = ReplacingMergeTree(rank) PARTITION BY intDiv(ts, 86400000000000) ORDER BY (stream, ts, hash)",
};

pub(crate) const BATCHES: Table = Table {
    name: "batches_v1",
    columns: "signal, agent, boot, sequence",
    definition: "(
        signal LowCardinality(String),
        agent String,
        boot UInt64,
        sequence UInt64,
        at DateTime DEFAULT now()
    ) ENGINE = ReplacingMergeTree PARTITION BY toMonday(at) ORDER BY (signal, agent, boot, sequence)
      TTL at + INTERVAL 30 DAY",
};

/// All of them.
pub(crate) const TABLES: &[Table] = &[SERIES, SAMPLES, EXEMPLARS, METADATA, STREAMS, LOGS, BATCHES];

/// Bytes on disk and parts of tables.
pub(crate) fn sizes(client: &Client, tables: &[Table]) -> Result<(u64, u64), Error> {
    let mut answer = client.query(
        &format!(
            "SELECT sum(bytes_on_disk), count() FROM system.parts WHERE database = {} AND table IN {} AND active",
            sql::string(client.database().as_bytes()),
            sql::strings(tables.iter().map(|table| table.name))
        ),
        None,
    )?;
    Ok((answer.u64()?, answer.u64()?))
}
