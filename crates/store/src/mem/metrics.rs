//! Metrics in memory: an ordered map of series, each an ordered map of samples.

use super::{all_match, any_matches};
use crate::{
    AgeLimits, Aggregate, BatchLedger, Commit, ExemplarSeries, MetricStats, MetricStore, PlainReader,
    QueryContext, Receipt, RejectReason, Rejection, Selection, SeriesReader, SeriesSet, StoreError, Texts,
    reject, select_undivided,
};
use model::{
    BatchId, Exemplar, Labels, LabelsRef, Matcher, Metadata, MetricBatch, Samples, SeriesView, TimeRange,
    Value,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes that a read is charged for each sample: a timestamp and a value.
const SAMPLE_BYTES: u64 = 16;

/// See the module.
#[derive(Debug)]
pub struct MemMetricStore {
    limits: AgeLimits,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    series: BTreeMap<Labels, Series>,
    metadata: BTreeMap<String, Metadata>,
    ledger: BatchLedger,
    appended_samples: u64,
}

#[derive(Debug, Default)]
struct Series {
    samples: BTreeMap<i64, Point>,
    /// In order of time; equal times in order of arrival.
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, Debug)]
struct Point {
    start_ms: i64,
    value: Value,
}

impl Default for MemMetricStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemMetricStore {
    /// A store that takes samples of any time.
    pub fn new() -> Self {
        Self::with_limits(AgeLimits::NONE)
    }

    /// A store that takes and keeps what `limits` allow.
    pub fn with_limits(limits: AgeLimits) -> Self {
        MemMetricStore { limits, state: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects what one append stores and refuses.
struct Append<'a> {
    state: &'a mut State,
    limits: AgeLimits,
    now_ms: i64,
    stored: u64,
    rejected: Vec<Rejection>,
}

impl Append<'_> {
    fn series(&mut self, view: SeriesView<'_>) {
        let labels = view.labels();
        let count = (view.samples().len() + view.histograms().len()) as u64;
        if labels.is_empty() || LabelsRef::from_bytes(labels.as_bytes()).is_none() {
            reject(&mut self.rejected, RejectReason::InvalidLabels, count, || format!("series {labels}"));
            return;
        }
        let labels = labels.to_owned();
        for sample in view.samples() {
            self.sample(&labels, sample.timestamp_ms, sample.start_ms, Value::Float(sample.value));
        }
        for (timestamp_ms, start_ms, histogram) in view.histograms() {
            match histogram.validate() {
                Ok(()) => self.sample(&labels, *timestamp_ms, *start_ms, Value::Histogram(histogram.clone())),
                Err(error) => reject(&mut self.rejected, RejectReason::InvalidHistogram, 1, || {
                    format!("{labels} at {timestamp_ms}: {error}")
                }),
            }
        }
        for exemplar in view.exemplars() {
            self.exemplar(&labels, exemplar);
        }
    }

    fn sample(&mut self, labels: &Labels, timestamp_ms: i64, start_ms: i64, value: Value) {
        let verdict = self.limits.check_ms(timestamp_ms, self.now_ms).and_then(|()| {
            let samples = &mut self.state.series.entry(labels.clone()).or_default().samples;
            match samples.get(&timestamp_ms) {
                Some(existing) if existing.value.same_bits(&value) => Ok(()),
                Some(_) => Err(RejectReason::DuplicateTimestamp),
                None => {
                    samples.insert(timestamp_ms, Point { start_ms, value });
                    self.state.appended_samples += 1;
                    Ok(())
                }
            }
        });
        match verdict {
            Ok(()) => self.stored += 1,
            Err(reason) => reject(&mut self.rejected, reason, 1, || format!("{labels} at {timestamp_ms}")),
        }
    }

    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar) {
        if let Err(reason) = self.limits.check_ms(exemplar.timestamp_ms, self.now_ms) {
            let example = || format!("exemplar of {labels} at {}", exemplar.timestamp_ms);
            reject(&mut self.rejected, reason, 1, example);
            return;
        }
        let exemplars = &mut self.state.series.entry(labels.clone()).or_default().exemplars;
        if !exemplars.contains(exemplar) {
            let position = exemplars.partition_point(|e| e.timestamp_ms <= exemplar.timestamp_ms);
            exemplars.insert(position, exemplar.clone());
        }
    }
}

impl State {
    /// Series that any selector matches and that have samples in `range`.
    fn matching<'a>(
        &'a self,
        selectors: &'a [Vec<Matcher>],
        range: TimeRange,
    ) -> impl Iterator<Item = &'a Labels> {
        let has_samples = move |series: &Series| closed(&series.samples, range).next().is_some();
        self.series
            .iter()
            .filter(move |(labels, series)| {
                any_matches(selectors, |name| labels.value(name)) && has_samples(series)
            })
            .map(|(labels, _)| labels)
    }

    fn drop_empty(&mut self) {
        self.series.retain(|_, series| !series.samples.is_empty() || !series.exemplars.is_empty());
    }
}

/// Samples in a closed range; an inverted range has none.
fn closed(samples: &BTreeMap<i64, Point>, range: TimeRange) -> impl Iterator<Item = (&i64, &Point)> {
    let is_ordered = range.start <= range.end;
    is_ordered.then(|| samples.range(range.start..=range.end)).into_iter().flatten()
}

/// A snapshot of what a selection matched.
struct MemSeriesSet(Vec<(Labels, Samples)>);

impl SeriesSet for MemSeriesSet {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].0
    }

    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        let samples = &self.0[index].1;
        context.charge_read(samples.len() as u64, samples.len() as u64 * SAMPLE_BYTES)?;
        into.clone_from(samples);
        Ok(())
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(PlainReader(self))
    }
}

impl MetricStore for MemMetricStore {
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError> {
        let mut state = self.write();
        if id.is_some_and(|id| !state.ledger.record(id)) {
            return Ok(Receipt { stored: 0, duplicate: true, rejected: Vec::new(), commit: Commit::done() });
        }
        let mut append =
            Append { state: &mut state, limits: self.limits, now_ms, stored: 0, rejected: Vec::new() };
        for series in batch.series() {
            append.series(series);
        }
        let Append { stored, rejected, .. } = append;
        for (family, metadata) in batch.metadata() {
            state.metadata.insert(family.clone(), metadata.clone());
        }
        Ok(Receipt { stored, duplicate: false, rejected, commit: Commit::done() })
    }

    fn select(
        &self,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        context.check()?;
        let state = self.read();
        let mut found = Vec::new();
        for (labels, series) in &state.series {
            if !all_match(&selection.matchers, |name| labels.value(name)) {
                continue;
            }
            let mut samples = Samples::default();
            for (timestamp_ms, point) in closed(&series.samples, selection.range) {
                samples.push(*timestamp_ms, point.start_ms, &point.value);
            }
            if !samples.is_empty() {
                found.push((labels.clone(), samples));
            }
        }
        Ok(Box::new(MemSeriesSet(found)))
    }

    fn resolution_ms(&self, _range: TimeRange, _step_ms: i64) -> i64 {
        0
    }

    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        select_undivided(self, selection, aggregate, context)
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        context.check()?;
        Ok(self.read().matching(selectors, range).take(limit).cloned().collect())
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        context.check()?;
        let state = self.read();
        let names: BTreeSet<&str> =
            state.matching(selectors, range).flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
        Ok(Arc::new(names.into_iter().collect()))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        context.check()?;
        let state = self.read();
        let values: BTreeSet<&str> =
            state.matching(selectors, range).filter_map(|labels| labels.get(name)).collect();
        Ok(Arc::new(values.into_iter().collect()))
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        let wanted = |name: &str| family.is_none_or(|family| family == name);
        let state = self.read();
        state.metadata.iter().filter(|(name, _)| wanted(name)).map(|(n, m)| (n.clone(), m.clone())).collect()
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError> {
        context.check()?;
        let mut found = Vec::new();
        for (labels, series) in &self.read().series {
            if !any_matches(selectors, |name| labels.value(name)) {
                continue;
            }
            let exemplars: Vec<_> =
                series.exemplars.iter().filter(|e| range.contains(e.timestamp_ms)).cloned().collect();
            if !exemplars.is_empty() {
                found.push(ExemplarSeries { labels: labels.clone(), exemplars });
            }
        }
        Ok(found)
    }

    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError> {
        let mut state = self.write();
        for (labels, series) in &mut state.series {
            if selectors.iter().any(|matchers| all_match(matchers, |name| labels.value(name))) {
                series.samples.retain(|timestamp_ms, _| !range.contains(*timestamp_ms));
            }
        }
        state.drop_empty();
        Ok(())
    }

    fn snapshot(&self, name: &str) -> Result<(), StoreError> {
        Err(StoreError::Invalid(format!("a store in memory makes no snapshot, so none named `{name}`")))
    }

    fn maintain(&self, now_ms: i64) -> Result<(), StoreError> {
        let oldest = self.limits.oldest_ms(now_ms);
        let mut state = self.write();
        for series in state.series.values_mut() {
            series.samples.retain(|timestamp_ms, _| *timestamp_ms >= oldest);
            series.exemplars.retain(|exemplar| exemplar.timestamp_ms >= oldest);
        }
        state.drop_empty();
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> MetricStats {
        let state = self.read();
        let ends = |series: &Series| {
            Some((*series.samples.first_key_value()?.0, *series.samples.last_key_value()?.0))
        };
        let ranges = || state.series.values().filter_map(ends);
        let oldest = ranges().map(|(first, _)| first).min();
        let newest = ranges().map(|(_, last)| last).max();
        MetricStats {
            active_series: ranges().count() as u64,
            appended_samples: state.appended_samples,
            time_range: oldest.zip(newest).map(|(oldest, newest)| TimeRange::new(oldest, newest)),
            ..MetricStats::default()
        }
    }
}
