//! Own metrics of the metric store: its figures at the moment somebody asks.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::{fmt, sync::Arc};
use store::MetricStore;

/// See the module.
pub(crate) struct StoreMetrics(pub(crate) Arc<dyn MetricStore>);

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StoreMetrics")
    }
}

impl Collector for StoreMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = self.0.stats();
        for (name, help, value) in [
            ("active_series", "Series with samples in memory", stats.active_series),
            ("head_bytes", "Bytes of compressed samples in memory", stats.head_bytes),
            ("disk_bytes", "Bytes of metrics on disk, write-ahead log and tiers included", stats.disk_bytes),
            ("wal_bytes", "Bytes of the metric store's write-ahead log", stats.wal_bytes),
            ("tier_bytes", "Bytes of downsampled metrics on disk", stats.tier_bytes),
            ("parts", "Immutable parts of the metric store", stats.parts),
            ("damage", "Things set aside as damaged since the start", stats.damage.len() as u64),
        ] {
            let metric = ConstGauge::new(value as f64);
            let name = format!("bellwether_metric_store_{name}");
            metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
        }
        for (name, help, value) in [
            ("appended_samples", "Samples stored, repeats left out", stats.appended_samples),
            ("seals", "Times that samples in memory were written to parts", stats.seals),
            ("merges", "Times that parts were merged", stats.merges),
            ("folds", "Times that parts were folded into the tiers", stats.folds),
            (
                "dropped_descriptions",
                "Descriptions of families that found no room",
                stats.dropped_descriptions,
            ),
            ("dropped_exemplars", "Exemplars that gave way to newer ones", stats.dropped_exemplars),
        ] {
            let metric = ConstCounter::new(value);
            let name = format!("bellwether_metric_store_{name}");
            metric.encode(encoder.encode_descriptor(&name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::MemMetricStore;

    #[test]
    fn the_figures_are_those_of_the_store() {
        let store = MemMetricStore::new();
        let mut batch = model::MetricBatch::default();
        batch.begin_with(model::Labels::from_pairs([("__name__", "up")]).as_ref());
        batch.sample(1_000, 0, 1.0);
        store.append(&batch, None, 1_000).unwrap();
        let own = daemon::metrics::Metrics::default();
        own.register(|registry| registry.register_collector(Box::new(StoreMetrics(Arc::new(store)))));
        let text = own.encode();
        for line in [
            "bellwether_metric_store_active_series 1",
            "bellwether_metric_store_appended_samples_total 1",
            "# TYPE bellwether_metric_store_seals_total counter",
        ] {
            assert!(text.contains(line), "`{line}` in {text}");
        }
    }
}
