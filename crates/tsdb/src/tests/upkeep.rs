//! Sealing, merging and retention by what they leave on disk.

use super::{NOW_MS, all, assert_same, floats, labels, open, put, select, small};
use crate::TsdbOptions;
use disk::{Dir, Faults};
use model::{
    Buckets, Exemplar, Histogram, Labels, Matcher, Metadata, MetricBatch, MetricKind, Span, TimeRange,
};
use std::time::Duration;
use store::{AgeLimits, MetricStore, QueryContext, RejectReason, StoreError};

const DAY_MS: i64 = 86_400_000;

fn dir() -> Dir {
    Dir::simulated(1, Faults::default())
}

/// Runs maintenance until it has nothing to do.
fn settle(store: &dyn MetricStore) {
    for i in 0..20 {
        store.maintain(NOW_MS + i * 10_000).unwrap();
    }
}

#[test]
fn an_idle_store_ends_with_one_part_a_day_and_an_empty_log() {
    let dir = dir();
    let store = open(&dir, small());
    for i in 0..40i64 {
        let samples = (0..50).map(|j| (NOW_MS - DAY_MS + (i * 50 + j) * 60_000, j as f64));
        put(&store, &floats(&labels("m", "a"), samples));
        store.maintain(NOW_MS).unwrap();
    }
    let before = all(&store);
    store.flush().unwrap();
    settle(&store);
    let stats = store.stats();
    let day = |at: i64| at.div_euclid(DAY_MS);
    let days = day(NOW_MS - DAY_MS + 1999 * 60_000) - day(NOW_MS - DAY_MS) + 1;
    assert_eq!((stats.parts, stats.active_series), (days as u64, 0));
    assert!(stats.wal_bytes < 300, "{}", stats.wal_bytes);
    assert_same(&all(&store), &before, "after merging");
    assert_eq!(stats.appended_samples, 2000);
    assert_eq!(dir.sub("parts").unwrap().list().unwrap().len(), days as usize);
}

#[test]
fn old_days_are_dropped_and_old_samples_hidden() {
    let dir = dir();
    let limits = AgeLimits::with_retention(Duration::from_secs(3 * 86_400));
    let options = TsdbOptions { limits, ..small() };
    let store = open(&dir, options);
    let series = labels("m", "a");
    for day in 0..3 {
        put(&store, &floats(&series, [(NOW_MS - day * DAY_MS, 1.0)]));
    }
    store.flush().unwrap();
    let parts = store.stats().parts;
    let later = NOW_MS + 2 * DAY_MS;
    let too_old = store.append(&floats(&series, [(NOW_MS - 2 * DAY_MS, 1.0)]), None, later).unwrap();
    assert_eq!(too_old.rejected[0].reason, RejectReason::TooOld);
    store.maintain(later - 3_600_000).unwrap();
    assert_eq!(store.stats().parts, parts, "a clock that has just jumped drops nothing");
    store.maintain(later).unwrap();
    assert!(store.stats().parts < parts);
    let left: Vec<i64> = all(&store)[0].1.timestamps_ms.clone();
    assert_eq!(left, [NOW_MS - DAY_MS, NOW_MS]);
}

#[test]
fn the_oldest_parts_give_way_to_the_size_limit() {
    let dir = dir();
    let options = TsdbOptions { size_bytes_max: Some(12_000), ..small() };
    let store = open(&dir, options);
    for day in 0..20 {
        let samples = (0..300).map(|i| (NOW_MS + (day - 30) * DAY_MS + i * 1000, (i * 7919 % 1000) as f64));
        put(&store, &floats(&labels("m", "a"), samples));
        store.flush().unwrap();
        store.maintain(NOW_MS).unwrap();
    }
    let stats = store.stats();
    assert!(stats.disk_bytes <= 12_000 && stats.parts > 3, "{stats:?}");
    assert_eq!(stats.time_range.unwrap().end, NOW_MS - 11 * DAY_MS + 299_000);
}

#[test]
fn deleted_samples_stay_gone_over_merges_and_starts() {
    let dir = dir();
    let mut store = open(&dir, small());
    let (a, b) = (labels("m", "a"), labels("m", "b"));
    for series in [&a, &b] {
        put(&store, &floats(series, (0..10).map(|i| (NOW_MS + i, 1.0))));
    }
    let only_a = vec![Matcher::equal("job", "a")];
    store.delete(std::slice::from_ref(&only_a), TimeRange::new(NOW_MS + 2, NOW_MS + 7)).unwrap();
    let expected = [NOW_MS, NOW_MS + 1, NOW_MS + 3, NOW_MS + 8, NOW_MS + 9];
    put(&store, &floats(&a, [(NOW_MS + 3, 5.0)]));
    for round in 0..3 {
        assert_eq!(select(&store, &only_a, TimeRange::ALL)[0].1.timestamps_ms, expected, "round {round}");
        settle(&store);
        assert_eq!(select(&store, &only_a, TimeRange::ALL)[0].1.values[2], 5.0);
        drop(store);
        store = open(&dir, small());
    }
    assert_eq!(all(&store)[1].1.len(), 10);
    store.delete(&[only_a], TimeRange::ALL).unwrap();
    let hosts = store.label_values("job", &[], TimeRange::ALL, &QueryContext::default()).unwrap();
    assert_eq!(hosts.to_strings(), ["b"]);
}

#[test]
fn descriptions_exemplars_and_batch_numbers_outlive_seals_and_starts() {
    let dir = dir();
    let mut store = open(&dir, small());
    let metadata = Metadata { kind: MetricKind::Counter, help: "Help.".into(), unit: "seconds".into() };
    let exemplar =
        Exemplar { labels: Labels::from_pairs([("trace_id", "x")]), timestamp_ms: NOW_MS, value: 0.25 };
    let mut batch = MetricBatch::default();
    batch.begin_with(labels("m", "a").as_ref());
    batch.sample(NOW_MS, 0, 1.0);
    batch.exemplar(exemplar.clone());
    batch.describe("m", metadata.clone());
    let id = model::BatchId { agent: "agent".into(), boot: 3, sequence: 9 };
    store.append(&batch, Some(&id), NOW_MS).unwrap().commit.wait().unwrap();
    for round in 0..3 {
        store.flush().unwrap();
        put(&store, &floats(&labels("m", "a"), [(NOW_MS + 1 + round, 1.0)]));
        drop(store);
        store = open(&dir, small());
        assert_eq!(store.metadata(None), [("m".to_owned(), metadata.clone())]);
        let found = store.exemplars(&[], TimeRange::ALL, &QueryContext::default()).unwrap();
        assert_eq!(found[0].exemplars, std::slice::from_ref(&exemplar));
        assert!(store.append(&batch, Some(&id), NOW_MS).unwrap().duplicate, "round {round}");
    }
}

#[test]
fn more_descriptions_and_exemplars_than_a_record_takes_do_not_stop_seals() {
    let dir = dir();
    let mut store = open(&dir, small());
    for round in 0..12 {
        let mut batch = floats(&labels("m", "a"), [(NOW_MS + round, 1.0)]);
        for i in 0..100 {
            let help = "h".repeat(64 << 10);
            batch.describe(&format!("family_{round}_{i}"), Metadata { help, ..Metadata::default() });
        }
        for i in 0..15 {
            let wide = Labels::from_pairs([("i", format!("{round}-{i}")), ("wide", "x".repeat(250_000))]);
            batch.begin_with(wide.as_ref());
            batch.exemplar(Exemplar { labels: Labels::default(), timestamp_ms: NOW_MS, value: 1.0 });
        }
        put(&store, &batch);
    }
    let exemplars =
        |store: &dyn MetricStore| store.exemplars(&[], TimeRange::ALL, &QueryContext::default()).unwrap();
    let (described, examples) = (store.metadata(None), exemplars(&store));
    let stats = store.stats();
    assert_eq!(described.len() as u64 + stats.dropped_descriptions, 1_200);
    assert_eq!(examples.len() as u64 + stats.dropped_exemplars, 180);
    assert!(stats.dropped_descriptions > 0 && stats.dropped_exemplars > 0, "{stats:?}");
    for _ in 0..2 {
        store.flush().unwrap();
        drop(store);
        store = open(&dir, small());
        assert!(store.metadata(None) == described && exemplars(&store) == examples);
        put(&store, &floats(&labels("m", "b"), [(NOW_MS + store.stats().parts as i64, 1.0)]));
    }
}

#[test]
fn a_state_that_finds_no_room_leaves_the_generation_as_it_was() {
    for write in 1..16 {
        let dir = dir();
        let store = open(&dir, small());
        let mut batch = floats(&labels("m", "a"), [(NOW_MS, 1.0)]);
        for i in 0..10 {
            batch.describe(&format!("family_{i}"), Metadata { help: "h".repeat(200), ..Metadata::default() });
        }
        put(&store, &batch);
        dir.set_faults(Faults { full_at_write: Some(write), ..Faults::default() });
        store.flush().ok();
        dir.set_faults(Faults::default());
        put(&store, &floats(&labels("m", "a"), [(NOW_MS + 1, 2.0)]));
        let before = all(&store);
        drop(store);
        let store = open(&dir.crash(), small());
        assert_same(&all(&store), &before, &format!("write {write}"));
        assert_eq!((store.metadata(None).len(), store.stats().damage), (10, Vec::new()), "write {write}");
    }
}

#[test]
fn a_head_that_cannot_be_sealed_pushes_back() {
    let dir = dir();
    let store = open(&dir, TsdbOptions { head_bytes_slack: 2_000, ..small() });
    let mut at = NOW_MS;
    let refused = (0..100).find_map(|_| {
        at += 100_000;
        let samples = (0..100).map(|i| (at + i * 7, (i * 7919 % 1013) as f64 / 7.0));
        store.append(&floats(&labels("m", "a"), samples), None, NOW_MS).err()
    });
    assert!(matches!(refused, Some(StoreError::Busy(_))), "{refused:?}");
    store.maintain(NOW_MS).unwrap();
    put(&store, &floats(&labels("m", "a"), [(at + 100_000, 1.0)]));
}

#[test]
fn late_histograms_count_with_their_buckets() {
    let store = open(&dir(), TsdbOptions::default());
    let histogram = |count: usize| Histogram {
        schema: 3,
        count: count as f64,
        positive: Buckets { spans: vec![Span { offset: 0, length: count as u32 }], counts: vec![1.0; count] },
        ..Histogram::default()
    };
    let mut batch = MetricBatch::default();
    batch.begin_with(labels("m", "a").as_ref());
    (0..100).for_each(|i| batch.histogram(NOW_MS - i, 0, histogram(300)));
    put(&store, &batch);
    let head_bytes = store.stats().head_bytes;
    assert!(head_bytes > 99 * 300 * size_of::<f64>() as u64, "{head_bytes}");
}

#[test]
fn a_store_is_opened_once() {
    let dir = dir();
    let store = open(&dir, small());
    assert!(crate::Tsdb::open(dir.clone(), small(), NOW_MS).is_err());
    drop(store);
    open(&dir, small());
}

#[test]
fn series_beyond_the_limit_are_refused() {
    let store = open(&dir(), TsdbOptions { series_max: 2, ..small() });
    for (job, is_taken) in [("a", true), ("b", true), ("c", false), ("a", true)] {
        let receipt = store.append(&floats(&labels("m", job), [(NOW_MS, 1.0)]), None, NOW_MS).unwrap();
        assert_eq!(receipt.rejected.is_empty(), is_taken, "{job}");
    }
}

struct SetOnDrop<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn nothing_is_missed_while_samples_move_from_memory_to_parts() {
    let store = open(&dir(), small());
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let acknowledged = std::sync::atomic::AtomicUsize::new(0);
    let (jobs, rounds) = (5, 120);
    let running = || !is_done.load(std::sync::atomic::Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for i in 0.. {
                if !running() {
                    break;
                }
                store.maintain(NOW_MS + i * 3_000).unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while running() {
                    let before = acknowledged.load(std::sync::atomic::Ordering::SeqCst);
                    let found: usize = all(&store).iter().map(|(_, samples)| samples.len()).sum();
                    assert!(found >= before, "{found} of {before} acknowledged samples");
                }
            });
        }
        // Also when an append panics, so that the threads end.
        let _done = SetOnDrop(&is_done);
        for round in 0..rounds {
            for job in 0..jobs {
                let samples = (0..7).map(|i| (NOW_MS + (round * 7 + i) * 15_000, i as f64));
                put(&store, &floats(&labels("m", &format!("job-{job}")), samples));
                acknowledged.fetch_add(7, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let found = all(&store);
    assert_eq!(found.len(), 5);
    assert!(found.iter().all(|(_, samples)| samples.len() == 7 * 120));
}

#[test]
fn failed_seals_leave_nothing_behind_and_are_done_again() {
    let dir = dir();
    let store = open(&dir, small());
    for day in 0..3 {
        put(&store, &floats(&labels("m", "a"), (0..50).map(|i| (NOW_MS + day * DAY_MS + i, i as f64))));
    }
    let before = all(&store);
    for operation in (1..60).step_by(3) {
        dir.set_faults(Faults {
            full_at_write: Some(operation % 20 + 1),
            fail_at_sync: None,
            ..Faults::default()
        });
        store.flush().ok();
        assert_same(&all(&store), &before, "after a failed seal");
    }
    dir.set_faults(Faults::default());
    store.flush().unwrap();
    assert_same(&all(&store), &before, "sealed at last");
    let names = dir.sub("parts").unwrap().list().unwrap();
    assert!(names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
    drop(store);
    assert_same(&all(&open(&dir, small())), &before, "opened again");
}

#[test]
fn on_a_full_disk_the_size_limit_is_still_kept() {
    let full = Dir::simulated(1, Faults::default());
    let series = labels("m", "a");
    let store = open(&full, small());
    for day in 0..3 {
        put(&store, &floats(&series, [(NOW_MS - day * DAY_MS, 1.0)]));
        store.flush().unwrap();
    }
    drop(store);
    let options = TsdbOptions { size_bytes_max: Some(1), head_age_max_ms: 0, ..small() };
    let store = open(&full, options);
    put(&store, &floats(&series, [(NOW_MS - 5, 2.0)]));
    full.set_faults(Faults { capacity_bytes: Some(1), ..Faults::default() });
    assert!(store.maintain(NOW_MS + 10).is_err(), "there is no room to seal");
    assert_eq!(store.stats().parts, 0, "the oldest parts went");
}

#[test]
fn a_batch_newest_first_is_told_apart_sample_by_sample() {
    let store = open(&dir(), small());
    let series = labels("m", "a");
    let newest_first = (0..1000).map(|i| (NOW_MS - i, i as f64));
    let again = (0..1000).map(|i| (NOW_MS - i, if i == 7 { -1.0 } else { i as f64 }));
    let receipt = store.append(&floats(&series, newest_first.chain(again)), None, NOW_MS).unwrap();
    assert_eq!((receipt.stored, receipt.rejected[0].count), (1999, 1));
    assert_eq!(all(&store)[0].1.len(), 1000);
}

#[test]
fn a_clock_that_jumps_ahead_and_comes_back_loses_nothing() {
    let dir = dir();
    let limits = AgeLimits::with_retention(Duration::from_secs(3 * 86_400));
    let options = TsdbOptions { limits, ..small() };
    let store = open(&dir, options);
    let series = labels("m", "a");
    for day in 0..3 {
        put(&store, &floats(&series, [(NOW_MS - day * DAY_MS, 1.0)]));
    }
    store.flush().unwrap();
    let before = all(&store);
    let ahead = NOW_MS + 4_000 * DAY_MS;
    for second in 0..60 {
        store.maintain(ahead + second * 1_000).unwrap();
    }
    assert_same(&all(&store), &[], "hidden while the clock says that it is old");
    store.maintain(NOW_MS + 1_000).unwrap();
    assert_same(&all(&store), &before, "the clock is right again");
    drop(store);
    let store = crate::Tsdb::open(dir.clone(), options, ahead).unwrap();
    // What the process writes of itself has the wrong time, too.
    store.append(&floats(&labels("own", "a"), [(ahead, 1.0)]), None, ahead).unwrap();
    for second in 0..60 {
        store.maintain(ahead + second * 1_000).unwrap();
    }
    store.maintain(NOW_MS + 2_000).unwrap();
    assert_same(&all(&store)[..before.len()], &before, "it was wrong at the start as well");
}

#[test]
fn a_backfill_of_many_years_makes_few_parts() {
    let dir = dir();
    let store = open(&dir, small());
    let days = 100_000;
    let series = labels("m", "a");
    for first in (0..days).step_by(20_000) {
        let samples = (first..first + 20_000).map(|day| (NOW_MS - (days - day) * DAY_MS, day as f64));
        put(&store, &floats(&series, samples));
        store.maintain(NOW_MS).unwrap();
    }
    store.flush().unwrap();
    assert!(store.stats().parts < 100, "{} parts", store.stats().parts);
    let before = all(&store);
    assert_eq!(before[0].1.len(), days as usize);
    settle(&store);
    assert!(store.stats().parts < 60, "{} parts", store.stats().parts);
    assert_same(&all(&store), &before, "merged");
    drop(store);
    assert_same(&all(&open(&dir, small())), &before, "opened again");
}

#[test]
fn a_snapshot_holds_what_was_acknowledged_and_outlives_what_comes_after() {
    let scratch = tempfile::tempdir().unwrap();
    for dir in [dir(), Dir::real(scratch.path()).unwrap()] {
        let store = open(&dir, small());
        for day in 0..3 {
            put(&store, &floats(&labels("m", "a"), (0..50).map(|i| (NOW_MS - day * DAY_MS + i, i as f64))));
        }
        store.flush().unwrap();
        put(&store, &floats(&labels("m", "b"), [(NOW_MS, 1.0)]));
        let metadata = Metadata { kind: MetricKind::Gauge, help: "Help.".into(), unit: String::new() };
        let mut batch = floats(&labels("m", "b"), [(NOW_MS + 1, 1.0)]);
        batch.describe("m", metadata.clone());
        put(&store, &batch);
        let before = all(&store);
        store.snapshot("first").unwrap();
        assert!(store.snapshot("first").is_err(), "a name is taken once");
        assert!(store.snapshot("../first").is_err());
        put(&store, &floats(&labels("m", "c"), [(NOW_MS, 1.0)]));
        store.delete(&[vec![Matcher::equal("job", "a")]], TimeRange::ALL).unwrap();
        settle(&store);
        assert_eq!(all(&store).len(), 2);
        let copy = dir.sub("snapshots").unwrap().sub("first").unwrap();
        let copy = open(&copy, small());
        assert_same(&all(&copy), &before, "the snapshot");
        assert_eq!(copy.metadata(None), [("m".to_owned(), metadata)]);
        put(&copy, &floats(&labels("m", "d"), [(NOW_MS, 1.0)]));
        drop(store);
        assert_eq!(all(&open(&dir, small())).len(), 2, "the snapshot is apart");
    }
}

/// A folder in the way of the name under which a part is removed.
fn obstruct(dir: &Dir, part: &str) -> Dir {
    let parts = dir.sub("parts").unwrap();
    let obstacle = parts.sub(&format!("{part}.tmp")).unwrap();
    obstacle.create("full").unwrap();
    parts
}

#[test]
fn a_part_that_cannot_be_removed_stays_gone_however_often_its_samples_are_merged() {
    let dir = dir();
    let store = open(&dir, small());
    let (a, b) = (labels("m", "a"), labels("m", "b"));
    put(&store, &floats(&a, (0..10).map(|i| (NOW_MS + i, 1.0))));
    put(&store, &floats(&b, (0..10).map(|i| (NOW_MS + i, 1.0))));
    store.flush().unwrap();
    let parts = dir.sub("parts").unwrap();
    let first = parts.list().unwrap().remove(0);
    obstruct(&dir, &first);
    store.delete(&[vec![Matcher::equal("job", "a")]], TimeRange::ALL).unwrap();
    for round in 1..6 {
        put(&store, &floats(&b, (0..10).map(|i| (NOW_MS + round * 100 + i, 1.0))));
        store.flush().unwrap();
        let end = store.maintain(NOW_MS + round * 60_000);
        assert!(round == 1 || matches!(end, Err(StoreError::Io(_))), "round {round}: {end:?}");
    }
    assert!(parts.list().unwrap().contains(&first), "nothing was in the way");
    assert!(store.stats().merges > 1, "{:?}", store.stats());
    let before = all(&store);
    drop(store);
    let store = open(&dir, small());
    assert_same(&all(&store), &before, "after a start");
    assert_eq!(before.len(), 1, "the deleted series came back");
    assert!(!parts.list().unwrap().contains(&first));
}

#[test]
fn what_was_deleted_stays_deleted_though_a_part_that_had_it_cannot_be_removed() {
    let (dir, all_of_it) = (dir(), [vec![Matcher::equal("job", "b")]]);
    let store = open(&dir, small());
    let fill = |round: i64| {
        let samples = (0..10).map(|i| (NOW_MS + round * 100 + i, 1.0));
        put(&store, &floats(&labels("m", "b"), samples));
        store.flush().unwrap();
    };
    fill(0);
    let first = dir.sub("parts").unwrap().list().unwrap().remove(0);
    let parts = obstruct(&dir, &first);
    for round in 1..6 {
        fill(round);
        store.maintain(NOW_MS + round * 60_000).ok();
    }
    assert!(store.stats().merges > 1, "{:?}", store.stats());
    store.delete(&all_of_it, TimeRange::ALL).unwrap();
    for round in 6..12 {
        store.maintain(NOW_MS + round * 60_000).ok();
    }
    assert_eq!(all(&store).len(), 0);
    let left = parts.list().unwrap();
    assert!(left.contains(&first) && left.len() <= 3, "no more than what has to stay: {left:?}");
    let waits = store.delete(&all_of_it, TimeRange::ALL);
    assert!(matches!(waits, Err(StoreError::Io(_))), "a part that nothing names: {waits:?}");
    drop(store);
    let store = open(&dir, small());
    assert_eq!(all(&store).len(), 0, "what was deleted came back");
    store.delete(&all_of_it, TimeRange::ALL).unwrap();
}

#[test]
fn a_part_is_removed_once_nothing_is_in_the_way() {
    let dir = dir();
    let store = open(&dir, small());
    put(&store, &floats(&labels("m", "a"), (0..10).map(|i| (NOW_MS + i, 1.0))));
    store.flush().unwrap();
    let first = dir.sub("parts").unwrap().list().unwrap().remove(0);
    let parts = obstruct(&dir, &first);
    store.maintain(NOW_MS + 10_000).ok();
    store.maintain(NOW_MS + 20_000).unwrap_err();
    parts.remove_all(&format!("{first}.tmp")).unwrap();
    store.maintain(NOW_MS + 30_000).unwrap();
    assert_eq!(parts.list().unwrap().len(), 1);
}

/// A part that a seal or a merge has published and then cannot open.
#[test]
fn a_part_that_cannot_be_shown_is_taken_back() {
    let unreadable = Faults { unreadable: Some("index"), ..Faults::default() };
    let only_a = vec![Matcher::equal("job", "a")];
    for flushes_before in 0..2 {
        let dir = dir();
        let store = open(&dir, small());
        for job in ["a", "b"] {
            put(&store, &floats(&labels("m", job), (0..10).map(|i| (NOW_MS + i, 1.0))));
        }
        for i in 0..flushes_before {
            put(&store, &floats(&labels("m", "b"), [(NOW_MS + 100 + i, 1.0)]));
            store.flush().unwrap();
        }
        let before = dir.sub("parts").unwrap().list().unwrap();
        dir.set_faults(unreadable.clone());
        // With everything sealed it is the merge of a part that was coded in haste.
        assert!(store.maintain(NOW_MS + 10_000_000_000).is_err() || store.flush().is_err());
        dir.set_faults(Faults::default());
        assert_eq!(dir.sub("parts").unwrap().list().unwrap(), before, "{flushes_before} flushes");
        store.delete(std::slice::from_ref(&only_a), TimeRange::ALL).unwrap();
        settle(&store);
        drop(store);
        let left = all(&open(&dir, small()));
        assert_eq!((left.len(), left[0].1.len()), (1, 10 + flushes_before as usize));
    }
}

#[test]
fn an_exemplar_too_wide_to_be_kept_is_refused_and_stops_nothing() {
    let dir = dir();
    let store = open(&dir, small());
    let wide = |values: &str| Labels::from_pairs((0..200).map(|i| (format!("l{i}"), values.repeat(60_000))));
    let mut batch = floats(&labels("m", "a"), [(NOW_MS, 1.0)]);
    batch.begin_with(wide("x").as_ref());
    for labels in [wide("y"), Labels::default()] {
        batch.exemplar(Exemplar { labels, timestamp_ms: NOW_MS, value: 1.0 });
    }
    batch.begin_with(labels("m", "b").as_ref());
    batch.exemplar(Exemplar { labels: labels("trace", "c"), timestamp_ms: NOW_MS, value: 1.0 });
    let receipt = store.append(&batch, None, NOW_MS).unwrap();
    receipt.commit.wait().unwrap();
    let [refused] = receipt.rejected.as_slice() else { panic!("{:?}", receipt.rejected) };
    assert_eq!((refused.reason, refused.count), (RejectReason::InvalidLabels, 2));
    assert!(refused.example.contains("262144"), "{}", refused.example);
    store.flush().unwrap();
    assert_eq!(all(&store).len(), 1);
}
