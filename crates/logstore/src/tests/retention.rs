//! What is kept and for how long: in general, by selector, by size, and when clocks are wrong.

use super::{SMALL, options};
use crate::{Logstore, LogstoreOptions, StreamRetention};
use disk::{Dir, Faults};
use model::{Labels, LogBatch, Matcher, TimeRange};
use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};
use store::{AgeLimits, CountRequest, Direction, LogRequest, LogStore, QueryContext, RejectReason, Row};

const HOUR: i64 = 3_600_000_000_000;
const DAY: i64 = 24 * HOUR;
/// When the tests begin.
const NOW: i64 = 20_000 * DAY;

fn rule(app: &str, days: Option<u64>) -> StreamRetention {
    let age = days.map(|days| Duration::from_secs(days * 86_400));
    StreamRetention { matchers: vec![Matcher::equal("app", app)], age }
}

fn kept_ten_days() -> LogstoreOptions {
    let retention = Some(Duration::from_secs(10 * 86_400));
    LogstoreOptions { limits: AgeLimits { retention, future_max: None }, ..options() }
}

fn open(dir: &Dir, options: LogstoreOptions, now_ns: i64) -> Logstore {
    Logstore::open_shaped(dir.clone(), options, SMALL, now_ns).unwrap()
}

/// A line an hour of each application, for `hours` up to `now`.
fn append(store: &Logstore, apps: &[&str], hours: i64, now_ns: i64) -> u64 {
    let mut batch = LogBatch::default();
    for app in apps {
        batch.begin_with(Labels::from_pairs([("app", *app)]).as_ref());
        for hour in 0..hours {
            let text = format!("{app} says hello {hour} hours ago, at some length");
            batch.entry(now_ns - hour * HOUR, &text, Labels::empty().as_ref());
        }
    }
    let receipt = store.append(&batch, None, now_ns).unwrap();
    receipt.commit.wait().unwrap();
    receipt.stored
}

/// Lines by application, by a scan; checked against counts and stream listings.
fn lines(store: &Logstore) -> BTreeMap<String, u64> {
    let context = QueryContext::default();
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let scan = store.scan(&request, &context).unwrap();
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            *found.entry(row.labels.value("app").to_owned()).or_default() += 1;
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).unwrap();
    }
    let request = CountRequest {
        matchers: Vec::new(),
        range: TimeRange::new(0, i64::MAX),
        step_ns: 7 * HOUR,
        by: vec!["app".into()],
    };
    let mut counted: BTreeMap<String, u64> = BTreeMap::new();
    for bucket in store.counts(&request, &context).unwrap() {
        *counted.entry(bucket.group.value("app").to_owned()).or_default() += bucket.rows;
    }
    assert_eq!(counted, found);
    let streams = store.streams(&[], TimeRange::ALL, &context).unwrap();
    let named: Vec<&str> = streams.iter().map(|labels| labels.value("app")).collect();
    assert_eq!(named, found.keys().map(String::as_str).collect::<Vec<_>>());
    found
}

#[test]
fn streams_are_kept_as_their_rule_says() {
    let dir = Dir::simulated(1, Faults::default());
    let options = LogstoreOptions {
        stream_retention: vec![rule("audit", None), rule("debug", Some(1))],
        ..kept_ten_days()
    };
    let store = open(&dir, options.clone(), NOW);
    let apps = ["audit", "debug", "web"];
    append(&store, &apps, 24 * 4, NOW);
    let all = |store: &Logstore, audit: u64, debug: u64, web: u64| {
        let expected = [("audit", audit), ("debug", debug), ("web", web)];
        let expected = expected.into_iter().filter(|(_, rows)| *rows > 0);
        assert_eq!(lines(store), expected.map(|(app, rows)| (app.to_owned(), rows)).collect());
    };
    // Lines older than their rule are refused: of an audit log none.
    all(&store, 96, 25, 96);
    store.flush().unwrap();
    for day in 1..=20 {
        let now = NOW + day * DAY;
        append(&store, &["web"], 1, now);
        store.maintain(now, now).unwrap();
        let web = (1..=day).filter(|&other| other >= day - 10).count() as u64;
        let old_web = if day <= 6 { 96 } else { (240 - day * 24 + 1).clamp(0, 96) as u64 };
        all(&store, 96, u64::from(day == 1), web + old_web);
    }
    let bytes = store.stats().bytes;
    assert!(bytes < 5200, "what has expired is gone from disk: {bytes} bytes");
    drop(store);
    all(&open(&dir, options, NOW + 20 * DAY), 96, 0, 11);
}

#[test]
fn a_rule_may_keep_what_others_refuse() {
    let dir = Dir::simulated(1, Faults::default());
    let options = LogstoreOptions { stream_retention: vec![rule("audit", Some(100))], ..kept_ten_days() };
    let store = open(&dir, options, NOW);
    let mut batch = LogBatch::default();
    for app in ["audit", "web"] {
        batch.begin_with(Labels::from_pairs([("app", app)]).as_ref());
        batch.entry(NOW - 50 * DAY, "an old line", Labels::empty().as_ref());
    }
    let receipt = store.append(&batch, None, NOW).unwrap();
    assert_eq!((receipt.stored, receipt.rejected.len()), (1, 1));
    assert_eq!(receipt.rejected[0].reason, RejectReason::TooOld);
}

#[test]
fn a_clock_that_jumps_ahead_drops_nothing() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, kept_ten_days(), NOW);
    append(&store, &["web"], 48, NOW);
    let years_ahead = NOW + 20 * 365 * DAY;
    for _ in 0..3 {
        store.maintain(years_ahead, years_ahead).unwrap();
        assert_eq!(lines(&store)["web"], 48);
    }
    drop(store);
    let store = open(&dir, kept_ten_days(), years_ahead);
    store.maintain(years_ahead, years_ahead).unwrap();
    assert_eq!(lines(&store)["web"], 48, "nor when it is wrong at the start");
    // The clock is right again, and ten days later what is old goes.
    append(&store, &["web"], 1, NOW + 10 * DAY);
    store.maintain(NOW + 10 * DAY, NOW + 10 * DAY).unwrap();
    assert_eq!(lines(&store)["web"], 2, "the line of then and that of now");
}

#[test]
fn a_clock_that_is_not_believed_makes_flushes_due_all_the_same() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, kept_ten_days(), NOW);
    append(&store, &["web"], 48, NOW);
    store.maintain(NOW + DAY, NOW).unwrap();
    assert_eq!((store.stats().parts > 0, lines(&store)["web"]), (true, 48));
}

#[test]
fn a_clock_that_goes_back_keeps_everything_and_takes_lines() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, kept_ten_days(), NOW);
    append(&store, &["web"], 48, NOW);
    let years_back = NOW - 10 * 365 * DAY;
    assert_eq!(append(&store, &["web"], 1, years_back), 1);
    store.maintain(years_back, years_back).unwrap();
    assert_eq!(lines(&store)["web"], 49);
}

#[test]
fn the_oldest_days_go_when_there_is_too_much() {
    let dir = Dir::simulated(1, Faults::default());
    let options = LogstoreOptions { size_bytes_max: Some(60_000), ..options() };
    let store = open(&dir, options, NOW);
    for day in 0..40 {
        append(&store, &["a", "b"], 24, NOW + day * DAY);
        store.flush().unwrap();
        store.maintain(NOW + day * DAY, NOW + day * DAY).unwrap();
    }
    let stats = store.stats();
    assert!(stats.disk_bytes <= 60_000 && stats.disk_bytes > 20_000, "{stats:?}");
    let context = QueryContext::default();
    let young = TimeRange::new(NOW + 38 * DAY, i64::MAX);
    assert_eq!(store.selection_stats(&[], young, &context).unwrap().entries, 2 * (1 + 24));
    let old = TimeRange::new(0, NOW + 5 * DAY);
    assert_eq!(store.selection_stats(&[], old, &context).unwrap().entries, 0);
}
