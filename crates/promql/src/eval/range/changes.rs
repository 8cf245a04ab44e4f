//! `changes` and `resets`: how often neighbouring samples differ, or a counter began anew.

use super::{
    super::window::{Remarks, Window},
    rate::StartPair,
};
use crate::{ast::Extension, histogram};
use model::Value;

pub(super) fn changes(window: &Window<'_>, _: &Remarks<'_, '_>) -> Option<Value> {
    count_pairs(window, |index| {
        let samples = window.samples;
        match (samples.histogram(index - 1), samples.histogram(index)) {
            (None, None) => {
                let (before, after) = (samples.values[index - 1], samples.values[index]);
                before != after && !(before.is_nan() && after.is_nan())
            }
            (Some(before), Some(after)) => !histogram::equal(before, after),
            _ => true,
        }
    })
}

pub(super) fn resets(window: &Window<'_>, _: &Remarks<'_, '_>) -> Option<Value> {
    let has_starts = !window.samples.starts_ms.is_empty();
    count_pairs(window, |index| {
        let samples = window.samples;
        if has_starts && StartPair::at(window, index).is_reset() {
            return true;
        }
        match (samples.histogram(index - 1), samples.histogram(index)) {
            (None, None) => samples.values[index] < samples.values[index - 1],
            (Some(before), Some(after)) => histogram::detect_reset(after, before),
            _ => true,
        }
    })
}

/// Counts the samples, by index into the series, for which `differs` from the one before.
fn count_pairs(window: &Window<'_>, differs: impl Fn(usize) -> bool) -> Option<Value> {
    let mut first = window.first;
    if window.extension == Some(Extension::Anchored) {
        let times = window.times();
        if times[times.len() - 1] <= window.bounds.from_ms {
            return None;
        }
        first += times.partition_point(|t| *t <= window.bounds.from_ms).saturating_sub(1);
    }
    let count = (first + 1..window.end).filter(|index| differs(*index)).count();
    Some(Value::Float(count as f64))
}
