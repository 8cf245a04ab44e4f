//! Ships collections from the spool, many in one request after an outage.

use super::channel::{Channel, Delivered, Shipment};
use super::protocol::Payload;
use crate::{
    metrics::Loss,
    spool::{Record, Spool},
};
use model::{MetricBatch, SeriesView};
use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use wire::{
    compression::{Encoding, decompress},
    remote_write,
};

/// Collections in one request: a series' labels are sent once for all of them.
const RECORDS_MAX: usize = 64;
/// Compressed bytes in one request, about.
const BYTES_MAX: usize = 512 << 10;
/// A collection is a few hundred kilobytes; the spool's checksum has vouched for it.
const COLLECTION_BYTES_MAX: usize = 64 << 20;
const CURSOR_INTERVAL: Duration = Duration::from_secs(1);
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct MetricsSender {
    pub(crate) channel: Channel,
    pub(crate) spool: Arc<Spool>,
    /// The destination's name in the spool.
    pub(crate) destination: String,
    /// Told of each new collection.
    pub(crate) news: Arc<Notify>,
    pub(crate) sequence: u64,
    pub(crate) cursor_saved_at: Instant,
}

impl MetricsSender {
    /// Runs until the agent ends; `stop.gently` is set off after the last collection is in the
    /// spool.
    pub(crate) async fn run(mut self) {
        loop {
            // Read before looking for records, so that the last collection is not overlooked.
            let is_last = self.channel.stop.gently.is_triggered();
            let records = self.next_records().await;
            self.note_waiting(&records);
            let is_end = is_last && records.len() < RECORDS_MAX;
            if records.is_empty() && !is_end {
                if !self.wait().await {
                    break;
                }
                continue;
            }
            if !self.deliver(records, is_end).await || is_end {
                break;
            }
        }
        self.save_cursor().await;
    }

    /// False when the agent must end.
    async fn wait(&self) -> bool {
        tokio::select! {
            () = self.news.notified() => true,
            () = self.channel.stop.gently.wait() => true,
            () = self.channel.stop.now.wait() => false,
        }
    }

    async fn next_records(&self) -> Vec<Record> {
        let (spool, destination) = (self.spool.clone(), self.destination.clone());
        match self.channel.pool.run(move || spool.read(&destination, RECORDS_MAX, BYTES_MAX)).await {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => {
                tracing::error!(%error, "failed to read the spool");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// Delivers records, in halves when they are refused. False when the agent must end.
    async fn deliver(&mut self, records: Vec<Record>, is_goodbye: bool) -> bool {
        let mut waiting = VecDeque::from([records]);
        while let Some(mut records) = waiting.pop_front() {
            let items: u64 = records.iter().map(|record| record.samples).sum();
            let is_goodbye = is_goodbye && waiting.is_empty();
            let Some(payload) = self.combine(&records).await else {
                tracing::error!(samples = items, "samples in the spool are unreadable");
                self.channel.counters.samples_lost.add(Loss::Rejected, items);
                self.advance(&records).await;
                continue;
            };
            self.sequence += 1;
            let shipment = Shipment { boot: self.channel.boot(), sequence: self.sequence, items, is_goodbye };
            let lost = match self.channel.deliver(&payload, shipment).await {
                Delivered::Stored { refused } => refused,
                Delivered::Refused { .. } if records.len() > 1 => {
                    let second = records.split_off(records.len() / 2);
                    waiting.push_front(second);
                    waiting.push_front(records);
                    continue;
                }
                Delivered::Refused { written } => items - written,
                Delivered::Abandoned => return false,
            };
            self.channel.counters.samples_acknowledged.add(items - lost);
            self.channel.counters.samples_lost.add(Loss::Rejected, lost);
            self.advance(&records).await;
        }
        true
    }

    async fn combine(&self, records: &[Record]) -> Option<Arc<Payload>> {
        let bodies: Vec<Vec<u8>> = records.iter().map(|record| record.body.clone()).collect();
        loop {
            let job = bodies.clone();
            // A refusal says that the pool is busy, which passes.
            if let Ok(payload) = self.channel.pool.run(move || combine(job)).await {
                return payload.map(Arc::new);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn advance(&mut self, records: &[Record]) {
        let Some(last) = records.last() else { return };
        if let Err(error) = self.spool.advance(&self.destination, last.next) {
            tracing::warn!(%error, "failed to tidy the spool");
        }
        if self.cursor_saved_at.elapsed() >= CURSOR_INTERVAL {
            self.save_cursor().await;
        }
    }

    async fn save_cursor(&mut self) {
        self.cursor_saved_at = Instant::now();
        let (spool, destination) = (self.spool.clone(), self.destination.clone());
        let saved: Result<io::Result<()>, _> =
            self.channel.pool.run(move || spool.save_cursor(&destination)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "failed to save the spool's cursor; samples may be sent twice");
        }
    }

    fn note_waiting(&self, records: &[Record]) {
        let oldest_ms = records.first().map_or(0, |record| record.timestamp_ms.max(0) as u64);
        self.channel.counters.spool_oldest_ms.set(oldest_ms);
        self.channel.counters.spool_bytes.set(self.spool.waiting_bytes(&self.destination));
    }
}

/// One payload of all collections. `None` when one of them cannot be read.
fn combine(mut bodies: Vec<Vec<u8>>) -> Option<Payload> {
    let mut collections = Vec::with_capacity(bodies.len());
    let mut raw = Vec::new();
    for body in &bodies {
        decompress(Encoding::Zstd, body, COLLECTION_BYTES_MAX, &mut raw).ok()?;
        let mut batch = MetricBatch::default();
        remote_write::decode_v2(&raw, &mut batch).ok()?;
        collections.push(batch);
    }
    if collections.len() == 1 {
        let batch = collections.pop()?;
        return Some(Payload::Metrics { batch, ready: bodies.pop() });
    }
    Some(Payload::Metrics { batch: merge(&collections), ready: None })
}

/// Every series once, with its samples of all collections in order.
fn merge(collections: &[MetricBatch]) -> MetricBatch {
    let mut places: HashMap<&[u8], usize> = HashMap::new();
    let mut series: Vec<Vec<SeriesView<'_>>> = Vec::new();
    for view in collections.iter().flat_map(MetricBatch::series) {
        let place = *places.entry(view.labels().as_bytes()).or_insert(series.len());
        match series.get_mut(place) {
            Some(views) => views.push(view),
            None => series.push(vec![view]),
        }
    }
    let mut merged = MetricBatch::default();
    for views in &series {
        let Some(last) = views.last() else { continue };
        merged.begin_with(last.labels());
        for sample in views.iter().flat_map(|view| view.samples()) {
            merged.sample(sample.timestamp_ms, sample.start_ms, sample.value);
        }
        if let Some((family, metadata)) = last.metadata() {
            merged.describe_series(family, metadata.clone());
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_a_series_come_together() {
        let collection = |names: &[&str], timestamp_ms: i64| {
            let mut batch = MetricBatch::default();
            for name in names {
                batch.begin();
                batch.label(b"__name__", name.as_bytes());
                batch.end_labels().unwrap();
                batch.sample(timestamp_ms, 0, timestamp_ms as f64);
            }
            batch
        };
        let merged = merge(&[collection(&["a", "b"], 1), collection(&["b", "c"], 2)]);
        let found: Vec<(String, Vec<i64>)> = merged
            .series()
            .map(|series| {
                let name = series.labels().to_owned().metric_name().to_owned();
                (name, series.samples().iter().map(|sample| sample.timestamp_ms).collect())
            })
            .collect();
        let expected = [("a", vec![1]), ("b", vec![1, 2]), ("c", vec![2])];
        assert_eq!(found, expected.map(|(name, times)| (name.to_owned(), times)));
    }

    #[test]
    fn unreadable_collections_are_told() {
        assert!(combine(vec![b"junk".to_vec()]).is_none());
    }
}
