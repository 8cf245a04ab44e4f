//! Instant vector selectors: for each step the latest sample that is not too old.

use super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Charge, Column},
    hints,
    window::CHECK_STEPS,
};
use crate::ast::VectorSelector;
use model::{Samples, TimeRange};
use store::{Selection, SeriesSet};

/// What of a sample becomes the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Value,
    /// Its time, in seconds.
    Timestamp,
    /// When its counter began, in seconds; 0 where that is unknown.
    StartTimestamp,
    /// A float's time, in seconds; a histogram stays.
    FloatTimestamp,
}

/// Bytes that a decoded sample takes, without those of a histogram.
const SAMPLE_BYTES: usize = 16;

/// Bytes that decoded samples take.
pub(super) fn memory_of(samples: &Samples) -> usize {
    samples.len() * SAMPLE_BYTES + samples.histogram_bytes(0)
}

impl<'q> Evaluator<'q> {
    /// Hands every series with a value at some step to `sink`.
    pub(super) fn select(&self, selector: &VectorSelector, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if selector.extension.is_some() {
            return self.select_smoothed(selector, grid, sink);
        }
        self.select_field(selector, Field::Value, grid, sink)
    }

    /// As [`Evaluator::select`], with another field of the samples as the value.
    pub(super) fn select_field(
        &self,
        selector: &VectorSelector,
        field: Field,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let offset_ms = self.offset_ms(&selector.modifiers)?;
        let at_ms = self.at_ms(&selector.modifiers);
        let time_ms = |step: usize| at_ms.unwrap_or_else(|| grid.time_ms(step)).saturating_sub(offset_ms);
        let reaching_back = |lookback_ms: i64| {
            let first_ms = time_ms(0).saturating_sub(lookback_ms).saturating_add(1);
            TimeRange::new(first_ms, time_ms(grid.count - 1))
        };
        // Samples that were downsampled are further apart.
        let resolution_ms = self.store.resolution_ms(reaching_back(self.options.lookback_ms), grid.step_ms);
        let lookbacks = match resolution_ms {
            0 => vec![self.options.lookback_ms; grid.count],
            _ => self.lookbacks(grid, time_ms)?,
        };
        let longest_ms = lookbacks.iter().copied().max().unwrap_or_default();
        let set = self.open(selector, reaching_back(longest_ms), grid)?;
        let compute = |index: usize, samples: &mut Samples, (): &mut ()| -> EvalResult<Option<Series<'q>>> {
            let mut column = Column::absent(grid.count, self.context)?;
            fill_column(&mut column, samples, field, &lookbacks, time_ms);
            let series = Series { labels: set.labels(index).clone(), drop_name: false, column };
            Ok(Some(series).filter(|series| !series.column.is_empty()))
        };
        self.map_series(selector.span.start, set.as_ref(), &compute, sink)
    }

    /// How far each step looks back where buckets are read: by a bucket's length further.
    fn lookbacks(&self, grid: Grid, time_ms: impl Fn(usize) -> i64) -> EvalResult<Vec<i64>> {
        let lookback_ms = self.options.lookback_ms;
        let mut all = Vec::with_capacity(grid.count);
        for step in 0..grid.count {
            if step % CHECK_STEPS == 0 {
                self.context.check()?;
            }
            let now_ms = time_ms(step);
            let range = TimeRange::new(now_ms.saturating_sub(lookback_ms).saturating_add(1), now_ms);
            all.push(lookback_ms.saturating_add(self.store.resolution_ms(range, grid.step_ms)));
        }
        Ok(all)
    }

    /// Finds the series that a selector matches.
    pub(super) fn open(
        &self,
        selector: &VectorSelector,
        range: TimeRange,
        grid: Grid,
    ) -> EvalResult<Box<dyn SeriesSet>> {
        let selection = Selection { matchers: selector.matchers.clone(), range, step_ms: grid.step_ms };
        Ok(self.store.select(&selection, self.context)?)
    }

    /// Decodes series after series into one buffer.
    pub(super) fn each_series(
        &self,
        selector: &VectorSelector,
        set: &dyn SeriesSet,
        visit: &mut dyn FnMut(usize, &mut Samples) -> EvalResult<()>,
    ) -> EvalResult<()> {
        let mut samples = Samples::default();
        let mut reader = set.reader();
        let mark_resets = self.stats_selectors.contains(&selector.span.start);
        for index in 0..set.len() {
            self.context.check()?;
            reader.read(index, self.context, &mut samples)?;
            if samples.is_empty() {
                continue;
            }
            let _held = Charge::new(self.context, samples.len(), memory_of(&samples))?;
            hints::resolve(&mut samples, mark_resets);
            visit(index, &mut samples)?;
        }
        Ok(())
    }
}

/// Puts the latest sample within the lookback into every step.
fn fill_column(
    column: &mut Column<'_>,
    samples: &Samples,
    field: Field,
    lookbacks: &[i64],
    time_ms: impl Fn(usize) -> i64,
) {
    let times = samples.timestamps_ms.as_slice();
    let is_plain = samples.histograms.is_empty() && field == Field::Value;
    // The number of samples at or before the step.
    let mut seen = 0;
    for (step, lookback_ms) in lookbacks.iter().enumerate() {
        let now_ms = time_ms(step);
        while seen < times.len() && times[seen] <= now_ms {
            seen += 1;
        }
        let Some(latest) = seen.checked_sub(1) else { continue };
        if times[latest] <= now_ms.saturating_sub(*lookback_ms) {
            continue;
        }
        if is_plain {
            // A staleness marker is what a column has where there is no value.
            column.floats[step] = samples.values[latest];
            continue;
        }
        if samples.is_stale(latest) {
            continue;
        }
        match field {
            Field::Value => match samples.histogram(latest) {
                None => column.floats[step] = samples.values[latest],
                Some(histogram) => column.set_histogram(step, histogram.clone()),
            },
            Field::FloatTimestamp => match samples.histogram(latest) {
                None => column.floats[step] = times[latest] as f64 / 1000.0,
                Some(histogram) => column.set_histogram(step, histogram.clone()),
            },
            Field::Timestamp => column.floats[step] = times[latest] as f64 / 1000.0,
            Field::StartTimestamp => column.floats[step] = samples.start_ms(latest) as f64 / 1000.0,
        }
    }
}
