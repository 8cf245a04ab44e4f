//! Query results as JSON text, written straight into one buffer.
//!
//! In vectors and matrices a time is a whole number or has exactly three decimals, and values have
//! an exponent when very small or large; scalars and texts have a plain JSON number and never an
//! exponent.

use crate::api::json_text::{push_json_string, push_labels, push_list};
use model::{Buckets, Histogram, Value, format_decimal, format_float, push_float, push_integer};
use promql::{MatrixSeries, QueryValue};
use std::fmt::Write;

/// `"resultType":…,"result":…`
pub(super) fn push_result(out: &mut String, value: &QueryValue) {
    out.push_str("\"resultType\":\"");
    out.push_str(value.value_type().as_str());
    out.push_str("\",\"result\":");
    match value {
        QueryValue::Scalar { timestamp_ms, value } => {
            push_pair(out, &plain_seconds(*timestamp_ms), &format_decimal(*value));
        }
        QueryValue::String { timestamp_ms, value } => {
            push_pair(out, &plain_seconds(*timestamp_ms), value);
        }
        QueryValue::Vector(samples) => push_list(out, samples, |out, sample| {
            out.push_str("{\"metric\":");
            push_labels(out, &sample.labels);
            match &sample.value {
                Value::Float(value) => {
                    out.push_str(",\"value\":");
                    push_float_point(out, sample.timestamp_ms, *value);
                }
                Value::Histogram(histogram) => {
                    out.push_str(",\"histogram\":");
                    push_histogram_point(out, sample.timestamp_ms, histogram);
                }
            }
            out.push('}');
        }),
        QueryValue::Matrix(matrix) => push_list(out, matrix, push_series),
    }
}

fn push_series(out: &mut String, series: &MatrixSeries) {
    out.push_str("{\"metric\":");
    push_labels(out, &series.labels);
    let floats = series.points.iter().filter_map(|point| match &point.value {
        Value::Float(value) => Some((point.timestamp_ms, *value)),
        Value::Histogram(_) => None,
    });
    let histograms = series.points.iter().filter_map(|point| match &point.value {
        Value::Float(_) => None,
        Value::Histogram(histogram) => Some((point.timestamp_ms, histogram)),
    });
    push_points(out, "values", floats, |out, (time, value)| push_float_point(out, time, value));
    push_points(out, "histograms", histograms, |out, (time, histogram)| {
        push_histogram_point(out, time, histogram);
    });
    out.push('}');
}

/// `,"name":[…]`, or nothing where there are no points.
fn push_points<T>(
    out: &mut String,
    name: &str,
    points: impl Iterator<Item = T>,
    push: impl Fn(&mut String, T),
) {
    let mut separator = format!(",\"{name}\":[");
    let start = out.len();
    for point in points {
        out.push_str(&separator);
        separator.clear();
        separator.push(',');
        push(out, point);
    }
    if out.len() > start {
        out.push(']');
    }
}

fn push_pair(out: &mut String, seconds: &str, value: &str) {
    out.push('[');
    out.push_str(seconds);
    out.push(',');
    push_json_string(out, value);
    out.push(']');
}

fn push_float_point(out: &mut String, timestamp_ms: i64, value: f64) {
    out.push('[');
    push_time(out, timestamp_ms);
    out.push_str(",\"");
    push_float(out, value);
    out.push_str("\"]");
}

/// Seconds as a whole number, or with three decimals.
fn push_time(out: &mut String, timestamp_ms: i64) {
    let (magnitude, sign) = (timestamp_ms.unsigned_abs(), if timestamp_ms < 0 { "-" } else { "" });
    let (seconds, rest) = ((magnitude / 1000) as i64, magnitude % 1000);
    out.push_str(sign);
    push_integer(out, seconds);
    if rest > 0 {
        let written = write!(out, ".{rest:03}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

/// Seconds as any JSON number.
pub(super) fn plain_seconds(timestamp_ms: i64) -> String {
    format!("{}", timestamp_ms as f64 / 1000.0)
}

fn push_histogram_point(out: &mut String, timestamp_ms: i64, histogram: &Histogram) {
    out.push('[');
    push_time(out, timestamp_ms);
    out.push_str(",{\"count\":\"");
    out.push_str(&format_float(histogram.count));
    out.push_str("\",\"sum\":\"");
    out.push_str(&format_float(histogram.sum));
    out.push('"');
    let mut separator = ",\"buckets\":[";
    for (boundaries, lower, upper, count) in buckets(histogram) {
        out.push_str(separator);
        separator = ",";
        let [lower, upper, count] = [lower, upper, count].map(format_float);
        out.push_str(&format!("[{boundaries},\"{lower}\",\"{upper}\",\"{count}\"]"));
    }
    if separator == "," {
        out.push(']');
    }
    out.push_str("}]");
}

/// Non-empty buckets in ascending order. The first number says which ends belong to the bucket: 0 the
/// upper one, 1 the lower one, 3 both.
fn buckets(histogram: &Histogram) -> Vec<(u8, f64, f64, f64)> {
    let non_empty = |side: &Buckets| side.iter().filter(|(_, count)| *count != 0.0).collect::<Vec<_>>();
    let mut out = Vec::new();
    if histogram.has_custom_buckets() {
        for (index, count) in non_empty(&histogram.positive) {
            let bound =
                |i: i32| usize::try_from(i).ok().and_then(|i| histogram.custom_values.get(i)).copied();
            let (lower, upper) = (bound(index - 1), bound(index));
            let boundaries = if lower.is_none() { 3 } else { 0 };
            let (lower, upper) = (lower.unwrap_or(f64::NEG_INFINITY), upper.unwrap_or(f64::INFINITY));
            out.push((boundaries, lower, upper, count));
        }
        return out;
    }
    // A bucket that reaches into the zero bucket begins where that ends.
    let edge = histogram.zero_threshold;
    let bound = |index: i32| promql::exponential_bound(index, histogram.schema);
    let inner = |index: i32| bound(index.saturating_sub(1)).max(edge.min(bound(index)));
    for (index, count) in non_empty(&histogram.negative).into_iter().rev() {
        out.push((1, -bound(index), -inner(index), count));
    }
    if histogram.zero_count > 0.0 {
        out.push((3, -edge, edge, histogram.zero_count));
    }
    for (index, count) in non_empty(&histogram.positive) {
        out.push((0, inner(index), bound(index), count));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::buckets;
    use model::{Buckets, Histogram, Span};

    #[test]
    fn buckets_begin_where_the_zero_bucket_ends() {
        let side = || Buckets { spans: vec![Span { offset: 0, length: 2 }], counts: vec![4.0, 2.0] };
        // From 0.5 to 2 on both sides.
        let histogram = Histogram {
            count: 15.0,
            zero_count: 3.0,
            zero_threshold: 0.75,
            positive: side(),
            negative: side(),
            ..Histogram::default()
        };
        let expected = [
            (1, -2.0, -1.0, 2.0),
            (1, -1.0, -0.75, 4.0),
            (3, -0.75, 0.75, 3.0),
            (0, 0.75, 1.0, 4.0),
            (0, 1.0, 2.0, 2.0),
        ];
        assert_eq!(buckets(&histogram), expected);
    }
}
