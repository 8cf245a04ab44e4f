//! Arithmetic on native histograms (Prometheus native histogram specification).
//!
//! Buckets are handled as sorted lists of (index, count) and written back as spans without empty
//! buckets, so results are compact and equal distributions are equal values.

mod combine;
mod estimate;
mod reset;
mod total;
mod trim;

pub(crate) use combine::{Combined, Incompatible, add, merge_hints, rebucket, reduce_to_schema, sub};
pub(crate) use estimate::{Bucket, all_buckets, count_up_to, fraction, quantile, stddev, variance};
pub(crate) use reset::detect_reset;
pub(crate) use total::HistogramTotal;
pub(crate) use trim::trim;

use crate::go_float::go_float;
use model::{Buckets, Histogram, ResetHint, Span};

/// Buckets as (index, count), ascending.
pub(crate) type Sparse = Vec<(i32, f64)>;

/// The non-empty buckets of one side.
pub(crate) fn sparse(buckets: &Buckets) -> Sparse {
    buckets.iter().filter(|(_, count)| *count != 0.0).collect()
}

/// Back to spans; the indexes are ascending and unique.
pub(crate) fn dense(sparse: &[(i32, f64)]) -> Buckets {
    let mut buckets = Buckets::default();
    let mut next = 0i32;
    for (index, count) in sparse.iter().filter(|(_, count)| *count != 0.0) {
        match buckets.spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            None => buckets.spans.push(Span { offset: *index, length: 1 }),
            Some(_) => buckets.spans.push(Span { offset: index.saturating_sub(next), length: 1 }),
        }
        buckets.counts.push(*count);
        next = index.saturating_add(1);
    }
    buckets
}

/// Upper bound of the exponential bucket `index` of a native histogram.
pub fn bound(index: i32, schema: i8) -> f64 {
    let exponent = f64::from(index) * f64::from(-i32::from(schema)).exp2();
    // The topmost bucket ends at the largest float.
    if exponent == 1024.0 { f64::MAX } else { exponent.exp2() }
}

/// Multiplies all counts and the sum.
pub(crate) fn scale(histogram: &Histogram, factor: f64) -> Histogram {
    let mut scaled = map_counts(histogram, |count| count * factor);
    if factor < 0.0 {
        scaled.reset_hint = ResetHint::Gauge;
    }
    scaled
}

/// Divides all counts and the sum.
pub(crate) fn divide(histogram: &Histogram, divisor: f64) -> Histogram {
    let mut divided = map_counts(histogram, |count| count / divisor);
    if divisor < 0.0 {
        divided.reset_hint = ResetHint::Gauge;
    }
    if divisor == 0.0 {
        divided.positive = Buckets::default();
        divided.negative = Buckets::default();
    }
    divided
}

fn map_counts(histogram: &Histogram, compute: impl Fn(f64) -> f64) -> Histogram {
    let side = |buckets: &Buckets| Buckets {
        spans: buckets.spans.clone(),
        counts: buckets.counts.iter().map(|count| compute(*count)).collect(),
    };
    Histogram {
        is_integer: false,
        count: compute(histogram.count),
        sum: compute(histogram.sum),
        zero_count: compute(histogram.zero_count),
        positive: side(&histogram.positive),
        negative: side(&histogram.negative),
        custom_values: histogram.custom_values.clone(),
        ..*histogram
    }
}

/// Whether two lists of custom bounds are the same, bit for bit.
pub(crate) fn same_bounds(a: &Histogram, b: &Histogram) -> bool {
    a.custom_values.len() == b.custom_values.len()
        && a.custom_values.iter().zip(&b.custom_values).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Whether two histograms hold the same distribution; hints and empty buckets do not matter.
pub(crate) fn equal(a: &Histogram, b: &Histogram) -> bool {
    a.schema == b.schema
        && a.count.to_bits() == b.count.to_bits()
        && a.sum.to_bits() == b.sum.to_bits()
        && a.zero_threshold == b.zero_threshold
        && a.zero_count.to_bits() == b.zero_count.to_bits()
        && same_bounds(a, b)
        && sparse(&a.positive) == sparse(&b.positive)
        && sparse(&a.negative) == sparse(&b.negative)
}

/// The histogram as text, as `count_values` labels it: count, sum and every populated bucket. Which
/// end is inside depends on the side of zero; no bucket is cut where the zero bucket begins.
pub(crate) fn describe(histogram: &Histogram) -> String {
    let mut out = format!("{{count:{}, sum:{}", go_float(histogram.count), go_float(histogram.sum));
    let mut push = |brackets: (char, char), lower: f64, upper: f64, count: f64| {
        let (lower, upper, count) = (go_float(lower), go_float(upper), go_float(count));
        out.push_str(&format!(", {}{lower},{upper}{}:{count}", brackets.0, brackets.1));
    };
    if histogram.has_custom_buckets() {
        for Bucket { lower, upper, count } in all_buckets(histogram) {
            push(if lower == f64::NEG_INFINITY { ('[', ']') } else { ('(', ']') }, lower, upper, count);
        }
    } else {
        let edges = |index: i32| (bound(index - 1, histogram.schema), bound(index, histogram.schema));
        for (index, count) in sparse(&histogram.negative).into_iter().rev() {
            push(('[', ')'), -edges(index).1, -edges(index).0, count);
        }
        if histogram.zero_count != 0.0 {
            push(('[', ']'), -histogram.zero_threshold, histogram.zero_threshold, histogram.zero_count);
        }
        for (index, count) in sparse(&histogram.positive) {
            push(('(', ']'), edges(index).0, edges(index).1, count);
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests;
