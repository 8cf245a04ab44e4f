//! `rate`, `increase`, `delta`, `irate`, `idelta`.
//!
//! The increase between the first and the last sample is extended to the window's edges where
//! samples come close to them, but never below a counter's zero. A start timestamp inside the window
//! is a sample of value zero, and one after the previous sample is a reset.

use super::{
    super::window::{Bounds, Remarks, Window},
    extended,
};
use crate::histogram;
use model::{Histogram, ResetHint, Value};
use std::sync::Arc;

pub(super) fn rate(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    extrapolated(window, remarks, Kind { is_counter: true, is_rate: true })
}

pub(super) fn increase(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    extrapolated(window, remarks, Kind { is_counter: true, is_rate: false })
}

pub(super) fn delta(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    extrapolated(window, remarks, Kind { is_counter: false, is_rate: false })
}

#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_counter: bool,
    pub(super) is_rate: bool,
}

impl Kind {
    /// Of the functions that extrapolate.
    pub(super) fn of(function: &str) -> Option<Kind> {
        let (is_counter, is_rate) = match function {
            "rate" => (true, true),
            "increase" => (true, false),
            "delta" => (false, false),
            _ => return None,
        };
        Some(Kind { is_counter, is_rate })
    }

    /// The factor for a window of this length: for each second of it, or for as long as was asked.
    pub(super) fn scaled(self, factor: f64, length_ms: i64, asked_ms: i64) -> f64 {
        if self.is_rate {
            factor / (length_ms as f64 / 1000.0)
        } else {
            factor * (asked_ms as f64 / length_ms as f64)
        }
    }
}

/// A change, in one of the two kinds of values.
pub(super) enum Change {
    Float(f64),
    Histogram(Histogram),
}

fn extrapolated(window: &Window<'_>, remarks: &Remarks<'_, '_>, kind: Kind) -> Option<Value> {
    let histograms = window.histograms();
    if !histograms.is_empty() && window.has_floats() {
        remarks.mixed_kinds();
        return None;
    }
    if window.extension.is_some() {
        return extended::extended_rate(window, remarks, kind);
    }
    let change = match histograms {
        [] => Some(Change::Float(float_change(window, remarks, kind.is_counter))),
        [_] => None,
        _ => Some(Change::Histogram(histogram_change(window, remarks, kind.is_counter)?)),
    };
    let interval = Interval::of(window);
    let zero_ms = zero_point(window).filter(|_| kind.is_counter);
    let (change, factor) = match zero_ms {
        Some(zero_ms) => from_zero(window, remarks, change, &interval, zero_ms)?,
        None => {
            let change = change.filter(|_| window.len() > 1)?;
            let factor = interval.extended(zero_share(window, &change, kind.is_counter));
            (change, factor)
        }
    };
    let factor = kind.scaled(factor, window.range_ms, window.asked_ms);
    Some(match change {
        Change::Float(value) => Value::Float(value * factor),
        Change::Histogram(value) => Value::Histogram(Arc::new(histogram::scale(&value, factor))),
    })
}

/// Where the samples lie in the window, in seconds.
pub(super) struct Interval {
    pub(super) sampled: f64,
    to_start: f64,
    to_end: f64,
    average: f64,
    /// The length of buckets in the window: before the first sample, no other is due for so long.
    bucket: f64,
}

impl Interval {
    fn of(window: &Window<'_>) -> Self {
        Interval::new(window.times(), window.bounds, window.resolution_ms)
    }

    /// Of samples at these times, at least one.
    pub(super) fn new(times: &[i64], bounds: Bounds, resolution_ms: i64) -> Self {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        let (first, last, count) = (times[0], times[times.len() - 1], times.len());
        let sampled = seconds(last - first);
        Interval {
            sampled,
            to_start: seconds(first - bounds.from_ms),
            to_end: seconds(bounds.to_ms - last),
            average: if count > 1 { sampled / (count - 1) as f64 } else { 0.0 },
            bucket: seconds(resolution_ms),
        }
    }

    /// How far the series is taken to reach beyond its last sample: to the edge when the next sample
    /// is not overdue, else half the usual distance.
    fn reach(to_edge: f64, average: f64) -> f64 {
        if to_edge >= average * 1.1 { average / 2.0 } else { to_edge }
    }

    /// How far the series is taken to reach back before its first sample, unless it was zero since.
    pub(super) fn reach_back(&self) -> f64 {
        Self::reach(self.to_start, self.average.max(self.bucket))
    }

    /// The factor from the sampled interval to the extended one. `zero_share` is the time, in
    /// sampled intervals, from the counter's zero to its first sample.
    pub(super) fn extended(&self, zero_share: Option<f64>) -> f64 {
        let mut to_start = self.reach_back();
        if let Some(share) = zero_share {
            let to_zero = self.sampled * share;
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
        self.factor(self.sampled, to_start)
    }

    fn factor(&self, sampled: f64, to_start: f64) -> f64 {
        let to_end = Self::reach(self.to_end, self.average);
        if sampled == 0.0 { 1.0 } else { (sampled + to_start + to_end) / sampled }
    }
}

/// When the counter stood at zero, as the first sample's start timestamp tells.
fn zero_point(window: &Window<'_>) -> Option<i64> {
    let start_ms = window.start_ms(window.first);
    let is_inside = start_ms != 0 && start_ms > window.bounds.from_ms && start_ms < window.times()[0];
    is_inside.then_some(start_ms)
}

/// The change since the counter's zero, and its factor.
fn from_zero(
    window: &Window<'_>,
    remarks: &Remarks<'_, '_>,
    change: Option<Change>,
    interval: &Interval,
    zero_ms: i64,
) -> Option<(Change, f64)> {
    let last_ms = window.times()[window.len() - 1];
    let factor = interval.factor((last_ms - zero_ms) as f64 / 1000.0, 0.0);
    let change = match (change, window.histograms().first()) {
        (Some(Change::Float(value)), _) => Change::Float(value + window.values()[0]),
        (Some(Change::Histogram(value)), Some((_, first))) => {
            Change::Histogram(add_remarked(&value, first, remarks)?)
        }
        (None, Some((_, first))) => Change::Histogram(first.as_ref().clone()),
        _ => return None,
    };
    Some((change, factor))
}

/// How many sampled intervals before the first sample the counter's line crosses zero.
fn zero_share(window: &Window<'_>, change: &Change, is_counter: bool) -> Option<f64> {
    if !is_counter {
        return None;
    }
    match (change, window.histograms().first()) {
        (Change::Float(change), _) => {
            let first = window.values()[0];
            (*change > 0.0 && first >= 0.0).then(|| first / change)
        }
        (Change::Histogram(change), Some((_, first))) => {
            (change.count > 0.0 && first.count >= 0.0).then(|| first.count / change.count)
        }
        _ => None,
    }
}

fn float_change(window: &Window<'_>, remarks: &Remarks<'_, '_>, is_counter: bool) -> f64 {
    let values = window.values();
    let mut change = values[values.len() - 1] - values[0];
    if !is_counter {
        return change;
    }
    let has_starts = !window.samples.starts_ms.is_empty();
    let mut overlaps = false;
    for i in 1..values.len() {
        let mut is_reset = values[i] < values[i - 1];
        if has_starts {
            let pair = StartPair::at(window, window.first + i);
            overlaps |= pair.overlaps();
            is_reset |= pair.is_reset();
        }
        if is_reset {
            change += values[i - 1];
        }
    }
    if overlaps {
        remarks.warn_start_overlap();
    }
    change
}

/// Two neighbouring samples' times and start timestamps.
#[derive(Clone, Copy)]
pub(super) struct StartPair {
    previous_start: i64,
    previous: i64,
    start: i64,
    time: i64,
}

impl StartPair {
    /// The sample at `index` of the series and the one before.
    pub(super) fn at(window: &Window<'_>, index: usize) -> Self {
        let times = &window.samples.timestamps_ms;
        StartPair {
            previous_start: window.start_ms(index - 1),
            previous: times[index - 1],
            start: window.start_ms(index),
            time: times[index],
        }
    }

    /// Whether the counter began anew between the two.
    ///
    /// A start equal to the previous time is what delta series have, and also what a cumulative
    /// series with an unknown start has after its first sample; the previous start tells them apart.
    pub(super) fn is_reset(self) -> bool {
        if self.start == 0 || self.start >= self.time || self.start < self.previous {
            return false;
        }
        self.start > self.previous || self.previous_start != 0 && self.previous_start < self.previous
    }

    /// Whether the start lies before the previous sample without being that sample's start.
    fn overlaps(self) -> bool {
        self.start != 0 && self.start < self.previous && self.start != self.previous_start
    }
}

impl Remarks<'_, '_> {
    fn warn_start_overlap(&self) {
        self.warn_metric_for("sample has start time that overlaps with previous sample timestamp");
    }

    /// As `warn_metric` with the shorter link "for metric".
    fn warn_metric_for(&self, message: &str) {
        self.warn(&format!("{message} for metric {}", crate::quote::quote(self.metric_name)));
    }

    pub(super) fn not_a_counter(&self) {
        self.warn_named("this native histogram metric is not a counter");
    }

    pub(super) fn not_a_gauge(&self) {
        self.warn_named("this native histogram metric is not a gauge");
    }
}

/// `a + b` with remarks about what does not fit.
pub(super) fn add_remarked(a: &Histogram, b: &Histogram, remarks: &Remarks<'_, '_>) -> Option<Histogram> {
    remarked(histogram::add(a, b), "addition", remarks)
}

/// `a - b` with remarks about what does not fit.
pub(super) fn sub_remarked(a: &Histogram, b: &Histogram, remarks: &Remarks<'_, '_>) -> Option<Histogram> {
    remarked(histogram::sub(a, b), "subtraction", remarks)
}

fn remarked(
    combined: Result<histogram::Combined, histogram::Incompatible>,
    operation: &str,
    remarks: &Remarks<'_, '_>,
) -> Option<Histogram> {
    let Ok(combined) = combined else {
        remarks.mixed_schemas();
        return None;
    };
    if combined.reconciled {
        remarks.info(&format!("mismatched custom buckets were reconciled during {operation}"));
    }
    Some(combined.histogram)
}

/// The change over a window of at least two histograms.
fn histogram_change(window: &Window<'_>, remarks: &Remarks<'_, '_>, is_counter: bool) -> Option<Histogram> {
    let all = window.histograms();
    let (first, last) = (&all[0].1, &all[all.len() - 1].1);
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if is_counter && all.iter().any(|(_, h)| is_gauge(h)) {
        remarks.not_a_counter();
    }
    if !is_counter && (!is_gauge(first) || !is_gauge(last)) {
        remarks.not_a_gauge();
    }
    let has_starts = !window.samples.starts_ms.is_empty();
    let starts_anew = |i: usize| has_starts && StartPair::at(window, all[i].0 as usize).is_reset();
    let mut previous = first.as_ref().clone();
    if is_counter && (starts_anew(1) || histogram::detect_reset(&all[1].1, &previous)) {
        // The first sample does not matter then, and neither does its layout.
        previous = Histogram {
            schema: all[1].1.schema,
            custom_values: all[1].1.custom_values.clone(),
            ..Histogram::default()
        };
    }
    let is_custom = previous.has_custom_buckets();
    let inner = if is_counter { &all[1..all.len() - 1] } else { &[] };
    if last.has_custom_buckets() != is_custom
        || inner.iter().any(|(_, h)| h.has_custom_buckets() != is_custom)
    {
        remarks.mixed_schemas();
        return None;
    }
    let schema = inner.iter().map(|(_, h)| h.schema).fold(last.schema.min(previous.schema), i8::min);
    let mut change = sub_remarked(&histogram::reduce_to_schema(last, schema), &previous, remarks)?;
    if is_counter {
        let mut overlaps = false;
        for (i, (index, current)) in all.iter().enumerate().skip(1) {
            overlaps |= has_starts && StartPair::at(window, *index as usize).overlaps();
            if starts_anew(i) || histogram::detect_reset(current, &previous) {
                change = add_remarked(&change, &previous, remarks)?;
            }
            previous = current.as_ref().clone();
        }
        if overlaps {
            remarks.warn_start_overlap();
        }
    }
    change.reset_hint = ResetHint::Gauge;
    Some(change)
}

pub(super) fn irate(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    instant_change(window, remarks, true)
}

pub(super) fn idelta(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    instant_change(window, remarks, false)
}

/// The change between the last two samples, or since the last one's start.
fn instant_change(window: &Window<'_>, remarks: &Remarks<'_, '_>, is_rate: bool) -> Option<Value> {
    if window.len() < 2 {
        return None;
    }
    let last_index = window.end - 1;
    let times = window.times();
    let seconds = (times[times.len() - 1] - times[times.len() - 2]) as f64 / 1000.0;
    let is_reset =
        is_rate && !window.samples.starts_ms.is_empty() && StartPair::at(window, last_index).is_reset();
    let pair = (window.samples.histogram(last_index - 1), window.samples.histogram(last_index));
    let change = match pair {
        (None, None) => {
            let [.., previous, last] = window.values() else { return None };
            let is_reset = is_rate && (is_reset || last < previous);
            Change::Float(if is_reset { *last } else { last - previous })
        }
        (Some(previous), Some(last)) => {
            let wants = if is_rate { ResetHint::Unknown } else { ResetHint::Gauge };
            let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
            if wants == ResetHint::Gauge && (!is_gauge(previous) || !is_gauge(last)) {
                remarks.not_a_gauge();
            }
            if is_rate && (is_gauge(previous) || is_gauge(last)) {
                remarks.not_a_counter();
            }
            let mut change = if is_rate && (is_reset || histogram::detect_reset(last, previous)) {
                last.as_ref().clone()
            } else {
                sub_remarked(last, previous, remarks)?
            };
            change.reset_hint = ResetHint::Gauge;
            Change::Histogram(change)
        }
        _ => {
            remarks.mixed_kinds();
            return None;
        }
    };
    if seconds == 0.0 {
        return None;
    }
    let divisor = if is_rate { seconds } else { 1.0 };
    Some(match change {
        Change::Float(value) => Value::Float(value / divisor),
        Change::Histogram(value) => Value::Histogram(Arc::new(histogram::divide(&value, divisor))),
    })
}
