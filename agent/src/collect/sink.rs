//! What collectors write into: a [`MetricBatch`] whose series all carry the agent's own labels
//! and the collection's one timestamp.
//!
//! Collectors write one family after another, all series of a family together: exposition text
//! requires it and neighbours compress better. Label lists are given in alphabetical order, which
//! spares a sort; any other order is only slower.

use model::{METRIC_NAME, Metadata, MetricBatch, MetricKind};

/// Labels as collectors give them.
pub(crate) type LabelPairs<'a> = &'a [(&'a str, &'a str)];

/// See the module.
pub(crate) struct Sink<'a> {
    batch: &'a mut MetricBatch,
    /// Sorted by name; `job` and `instance` are among them.
    base: &'a [(String, String)],
    timestamp_ms: i64,
    refused: u64,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(batch: &'a mut MetricBatch, base: &'a [(String, String)], timestamp_ms: i64) -> Self {
        Sink { batch, base, timestamp_ms, refused: 0 }
    }

    /// The instant of this collection.
    pub(crate) fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// Series that broke a rule of the data model and were left out.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    pub(crate) fn counter<'s>(&'s mut self, name: &'s str, help: &'s str) -> Family<'s, 'a> {
        self.family(MetricKind::Counter, name, help)
    }

    pub(crate) fn gauge<'s>(&'s mut self, name: &'s str, help: &'s str) -> Family<'s, 'a> {
        self.family(MetricKind::Gauge, name, help)
    }

    /// A family whose type node_exporter leaves open.
    pub(crate) fn untyped<'s>(&'s mut self, name: &'s str, help: &'s str) -> Family<'s, 'a> {
        self.family(MetricKind::Unknown, name, help)
    }

    fn family<'s>(&'s mut self, kind: MetricKind, name: &'s str, help: &'s str) -> Family<'s, 'a> {
        Family { sink: self, kind, name, help, described: false }
    }

    /// Writes the labels of a series; false when they were refused.
    fn series(&mut self, name: &str, labels: LabelPairs<'_>) -> bool {
        self.batch.begin();
        self.batch.label(METRIC_NAME.as_bytes(), name.as_bytes());
        let mut base = self.base.iter().peekable();
        for (name, value) in labels {
            while let Some((base_name, base_value)) =
                base.next_if(|(base_name, _)| base_name.as_str() <= *name)
            {
                // A collector's own label wins over one of the agent's labels.
                if base_name != name {
                    self.batch.label(base_name.as_bytes(), base_value.as_bytes());
                }
            }
            self.batch.label(name.as_bytes(), value.as_bytes());
        }
        for (name, value) in base {
            self.batch.label(name.as_bytes(), value.as_bytes());
        }
        let accepted = self.batch.end_labels().is_ok();
        self.refused += u64::from(!accepted);
        accepted
    }
}

/// One metric family being written.
pub(crate) struct Family<'s, 'a> {
    sink: &'s mut Sink<'a>,
    kind: MetricKind,
    name: &'s str,
    help: &'s str,
    described: bool,
}

impl Family<'_, '_> {
    /// The family's only series.
    pub(crate) fn value(mut self, value: f64) {
        self.sample(&[], value);
    }

    /// One of the family's series.
    pub(crate) fn sample(&mut self, labels: LabelPairs<'_>, value: f64) {
        if !self.sink.series(self.name, labels) {
            return;
        }
        let timestamp_ms = self.sink.timestamp_ms;
        self.sink.batch.sample(timestamp_ms, 0, value);
        if self.described {
            self.sink.batch.same_family();
            return;
        }
        let metadata = Metadata { kind: self.kind, help: self.help.to_owned(), unit: String::new() };
        self.sink.batch.describe_series(self.name, metadata);
        self.described = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_carry_the_base_labels_and_share_a_description() {
        let base = [("instance".to_owned(), "h1".to_owned()), ("job".to_owned(), "node".to_owned())];
        let mut batch = MetricBatch::default();
        let mut sink = Sink::new(&mut batch, &base, 5);
        let mut family = sink.counter("c_total", "Counts.");
        family.sample(&[("device", "sda"), ("zone", "z")], 1.0);
        family.sample(&[("instance", "own")], 2.0);
        family.sample(&[("device", "bad\u{0}")], 3.0);
        sink.gauge("g", "Gauges.").value(4.0);
        assert_eq!(sink.refused(), 0);
        let labels: Vec<_> = batch.series().map(|series| series.labels().to_string()).collect();
        assert_eq!(labels[0], r#"{__name__="c_total", device="sda", instance="h1", job="node", zone="z"}"#);
        assert_eq!(labels[1], r#"{__name__="c_total", instance="own", job="node"}"#);
        let kinds: Vec<_> = batch.series().map(|series| series.metadata().unwrap().1.kind).collect();
        assert_eq!(kinds, [MetricKind::Counter, MetricKind::Counter, MetricKind::Counter, MetricKind::Gauge]);
        assert_eq!(batch.metadata().len(), 2);
    }
}
