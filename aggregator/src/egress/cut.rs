//! Cuts batches into pieces of a bounded number of samples, and joins pieces again.

use model::{LabelsRef, MetricBatch, SeriesView};

/// What of a series is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) exemplars: bool,
    pub(super) histograms: bool,
    /// Descriptions that the series carry.
    pub(super) metadata: bool,
    /// Samples before this are left out.
    pub(super) oldest_ms: i64,
}

impl Wanted {
    const ALL: Wanted = Wanted { exemplars: true, histograms: true, metadata: true, oldest_ms: i64::MIN };
}

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) too_old: u64,
    pub(super) histograms: u64,
}

/// See the module.
pub(super) struct Cutter {
    samples_max: usize,
    current: MetricBatch,
    full: Vec<MetricBatch>,
}

/// Whether the series in hand stands in the current piece yet.
struct Begun<'a> {
    labels: LabelsRef<'a>,
    series: SeriesView<'a>,
    with_metadata: bool,
    is_begun: bool,
}

impl Cutter {
    pub(super) fn new(samples_max: usize) -> Self {
        Cutter { samples_max: samples_max.max(1), current: MetricBatch::default(), full: Vec::new() }
    }

    /// Adds what is wanted of a series, under these labels.
    pub(super) fn series(
        &mut self,
        labels: LabelsRef<'_>,
        series: SeriesView<'_>,
        wanted: Wanted,
    ) -> LeftOut {
        let mut left_out = LeftOut::default();
        let mut begun = Begun { labels, series, with_metadata: wanted.metadata, is_begun: false };
        for sample in series.samples() {
            if sample.timestamp_ms < wanted.oldest_ms {
                left_out.too_old += 1;
                continue;
            }
            self.make_room(&mut begun);
            self.current.sample(sample.timestamp_ms, sample.start_ms, sample.value);
        }
        for (timestamp_ms, start_ms, histogram) in series.histograms() {
            if !wanted.histograms {
                left_out.histograms += 1;
            } else if *timestamp_ms < wanted.oldest_ms {
                left_out.too_old += 1;
            } else {
                self.make_room(&mut begun);
                self.current.histogram(*timestamp_ms, *start_ms, histogram.as_ref().clone());
            }
        }
        if wanted.exemplars && begun.is_begun {
            series.exemplars().iter().for_each(|exemplar| self.current.exemplar(exemplar.clone()));
        }
        left_out
    }

    /// Adds a description that no series carries.
    pub(super) fn describe(&mut self, (family, metadata): &(String, model::Metadata)) {
        self.current.describe(family, metadata.clone());
    }

    /// Makes sure that a sample of the series in hand may follow.
    fn make_room(&mut self, begun: &mut Begun<'_>) {
        if self.current.sample_count() >= self.samples_max {
            self.full.push(std::mem::take(&mut self.current));
            begun.is_begun = false;
        }
        if begun.is_begun {
            return;
        }
        begun.is_begun = true;
        self.current.begin_with(begun.labels);
        if let Some((family, metadata)) = begun.series.metadata().filter(|_| begun.with_metadata) {
            self.current.describe_series(family, metadata.clone());
        }
    }

    /// The pieces so far.
    pub(super) fn take(&mut self) -> Vec<MetricBatch> {
        if !self.current.is_empty() {
            self.full.push(std::mem::take(&mut self.current));
        }
        std::mem::take(&mut self.full)
    }
}

/// Adds all of `batch` to `cutter`.
fn add(batch: &MetricBatch, cutter: &mut Cutter) {
    for series in batch.series() {
        cutter.series(series.labels(), series, Wanted::ALL);
    }
    if batch.series().all(|series| series.metadata().is_none()) {
        batch.metadata().iter().for_each(|described| cutter.describe(described));
    }
}

/// One batch of many.
pub(super) fn join(batches: &[MetricBatch]) -> MetricBatch {
    let mut cutter = Cutter::new(usize::MAX);
    batches.iter().for_each(|batch| add(batch, &mut cutter));
    cutter.take().pop().unwrap_or_default()
}

/// Two batches of one that has at least two samples.
pub(super) fn halves(batch: &MetricBatch) -> Vec<MetricBatch> {
    let mut cutter = Cutter::new(batch.sample_count().div_ceil(2));
    add(batch, &mut cutter);
    cutter.take()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Labels, Metadata};

    fn batch(series: &[(&str, i64)]) -> MetricBatch {
        let mut batch = MetricBatch::default();
        for (name, count) in series {
            batch.begin_with(Labels::from_pairs([("__name__", name)]).as_ref());
            batch.describe_series(name, Metadata::default());
            (0..*count).for_each(|i| batch.sample(i, 0, i as f64));
        }
        batch
    }

    fn shape(batch: &MetricBatch) -> Vec<(String, usize)> {
        let shape = |series: SeriesView<'_>| {
            assert!(series.metadata().is_some());
            (series.labels().get("__name__").unwrap_or("").to_owned(), series.samples().len())
        };
        batch.series().map(shape).collect()
    }

    #[test]
    fn a_long_series_goes_on_in_the_next_piece() {
        let mut cutter = Cutter::new(4);
        add(&batch(&[("a", 3), ("b", 6)]), &mut cutter);
        let shapes: Vec<_> = cutter.take().iter().map(shape).collect();
        let named = |name: &str, count| (name.to_owned(), count);
        assert_eq!(shapes, [vec![named("a", 3), named("b", 1)], vec![named("b", 4)], vec![named("b", 1)]]);
    }

    #[test]
    fn halves_joined_are_the_whole() {
        let whole = batch(&[("a", 2), ("b", 3)]);
        let parts = halves(&whole);
        assert_eq!(parts.iter().map(MetricBatch::sample_count).collect::<Vec<_>>(), [3, 2]);
        assert_eq!(join(&parts).sample_count(), 5);
        assert_eq!(halves(&batch(&[("a", 1), ("b", 1)])).len(), 2);
    }

    #[test]
    fn old_samples_are_left_out_and_counted() {
        let mut cutter = Cutter::new(100);
        let batch = batch(&[("a", 5)]);
        let wanted = Wanted { oldest_ms: 3, ..Wanted::ALL };
        let series = batch.series().next().unwrap();
        let left_out = cutter.series(series.labels(), series, wanted);
        assert_eq!(left_out, LeftOut { too_old: 3, histograms: 0 });
        assert_eq!(cutter.take()[0].sample_count(), 2);
    }
}
