//! Samples and log lines of the first weeks of 1970: that is where times in seconds are when they are read as
//! milliseconds, and times in milliseconds or microseconds when they are read as nanoseconds. They are
//! stored, since somebody may mean them, and they are told of, since nobody finds them there.

use super::{counters::Protocol, refusals::shortened};
use daemon::{Seldom, metrics::Metrics};
use model::{LabelsRef, LogBatch, MetricBatch};
use prometheus_client::metrics::counter::Counter;
use std::{fmt::Display, ops::Range, time::Duration};

/// Up to the year 2096 in seconds, read as milliseconds. Zero is what senders without a clock say.
const EARLY_MS: Range<i64> = 1..4_000_000_000;
/// Between two messages.
const PAUSE: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct EarlySamples {
    batches: Counter,
    told: Seldom,
}

impl EarlySamples {
    pub(super) fn new(own: &Metrics) -> Self {
        let batches = Counter::default();
        own.register(|registry| {
            registry.register(
                "bellwether_receive_early_batches",
                "Batches that begin with a sample or line of the first weeks of 1970, as with times in a wrong unit",
                batches.clone(),
            );
        });
        EarlySamples { batches, told: Seldom::every(PAUSE) }
    }

    /// Looks at the batch's first sample alone: a sender that mistakes the unit does it everywhere.
    pub(super) fn look(&self, protocol: Protocol, batch: &MetricBatch) {
        let Some((labels, timestamp_ms)) = early(batch) else { return };
        if let Some((batches, series)) = self.happened(labels) {
            tracing::warn!(
                series,
                timestamp_ms,
                batches,
                protocol = protocol.as_str(),
                "samples are stored in 1970: does their sender give seconds for milliseconds, or another \
                 `precision` than it says?"
            );
        }
    }

    /// As [`EarlySamples::look`], at the first line.
    pub(super) fn look_at_lines(&self, protocol: Protocol, batch: &LogBatch) {
        let Some((labels, timestamp_ns)) = early_line(batch) else { return };
        if let Some((batches, stream)) = self.happened(labels) {
            tracing::warn!(
                stream,
                timestamp_ns,
                batches,
                protocol = protocol.as_str(),
                "log lines are stored in 1970: does their sender give milliseconds for nanoseconds?"
            );
        }
    }

    /// Counts a batch that begins with these labels. When it is time to tell: of how many batches, and the
    /// labels as they are shown. Only then are they put into words, which of long ones takes its time.
    fn happened(&self, labels: impl Display) -> Option<(u64, String)> {
        self.batches.inc();
        let batches = self.told.happened()?;
        Some((batches, shortened(&labels.to_string()).to_owned()))
    }
}

fn early_line(batch: &LogBatch) -> Option<(LabelsRef<'_>, i64)> {
    let first = batch.streams().next()?;
    let timestamp_ns = first.entries().next()?.timestamp_ns;
    let is_early = EARLY_MS.contains(&timestamp_ns.div_euclid(1_000_000));
    is_early.then(|| (first.labels(), timestamp_ns))
}

fn early(batch: &MetricBatch) -> Option<(LabelsRef<'_>, i64)> {
    let first = batch.series().next()?;
    let sample_ms = first.samples().first().map(|sample| sample.timestamp_ms);
    let timestamp_ms = sample_ms.or_else(|| first.histograms().first().map(|histogram| histogram.0))?;
    EARLY_MS.contains(&timestamp_ms).then(|| (first.labels(), timestamp_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;
    use std::{cell::Cell, fmt};

    /// Counts how often it is put into words.
    struct Long<'c>(&'c Cell<usize>);

    impl Display for Long<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.set(self.0.get() + 1);
            f.write_str(&"ä".repeat(1 << 16))
        }
    }

    #[test]
    fn labels_are_put_into_words_when_they_are_told_and_cut() {
        let early = EarlySamples::new(&Metrics::default());
        let rendered = Cell::new(0);
        assert_eq!(early.happened(Long(&rendered)), Some((1, "ä".repeat(256))));
        for _ in 0..5 {
            assert_eq!(early.happened(Long(&rendered)), None);
        }
        assert_eq!((rendered.get(), early.batches.get()), (1, 6));
    }

    #[test]
    fn times_in_a_wrong_unit_are_seen() {
        for (timestamp_ms, is_seen) in [
            (1_790_000_000, true),
            (1_790_000, true),
            (1_790, true),
            (0, false),
            (-5, false),
            (1_790_000_000_000, false),
            (4_000_000_000, false),
        ] {
            let mut batch = MetricBatch::default();
            batch.begin_with(Labels::from_pairs([("__name__", "up"), ("job", "a")]).as_ref());
            batch.sample(timestamp_ms, 0, 1.0);
            let seen = early(&batch);
            assert_eq!(seen.is_some(), is_seen, "{timestamp_ms}");
            let is_whole = |labels: LabelsRef<'_>| labels.to_string() == r#"{__name__="up", job="a"}"#;
            assert!(seen.is_none_or(|(labels, _)| is_whole(labels)));
        }
        assert_eq!(early(&MetricBatch::default()), None);
        for (timestamp_ns, is_seen) in
            [(1_790_000_000_000, true), (1_790_000_000_000_000, true), (1_790_000_000_000_000_000, false)]
        {
            let mut batch = LogBatch::default();
            batch.begin_with(Labels::from_pairs([("job", "a")]).as_ref());
            batch.entry(timestamp_ns, "x", Labels::empty().as_ref());
            assert_eq!(early_line(&batch).is_some(), is_seen, "{timestamp_ns}");
        }
    }
}
