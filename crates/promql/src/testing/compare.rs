//! Whether a result is what a script expects.

use crate::{
    MatrixSeries, Point, QueryValue,
    description::{Item, SeriesLine},
    histogram,
};
use model::{Histogram, Labels, Value, VectorSample};

const EPSILON: f64 = 1e-6;

/// Whether two floats are equal but for rounding.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan();
    }
    if a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

fn same_buckets(a: &model::Buckets, b: &model::Buckets) -> bool {
    let (a, b) = (histogram::sparse(a), histogram::sparse(b));
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && almost_equal(a.1, b.1))
}

fn same_histogram(found: &Histogram, expected: &Histogram, has_hint: bool) -> bool {
    found.schema == expected.schema
        && found.zero_threshold == expected.zero_threshold
        && histogram::same_bounds(found, expected)
        && almost_equal(found.count, expected.count)
        && almost_equal(found.sum, expected.sum)
        && almost_equal(found.zero_count, expected.zero_count)
        && same_buckets(&found.positive, &expected.positive)
        && same_buckets(&found.negative, &expected.negative)
        && (!has_hint || found.reset_hint == expected.reset_hint)
}

fn same_value(found: &Value, expected: &Item) -> bool {
    match (found, &expected.value) {
        (Value::Float(found), Value::Float(expected)) => almost_equal(*found, *expected),
        (Value::Histogram(found), Value::Histogram(wanted)) => {
            same_histogram(found, wanted, expected.has_hint)
        }
        _ => false,
    }
}

/// Compares an instant vector.
pub(super) fn vector(found: &[VectorSample], expected: &[SeriesLine], ordered: bool) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} elements expected, found {found:?}", expected.len()));
    }
    for (index, line) in expected.iter().enumerate() {
        let sample = if ordered {
            found.get(index).filter(|sample| sample.labels == line.labels)
        } else {
            found.iter().find(|sample| sample.labels == line.labels)
        };
        let Some(sample) = sample else { return Err(format!("{} is missing in {found:?}", line.labels)) };
        let Some(Some(item)) = line.values.first() else { return Err("no value expected?".to_owned()) };
        if !same_value(&sample.value, item) {
            return Err(format!("{}: expected {:?}, found {:?}", line.labels, item.value, sample.value));
        }
    }
    Ok(())
}

/// Compares a matrix on a grid.
pub(super) fn matrix(
    found: &[MatrixSeries],
    expected: &[SeriesLine],
    start_ms: i64,
    step_ms: i64,
) -> Result<(), String> {
    if !found.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("the matrix is not sorted".to_owned());
    }
    if let Some(series) = found.iter().find(|series| !has_line(expected, &series.labels)) {
        return Err(format!("unexpected series {series:?}"));
    }
    for line in expected {
        let points = found.iter().find(|series| series.labels == line.labels);
        let Some(points) = points else { return Err(format!("{} is missing in {found:?}", line.labels)) };
        compare_points(&points.points, line, start_ms, step_ms)
            .map_err(|message| format!("{}: {message}\n  found {:?}", line.labels, points.points))?;
    }
    Ok(())
}

fn has_line(expected: &[SeriesLine], labels: &Labels) -> bool {
    expected.iter().any(|line| line.labels == *labels)
}

fn compare_points(found: &[Point], line: &SeriesLine, start_ms: i64, step_ms: i64) -> Result<(), String> {
    let mut matched = 0;
    for (index, item) in line.values.iter().enumerate() {
        let timestamp_ms = start_ms + step_ms * index as i64;
        let point = found.iter().find(|point| point.timestamp_ms == timestamp_ms);
        match (item, point) {
            (None, None) => {}
            (Some(item), Some(point)) if same_value(&point.value, item) => matched += 1,
            (item, point) => {
                let item = item.as_ref().map(|item| &item.value);
                return Err(format!("at {timestamp_ms}: expected {item:?}, found {point:?}"));
            }
        }
    }
    if matched != found.len() {
        return Err(format!("{matched} points expected, {} found", found.len()));
    }
    Ok(())
}

/// Compares a value that is no vector or matrix, or finds the right comparison.
pub(super) fn scalar(found: &QueryValue, expected: f64) -> Result<(), String> {
    match found {
        QueryValue::Scalar { value, .. } if almost_equal(*value, expected) => Ok(()),
        other => Err(format!("expected the scalar {expected}, found {other:?}")),
    }
}
