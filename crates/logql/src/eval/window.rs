//! Functions of the samples in a window.

use crate::ast::RangeOp;

/// A sample: nanoseconds and value.
pub(super) type Sample = (i64, f64);

/// Whether the value depends on the order of the samples; that of a sum does, in its last digits.
pub(super) fn needs_order(op: RangeOp) -> bool {
    !matches!(op, RangeOp::Quantile | RangeOp::Min | RangeOp::Max | RangeOp::Count | RangeOp::Absent)
}

/// The value of the window `(end - range, end]`, which holds at least one sample.
pub(super) fn compute(op: RangeOp, parameter: f64, samples: &[Sample], range_ns: i64, end_ns: i64) -> f64 {
    let values = || samples.iter().map(|(_, value)| *value);
    let seconds = range_ns as f64 / 1e9;
    match op {
        RangeOp::Rate => values().sum::<f64>() / seconds,
        RangeOp::Sum => values().sum(),
        RangeOp::Avg => values().sum::<f64>() / samples.len() as f64,
        RangeOp::Min => values().fold(f64::NAN, f64::min),
        RangeOp::Max => values().fold(f64::NAN, f64::max),
        RangeOp::Stddev => variance(samples).sqrt(),
        RangeOp::Stdvar => variance(samples),
        RangeOp::Quantile => quantile(parameter, samples),
        RangeOp::First => samples.first().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::Last => samples.last().map_or(f64::NAN, |(_, value)| *value),
        RangeOp::RateCounter => counter_rate(samples, range_ns, end_ns),
        RangeOp::Count | RangeOp::Absent => samples.len() as f64,
        RangeOp::Bytes | RangeOp::BytesRate => f64::NAN,
    }
}

/// Population variance (Welford).
fn variance(samples: &[Sample]) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for (_, value) in samples {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

fn quantile(q: f64, samples: &[Sample]) -> f64 {
    if q.is_nan() || samples.is_empty() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let mut values: Vec<_> = samples.iter().map(|(_, value)| *value).collect();
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let (_, lower, above) = values.select_nth_unstable_by(rank.floor() as usize, f64::total_cmp);
    let lower = *lower;
    let upper = above.iter().copied().min_by(f64::total_cmp).unwrap_or(lower);
    lower * (1.0 - weight) + upper * weight
}

/// Increase of a counter per second, extrapolated to the window's bounds as Prometheus does.
fn counter_rate(samples: &[Sample], range_ns: i64, end_ns: i64) -> f64 {
    let [(first_ns, first), .., (last_ns, last)] = samples else {
        return 0.0;
    };
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let seconds = |nanoseconds: i64| nanoseconds as f64 / 1e9;
    let sampled = seconds(last_ns.saturating_sub(*first_ns));
    let average_gap = sampled / (samples.len() - 1) as f64;
    let mut to_start = seconds(first_ns.saturating_sub(end_ns.saturating_sub(range_ns)));
    let to_end = seconds(end_ns.saturating_sub(*last_ns));
    // A counter cannot have been below zero.
    if increase > 0.0 && *first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    let threshold = average_gap * 1.1;
    let extend = |gap: f64| if gap < threshold { gap } else { average_gap / 2.0 };
    increase * ((sampled + extend(to_start) + extend(to_end)) / sampled) / seconds(range_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_a_window() {
        let samples: Vec<Sample> =
            [2.0, 4.0, 4.0, 6.0].iter().enumerate().map(|(i, v)| (i as i64 * 1_000_000_000, *v)).collect();
        for (op, parameter, expected) in [
            (RangeOp::Sum, 0.0, 16.0),
            (RangeOp::Avg, 0.0, 4.0),
            (RangeOp::Min, 0.0, 2.0),
            (RangeOp::Max, 0.0, 6.0),
            (RangeOp::Stdvar, 0.0, 2.0),
            (RangeOp::Quantile, 0.5, 4.0),
            (RangeOp::Quantile, 2.0, f64::INFINITY),
            (RangeOp::First, 0.0, 2.0),
            (RangeOp::Last, 0.0, 6.0),
            (RangeOp::Rate, 0.0, 1.6),
        ] {
            assert_eq!(compute(op, parameter, &samples, 10_000_000_000, 3_000_000_000), expected, "{op:?}");
        }
        assert_eq!(compute(RangeOp::RateCounter, 0.0, &samples[..1], 10, 0), 0.0);
    }
}
