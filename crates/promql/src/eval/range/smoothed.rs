//! `selector smoothed`: values interpolated between the samples around each step.

use super::{
    super::{EvalResult, Evaluator, Grid, Series, Sink, column::Column, window::Remarks},
    extended::{interpolate, interpolate_histograms},
};
use crate::ast::{Extension, VectorSelector};
use model::{ResetHint, Samples, TimeRange, Value};
use std::sync::Arc;

impl<'q> Evaluator<'q> {
    /// An instant vector of a selector with `smoothed`; `anchored` means nothing there.
    pub(in crate::eval) fn select_smoothed(
        &self,
        selector: &VectorSelector,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        if selector.extension == Some(Extension::Anchored) {
            return super::fail("anchored modifier can only be used with range vectors");
        }
        let offset_ms = self.offset_ms(&selector.modifiers)?;
        let at_ms = self.at_ms(&selector.modifiers);
        let lookback_ms = self.options.lookback_ms;
        let time_ms = |step: usize| at_ms.unwrap_or_else(|| grid.time_ms(step)).saturating_sub(offset_ms);
        let range = TimeRange::new(
            time_ms(0).saturating_sub(lookback_ms).saturating_add(1),
            time_ms(grid.count - 1).saturating_add(lookback_ms),
        );
        let set = self.open(selector, range, grid)?;
        self.each_series(selector, set.as_ref(), &mut |index, samples| {
            let labels = set.labels(index);
            let remarks =
                Remarks { evaluator: self, position: selector.span.start, metric_name: labels.metric_name() };
            let mut column = Column::absent(grid.count, self.context)?;
            for step in 0..grid.count {
                if let Some(value) = value_at(samples, time_ms(step), lookback_ms, &remarks) {
                    column.set(step, value);
                }
            }
            if column.is_empty() {
                return Ok(());
            }
            sink(Series { labels: labels.clone(), drop_name: false, column })
        })
    }
}

/// The value at `now_ms`: a sample's own, one between its neighbours, or the latest.
fn value_at(samples: &Samples, now_ms: i64, lookback_ms: i64, remarks: &Remarks<'_, '_>) -> Option<Value> {
    let times = &samples.timestamps_ms;
    let near = |i: &usize| {
        let distance = now_ms.saturating_sub(times[*i]).saturating_abs();
        distance < lookback_ms || times[*i] > now_ms && distance == lookback_ms
    };
    let usable = |i: &usize| near(i) && !samples.is_stale(*i);
    let seen = times.partition_point(|t| *t <= now_ms);
    let in_reach = (0..times.len()).filter(usable);
    let kinds: (bool, bool) = in_reach.fold((false, false), |(floats, histograms), i| {
        let is_histogram = samples.histogram(i).is_some();
        (floats || !is_histogram, histograms || is_histogram)
    });
    if kinds == (true, true) {
        remarks.mixed_kinds();
        return None;
    }
    // Staleness markers are no samples here: the value goes from the sample before to the one after.
    let previous = (0..seen).rev().find(|i| !samples.is_stale(*i)).filter(near)?;
    let next = (seen..times.len()).find(|i| !samples.is_stale(*i)).filter(near);
    let (Some(next), true) = (next, times[previous] < now_ms) else { return Some(samples.value(previous)) };
    let (t1, t2) = (times[previous], times[next]);
    match (samples.histogram(previous), samples.histogram(next)) {
        (Some(h1), Some(h2)) => {
            let is_counter = h1.reset_hint != ResetHint::Gauge || h2.reset_hint != ResetHint::Gauge;
            let value = interpolate_histograms((t1, h1), (t2, h2), now_ms, is_counter, remarks)?;
            Some(Value::Histogram(Arc::new(value)))
        }
        _ => {
            let (v1, v2) = (samples.values[previous], samples.values[next]);
            Some(Value::Float(interpolate((t1, v1), (t2, v2), now_ms, false)))
        }
    }
}
