//! Range functions over downsampled tiers, compared with the same functions over the samples that were
//! folded into them.
//!
//! Each tolerance says what may be lost: a bucket belongs to the window that holds its last sample, so
//! windows differ from raw ones by up to a bucket at each end; functions that see one sample of a
//! bucket differ by what they cannot see.

use super::command::When;
use super::run::evaluate;
use crate::{ParseOptions, QueryValue, parse};
use disk::{Dir, Faults};
use model::{Labels, MetricBatch, STALE_NAN};
use std::time::Duration;
use store::{AgeLimits, MemMetricStore, MetricStore};
use tsdb::{TierAges, Tsdb, TsdbOptions};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The first day of samples, counted from the epoch.
const DAY: i64 = 20_000;
/// Samples come every 15 s, off the ends of buckets.
const INTERVAL_MS: i64 = 15_000;
const PHASE_MS: i64 = 3_000;

/// Two days of samples, of which the first will be folded.
fn batch() -> MetricBatch {
    let mut batch = MetricBatch::default();
    let series = |name: &str| Labels::from_pairs([("__name__", name), ("job", "a")]);
    let samples = 2 * DAY_MS / INTERVAL_MS;
    let at = |i: i64| DAY * DAY_MS + i * INTERVAL_MS + PHASE_MS;
    batch.begin_with(series("steady_total").as_ref());
    (0..samples).for_each(|i| batch.sample(at(i), 0, i as f64 * 30.0));
    batch.begin_with(series("restarting_total").as_ref());
    // A restart every 50 minutes or so, never two in one bucket of five minutes.
    (0..samples).for_each(|i| batch.sample(at(i), 0, (i % 203) as f64 * 15.0 + 7.0));
    batch.begin_with(series("wave").as_ref());
    let wave = |i: i64| (100.0 + 50.0 * (i as f64 / 40.0).sin() + (i * 7919 % 13) as f64).round();
    (0..samples).for_each(|i| batch.sample(at(i), 0, wave(i)));
    batch.begin_with(series("slow").as_ref());
    let slow = |i: i64| 1000.0 + 400.0 * (i as f64 / 2000.0).sin();
    (0..samples).for_each(|i| batch.sample(at(i), 0, slow(i)));
    batch.begin_with(series("ended").as_ref());
    // Ends at noon of the first day, with a marker.
    (0..samples / 4).for_each(|i| batch.sample(at(i), 0, 1.0));
    batch.sample(at(samples / 4), 0, STALE_NAN);
    batch
}

/// The samples as they are, and with the first day folded.
fn stores(tiers: TierAges) -> (MemMetricStore, Tsdb) {
    let raw = MemMetricStore::new();
    raw.append(&batch(), None, 0).unwrap();
    let limits = AgeLimits::with_retention(Duration::from_secs(48 * 3_600));
    let options = TsdbOptions { limits, tiers, ..TsdbOptions::default() };
    let end_ms = (DAY + 2) * DAY_MS;
    let dir = Dir::simulated(1, Faults::default());
    let tsdb = Tsdb::open(dir, options, end_ms).unwrap();
    let receipt = tsdb.append(&batch(), None, end_ms).unwrap();
    assert_eq!(receipt.rejected, []);
    tsdb.flush().unwrap();
    for hour in 0..4 {
        tsdb.maintain(end_ms + DAY_MS + hour * HOUR_MS).unwrap();
    }
    assert_eq!(tsdb.stats().folds, 1, "the first day, and no more");
    (raw, tsdb)
}

const FOR_EVER: Option<Duration> = Some(Duration::MAX);

fn fine() -> TierAges {
    TierAges { five_minutes: FOR_EVER, one_hour: None }
}

fn coarse() -> TierAges {
    TierAges { five_minutes: None, one_hour: FOR_EVER }
}

/// The values of a query at its steps over most of the first day.
fn values(query: &str, step_ms: i64, store: &dyn MetricStore) -> Vec<Option<f64>> {
    let expr = parse(query, &ParseOptions { experimental: true }).unwrap();
    let (start_ms, end_ms) = (DAY * DAY_MS + 4 * HOUR_MS, DAY * DAY_MS + 20 * HOUR_MS);
    let answer = evaluate(&expr, When::Range { start_ms, end_ms, step_ms }, store, true).unwrap();
    let QueryValue::Matrix(matrix) = answer.value else { panic!("{query} is no matrix") };
    let mut values = vec![None; ((end_ms - start_ms) / step_ms) as usize + 1];
    for point in matrix.iter().flat_map(|series| &series.points) {
        values[((point.timestamp_ms - start_ms) / step_ms) as usize] = Some(point.value.as_float());
    }
    values
}

/// Every step has a value where there is one over raw samples, within the relative tolerance.
#[track_caller]
fn check(query: &str, step_ms: i64, (raw, tiered): &(MemMetricStore, Tsdb), tolerance: f64) {
    let (expected, found) = (values(query, step_ms, raw), values(query, step_ms, tiered));
    assert!(expected.iter().any(Option::is_some), "{query} has no answer");
    for (step, (expected, found)) in expected.iter().zip(&found).enumerate() {
        let (Some(expected), Some(found)) = (expected, found) else {
            assert_eq!(expected.is_some(), found.is_some(), "{query} at step {step}");
            continue;
        };
        let difference = (found - expected).abs() / expected.abs().max(1e-9);
        assert!(difference <= tolerance, "{query} at step {step}: {found} for {expected}");
    }
}

#[test]
fn aggregates_over_whole_buckets_are_those_of_the_samples() {
    for (tiers, step_ms, window) in [(fine(), 5 * MINUTE_MS, "1h"), (coarse(), HOUR_MS, "4h")] {
        let stores = stores(tiers);
        for series in ["wave", "slow", "steady_total"] {
            // The sample on the window's right end is in a bucket that ends later, for one on the left.
            check(&format!("count_over_time({series}[{window}])"), step_ms, &stores, 0.0);
            check(&format!("sum_over_time({series}[{window}])"), step_ms, &stores, 1e-12);
            check(&format!("avg_over_time({series}[{window}])"), step_ms, &stores, 1e-12);
            check(&format!("min_over_time({series}[{window}])"), step_ms, &stores, 0.0);
            check(&format!("max_over_time({series}[{window}])"), step_ms, &stores, 0.0);
            check(&format!("last_over_time({series}[{window}])"), step_ms, &stores, 0.0);
        }
        check(&format!("sum(sum_over_time({{__name__=~\"wave|slow\"}}[{window}]))"), step_ms, &stores, 1e-12);
    }
}

#[test]
fn rates_are_those_of_the_samples() {
    for (tiers, step_ms, window) in [(fine(), 5 * MINUTE_MS, "1h"), (coarse(), HOUR_MS, "3h")] {
        let stores = stores(tiers);
        for function in ["rate", "increase", "delta"] {
            check(&format!("{function}(steady_total[{window}])"), step_ms, &stores, 1e-9);
        }
        check(&format!("deriv(steady_total[{window}])"), step_ms, &stores, 1e-9);
        check(&format!("irate(steady_total[{window}])"), step_ms, &stores, 1e-9);
    }
    let stores = stores(fine());
    // A bucket keeps the samples around a restart; what is lost is at the ends of the window.
    check("rate(restarting_total[1h])", 5 * MINUTE_MS, &stores, 0.02);
    check("increase(restarting_total[4h])", 5 * MINUTE_MS, &stores, 0.005);
    check("resets(restarting_total[10h])", HOUR_MS, &stores, 0.1);
}

#[test]
fn windows_that_are_shorter_than_buckets_have_an_answer_all_the_same() {
    for (tiers, step_ms, tolerance) in [(fine(), 7 * MINUTE_MS, 0.02), (coarse(), HOUR_MS, 0.25)] {
        let stores = stores(tiers);
        for query in ["rate(steady_total[1m])", "rate(steady_total[5m])", "irate(steady_total[1m])"] {
            check(query, step_ms, &stores, 1e-9);
        }
        for query in ["increase(steady_total[5m])", "delta(steady_total[1m])", "deriv(steady_total[2m])"] {
            check(query, step_ms, &stores, 1e-9);
        }
        for function in ["avg", "min", "max", "sum", "count", "last", "quantile"] {
            let argument = if function == "quantile" { "0.5, " } else { "" };
            check(&format!("{function}_over_time({argument}slow[5m])"), step_ms, &stores, tolerance);
        }
        check("absent_over_time(nothing[1m])", step_ms, &stores, 0.0);
        let absent = values("absent_over_time(slow[1m])", step_ms, &stores.1);
        assert!(absent.iter().all(Option::is_none), "{absent:?}");
    }
}

#[test]
fn estimates_are_near_the_samples() {
    let stores = stores(fine());
    for (query, tolerance) in [
        ("quantile_over_time(0.9, slow[1h])", 0.01),
        ("stddev_over_time(slow[4h])", 0.1),
        ("predict_linear(slow[1h], 600)", 0.01),
        ("slow", 0.03),
        ("first_over_time(slow[1h])", 0.03),
    ] {
        check(query, 5 * MINUTE_MS, &stores, tolerance);
    }
}

#[test]
fn a_line_goes_on_over_the_end_of_the_tier_and_raw_samples_are_exact() {
    let stores = stores(TierAges { five_minutes: FOR_EVER, one_hour: FOR_EVER });
    let (raw, tiered) = &stores;
    let expr = |query: &str| parse(query, &ParseOptions { experimental: true }).unwrap();
    let border_ms = (DAY + 1) * DAY_MS;
    for (query, step_ms, tolerance) in [
        ("rate(steady_total[5m])", MINUTE_MS, 1e-9),
        ("rate(steady_total[1h])", HOUR_MS, 1e-9),
        ("sum_over_time(slow[1h])", 5 * MINUTE_MS, 0.1),
        ("sum_over_time(slow[10m])", HOUR_MS, 0.05),
        ("avg_over_time(slow[1h])", 5 * MINUTE_MS, 0.02),
        ("avg_over_time(slow[30m])", HOUR_MS, 0.05),
        ("slow", 5 * MINUTE_MS, 0.03),
    ] {
        let when =
            When::Range { start_ms: border_ms - 6 * HOUR_MS, end_ms: border_ms + 6 * HOUR_MS, step_ms };
        let points = |store: &dyn MetricStore| match evaluate(&expr(query), when, store, true).unwrap().value
        {
            QueryValue::Matrix(matrix) => matrix[0].points.clone(),
            other => panic!("{other:?}"),
        };
        let (expected, found) = (points(raw), points(tiered));
        assert_eq!(expected.len(), found.len(), "{query}");
        for (expected, found) in expected.iter().zip(&found) {
            let at_ms = expected.timestamp_ms;
            assert_eq!(at_ms, found.timestamp_ms, "{query}");
            let (expected, found) = (expected.value.as_float(), found.value.as_float());
            // Windows that are behind the border see raw samples only.
            let tolerance = if at_ms >= border_ms + HOUR_MS { 1e-12 } else { tolerance };
            let difference = (found - expected).abs() / expected.abs().max(1e-9);
            assert!(difference <= tolerance, "{query} at {at_ms}: {found} for {expected}");
        }
    }
}

#[test]
fn a_series_that_ended_is_not_shown_for_longer_than_a_bucket() {
    for (tiers, step_ms) in [(fine(), MINUTE_MS), (coarse(), HOUR_MS)] {
        let (raw, tiered) = stores(tiers);
        let (expected, found) = (values("ended", step_ms, &raw), values("ended", step_ms, &tiered));
        assert_eq!(expected, found);
    }
}
