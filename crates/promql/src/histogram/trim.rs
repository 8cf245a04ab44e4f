//! `h </ x` and `h >/ x`: only the observations on one side of a value.
//!
//! A bucket that the value cuts is divided as in [`super::estimate`]. The sum is estimated anew from
//! the middle of what is left of each bucket, unless nothing was cut off.

use super::{Bucket, all_buckets, dense, estimate::share_below, sparse};
use model::{Buckets, Histogram};

/// Keeps the observations at or below `limit` (`upper`), or those above it.
pub(crate) fn trim(histogram: &Histogram, limit: f64, upper: bool) -> Histogram {
    let keeps_all = limit == if upper { f64::INFINITY } else { f64::NEG_INFINITY };
    if keeps_all {
        return histogram.clone();
    }
    if limit.is_nan() {
        // Nothing lies on either side of it.
        return Histogram {
            is_integer: false,
            count: 0.0,
            sum: 0.0,
            zero_count: 0.0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            ..histogram.clone()
        };
    }
    let mut keeper = Keeper { histogram, limit, upper, count: 0.0, sum: 0.0, has_cut: false };
    let mut out = histogram.clone();
    if histogram.has_custom_buckets() {
        out.positive = keeper.custom_side();
    } else {
        out.negative = keeper.side(&histogram.negative, true);
        out.zero_count = keeper.zero();
        out.positive = keeper.side(&histogram.positive, false);
    }
    if !keeper.has_cut {
        return histogram.clone();
    }
    out.is_integer = false;
    out.count = keeper.count;
    out.sum = keeper.sum;
    out
}

struct Keeper<'a> {
    histogram: &'a Histogram,
    limit: f64,
    upper: bool,
    /// What is kept.
    count: f64,
    sum: f64,
    has_cut: bool,
}

impl Keeper<'_> {
    /// Keeps `share` of the bucket, whose middle is taken to be at `middle`.
    fn keep(&mut self, count: f64, share: f64, middle: f64) -> f64 {
        self.has_cut |= share != 1.0 && count != 0.0;
        let kept = count * share;
        if kept != 0.0 {
            self.count += kept;
            self.sum += kept * middle;
        }
        kept
    }

    /// Which share of a bucket stays, and the bounds of what stays.
    fn cut(&self, bucket: Bucket, below: impl FnOnce() -> f64) -> (f64, f64, f64) {
        let below = if self.limit >= bucket.upper {
            1.0
        } else if self.limit <= bucket.lower {
            0.0
        } else {
            below()
        };
        if self.upper {
            (below, bucket.lower, bucket.upper.min(self.limit))
        } else {
            (1.0 - below, bucket.lower.max(self.limit), bucket.upper)
        }
    }

    fn side(&mut self, side: &Buckets, negative: bool) -> Buckets {
        let histogram = self.histogram;
        let mut kept = Vec::new();
        for (index, count) in sparse(side) {
            let (low, high) =
                (super::bound(index - 1, histogram.schema), super::bound(index, histogram.schema));
            let (lower, upper) = if negative { (-high, -low) } else { (low, high) };
            let bucket = Bucket { lower, upper, count };
            let (share, lower, upper) = self.cut(bucket, || share_below(self.limit, histogram, bucket));
            let geometric = (lower * upper).abs().sqrt();
            kept.push((index, self.keep(count, share, if negative { -geometric } else { geometric })));
        }
        dense(&kept)
    }

    fn zero(&mut self) -> f64 {
        let count = self.histogram.zero_count;
        let edge = self.histogram.zero_threshold;
        let has = |side: &Buckets| !sparse(side).is_empty();
        // The zero bucket reaches only to the side where observations are.
        let (lower, upper) = match (has(&self.histogram.negative), has(&self.histogram.positive)) {
            (false, true) => (0.0, edge),
            (true, false) => (-edge, 0.0),
            _ => (-edge, edge),
        };
        let bucket = Bucket { lower, upper, count };
        let (share, lower, upper) = self.cut(bucket, || (self.limit - lower) / (upper - lower));
        self.keep(count, share, (lower + upper) / 2.0)
    }

    fn custom_side(&mut self) -> Buckets {
        let indexes = sparse(&self.histogram.positive);
        let mut kept = Vec::new();
        for (bucket, (index, count)) in all_buckets(self.histogram).into_iter().zip(indexes) {
            let (share, middle) = self.custom_bucket(bucket);
            kept.push((index, self.keep(count, share, middle)));
        }
        dense(&kept)
    }

    /// The outermost buckets have no end to interpolate to: they stay or go as a whole, and their
    /// observations are taken to be at the end that is known, or at the limit.
    fn custom_bucket(&self, bucket: Bucket) -> (f64, f64) {
        if bucket.upper == f64::INFINITY {
            let share = if self.upper || self.limit == f64::INFINITY { 0.0 } else { 1.0 };
            return (share, bucket.lower.max(self.limit));
        }
        let mut bucket = bucket;
        if bucket.lower == f64::NEG_INFINITY {
            let starts_at_zero = bucket.upper > 0.0;
            if starts_at_zero && self.limit >= 0.0 {
                bucket.lower = 0.0;
            } else {
                let share = if self.upper && !starts_at_zero && self.limit.is_finite() { 1.0 } else { 0.0 };
                return (share, bucket.upper.min(self.limit));
            }
        }
        let linear = || (self.limit - bucket.lower) / (bucket.upper - bucket.lower);
        let (share, lower, upper) = self.cut(bucket, linear);
        (share, (lower + upper) / 2.0)
    }
}
