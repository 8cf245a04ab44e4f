//! Downsampled tiers against buckets computed from the samples that went in.

use super::{NOW_MS, everything, floats, labels, open, put, small};
use crate::{
    TierAges, Tsdb, TsdbOptions,
    codec::Effort,
    part::{Origin, Part, PartWriter, name_of},
    store_impl::lock,
    tiers::Place,
};
use disk::{Dir, Faults};
use model::{Labels, Samples, TimeRange};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};
use store::{AgeLimits, Aggregate, MetricStore, QueryContext, Selection, StoreError};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// Three days raw, buckets for ever.
fn tiered() -> TsdbOptions {
    TsdbOptions {
        limits: AgeLimits::with_retention(Duration::from_secs(3 * 86_400)),
        tiers: TierAges { five_minutes: Some(Duration::MAX), one_hour: Some(Duration::MAX) },
        ..small()
    }
}

fn read(store: &dyn MetricStore, aggregate: Aggregate, step_ms: i64) -> BTreeMap<Labels, Vec<(i64, f64)>> {
    let context = QueryContext::default();
    let selection = Selection { matchers: everything(), range: TimeRange::ALL, step_ms };
    let set = store.select_aggregate(&selection, aggregate, &context).unwrap();
    let mut found = BTreeMap::new();
    for index in 0..set.len() {
        let mut samples = Samples::default();
        set.read(index, &context, &mut samples).unwrap();
        let pairs = samples.timestamps_ms.iter().copied().zip(samples.values.iter().copied()).collect();
        found.insert(set.labels(index).clone(), pairs);
    }
    found
}

/// Lets raw retention end for everything written until now, and the clock be believed.
fn expire(store: &dyn MetricStore) {
    store.flush().unwrap();
    for hour in 0..3 {
        store.maintain(NOW_MS + 10 * DAY_MS + hour * HOUR_MS).unwrap();
    }
}

fn buckets(samples: &BTreeMap<i64, f64>, resolution_ms: i64) -> Vec<Vec<(i64, f64)>> {
    let mut buckets: BTreeMap<i64, Vec<(i64, f64)>> = BTreeMap::new();
    for (&at, &value) in samples {
        buckets.entry(at.div_euclid(resolution_ms)).or_default().push((at, value));
    }
    buckets.into_values().collect()
}

fn expected(samples: &BTreeMap<i64, f64>, resolution_ms: i64, aggregate: Aggregate) -> Vec<(i64, f64)> {
    let value_of = |bucket: &Vec<(i64, f64)>| {
        let values = || bucket.iter().map(|(_, value)| *value);
        match aggregate {
            Aggregate::Min => values().fold(f64::INFINITY, f64::min),
            Aggregate::Max => values().fold(f64::NEG_INFINITY, f64::max),
            Aggregate::Sum => values().sum(),
            Aggregate::Count => bucket.len() as f64,
            Aggregate::Last => bucket[bucket.len() - 1].1,
        }
    };
    let buckets = buckets(samples, resolution_ms);
    buckets.iter().map(|bucket| (bucket[bucket.len() - 1].0, value_of(bucket))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn buckets_are_those_of_the_samples_that_went_in(
        series in prop::collection::vec(
            prop::collection::btree_map(0i64..2 * DAY_MS, -50i64..50, 1..80),
            1..4,
        ),
    ) {
        let dir = Dir::simulated(1, Faults::default());
        let store = open(&dir, tiered());
        let mut written: BTreeMap<Labels, BTreeMap<i64, f64>> = BTreeMap::new();
        for (number, samples) in series.iter().enumerate() {
            let labels = labels("m", &format!("job-{number}"));
            let samples: BTreeMap<i64, f64> =
                samples.iter().map(|(back, value)| (NOW_MS - back, *value as f64)).collect();
            put(&store, &floats(&labels, samples.iter().map(|(at, value)| (*at, *value))));
            written.insert(labels, samples);
        }
        prop_assert_eq!(store.resolution_ms(TimeRange::ALL, HOUR_MS), 0);
        expire(&store);
        drop(store);
        let store = open(&dir, tiered());
        for (step_ms, resolution_ms) in [(0, 300_000), (60_000, 300_000), (300_000, 300_000), (HOUR_MS, HOUR_MS)] {
            prop_assert_eq!(store.resolution_ms(TimeRange::ALL, step_ms), resolution_ms);
            for aggregate in [Aggregate::Min, Aggregate::Max, Aggregate::Sum, Aggregate::Count] {
                let found = read(&store, aggregate, step_ms);
                for (labels, samples) in &written {
                    prop_assert_eq!(&found[labels], &expected(samples, resolution_ms, aggregate), "{:?}", aggregate);
                }
            }
            let found = read(&store, Aggregate::Last, step_ms);
            for (labels, samples) in &written {
                let kept: BTreeMap<i64, f64> = found[labels].iter().copied().collect();
                prop_assert!(kept.iter().all(|(at, value)| samples.get(at) == Some(value)), "made up");
                for last in expected(samples, resolution_ms, Aggregate::Last) {
                    prop_assert_eq!(kept.get(&last.0), Some(&last.1));
                }
            }
        }
    }
}

/// How much a counter has grown, restarts counted from zero.
fn increase(values: impl Iterator<Item = f64>) -> f64 {
    let mut before = None;
    let grown = values.map(|value| match before.replace(value) {
        None => 0.0,
        Some(before) if value < before => value,
        Some(before) => value - before,
    });
    grown.sum()
}

#[test]
fn a_counter_that_restarts_grows_by_as_much_in_every_tier() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, tiered());
    let series = labels("requests_total", "a");
    let (mut value, mut samples) = (0.0, BTreeMap::new());
    for i in 0..4_000i64 {
        value = if i % 333 == 0 { 1.0 } else { value + (i % 7) as f64 };
        samples.insert(NOW_MS - 2 * DAY_MS + i * 15_000, value);
    }
    put(&store, &floats(&series, samples.iter().map(|(at, value)| (*at, *value))));
    expire(&store);
    for step_ms in [300_000, HOUR_MS] {
        let found = read(&store, Aggregate::Last, step_ms);
        let first = found[&series][0].0;
        let found = increase(found[&series].iter().map(|(_, value)| *value));
        let expected = increase(samples.range(first..).map(|(_, value)| *value));
        assert_eq!(found, expected, "step {step_ms}");
    }
}

fn counted(store: &dyn MetricStore) -> f64 {
    [0, HOUR_MS]
        .map(|step_ms| read(store, Aggregate::Count, step_ms).values().flatten().map(|(_, n)| n).sum::<f64>())
        .into_iter()
        .reduce(|a, b| {
            assert_eq!(a, b, "both tiers hold the same");
            a
        })
        .unwrap_or_default()
}

/// Two days of samples, sealed. 600 in all.
fn filled(dir: &Dir) -> Tsdb {
    filled_days(dir, 2)
}

fn filled_days(dir: &Dir, days: i64) -> Tsdb {
    let store = open(dir, tiered());
    for job in ["a", "b"] {
        for day in 1..=days {
            let samples = (0..150).map(|i| (NOW_MS - day * DAY_MS + i * 60_000, (i % 11) as f64));
            put(&store, &floats(&labels("m", job), samples));
        }
    }
    store.flush().unwrap();
    store
}

#[test]
fn a_power_cut_while_folding_neither_loses_nor_doubles() {
    let mut folds = 0;
    for halt in (1..200).step_by(4) {
        let dir = Dir::simulated(halt, Faults::default());
        let store = filled(&dir);
        store.maintain(NOW_MS + 10 * DAY_MS).unwrap();
        dir.set_faults(Faults { halt_at_operation: Some(halt), ..Faults::default() });
        let end = store.maintain(NOW_MS + 10 * DAY_MS + HOUR_MS);
        folds += u64::from(end.is_ok());
        let dir = dir.crash();
        drop(store);
        let store = Tsdb::open(dir.clone(), tiered(), NOW_MS).unwrap();
        assert_eq!(counted(&store), 600.0, "cut at {halt}");
        assert_eq!(store.stats().damage, Vec::<String>::new(), "cut at {halt}");
        expire(&store);
        assert_eq!(counted(&store), 600.0, "cut at {halt}, folded again");
        assert_eq!(store.resolution_ms(TimeRange::ALL, HOUR_MS), HOUR_MS);
    }
    assert!(folds < 40, "most cuts must come before the end");
}

#[test]
fn raw_samples_come_first_and_both_are_counted() {
    let dir = Dir::simulated(1, Faults::default());
    let store = filled(&dir);
    expire(&store);
    let later = NOW_MS + 10 * DAY_MS;
    let fresh = floats(&labels("m", "a"), (0..20).map(|i| (later + i * 1_000, 1.0)));
    store.append(&fresh, None, later + HOUR_MS).unwrap().commit.wait().unwrap();
    assert_eq!(counted(&store), 620.0);
    assert_eq!(store.resolution_ms(TimeRange::new(later, i64::MAX), HOUR_MS), 0, "raw only");
    let raw = read(&store, Aggregate::Max, HOUR_MS)[&labels("m", "a")].clone();
    assert_eq!(raw.iter().filter(|(at, _)| *at >= later).count(), 20);
    let stats = store.stats();
    assert!(stats.tier_bytes > 0 && stats.tier_bytes < stats.disk_bytes, "{stats:?}");
    assert_eq!(stats.time_range.unwrap().start, NOW_MS - 2 * DAY_MS + first_bucket_end());
    let names = store.label_values("job", &[], TimeRange::new(0, NOW_MS), &QueryContext::default()).unwrap();
    assert_eq!(names.to_strings(), ["a", "b"], "series that only the tiers know are listed");
}

/// From the first sample of [`filled`] to the last one of its bucket of five minutes.
fn first_bucket_end() -> i64 {
    let first = NOW_MS - 2 * DAY_MS;
    let end = first.div_euclid(300_000) * 300_000 + 300_000;
    (end - 1 - first) / 60_000 * 60_000
}

#[test]
fn deletions_and_retention_reach_the_tiers() {
    let dir = Dir::simulated(1, Faults::default());
    let store = filled(&dir);
    expire(&store);
    let only_a = vec![model::Matcher::equal("job", "a")];
    store.delete(&[only_a], TimeRange::ALL).unwrap();
    assert_eq!(counted(&store), 300.0);
    expire(&store);
    assert_eq!(counted(&store), 300.0, "merged");
    drop(store);
    let month = Some(Duration::from_secs(30 * 86_400));
    let options =
        TsdbOptions { tiers: TierAges { five_minutes: month, one_hour: Some(Duration::MAX) }, ..tiered() };
    let store = open(&dir, options);
    for hour in 0..3 {
        store.maintain(NOW_MS + 60 * DAY_MS + hour * HOUR_MS).unwrap();
    }
    assert_eq!(store.resolution_ms(TimeRange::ALL, 0), HOUR_MS, "the finer tier's time is over");
    let counts = read(&store, Aggregate::Count, 0);
    assert_eq!(counts.values().flatten().map(|(_, n)| n).sum::<f64>(), 300.0);
}

#[test]
fn the_size_limit_leaves_buckets_and_holds() {
    let dir = Dir::simulated(1, Faults::default());
    let options = TsdbOptions { limits: AgeLimits::NONE, size_bytes_max: Some(20_000), ..tiered() };
    let store = open(&dir, options);
    for day in 0..40 {
        let samples = (0..600).map(|i| (NOW_MS + day * DAY_MS + i * 60_000, (i * 7919 % 1000) as f64));
        put(&store, &floats(&labels("m", "a"), samples));
        store.flush().unwrap();
        store.maintain(NOW_MS + (day + 1) * DAY_MS).unwrap();
    }
    let stats = store.stats();
    assert!(stats.disk_bytes <= 20_000 && stats.folds > 3, "{stats:?}");
    assert!(stats.tier_bytes <= 10_000, "{stats:?}");
}

#[test]
fn a_coarser_tier_that_came_later_does_not_hide_what_only_the_finer_one_has() {
    let dir = Dir::simulated(1, Faults::default());
    let finer = TsdbOptions { tiers: TierAges { one_hour: None, ..tiered().tiers }, ..tiered() };
    let store = open(&dir, finer);
    let early = (0..600).map(|i| (NOW_MS - 2 * DAY_MS + i * 60_000, 1.0));
    put(&store, &floats(&labels("m", "a"), early));
    expire(&store);
    drop(store);
    let later_ms = NOW_MS + 20 * DAY_MS;
    let store = Tsdb::open(dir.clone(), tiered(), later_ms).unwrap();
    let batch = floats(&labels("m", "a"), (0..600).map(|i| (later_ms - DAY_MS + i * 60_000, 1.0)));
    store.append(&batch, None, later_ms).unwrap().commit.wait().unwrap();
    store.flush().unwrap();
    for hour in 0..3 {
        store.maintain(later_ms + 10 * DAY_MS + hour * HOUR_MS).unwrap();
    }
    assert_eq!(store.stats().tier_bytes > 0, store.resolution_ms(TimeRange::ALL, HOUR_MS) == HOUR_MS);
    assert_eq!(counted(&store), 1200.0);
}

/// What may go wrong in the one fold of a day: a write or a sync, whose parts have some 30 and 60.
fn faults_of_a_fold() -> Vec<Faults> {
    let full = (1..36).map(|write| Faults { full_at_write: Some(write), ..Faults::default() });
    let failing = (1..36).map(|write| Faults { fail_at_write: Some(write), ..Faults::default() });
    let unsynced = (1..80).map(|sync| Faults { fail_at_sync: Some(sync), ..Faults::default() });
    full.chain(failing).chain(unsynced).collect()
}

/// A store of a day, 300 samples, whose fold has met these faults, and whether it has failed.
fn folded_with(faults: &Faults) -> (Dir, Tsdb, bool) {
    let dir = Dir::simulated(1, Faults::default());
    let store = filled_days(&dir, 1);
    store.maintain(NOW_MS + 10 * DAY_MS).unwrap();
    dir.set_faults(faults.clone());
    let has_failed = store.maintain(NOW_MS + 10 * DAY_MS + HOUR_MS).is_err();
    (dir, store, has_failed)
}

#[test]
fn a_fold_that_fails_anywhere_leaves_nothing_that_comes_back() {
    let mut failed = 0;
    for faults in faults_of_a_fold() {
        let (dir, store, has_failed) = folded_with(&faults);
        failed += u64::from(has_failed);
        dir.set_faults(Faults::default());
        assert_eq!(counted(&store), 300.0, "{faults:?}");
        expire(&store);
        assert_eq!(store.resolution_ms(TimeRange::ALL, HOUR_MS), HOUR_MS, "{faults:?}: folded in the end");
        store.delete(&[vec![model::Matcher::equal("job", "a")]], TimeRange::ALL).unwrap();
        drop(store);
        let store = open(&dir, tiered());
        assert_eq!(counted(&store), 150.0, "{faults:?}: after a start");
        assert_eq!(store.stats().damage, Vec::<String>::new(), "{faults:?}");
    }
    assert!((90..140).contains(&failed), "{failed} failed: each place and some beyond");
}

#[test]
fn a_power_cut_after_a_fold_that_failed_neither_loses_nor_doubles() {
    for faults in faults_of_a_fold() {
        let (dir, store, _) = folded_with(&faults);
        let dir = dir.crash();
        drop(store);
        let store = open(&dir, tiered());
        assert_eq!(counted(&store), 300.0, "{faults:?}");
        expire(&store);
        assert_eq!(counted(&store), 300.0, "{faults:?}: folded again");
    }
}

#[test]
fn a_part_of_a_failed_fold_that_cannot_be_removed_keeps_folds_and_deletions_waiting() {
    let dir = Dir::simulated(1, Faults::default());
    let store = filled(&dir);
    store.maintain(NOW_MS + 10 * DAY_MS).unwrap();
    // As a fold leaves it that failed behind its first part.
    let place = Place::Tier(0, Aggregate::Count);
    let list = store.dir_of(place).unwrap();
    let mut maintenance = lock(&store.maintenance);
    let mut writer = PartWriter::new(list, maintenance.take_id(), Effort::Quick).unwrap();
    let mut samples = Samples::default();
    samples.push(NOW_MS - DAY_MS, 0, &model::Value::Float(9.0));
    writer.add(labels("m", "a").as_ref(), &samples).unwrap();
    let folds = store.view().parts.iter().map(Part::id).collect();
    let id = writer.publish(Origin { folds, ..Origin::default() }).unwrap();
    let in_the_way = format!("{}.tmp", name_of(id));
    list.sub(&in_the_way).unwrap().create("full").unwrap();
    store.take_back(&mut maintenance, &[(place, id)]);
    drop(maintenance);
    let only_a = vec![model::Matcher::equal("job", "a")];
    for hour in 1..4 {
        assert!(store.maintain(NOW_MS + 10 * DAY_MS + hour * HOUR_MS).is_err());
        assert!(store.delete(std::slice::from_ref(&only_a), TimeRange::ALL).is_err());
    }
    assert_eq!((counted(&store), store.stats().folds), (600.0, 0));
    list.remove_all(&in_the_way).unwrap();
    expire(&store);
    drop(store);
    let store = open(&dir, tiered());
    assert_eq!(counted(&store), 600.0, "after a start");
    assert_eq!(store.resolution_ms(TimeRange::ALL, HOUR_MS), HOUR_MS);
}

#[test]
fn a_fold_that_finds_no_room_keeps_neither_the_size_limit_nor_seals_from_being_kept() {
    let dir = Dir::simulated(1, Faults::default());
    drop(filled(&dir));
    let used = || dir.bytes_used().unwrap();
    let options = TsdbOptions { size_bytes_max: Some(used() + 200), head_age_max_ms: 0, ..tiered() };
    let store = open(&dir, options);
    let later = NOW_MS + 10 * DAY_MS;
    store.maintain(later).unwrap();
    let batch = floats(&labels("m", "c"), (0..300).map(|i| (later + i, (i * 7919 % 1000) as f64)));
    store.append(&batch, None, later).unwrap().commit.wait().unwrap();
    dir.set_faults(Faults { capacity_bytes: Some(used()), ..Faults::default() });
    let before = store.stats();
    let end = store.maintain(later + HOUR_MS);
    let after = store.stats();
    assert!(end.is_err(), "there is no room for the fold");
    assert!(after.disk_bytes < before.disk_bytes, "the oldest parts went all the same");
    assert_eq!((before.seals, after.seals), (0, 1), "and made room for the seal");
    assert!(read(&store, Aggregate::Last, 0).contains_key(&labels("m", "c")));
}

#[test]
fn the_size_limit_drops_nothing_without_a_fold_but_for_want_of_room() {
    let dir = Dir::simulated(1, Faults::default());
    drop(filled(&dir));
    let store = open(&dir, TsdbOptions { size_bytes_max: Some(1_000), ..tiered() });
    dir.set_faults(Faults { fail_at_write: Some(1), ..Faults::default() });
    assert!(store.maintain(NOW_MS + 1).is_err());
    assert_eq!(counted(&store), 600.0, "a failed write is no reason to drop");
}

#[test]
fn a_seal_that_failed_for_another_reason_than_room_drops_nothing() {
    let dir = Dir::simulated(1, Faults::default());
    drop(filled(&dir));
    let store = open(&dir, TsdbOptions { size_bytes_max: Some(1), ..tiered() });
    put(&store, &floats(&labels("m", "c"), (0..10).map(|i| (NOW_MS + i, 1.0))));
    // The log's new segment and state, then the part.
    dir.set_faults(Faults { fail_at_write: Some(3), ..Faults::default() });
    assert!(matches!(store.flush(), Err(StoreError::Io(_))));
    dir.set_faults(Faults::default());
    store.maintain(NOW_MS + 1).unwrap();
    assert_eq!((counted(&store), store.stats().time_range.is_some()), (610.0, true), "all of it is folded");
}

#[test]
fn samples_of_a_part_that_cannot_be_removed_are_folded_once() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, tiered());
    let every_other = |first: i64| {
        let at = |i: i64| NOW_MS - DAY_MS + (2 * i + first) * 60_000;
        floats(&labels("m", "a"), (0..150).map(move |i| (at(i), 1.0)))
    };
    put(&store, &every_other(0));
    store.flush().unwrap();
    let parts = dir.sub("parts").unwrap();
    let first = parts.list().unwrap().remove(0);
    parts.sub(&format!("{first}.tmp")).unwrap().create("full").unwrap();
    put(&store, &every_other(1));
    store.flush().unwrap();
    for round in 1..6 {
        store.maintain(NOW_MS + 3 * HOUR_MS + round * 60_000).ok();
    }
    assert!(store.stats().merges > 0 && store.stats().folds == 0, "{:?}", store.stats());
    for hour in 0..3 {
        store.maintain(NOW_MS + 10 * DAY_MS + hour * HOUR_MS).ok();
    }
    assert_eq!(counted(&store), 300.0, "{:?}", store.stats());
    assert!(store.stats().folds > 0 && parts.list().unwrap().contains(&first), "{:?}", store.stats());
    drop(store);
    let store = open(&dir, tiered());
    assert_eq!(parts.list().unwrap(), [""; 0], "after a start");
    expire(&store);
    assert_eq!(counted(&store), 300.0, "folded again");
}
