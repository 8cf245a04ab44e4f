//! Samples of a series folded into buckets of equal length.
//!
//! A bucket's values carry the time of its last sample. [`Aggregate::Last`] keeps samples as they
//! were written: the last of each bucket; where a bucket holds exactly one fall of the value, those
//! before and after it too, so that a counter's restart is not taken for a smaller step; and a
//! staleness marker that ends a bucket. Native histograms have counts and lasts only.

use model::{Samples, Value};
use store::Aggregate;

/// The columns of one series, by aggregate.
#[derive(Default)]
pub(crate) struct Aggregates {
    last: Samples,
    min: Samples,
    max: Samples,
    sum: Samples,
    count: Samples,
}

impl Aggregates {
    pub(crate) fn of(&self, aggregate: Aggregate) -> &Samples {
        match aggregate {
            Aggregate::Last => &self.last,
            Aggregate::Min => &self.min,
            Aggregate::Max => &self.max,
            Aggregate::Sum => &self.sum,
            Aggregate::Count => &self.count,
        }
    }

    fn clear(&mut self) {
        for samples in [&mut self.last, &mut self.min, &mut self.max, &mut self.sum, &mut self.count] {
            samples.clear();
        }
    }

    /// Replaces the columns with those of `samples` in buckets of `resolution_ms`.
    pub(crate) fn fold(&mut self, samples: &Samples, resolution_ms: i64) {
        self.clear();
        let bucket_of = |i: usize| samples.timestamps_ms[i].div_euclid(resolution_ms);
        let mut before = None;
        let mut start = 0;
        while start < samples.len() {
            let bucket = bucket_of(start);
            let mut end = start + 1;
            while end < samples.len() && bucket_of(end) == bucket {
                end += 1;
            }
            self.bucket(samples, start, end, &mut before);
            start = end;
        }
    }

    /// Adds the bucket of samples `start..end`; `before` is the index of the last float so far.
    fn bucket(&mut self, samples: &Samples, start: usize, end: usize, before: &mut Option<usize>) {
        let mut floats = Floats::default();
        let (mut count, mut last) = (0u64, None);
        let (mut falls, mut fall) = (0u32, None);
        for i in (start..end).filter(|&i| !samples.is_stale(i)) {
            (count, last) = (count + 1, Some(i));
            if samples.histogram(i).is_some() {
                continue;
            }
            let value = samples.values[i];
            floats.add(value);
            if let Some(previous) = before.replace(i)
                && value < samples.values[previous]
            {
                falls += 1;
                fall = Some((previous, i));
            }
        }
        let mut kept = Vec::new();
        if let (1, Some((previous, after))) = (falls, fall) {
            kept.extend((previous >= start).then_some(previous));
            kept.push(after);
        }
        kept.extend(last);
        kept.extend(samples.is_stale(end - 1).then_some(end - 1));
        kept.dedup();
        for i in kept {
            self.last.push(samples.timestamps_ms[i], samples.start_ms(i), &samples.value(i));
        }
        let Some(last) = last else { return };
        let at_ms = samples.timestamps_ms[last];
        self.count.push(at_ms, 0, &Value::Float(count as f64));
        if floats.is_some {
            self.min.push(at_ms, 0, &Value::Float(floats.min));
            self.max.push(at_ms, 0, &Value::Float(floats.max));
            self.sum.push(at_ms, 0, &Value::Float(floats.sum + floats.rest));
        }
    }
}

/// Floats of a bucket. NaN is the smallest and the largest only where nothing else is.
#[derive(Default)]
struct Floats {
    is_some: bool,
    min: f64,
    max: f64,
    sum: f64,
    /// What rounding took from the sum.
    rest: f64,
}

impl Floats {
    fn add(&mut self, value: f64) {
        if !self.is_some {
            *self = Floats { is_some: true, min: value, max: value, sum: value, rest: 0.0 };
            return;
        }
        if value < self.min || self.min.is_nan() {
            self.min = value;
        }
        if value > self.max || self.max.is_nan() {
            self.max = value;
        }
        let sum = self.sum + value;
        if sum.is_finite() {
            let (large, small) =
                if self.sum.abs() >= value.abs() { (self.sum, value) } else { (value, self.sum) };
            self.rest += (large - sum) + small;
        } else {
            self.rest = 0.0;
        }
        self.sum = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::STALE_NAN;

    const MINUTE_MS: i64 = 60_000;

    fn samples(pairs: &[(i64, f64)]) -> Samples {
        let mut samples = Samples::default();
        pairs.iter().for_each(|(minute, value)| samples.push(minute * MINUTE_MS, 0, &Value::Float(*value)));
        samples
    }

    fn check(pairs: &[(i64, f64)], aggregate: Aggregate, expected: &[(i64, f64)]) {
        let mut aggregates = Aggregates::default();
        aggregates.fold(&samples(&[(0, 7.0)]), MINUTE_MS);
        aggregates.fold(&samples(pairs), 5 * MINUTE_MS);
        let (found, expected) = (aggregates.of(aggregate), samples(expected));
        assert_eq!(found.timestamps_ms, expected.timestamps_ms, "{aggregate:?} of {pairs:?}");
        let bits = |samples: &Samples| samples.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(found), bits(&expected), "{aggregate:?} of {pairs:?}");
    }

    #[test]
    fn every_bucket_has_its_aggregates_at_its_last_sample() {
        let pairs = [(-7, 1.0), (-6, f64::NAN), (0, 3.0), (2, 5.0), (4, 4.0), (5, -1.0)];
        check(&pairs, Aggregate::Min, &[(-6, 1.0), (4, 3.0), (5, -1.0)]);
        check(&pairs, Aggregate::Max, &[(-6, 1.0), (4, 5.0), (5, -1.0)]);
        check(&pairs[2..], Aggregate::Sum, &[(4, 12.0), (5, -1.0)]);
        check(&pairs, Aggregate::Count, &[(-6, 2.0), (4, 3.0), (5, 1.0)]);
    }

    #[test]
    fn the_restart_of_a_counter_is_kept() {
        check(
            &[(0, 10.0), (1, 20.0), (2, 5.0), (3, 30.0)],
            Aggregate::Last,
            &[(1, 20.0), (2, 5.0), (3, 30.0)],
        );
        check(&[(4, 9.0), (5, 1.0), (6, 2.0), (7, 50.0)], Aggregate::Last, &[(4, 9.0), (5, 1.0), (7, 50.0)]);
        check(&[(0, 3.0), (1, 1.0), (2, 2.0), (3, 0.0)], Aggregate::Last, &[(3, 0.0)]);
        check(&[(0, 1.0), (1, 2.0), (4, 1.5)], Aggregate::Last, &[(1, 2.0), (4, 1.5)]);
    }

    #[test]
    fn the_end_of_a_series_is_kept_and_counts_for_nothing() {
        let ended = [(0, 1.0), (1, 2.0), (2, STALE_NAN), (6, STALE_NAN)];
        check(&ended, Aggregate::Last, &[(1, 2.0), (2, STALE_NAN), (6, STALE_NAN)]);
        check(&ended, Aggregate::Count, &[(1, 2.0)]);
        check(&ended, Aggregate::Max, &[(1, 2.0)]);
    }
}
