//! What can be said about the observations behind the buckets: quantiles, fractions, variance.
//!
//! Inside a bucket observations are taken to be spread evenly: on a logarithmic scale in exponential
//! buckets, on a linear one in custom buckets and in the zero bucket.

use super::{bound, sparse};
use model::Histogram;

/// A populated bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) count: f64,
}

/// All populated buckets in ascending order of their bounds.
pub(crate) fn all_buckets(histogram: &Histogram) -> Vec<Bucket> {
    let mut out = Vec::new();
    if histogram.has_custom_buckets() {
        for (index, count) in sparse(&histogram.positive) {
            let at = |i: i32| usize::try_from(i).ok().and_then(|i| histogram.custom_values.get(i)).copied();
            let lower = at(index - 1).unwrap_or(f64::NEG_INFINITY);
            out.push(Bucket { lower, upper: at(index).unwrap_or(f64::INFINITY), count });
        }
        return out;
    }
    for (index, count) in sparse(&histogram.negative).into_iter().rev() {
        let (lower, upper) = (-bound(index, histogram.schema), -bound(index - 1, histogram.schema));
        out.push(Bucket { lower, upper: upper.min(-histogram.zero_threshold), count });
    }
    if histogram.zero_count != 0.0 {
        let edge = histogram.zero_threshold;
        out.push(Bucket { lower: -edge, upper: edge, count: histogram.zero_count });
    }
    for (index, count) in sparse(&histogram.positive) {
        let (lower, upper) = (bound(index - 1, histogram.schema), bound(index, histogram.schema));
        out.push(Bucket { lower: lower.max(histogram.zero_threshold), upper, count });
    }
    out
}

/// The zero bucket reaches only to the side where observations are.
fn trim_zero_bucket(histogram: &Histogram, bucket: Bucket) -> Bucket {
    if bucket.lower > 0.0 || bucket.upper < 0.0 || histogram.has_custom_buckets() {
        return bucket;
    }
    let has = |side: &model::Buckets| !sparse(side).is_empty();
    match (has(&histogram.negative), has(&histogram.positive)) {
        (false, true) => Bucket { lower: 0.0, ..bucket },
        (true, false) => Bucket { upper: 0.0, ..bucket },
        _ => bucket,
    }
}

/// Whether positions inside the bucket are interpolated on a linear scale.
fn is_linear(histogram: &Histogram, bucket: Bucket) -> bool {
    histogram.has_custom_buckets() || bucket.lower <= 0.0 && bucket.upper >= 0.0
}

/// The value below which the fraction `q` of the observations lies.
pub(crate) fn quantile(q: f64, histogram: &Histogram) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    let has_nan = histogram.sum.is_nan();
    // Without NaN observations, the buckets from the nearer end give the better precision.
    let backwards = !has_nan && q >= 0.5;
    let rank = if backwards { (1.0 - q) * histogram.count } else { q * histogram.count };
    let (bucket, seen) = reach(histogram, rank, backwards);
    let mut bucket = trim_zero_bucket(histogram, bucket);
    if histogram.has_custom_buckets() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return bucket.upper;
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return bucket.lower;
        }
    }
    // The buckets may hold more than was counted, or less.
    let seen = if seen > histogram.count { histogram.count } else { seen };
    if seen < rank {
        // NaN observations are in no bucket.
        return if has_nan { f64::NAN } else { bucket.upper };
    }
    interpolate(histogram, bucket, seen, rank, backwards)
}

/// The bucket where `rank` observations are reached, or the last one, and how many are seen by then.
fn reach(histogram: &Histogram, rank: f64, backwards: bool) -> (Bucket, f64) {
    let mut buckets = all_buckets(histogram);
    if backwards {
        buckets.reverse();
    }
    let mut last = Bucket { lower: 0.0, upper: 0.0, count: 0.0 };
    let mut seen = 0.0;
    for bucket in buckets {
        seen += bucket.count;
        last = bucket;
        if seen >= rank {
            break;
        }
    }
    (last, seen)
}

/// The position in the bucket, of which `seen` includes all.
fn interpolate(histogram: &Histogram, bucket: Bucket, seen: f64, rank: f64, backwards: bool) -> f64 {
    let rank = if backwards { seen - rank } else { rank - (seen - bucket.count) };
    let fraction = rank / bucket.count;
    if is_linear(histogram, bucket) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (log_lower, log_upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        (log_lower + (log_upper - log_lower) * fraction).exp2()
    } else {
        -(log_upper + (log_lower - log_upper) * (1.0 - fraction)).exp2()
    }
}

/// The fraction of observations in `(lower, upper]`.
pub(crate) fn fraction(lower: f64, upper: f64, histogram: &Histogram) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let is_custom = histogram.has_custom_buckets();
    let mut buckets = all_buckets(histogram);
    for bucket in &mut buckets {
        *bucket = trim_zero_bucket(histogram, *bucket);
        if is_custom && bucket.lower <= 0.0 && bucket.upper >= 0.0 {
            // As Prometheus has it, a custom bucket that meets 0 starts there.
            bucket.lower = 0.0;
        }
    }
    // NaN observations are in no bucket and count as outside.
    let total = match histogram.sum.is_nan() {
        true => buckets.iter().map(|bucket| bucket.count).sum(),
        false => histogram.count,
    };
    let up_to = |value: f64| {
        let share = |bucket| share_below(value, histogram, bucket);
        count_up_to(value, buckets.iter().copied(), total, share)
    };
    (up_to(upper) - up_to(lower)) / histogram.count
}

/// How many observations lie at or below `value`: all of them where no bucket ends above it. In a
/// bucket without an end, observations are taken to be at the end that it has.
pub(crate) fn count_up_to(
    value: f64,
    buckets: impl Iterator<Item = Bucket>,
    total: f64,
    share_below: impl Fn(Bucket) -> f64,
) -> f64 {
    let mut below = 0.0;
    for bucket in buckets {
        if bucket.lower < value && bucket.upper > value {
            below += match bucket {
                Bucket { lower: f64::NEG_INFINITY, count, .. } => count,
                Bucket { upper: f64::INFINITY, .. } => 0.0,
                _ => bucket.count * share_below(bucket),
            };
        }
        if bucket.upper > value || bucket.lower >= value {
            return if below > total { total } else { below };
        }
        below += bucket.count;
    }
    total
}

/// Which share of a finite bucket's observations lies at or below `value`, which is inside.
pub(super) fn share_below(value: f64, histogram: &Histogram, bucket: Bucket) -> f64 {
    if is_linear(histogram, bucket) {
        return (value - bucket.lower) / (bucket.upper - bucket.lower);
    }
    let (log_lower, log_upper) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    let log_value = value.abs().log2();
    if bucket.lower > 0.0 {
        (log_value - log_lower) / (log_upper - log_lower)
    } else {
        1.0 - (log_value - log_upper) / (log_lower - log_upper)
    }
}

/// Estimated variance of the observations.
pub(crate) fn variance(histogram: &Histogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut total, mut compensation) = (0.0, 0.0);
    for bucket in all_buckets(histogram) {
        let delta = middle(histogram, bucket) - mean;
        (total, compensation) = crate::kahan::add(bucket.count * delta * delta, total, compensation);
    }
    (total + compensation) / histogram.count
}

/// Estimated standard deviation of the observations.
pub(crate) fn stddev(histogram: &Histogram) -> f64 {
    variance(histogram).sqrt()
}

/// Where the bucket's observations are taken to be: the geometric middle of an exponential bucket.
fn middle(histogram: &Histogram, bucket: Bucket) -> f64 {
    if is_linear(histogram, bucket) {
        if bucket.lower <= 0.0 && bucket.upper >= 0.0 && !histogram.has_custom_buckets() {
            return 0.0;
        }
        return (bucket.lower + bucket.upper) / 2.0;
    }
    let geometric = (bucket.lower * bucket.upper).sqrt();
    if bucket.upper < 0.0 { -geometric } else { geometric }
}
