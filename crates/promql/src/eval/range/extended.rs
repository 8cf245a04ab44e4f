//! `rate`, `increase` and `delta` over `anchored` and `smoothed` windows: nothing is extrapolated.
//! An anchored window begins with the last sample before it; a smoothed one has values interpolated
//! at both edges.

use super::{
    super::window::{Remarks, Window},
    rate::{Kind, add_remarked, sub_remarked},
};
use crate::{ast::Extension, histogram};
use model::{Histogram, ResetHint, Value};
use std::sync::Arc;

/// The samples between which the change is taken, as indexes into the window.
struct Edges {
    first: usize,
    last: usize,
}

/// The window's first sample at or before its left edge, and its last, or with `smoothed` the first
/// at or after its right edge. `None` where no sample is inside.
fn edges(window: &Window<'_>) -> Option<Edges> {
    let times = window.times();
    let last = times.len() - 1;
    let smoothed = window.extension == Some(Extension::Smoothed);
    let first = times[..last].partition_point(|t| *t <= window.bounds.from_ms).saturating_sub(1);
    let last = if smoothed { times[..last].partition_point(|t| *t < window.bounds.to_ms) } else { last };
    let is_outside = times[last] <= window.bounds.from_ms || smoothed && times[first] > window.bounds.to_ms;
    (!is_outside).then_some(Edges { first, last })
}

pub(super) fn extended_rate(window: &Window<'_>, remarks: &Remarks<'_, '_>, kind: Kind) -> Option<Value> {
    let edges = edges(window)?;
    let seconds = if kind.is_rate { window.range_ms as f64 / 1000.0 } else { 1.0 };
    if window.histograms().is_empty() {
        return Some(Value::Float(float_change(window, &edges, kind.is_counter) / seconds));
    }
    let change = histogram_change(window, &edges, remarks, kind.is_counter)?;
    let mut change = histogram::divide(&change, seconds);
    change.reset_hint = ResetHint::Gauge;
    Some(Value::Histogram(Arc::new(change)))
}

/// The value at `at_ms` on the line between two samples; a counter that fell began at zero.
pub(super) fn interpolate(p1: (i64, f64), p2: (i64, f64), at_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && p2.1 < p1.1 { 0.0 } else { p1.1 };
    from + (p2.1 - from) * (at_ms - p1.0) as f64 / (p2.0 - p1.0) as f64
}

fn float_change(window: &Window<'_>, edges: &Edges, is_counter: bool) -> f64 {
    let smoothed = window.extension == Some(Extension::Smoothed);
    let (times, values) = (window.times(), window.values());
    let point = |i: usize| (times[i], values[i]);
    let (from_ms, to_ms) = (window.bounds.from_ms, window.bounds.to_ms);
    let (mut first, mut end) = (edges.first, edges.last + 1);
    let left = match smoothed && times[first] < from_ms {
        true => interpolate(point(first), point(first + 1), from_ms, is_counter),
        false => values[first],
    };
    let right = match smoothed && edges.last > 0 && times[edges.last] > to_ms {
        true => interpolate(point(edges.last - 1), point(edges.last), to_ms, is_counter),
        false => values[edges.last],
    };
    if !is_counter {
        return right - left;
    }
    // Resets at the edges are in the interpolated values already.
    if times[first] <= from_ms {
        first += 1;
    }
    if times[edges.last] >= to_ms {
        end -= 1;
    }
    let mut change = right - left;
    let mut previous = left;
    for value in values.get(first..end).unwrap_or(&[]).iter().chain([&right]) {
        if *value < previous {
            change += previous;
        }
        previous = *value;
    }
    change
}

/// As [`interpolate`], for histograms.
pub(super) fn interpolate_histograms(
    p1: (i64, &Histogram),
    p2: (i64, &Histogram),
    at_ms: i64,
    is_counter: bool,
    remarks: &Remarks<'_, '_>,
) -> Option<Histogram> {
    if at_ms == p1.0 {
        return Some(p1.1.clone());
    }
    if at_ms == p2.0 {
        return Some(p2.1.clone());
    }
    let share = (at_ms - p1.0) as f64 / (p2.0 - p1.0) as f64;
    if is_counter && histogram::detect_reset(p2.1, p1.1) {
        return Some(histogram::scale(p2.1, share));
    }
    let step = histogram::scale(&sub_remarked(p2.1, p1.1, remarks)?, share);
    add_remarked(&step, p1.1, remarks)
}

fn histogram_change(
    window: &Window<'_>,
    edges: &Edges,
    remarks: &Remarks<'_, '_>,
    is_counter: bool,
) -> Option<Histogram> {
    let smoothed = window.extension == Some(Extension::Smoothed);
    let (times, all) = (window.times(), window.histograms());
    let point = |i: usize| (times[i], all[i].1.as_ref());
    let inside = &all[edges.first..=edges.last];
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if inside.iter().any(|(_, h)| h.has_custom_buckets() != inside[0].1.has_custom_buckets()) {
        remarks.mixed_schemas();
        return None;
    }
    if is_counter && inside.iter().any(|(_, h)| is_gauge(h)) {
        remarks.not_a_counter();
    }
    let (from_ms, to_ms) = (window.bounds.from_ms, window.bounds.to_ms);
    let interpolates_left = smoothed && times[edges.first] < from_ms;
    let left = match interpolates_left {
        true => {
            interpolate_histograms(point(edges.first), point(edges.first + 1), from_ms, is_counter, remarks)?
        }
        false => all[edges.first].1.as_ref().clone(),
    };
    let right = match smoothed && edges.last > 0 && times[edges.last] > to_ms {
        true => interpolate_histograms(point(edges.last - 1), point(edges.last), to_ms, is_counter, remarks)?,
        false => all[edges.last].1.as_ref().clone(),
    };
    if !is_counter && (!is_gauge(&left) || !is_gauge(&right)) {
        remarks.not_a_gauge();
    }
    let mut change = sub_remarked(&right, &left, remarks)?;
    if is_counter {
        let corrections = resets(window, edges, &left, &right, interpolates_left);
        for lost in &corrections {
            change = add_remarked(&change, lost, remarks)?;
        }
    }
    Some(change)
}

/// What was counted before each reset between the edges.
///
/// The last sample is left out: `right` is that sample or inherits its hint, and would otherwise
/// show the same reset twice. A reset that the left edge was interpolated across is spent.
fn resets(
    window: &Window<'_>,
    edges: &Edges,
    left: &Histogram,
    right: &Histogram,
    interpolated: bool,
) -> Vec<Histogram> {
    let all = window.histograms();
    let mut first = edges.first + 1;
    let mut previous = left;
    if interpolated && histogram::detect_reset(&all[first].1, &all[edges.first].1) {
        previous = all[first].1.as_ref();
        first += 1;
    }
    if first > edges.last {
        return Vec::new();
    }
    let mut lost = Vec::new();
    let inner = all[first..edges.last].iter().map(|(_, h)| h.as_ref());
    for current in inner.chain([right]) {
        if histogram::detect_reset(current, previous) {
            lost.push(previous.clone());
        }
        previous = current;
    }
    lost
}
