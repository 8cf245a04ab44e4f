//! Aggregations over time: `sum_over_time` and its family.
//!
//! Functions that know only floats leave histograms out, with a remark where both are present.

use super::super::window::{Remarks, Window};
use crate::{histogram::HistogramTotal, kahan, quantile};
use model::Value;
use std::borrow::Cow;

type Out = Option<Value>;

/// The floats of the window; `None` where there are none.
fn floats<'a>(window: &Window<'a>, remarks: &Remarks<'_, '_>) -> Option<Cow<'a, [f64]>> {
    if window.histograms().is_empty() {
        return Some(Cow::Borrowed(window.values()));
    }
    let values: Vec<f64> = window.floats().map(|(_, value)| value).collect();
    if values.is_empty() {
        return None;
    }
    remarks.ignored_histograms();
    Some(Cow::Owned(values))
}

impl Remarks<'_, '_> {
    pub(super) fn ignored_histograms(&self) {
        let message = "ignored histograms in a range containing both floats and histograms";
        self.info(&crate::annotation::about_metric(message, self.metric_name));
    }
}

/// Computes from all floats or from all histograms.
fn either(
    window: &Window<'_>,
    remarks: &Remarks<'_, '_>,
    of_floats: impl Fn(&mut dyn Iterator<Item = f64>) -> f64,
    is_mean: bool,
) -> Out {
    let histograms = window.histograms();
    if histograms.is_empty() {
        return Some(Value::Float(of_floats(&mut window.values().iter().copied())));
    }
    if window.has_floats() {
        remarks.mixed_kinds();
        return None;
    }
    let mut total = HistogramTotal::new(is_mean);
    histograms.iter().for_each(|(_, histogram)| total.add(histogram));
    if total.incompatible {
        remarks.mixed_schemas();
    }
    if total.reconciled {
        remarks.info("mismatched custom buckets were reconciled during aggregation");
    }
    if total.hints_conflict() {
        remarks.warn("conflicting counter resets during histogram aggregation");
    }
    total.get().map(Value::Histogram)
}

pub(super) fn sum(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    either(window, remarks, |values| kahan::sum(values), false)
}

pub(super) fn avg(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let mut mean = kahan::Mean::default();
        values.for_each(|value| mean.add(value));
        mean.get()
    };
    either(window, remarks, mean, true)
}

pub(super) fn count(window: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    Some(Value::Float(window.len() as f64))
}

pub(super) fn present(_: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    Some(Value::Float(1.0))
}

pub(super) fn last(window: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    Some(window.samples.value(window.end - 1))
}

pub(super) fn first(window: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    Some(window.samples.value(window.first))
}

pub(super) fn max(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    extreme(&floats(window, remarks)?, |value, best| value > best).map(Value::Float)
}

pub(super) fn min(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    extreme(&floats(window, remarks)?, |value, best| value < best).map(Value::Float)
}

/// The first value that no other one beats; NaN only where there is nothing else. Eight values are
/// compared at a time.
fn extreme(values: &[f64], beats: impl Fn(f64, f64) -> bool) -> Option<f64> {
    let better = |best: f64, value: f64| if beats(value, best) || best.is_nan() { value } else { best };
    let (groups, rest) = values.as_chunks::<8>();
    let mut lanes = [f64::NAN; 8];
    for group in groups {
        for (best, value) in lanes.iter_mut().zip(group) {
            *best = better(*best, *value);
        }
    }
    let best = lanes.into_iter().chain(rest.iter().copied()).reduce(better)?;
    // Zeros of either sign beat each other not, and the first of them is meant.
    if best == 0.0 { values.iter().copied().reduce(better) } else { (!values.is_empty()).then_some(best) }
}

pub(super) fn quantile(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    let mut values = floats(window, remarks)?.into_owned();
    remarks.evaluator.check_quantiles(&window.arguments[..1], remarks.position);
    Some(Value::Float(quantile::quantile(window.arguments[0], &mut values)))
}

/// Median of the absolute deviations from the median.
pub(super) fn mad(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    let mut values = floats(window, remarks)?.into_owned();
    if values.iter().any(|value| value.is_nan()) {
        return Some(Value::Float(f64::NAN));
    }
    let median = quantile::quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    Some(Value::Float(quantile::quantile(0.5, &mut values)))
}

pub(super) fn stdvar(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    Some(Value::Float(variance(&floats(window, remarks)?)))
}

pub(super) fn stddev(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    Some(Value::Float(variance(&floats(window, remarks)?).sqrt()))
}

/// Welford's method with compensated sums.
fn variance(values: &[f64]) -> f64 {
    let (mut mean, mut mean_rest) = (0.0, 0.0);
    let (mut square, mut square_rest) = (0.0, 0.0);
    for (index, value) in values.iter().enumerate() {
        let count = (index + 1) as f64;
        let delta = value - (mean + mean_rest);
        (mean, mean_rest) = kahan::add(delta / count, mean, mean_rest);
        let after = value - (mean + mean_rest);
        (square, square_rest) = kahan::add(delta * after, square, square_rest);
    }
    (square + square_rest) / values.len() as f64
}

fn seconds(ms: i64) -> Out {
    Some(Value::Float(ms as f64 / 1000.0))
}

pub(super) fn ts_of_first(window: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    seconds(window.samples.timestamps_ms[window.first])
}

pub(super) fn ts_of_last(window: &Window<'_>, _: &Remarks<'_, '_>) -> Out {
    seconds(window.samples.timestamps_ms[window.end - 1])
}

pub(super) fn ts_of_max(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    latest(window, remarks, |value, best| value >= best)
}

pub(super) fn ts_of_min(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Out {
    latest(window, remarks, |value, best| value <= best)
}

/// The time of the best value; of equal ones the latest.
fn latest(window: &Window<'_>, remarks: &Remarks<'_, '_>, is_better: fn(f64, f64) -> bool) -> Out {
    floats(window, remarks)?;
    let best = window
        .floats()
        .reduce(|best, point| if is_better(point.1, best.1) || best.1.is_nan() { point } else { best });
    seconds(best?.0)
}

#[cfg(test)]
mod tests {
    use super::extreme;

    #[test]
    fn extremes_are_those_of_one_value_after_the_other() {
        let nan = f64::NAN;
        let zeros: Vec<f64> = (0..20).map(|i| if i % 2 == 0 { -0.0 } else { 0.0 }).collect();
        let rising: Vec<f64> = (0..21).map(f64::from).collect();
        let gaps: Vec<f64> = (0..30).map(|i| if i % 3 == 0 { nan } else { f64::from(i % 7) }).collect();
        for values in [vec![], vec![nan; 9], vec![nan, 1.0], vec![f64::NEG_INFINITY; 17], zeros, rising, gaps]
        {
            for end in 0..=values.len() {
                let values = &values[..end];
                let one_by_one = |beats: fn(&f64, &f64) -> bool| {
                    let better = |best: f64, value: f64| {
                        if beats(&value, &best) || best.is_nan() { value } else { best }
                    };
                    values.iter().copied().reduce(better).map(f64::to_bits)
                };
                let is_nan = |bits: Option<u64>| bits.is_some_and(|bits| f64::from_bits(bits).is_nan());
                let most = extreme(values, |value, best| value > best).map(f64::to_bits);
                let least = extreme(values, |value, best| value < best).map(f64::to_bits);
                for (found, expected) in [(most, one_by_one(f64::gt)), (least, one_by_one(f64::lt))] {
                    assert!(found == expected || is_nan(found) && is_nan(expected), "{values:?}");
                }
            }
        }
    }
}
