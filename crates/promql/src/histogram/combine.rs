//! Sums and differences of histograms with different resolutions.
//!
//! Exponential histograms meet at the coarser schema and at a zero bucket wide enough for both;
//! custom buckets meet at the bounds that both have. The two kinds cannot be combined.

use super::{Sparse, bound, dense, same_bounds, sparse};
use model::{Histogram, ResetHint};

/// Exponential and custom buckets cannot be combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Incompatible;

/// A sum or difference, and what was remarkable about it.
#[derive(Clone, Debug)]
pub(crate) struct Combined {
    pub(crate) histogram: Histogram,
    /// Custom bounds differed and only the common ones are left.
    pub(crate) reconciled: bool,
    /// One side followed a reset and the other did not.
    pub(crate) hints_conflict: bool,
}

/// `a + b`
pub(crate) fn add(a: &Histogram, b: &Histogram) -> Result<Combined, Incompatible> {
    combine(a, b, 1.0)
}

/// `a - b`
pub(crate) fn sub(a: &Histogram, b: &Histogram) -> Result<Combined, Incompatible> {
    combine(a, b, -1.0)
}

fn combine(a: &Histogram, b: &Histogram, sign: f64) -> Result<Combined, Incompatible> {
    let (mut left, right, reconciled) = align(a, b)?;
    let (reset_hint, hints_conflict) = merge_hints(a.reset_hint, b.reset_hint);
    left.positive = dense(&merge(&sparse(&left.positive), &sparse(&right.positive), sign));
    left.negative = dense(&merge(&sparse(&left.negative), &sparse(&right.negative), sign));
    left.zero_count += sign * right.zero_count;
    left.count += sign * right.count;
    left.sum += sign * right.sum;
    left.is_integer = false;
    left.reset_hint = reset_hint;
    Ok(Combined { histogram: left, reconciled, hints_conflict })
}

/// Both in the finest layout that both can have, and whether custom bounds were given up for it.
pub(super) fn align(a: &Histogram, b: &Histogram) -> Result<(Histogram, Histogram, bool), Incompatible> {
    if a.has_custom_buckets() != b.has_custom_buckets() {
        return Err(Incompatible);
    }
    if a.has_custom_buckets() {
        if same_bounds(a, b) {
            return Ok((a.clone(), b.clone(), false));
        }
        let common = common_bounds(&a.custom_values, &b.custom_values);
        return Ok((rebucket(a, &common), rebucket(b, &common), true));
    }
    let (left, right) = same_zero_bucket(a, b);
    let schema = a.schema.min(b.schema);
    Ok((reduce_to_schema(&left, schema), reduce_to_schema(&right, schema), false))
}

/// The hint of a combination, and whether the two contradict each other.
pub(crate) fn merge_hints(a: ResetHint, b: ResetHint) -> (ResetHint, bool) {
    match (a, b) {
        (a, b) if a == b => (a, false),
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
        (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
        _ => (ResetHint::Unknown, true),
    }
}

fn merge(a: &[(i32, f64)], b: &[(i32, f64)], sign: f64) -> Sparse {
    let mut out = Sparse::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        let left = a.get(i).map_or(i32::MAX, |(index, _)| *index);
        let right = b.get(j).map_or(i32::MAX, |(index, _)| *index);
        let index = left.min(right);
        let mut count = 0.0;
        if i < a.len() && left == index {
            count += a[i].1;
            i += 1;
        }
        if j < b.len() && right == index {
            count += sign * b[j].1;
            j += 1;
        }
        out.push((index, count));
    }
    out
}

/// The same observations at a coarser schema.
pub(crate) fn reduce_to_schema(histogram: &Histogram, schema: i8) -> Histogram {
    if schema >= histogram.schema || histogram.has_custom_buckets() {
        return histogram.clone();
    }
    let shift = u32::from((histogram.schema - schema).unsigned_abs()).min(31);
    let mut reduced = histogram.clone();
    reduced.schema = schema;
    // Bucket i ends at base^i, so i and i-1 of the finer schema share bucket ceil(i/2).
    let coarser = |buckets: Sparse| {
        sum_equal(buckets.into_iter().map(|(i, n)| ((((i64::from(i) - 1) >> shift) + 1) as i32, n)))
    };
    reduced.positive = dense(&coarser(sparse(&histogram.positive)));
    reduced.negative = dense(&coarser(sparse(&histogram.negative)));
    reduced
}

/// Adds up neighbours with the same index.
fn sum_equal(buckets: impl Iterator<Item = (i32, f64)>) -> Sparse {
    let mut out = Sparse::new();
    for (index, count) in buckets {
        match out.last_mut() {
            Some((last, total)) if *last == index => *total += count,
            _ => out.push((index, count)),
        }
    }
    out
}

/// Both with the zero bucket that fits both: no populated bucket is cut by its edge.
fn same_zero_bucket(a: &Histogram, b: &Histogram) -> (Histogram, Histogram) {
    let (mut a, mut b) = (a.clone(), b.clone());
    // Each widening may reach into a bucket of the other; thresholds only grow, and at most to the
    // largest bucket, so this ends.
    while a.zero_threshold != b.zero_threshold {
        if a.zero_threshold < b.zero_threshold {
            a = widen_zero_bucket(&a, b.zero_threshold);
        } else {
            b = widen_zero_bucket(&b, a.zero_threshold);
        }
    }
    (a, b)
}

/// Moves every bucket that starts inside `threshold` into the zero bucket; the threshold grows to
/// the end of the last populated one.
pub(crate) fn widen_zero_bucket(histogram: &Histogram, threshold: f64) -> Histogram {
    let mut wide = histogram.clone();
    let mut threshold = threshold;
    let (mut positive, mut negative) = (sparse(&histogram.positive), sparse(&histogram.negative));
    loop {
        let before = threshold;
        for side in [&mut positive, &mut negative] {
            while let Some((index, count)) = side.first().copied()
                && bound(index.saturating_sub(1), histogram.schema) < threshold
            {
                wide.zero_count += count;
                threshold = threshold.max(bound(index, histogram.schema));
                side.remove(0);
            }
        }
        if threshold == before {
            break;
        }
    }
    wide.zero_threshold = threshold;
    wide.positive = dense(&positive);
    wide.negative = dense(&negative);
    wide
}

/// Bounds that both lists have.
fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().copied().filter(|bound| b.contains(bound)).collect()
}

/// A custom-bucket histogram over fewer bounds, all of which it has.
pub(crate) fn rebucket(histogram: &Histogram, bounds: &[f64]) -> Histogram {
    let mut out = histogram.clone();
    let moved = sparse(&histogram.positive).into_iter().map(|(index, count)| {
        let upper = usize::try_from(index).ok().and_then(|i| histogram.custom_values.get(i));
        let place = upper.map_or(bounds.len(), |upper| bounds.partition_point(|bound| bound < upper));
        (place as i32, count)
    });
    out.positive = dense(&sum_equal(moved));
    out.custom_values = bounds.to_vec();
    out
}
