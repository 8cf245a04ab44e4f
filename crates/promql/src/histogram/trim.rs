//! `h </ x` and `h >/ x`: only the observations on one side of a value.

use super::{Bucket, all_buckets, dense, estimate::share_below, sparse};
use model::{Buckets, Histogram};

/// Keeps the observations at or below `limit` (`upper`), or those above it.
pub(crate) fn trim(histogram: &Histogram, limit: f64, upper: bool) -> Histogram {
    let mut out = histogram.clone();
    out.is_integer = false;
    let keeper = Keeper { histogram, limit, upper };
    let mut kept = Kept::default();
    if histogram.has_custom_buckets() {
        out.positive = keeper.custom_side(&mut kept);
    } else {
        out.negative = keeper.side(&histogram.negative, true, &mut kept);
        out.zero_count = keeper.zero(&mut kept);
        out.positive = keeper.side(&histogram.positive, false, &mut kept);
    }
    let keeps_all = if upper { limit == f64::INFINITY } else { limit == f64::NEG_INFINITY };
    if !keeps_all {
        out.count = kept.count;
        out.sum = kept.sum;
    }
    out
}

#[derive(Default)]
struct Kept {
    count: f64,
    sum: f64,
}

struct Keeper<'a> {
    histogram: &'a Histogram,
    limit: f64,
    upper: bool,
}

impl Keeper<'_> {
    /// How many of the bucket's observations stay; adds them to `kept` at their estimated place.
    fn keep(&self, bucket: Bucket, kept: &mut Kept) -> f64 {
        let below = if self.limit >= bucket.upper {
            1.0
        } else if self.limit <= bucket.lower {
            0.0
        } else {
            share_below(self.limit, self.histogram, bucket)
        };
        let share = if self.upper { below } else { 1.0 - below };
        let count = bucket.count * share;
        if count != 0.0 {
            kept.count += count;
            let (lower, upper) = match self.upper {
                true => (bucket.lower, bucket.upper.min(self.limit)),
                false => (bucket.lower.max(self.limit), bucket.upper),
            };
            kept.sum += count * self.middle(lower, upper);
        }
        count
    }

    /// Where observations between the bounds are taken to be.
    fn middle(&self, lower: f64, upper: f64) -> f64 {
        if lower == f64::NEG_INFINITY {
            return if upper > 0.0 { upper / 2.0 } else { upper };
        }
        if upper == f64::INFINITY {
            return lower;
        }
        if self.histogram.has_custom_buckets() || lower <= 0.0 && upper >= 0.0 {
            return (lower + upper) / 2.0;
        }
        let geometric = (lower * upper).abs().sqrt();
        if upper < 0.0 { -geometric } else { geometric }
    }

    fn side(&self, side: &Buckets, negative: bool, kept: &mut Kept) -> Buckets {
        let schema = self.histogram.schema;
        let trimmed: Vec<_> = sparse(side)
            .into_iter()
            .map(|(index, count)| {
                let (low, high) = (super::bound(index - 1, schema), super::bound(index, schema));
                let (lower, upper) = if negative { (-high, -low) } else { (low, high) };
                (index, self.keep(Bucket { lower, upper, count }, kept))
            })
            .collect();
        dense(&trimmed)
    }

    fn custom_side(&self, kept: &mut Kept) -> Buckets {
        let counts = all_buckets(self.histogram).into_iter().map(|bucket| self.keep(bucket, kept));
        let indexes = sparse(&self.histogram.positive).into_iter().map(|(index, _)| index);
        dense(&indexes.zip(counts).collect::<Vec<_>>())
    }

    fn zero(&self, kept: &mut Kept) -> f64 {
        if self.histogram.zero_count == 0.0 {
            return 0.0;
        }
        let edge = self.histogram.zero_threshold;
        let has = |side: &Buckets| !sparse(side).is_empty();
        let (mut lower, mut upper) = (-edge, edge);
        match (has(&self.histogram.negative), has(&self.histogram.positive)) {
            (false, true) => lower = 0.0,
            (true, false) => upper = 0.0,
            _ => {}
        }
        self.keep(Bucket { lower, upper, count: self.histogram.zero_count }, kept)
    }
}
