//! Range vectors: a series' samples, and for each step the window of them that a function sees.

use super::{EvalResult, Evaluator, Grid, Series, Sink, column::Charge, fail, select::memory_of};
use crate::{
    ast::{Expr, Extension, MatrixSelector},
    position::Position,
};
use model::{Histogram, Labels, Samples, TimeRange};
use std::sync::Arc;
use store::{Aggregate, Selection, SeriesSet};

/// Steps between two looks at whether the query goes on.
pub(super) const CHECK_STEPS: usize = 1024;

/// One series of a range vector.
pub(super) struct RangeSeries<'a> {
    pub(super) labels: &'a Labels,
    pub(super) drop_name: bool,
    /// Without staleness markers.
    pub(super) samples: &'a Samples,
    pub(super) spec: &'a WindowSpec,
}

/// What a function needs of samples that were downsampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// The value of a bucket.
    pub(super) aggregate: Aggregate,
    /// Buckets without which it has no result. Windows are made so long; with 0 they stay as they are.
    pub(super) buckets: i64,
}

/// Where the windows lie, relative to the steps.
#[derive(Clone, Debug)]
pub(super) struct WindowSpec {
    pub(super) range_ms: i64,
    /// By step, where windows read buckets, for which some of them would be too short.
    widened: Option<Arc<[Widened]>>,
    offset_ms: i64,
    at_ms: Option<i64>,
    pub(super) extension: Option<Extension>,
    lookback_ms: i64,
    /// The samples are values of buckets, as [`MetricStore::select_aggregate`](store::MetricStore) gives.
    pub(super) is_folded: bool,
}

/// A window that may read buckets.
#[derive(Clone, Copy, Debug)]
struct Widened {
    length_ms: i64,
    /// The length of a bucket, 0 where all samples are as they were written.
    resolution_ms: i64,
}

/// The ends of a window: after `from_ms`, up to and including `to_ms`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
}

impl WindowSpec {
    pub(super) fn bounds(&self, grid: Grid, step: usize) -> Bounds {
        let to_ms = self.at_ms.unwrap_or_else(|| grid.time_ms(step)).saturating_sub(self.offset_ms);
        Bounds { from_ms: to_ms.saturating_sub(self.widened(step).length_ms), to_ms }
    }

    /// As [`WindowSpec::bounds`], where every window is a step further than the one before and as long.
    pub(super) fn regular_bounds(&self, grid: Grid, step: usize) -> Option<Bounds> {
        let is_regular = self.at_ms.is_none() && self.widened.is_none() && grid.step_ms > 0;
        is_regular.then(|| self.bounds(grid, step))
    }

    fn widened(&self, step: usize) -> Widened {
        let as_asked = Widened { length_ms: self.range_ms, resolution_ms: 0 };
        self.widened.as_ref().map_or(as_asked, |all| all[step])
    }

    /// How long the window of a step is; no shorter than was asked.
    pub(super) fn length_ms(&self, step: usize) -> i64 {
        self.widened(step).length_ms
    }

    /// The length of buckets in the window of a step, 0 where there are none.
    pub(super) fn resolution_ms(&self, step: usize) -> i64 {
        self.widened(step).resolution_ms
    }

    /// How far before and after the window samples may matter.
    fn margins_ms(&self) -> (i64, i64) {
        match self.extension {
            None => (0, 0),
            Some(Extension::Anchored) => (self.lookback_ms, 0),
            Some(Extension::Smoothed) => (self.lookback_ms, self.lookback_ms),
        }
    }

    /// All windows of the grid in one closed range.
    fn cover(&self, grid: Grid) -> TimeRange {
        let (before, after) = self.margins_ms();
        // Windows begin in order of the steps, however long they are.
        let (first, last) = (self.bounds(grid, 0), self.bounds(grid, grid.count - 1));
        TimeRange::new(
            first.from_ms.saturating_sub(before).saturating_add(1),
            last.to_ms.saturating_add(after),
        )
    }
}

/// What a function over a range sees at one step: samples `first..end` of a series.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) samples: &'a Samples,
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) bounds: Bounds,
    /// How long it is.
    pub(super) range_ms: i64,
    /// How long it was asked to be.
    pub(super) asked_ms: i64,
    /// The length of buckets in it, 0 where there are none.
    pub(super) resolution_ms: i64,
    pub(super) extension: Option<Extension>,
    /// The moment of evaluation.
    pub(super) now_ms: i64,
    /// Scalar arguments at this step.
    pub(super) arguments: [f64; 2],
}

impl<'a> Window<'a> {
    pub(super) fn len(&self) -> usize {
        self.end - self.first
    }

    pub(super) fn times(&self) -> &'a [i64] {
        &self.samples.timestamps_ms[self.first..self.end]
    }

    /// Values of all samples; meaningless where a sample is a histogram.
    pub(super) fn values(&self) -> &'a [f64] {
        &self.samples.values[self.first..self.end]
    }

    /// The histograms, with their index in the series.
    pub(super) fn histograms(&self) -> &'a [(u32, Arc<Histogram>)] {
        let all = &self.samples.histograms;
        if all.is_empty() {
            return &[];
        }
        let from = all.partition_point(|(index, _)| (*index as usize) < self.first);
        let to = all.partition_point(|(index, _)| (*index as usize) < self.end);
        &all[from..to]
    }

    pub(super) fn has_floats(&self) -> bool {
        self.histograms().len() < self.len()
    }

    /// Times and values of the floats.
    pub(super) fn floats(&self) -> impl DoubleEndedIterator<Item = (i64, f64)> + Clone + 'a {
        let (samples, histograms) = (self.samples, self.histograms());
        (self.first..self.end)
            .filter(move |i| {
                histograms.is_empty()
                    || histograms.binary_search_by_key(&(*i as u32), |(index, _)| *index).is_err()
            })
            .map(move |i| (samples.timestamps_ms[i], samples.values[i]))
    }

    /// Start timestamp of the sample at `index` of the series, 0 when unknown.
    pub(super) fn start_ms(&self, index: usize) -> i64 {
        self.samples.start_ms(index)
    }
}

impl<'q> Evaluator<'q> {
    /// Hands every series of a range vector to `visit`; where samples were downsampled, with what is
    /// needed of the buckets.
    pub(super) fn stream_ranges(
        &self,
        expr: &Expr,
        need: Need,
        grid: Grid,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> EvalResult<()>,
    ) -> EvalResult<()> {
        match expr.unwrap_parens() {
            Expr::Matrix(matrix) => self.select_ranges(matrix, need, grid, visit),
            Expr::Subquery(subquery) => self.subquery(subquery, grid, visit),
            other => fail(format!("expected a range vector, got {}", other.value_type().describe())),
        }
    }

    fn select_ranges(
        &self,
        matrix: &MatrixSelector,
        need: Need,
        grid: Grid,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> EvalResult<()>,
    ) -> EvalResult<()> {
        let (set, spec) = self.open_ranges(matrix, need, grid)?;
        self.each_series(&matrix.selector, set.as_ref(), &mut |index, samples| match self.range_series(
            set.labels(index),
            samples,
            &spec,
        ) {
            Some(series) => visit(series),
            None => Ok(()),
        })
    }

    /// Computes a series of each one of a range vector and hands them to `sink` in order. `compute`
    /// keeps what it likes from series to series; the windows are the same for all.
    pub(super) fn map_ranges<P: Default>(
        &self,
        expr: &Expr,
        need: Need,
        grid: Grid,
        compute: &(dyn Fn(RangeSeries<'_>, &mut P) -> EvalResult<Option<Series<'q>>> + Sync),
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let Expr::Matrix(matrix) = expr.unwrap_parens() else {
            let mut kept = P::default();
            return self.stream_ranges(expr, need, grid, &mut |series| match compute(series, &mut kept)? {
                Some(computed) => sink(computed),
                None => Ok(()),
            });
        };
        let (set, spec) = self.open_ranges(matrix, need, grid)?;
        let compute_one = |index: usize, samples: &mut Samples, kept: &mut P| {
            let series = self.range_series(set.labels(index), samples, &spec);
            series.map_or(Ok(None), |series| compute(series, kept))
        };
        self.map_series(matrix.selector.span.start, set.as_ref(), &compute_one, sink)
    }

    fn open_ranges(
        &self,
        matrix: &MatrixSelector,
        need: Need,
        grid: Grid,
    ) -> EvalResult<(Box<dyn SeriesSet>, WindowSpec)> {
        let (selection, spec) = self.selection_of_ranges(matrix, need, grid)?;
        let aggregate = if spec.is_folded { need.aggregate } else { Aggregate::Last };
        Ok((self.store.select_aggregate(&selection, aggregate, self.context)?, spec))
    }

    /// Whether a range vector would be read as values of buckets.
    pub(super) fn folds(&self, expr: &Expr, need: Need, grid: Grid) -> EvalResult<bool> {
        match expr.unwrap_parens() {
            Expr::Matrix(matrix) => Ok(self.selection_of_ranges(matrix, need, grid)?.1.is_folded),
            _ => Ok(false),
        }
    }

    fn selection_of_ranges(
        &self,
        matrix: &MatrixSelector,
        need: Need,
        grid: Grid,
    ) -> EvalResult<(Selection, WindowSpec)> {
        let modifiers = &matrix.selector.modifiers;
        let mut spec = WindowSpec {
            range_ms: matrix.range.resolve_positive_ms(self.durations()).or_else(fail)?,
            widened: None,
            offset_ms: self.offset_ms(modifiers)?,
            at_ms: self.at_ms(modifiers),
            extension: matrix.selector.extension,
            lookback_ms: self.options.lookback_ms,
            is_folded: false,
        };
        // What is not an aggregate is of use only where a window holds two samples or more.
        let is_last = need.aggregate == Aggregate::Last;
        let span_ms = if is_last { spec.range_ms / 2 } else { spec.range_ms };
        let step_ms = if grid.step_ms == 0 { span_ms } else { grid.step_ms.min(span_ms) };
        let is_tiered = self.store.resolution_ms(spec.cover(grid), step_ms) > 0;
        spec.is_folded = is_tiered && !is_last;
        if is_tiered && need.buckets > 0 && spec.extension.is_none() {
            spec.widened = self.widened(&spec, need.buckets, grid, step_ms)?;
        }
        let mut range = spec.cover(grid);
        if self.stats_selectors.contains(&matrix.selector.span.start) {
            // The first histogram of a window is compared with the one before it.
            range.start = range.start.saturating_sub(self.options.lookback_ms);
        }
        Ok((Selection { matchers: matrix.selector.matchers.clone(), range, step_ms }, spec))
    }

    /// Windows over buckets, each long enough to hold as many as are needed wherever it lies: buckets
    /// stand at their last sample, so half of one more makes sure of that. `None` when none reads any.
    fn widened(
        &self,
        spec: &WindowSpec,
        buckets: i64,
        grid: Grid,
        step_ms: i64,
    ) -> EvalResult<Option<Arc<[Widened]>>> {
        let mut all = Vec::with_capacity(grid.count);
        let mut begun_ms = i64::MIN;
        for step in 0..grid.count {
            if step % CHECK_STEPS == 0 {
                self.context.check()?;
            }
            let Bounds { from_ms, to_ms } = spec.bounds(grid, step);
            let read = TimeRange::new(from_ms.saturating_add(1), to_ms);
            let resolution_ms = self.store.resolution_ms(read, step_ms);
            let wanted_ms = resolution_ms.saturating_mul(buckets).saturating_add(resolution_ms / 2);
            // No window begins before the one of the step before.
            begun_ms = begun_ms.max(from_ms.min(to_ms.saturating_sub(wanted_ms)));
            let length_ms = to_ms.saturating_sub(begun_ms);
            all.push(Widened { length_ms, resolution_ms });
        }
        Ok(all.iter().any(|window| window.resolution_ms > 0).then(|| all.into()))
    }

    /// What windows see of a series that was read; `None` when that is nothing.
    fn range_series<'a>(
        &self,
        labels: &'a Labels,
        samples: &'a mut Samples,
        spec: &'a WindowSpec,
    ) -> Option<RangeSeries<'a>> {
        drop_stale(samples);
        if !self.options.experimental {
            samples.starts_ms.clear();
        }
        (!samples.is_empty()).then_some(RangeSeries { labels, drop_name: false, samples, spec })
    }

    /// The windows of a subquery's result; see [`Evaluator::subquery`].
    pub(super) fn subquery_spec(&self, range_ms: i64, offset_ms: i64, at_ms: Option<i64>) -> WindowSpec {
        WindowSpec {
            range_ms,
            widened: None,
            offset_ms,
            at_ms,
            extension: None,
            lookback_ms: 0,
            is_folded: false,
        }
    }

    /// Calls `compute` for every step that has samples in its window.
    pub(super) fn each_window(
        &self,
        series: &RangeSeries<'_>,
        grid: Grid,
        compute: &mut dyn FnMut(usize, Window<'_>),
    ) -> EvalResult<()> {
        let times = &series.samples.timestamps_ms;
        let (before, after) = series.spec.margins_ms();
        let (mut first, mut end) = (0, 0);
        for step in 0..grid.count {
            self.context.check()?;
            let bounds = series.spec.bounds(grid, step);
            let (from_ms, to_ms) =
                (bounds.from_ms.saturating_sub(before), bounds.to_ms.saturating_add(after));
            while first < times.len() && times[first] <= from_ms {
                first += 1;
            }
            end = end.max(first);
            while end < times.len() && times[end] <= to_ms {
                end += 1;
            }
            if first == end {
                continue;
            }
            let window = Window {
                samples: series.samples,
                first,
                end,
                bounds,
                range_ms: series.spec.length_ms(step),
                asked_ms: series.spec.range_ms,
                resolution_ms: series.spec.resolution_ms(step),
                extension: series.spec.extension,
                now_ms: grid.time_ms(step),
                arguments: [f64::NAN; 2],
            };
            compute(step, window);
        }
        Ok(())
    }

    /// Charges a buffer of samples that is not a store's.
    pub(super) fn charge_samples(&self, samples: &Samples) -> EvalResult<Charge<'q>> {
        Charge::new(self.context, samples.len(), memory_of(samples))
    }
}

/// Removes staleness markers: windows do not see them.
fn drop_stale(samples: &mut Samples) {
    let has_markers = match samples.histograms.as_slice() {
        // Without a way out of each group, many values are looked at in one go.
        [] => samples.values.chunks(64).any(|group| {
            group.iter().fold(false, |has_markers, value| has_markers | model::is_stale(*value))
        }),
        _ => (0..samples.len()).any(|i| samples.is_stale(i)),
    };
    if !has_markers {
        return;
    }
    let mut kept = Samples::default();
    for i in (0..samples.len()).filter(|i| !samples.is_stale(*i)) {
        kept.push(samples.timestamps_ms[i], samples.start_ms(i), &samples.value(i));
    }
    *samples = kept;
}

/// Remarks about one series, where a function finds something.
pub(super) struct Remarks<'e, 'q> {
    pub(super) evaluator: &'e Evaluator<'q>,
    /// Of the range vector.
    pub(super) position: Position,
    pub(super) metric_name: &'e str,
}

impl Remarks<'_, '_> {
    /// A warning that names the metric.
    pub(super) fn warn_metric(&self, message: &str) {
        self.warn(&crate::annotation::about_metric(message, self.metric_name));
    }

    pub(super) fn warn(&self, message: &str) {
        self.evaluator.warn(self.position, message);
    }

    pub(super) fn info(&self, message: &str) {
        self.evaluator.info(self.position, message);
    }

    /// A warning whose text ends with the metric's name.
    pub(super) fn warn_named(&self, message: &str) {
        self.warn(&format!("{message}: {}", crate::quote::quote(self.metric_name)));
    }

    pub(super) fn mixed_kinds(&self) {
        self.warn_metric("encountered a mix of histograms and floats");
    }

    pub(super) fn mixed_schemas(&self) {
        self.warn_metric("vector contains a mix of histograms with exponential and custom buckets schemas");
    }
}
