//! Trends: `deriv`, `predict_linear`, `double_exponential_smoothing`.

use super::super::window::{Remarks, Window};
use crate::kahan;
use model::Value;

/// The floats, at least two of them; remarks on histograms among them.
fn points(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Vec<(i64, f64)>> {
    let points: Vec<_> = window.floats().collect();
    if !points.is_empty() && !window.histograms().is_empty() {
        remarks.ignored_histograms();
    }
    (points.len() >= 2).then_some(points)
}

pub(super) fn deriv(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    let points = points(window, remarks)?;
    // Counting from the first sample keeps the numbers small and precise.
    Some(Value::Float(line(&points, points[0].0).0))
}

pub(super) fn predict_linear(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    let points = points(window, remarks)?;
    let (slope, intercept) = line(&points, window.now_ms);
    Some(Value::Float(slope * window.arguments[0] + intercept))
}

/// Slope per second and value at `origin_ms` of the least-squares line.
fn line(points: &[(i64, f64)], origin_ms: i64) -> (f64, f64) {
    let first = points[0].1;
    if points.iter().all(|(_, y)| *y == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let count = points.len() as f64;
    let pairs = || points.iter().map(|(t, y)| (t.saturating_sub(origin_ms) as f64 / 1000.0, *y));
    let sum_x = kahan::sum(pairs().map(|(x, _)| x));
    let sum_y = kahan::sum(pairs().map(|(_, y)| y));
    let sum_xy = kahan::sum(pairs().map(|(x, y)| x * y));
    let sum_xx = kahan::sum(pairs().map(|(x, _)| x * x));
    let covariance = sum_xy - sum_x * sum_y / count;
    let variance = sum_xx - sum_x * sum_x / count;
    let slope = covariance / variance;
    (slope, sum_y / count - slope * sum_x / count)
}

/// Holt's linear method: a smoothed value and a smoothed trend.
pub(super) fn double_exponential_smoothing(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    let points = points(window, remarks)?;
    let [smoothing, trend_factor] = window.arguments;
    let mut level = points[0].1;
    let mut trend = points[1].1 - points[0].1;
    let mut previous_level = 0.0;
    for (index, (_, value)) in points.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (level - previous_level) + (1.0 - trend_factor) * trend;
        }
        let next = smoothing * value + (1.0 - smoothing) * (level + trend);
        previous_level = level;
        level = next;
    }
    Some(Value::Float(level))
}
