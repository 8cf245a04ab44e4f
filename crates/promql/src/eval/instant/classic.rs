//! Classic histograms: cumulative buckets, one series for each upper bound `le`.

use crate::histogram::{Bucket, count_up_to};

/// Cumulative counts of one step, by upper bound.
#[derive(Clone, Debug, Default)]
pub(super) struct ClassicHistogram {
    /// (upper bound, observations up to it)
    pub(super) buckets: Vec<(f64, f64)>,
}

/// The extent of falls that were repaired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fall {
    pub(super) lowest: f64,
    pub(super) highest: f64,
    pub(super) largest: f64,
}

/// Relative differences up to this are taken for rounding.
const ROUNDING: f64 = 1e-12;

impl ClassicHistogram {
    /// Sorts and joins equal bounds. False when there is no `+Inf` bucket, so that nothing can be said.
    fn prepare(&mut self) -> bool {
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            return false;
        }
        self.buckets.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
        true
    }

    /// Makes counts grow with their bound, and tells where one fell by more than rounding explains.
    fn make_monotonic(&mut self) -> Option<Fall> {
        let mut forced: Option<Fall> = None;
        let mut previous = self.buckets[0].1;
        for (bound, count) in &mut self.buckets[1..] {
            if *count == previous {
                continue;
            }
            if close(*count, previous) {
                *count = previous;
            } else if *count < previous {
                let fall = forced.get_or_insert(Fall { lowest: *bound, highest: *bound, largest: 0.0 });
                fall.highest = *bound;
                fall.largest = fall.largest.max(previous - *count);
                *count = previous;
            }
            previous = *count;
        }
        forced
    }

    fn total(&self) -> f64 {
        self.buckets.last().map_or(0.0, |(_, count)| *count)
    }

    /// The value below which the fraction `q` of the observations lies, and what was repaired to say so.
    pub(super) fn quantile(&mut self, q: f64) -> (f64, Option<Fall>) {
        if q.is_nan() {
            return (f64::NAN, None);
        }
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if !self.prepare() {
            return (f64::NAN, None);
        }
        let fall = self.make_monotonic();
        (self.value_at(q), fall)
    }

    /// As [`ClassicHistogram::quantile`], once the counts are in order.
    fn value_at(&self, q: f64) -> f64 {
        let total = self.total();
        if total == 0.0 || self.buckets.len() < 2 {
            return f64::NAN;
        }
        // Where the total is NaN no bucket reaches the rank, and the highest finite bound is the answer.
        let rank = q * total;
        let last = self.buckets.len() - 1;
        let reaches = |(_, count): &(f64, f64)| *count >= rank;
        let index = self.buckets[..last].partition_point(|bucket| !reaches(bucket));
        if index == last {
            return self.buckets[last - 1].0;
        }
        let upper = self.buckets[index].0;
        if index == 0 && upper <= 0.0 {
            return upper;
        }
        let (lower, before) = if index == 0 { (0.0, 0.0) } else { self.buckets[index - 1] };
        let count = self.buckets[index].1 - before;
        lower + (upper - lower) * ((rank - before) / count)
    }

    /// The fraction of observations in `(lower, upper]`. Counts that fall are taken as they are.
    pub(super) fn fraction(&mut self, lower: f64, upper: f64) -> f64 {
        if !self.prepare() {
            return f64::NAN;
        }
        let total = self.total();
        if total == 0.0 || total.is_nan() || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        let up_to = |value: f64| {
            let share = |bucket: Bucket| (value - bucket.lower) / (bucket.upper - bucket.lower);
            count_up_to(value, self.disjoint(), total, share)
        };
        (up_to(upper) - up_to(lower)) / total
    }

    /// The buckets without what lies in lower ones. The lowest starts at 0 where it can.
    fn disjoint(&self) -> impl Iterator<Item = Bucket> + '_ {
        let first = self.buckets.first().map_or(0.0, |(bound, _)| *bound);
        let mut lower = if first > 0.0 { 0.0 } else { f64::NEG_INFINITY };
        let mut before = 0.0;
        self.buckets.iter().map(move |(upper, count)| {
            let bucket = Bucket { lower, upper: *upper, count: count - before };
            (lower, before) = (*upper, *count);
            bucket
        })
    }
}

/// Whether two counts differ by no more than rounding.
fn close(a: f64, b: f64) -> bool {
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    difference / sum.min(f64::MAX) < ROUNDING
}
