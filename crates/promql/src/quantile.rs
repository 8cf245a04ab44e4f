//! Quantiles of values.

use std::cmp::Ordering;

/// The `q`-quantile of the values, interpolated between neighbours. Changes the order of `values`.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let (_, &mut at_lower, above) = values.select_nth_unstable_by(lower as usize, ascending);
    let at_upper = above.iter().copied().min_by(ascending).unwrap_or(at_lower);
    at_lower * (1.0 - weight) + at_upper * weight
}

/// NaN comes first, as it does when sorting in the language.
fn ascending(a: &f64, b: &f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).reverse().then_with(|| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_interpolated() {
        assert_eq!(quantile(0.5, &mut [3.0, 1.0, 2.0, 4.0]), 2.5);
        assert_eq!(quantile(0.0, &mut [3.0, 1.0]), 1.0);
        assert_eq!(quantile(1.0, &mut [3.0, 1.0]), 3.0);
        assert_eq!(quantile(-0.1, &mut [1.0]), f64::NEG_INFINITY);
        assert!(quantile(0.5, &mut []).is_nan());
    }

    #[test]
    fn quantiles_are_those_of_sorted_values() {
        let mut values: Vec<f64> = (0..50).map(|i| f64::from(i * 37 % 50) - 20.0).collect();
        values.extend([-0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 3.0, 3.0]);
        let mut sorted = values.clone();
        sorted.sort_by(ascending);
        assert!(sorted[0].is_nan());
        for percent in 0..=100 {
            let rank = f64::from(percent) / 100.0 * (sorted.len() - 1) as f64;
            let (lower, upper) = (sorted[rank as usize], sorted[(rank as usize + 1).min(sorted.len() - 1)]);
            let expected = lower * (1.0 - rank.fract()) + upper * rank.fract();
            let found = quantile(f64::from(percent) / 100.0, &mut values);
            assert!(
                found == expected || found.is_nan() && expected.is_nan(),
                "{percent}: {found}, {expected}"
            );
        }
    }
}
