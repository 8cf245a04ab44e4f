//! The log store's own figures, read when somebody asks for this process's metrics.

use daemon::metrics::Metrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use std::{
    fmt,
    sync::{Arc, Weak},
};
use store::LogStore;

/// Registers the figures of `logs`, for as long as it is open.
pub(crate) fn register(own: &Metrics, logs: &Arc<dyn LogStore>) {
    let figures = Figures(Arc::downgrade(logs));
    own.register(|registry| registry.register_collector(Box::new(figures)));
}

struct Figures(Weak<dyn LogStore>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(logs) = self.0.upgrade() else { return Ok(()) };
        let stats = logs.stats();
        let figures = [
            ("streams", "Log streams known", stats.streams),
            ("entries", "Log lines stored", stats.entries),
            ("line_bytes", "Bytes of the log lines stored, uncompressed", stats.bytes),
            ("chunks", "Chunks of log lines, those in memory included", stats.chunks),
            ("parts", "Immutable parts of log lines on disk", stats.parts),
            ("disk_bytes", "Bytes on disk, index and write-ahead log included", stats.disk_bytes),
            ("index_bytes", "Bytes of the index on disk", stats.index_bytes),
            ("wal_bytes", "Bytes of the write-ahead log on disk", stats.wal_bytes),
            ("damaged", "Things set aside as damaged since the start", stats.damage.len() as u64),
        ];
        for (name, help, value) in figures {
            let metric = ConstGauge::new(value as f64);
            let name = format!("bellwether_log_store_{name}");
            metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Labels, LogBatch};

    #[test]
    fn figures_are_those_of_the_store_and_go_with_it() {
        let own = Metrics::default();
        let logs: Arc<dyn LogStore> = Arc::new(store::MemLogStore::new());
        register(&own, &logs);
        let mut batch = LogBatch::default();
        batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
        batch.entry(1, "hello", Labels::empty().as_ref());
        logs.append(&batch, None, 1).unwrap();
        let text = own.encode();
        for line in ["bellwether_log_store_entries 1", "bellwether_log_store_line_bytes 5"] {
            assert!(text.lines().any(|other| other.trim_end_matches(".0") == line), "{line} in {text}");
        }
        drop(logs);
        assert!(!own.encode().contains("bellwether_log_store"));
    }
}
