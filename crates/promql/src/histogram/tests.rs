use super::*;

fn histogram(schema: i8, offset: i32, counts: &[f64]) -> Histogram {
    let positive: Vec<_> = counts.iter().enumerate().map(|(i, count)| (offset + i as i32, *count)).collect();
    let count = counts.iter().sum();
    Histogram { schema, positive: dense(&positive), count, sum: count, ..Histogram::default() }
}

#[test]
fn sums_meet_at_the_coarser_schema() {
    let fine = histogram(1, 0, &[1.0, 2.0, 3.0, 4.0]);
    let coarse = histogram(0, 0, &[10.0, 20.0]);
    let total = add(&fine, &coarse).unwrap().histogram;
    assert_eq!(total.schema, 0);
    assert_eq!(sparse(&total.positive), [(0, 11.0), (1, 25.0), (2, 4.0)]);
    let back = sub(&total, &coarse).unwrap().histogram;
    assert_eq!(sparse(&back.positive), [(0, 1.0), (1, 5.0), (2, 4.0)]);
}

#[test]
fn zero_buckets_grow_to_whole_buckets() {
    let mut wide = histogram(0, 5, &[1.0]);
    wide.zero_threshold = 3.0;
    // Buckets (1,2] and (2,4]: the threshold 3 lies inside the second.
    let total = add(&histogram(0, 1, &[5.0, 6.0]), &wide).unwrap().histogram;
    assert_eq!((total.zero_threshold, total.zero_count), (4.0, 11.0));
    assert_eq!(sparse(&total.positive), [(5, 1.0)]);
}

#[test]
fn resets_are_seen_in_any_bucket() {
    let before = histogram(0, 0, &[1.0, 5.0]);
    assert!(!detect_reset(&histogram(0, 0, &[1.0, 6.0]), &before));
    assert!(detect_reset(&histogram(0, 0, &[0.0, 9.0]), &before));
    assert!(detect_reset(&histogram(1, 0, &[9.0, 9.0]), &before), "finer schema");
    let mut hinted = histogram(0, 0, &[9.0, 9.0]);
    hinted.reset_hint = ResetHint::Reset;
    assert!(detect_reset(&hinted, &before));
}

#[test]
fn quantiles_interpolate_between_the_bounds() {
    let single = histogram(0, 0, &[1.0, 2.0, 1.0]);
    assert!((quantile(0.5, &single) - 2f64.sqrt()).abs() < 1e-12);
    assert!((fraction(1.0, 2.0, &single) - 0.5).abs() < 1e-12);
    assert_eq!(quantile(-1.0, &single), f64::NEG_INFINITY);
    assert!(quantile(0.5, &Histogram::default()).is_nan());
}

#[test]
fn exponential_and_custom_buckets_do_not_mix() {
    let custom = Histogram { schema: model::CUSTOM_BUCKETS_SCHEMA, ..Histogram::default() };
    assert_eq!(add(&custom, &histogram(0, 0, &[1.0])).unwrap_err(), Incompatible);
}
