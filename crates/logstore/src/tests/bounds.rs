//! Input that tries the bounds: it is taken or refused with a reason, and memory stays small.

use super::{SMALL, options};
use crate::{Logstore, LogstoreOptions};
use disk::{Dir, Faults};
use model::{Labels, LogBatch, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LineFilter, LogRequest, LogStore, QueryContext, Receipt, RejectReason, Row};

const DAY: i64 = 86_400_000_000_000;

fn open(options: LogstoreOptions) -> Logstore {
    Logstore::open_shaped(Dir::simulated(1, Faults::default()), options, SMALL, 0).unwrap()
}

fn append(store: &Logstore, batch: &LogBatch) -> Receipt {
    let receipt = store.append(batch, None, 0).unwrap();
    receipt.commit.wait().unwrap();
    receipt
}

fn found(store: &Logstore, needle: &str) -> Vec<(i64, String)> {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: vec![LineFilter::ContainsAny(vec![needle.as_bytes().to_vec()])],
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let context = QueryContext::default();
    let scan = store.scan(&request, &context).unwrap();
    let mut rows = Vec::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            rows.push((row.timestamp_ns, row.line.to_owned()));
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).unwrap();
    }
    rows.sort();
    rows
}

#[test]
fn a_line_of_ten_megabytes_is_refused_and_its_neighbours_are_kept() {
    let store = open(options());
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
    batch.entry(1, "before", Labels::empty().as_ref());
    batch.entry(2, &"x".repeat(10 << 20), Labels::empty().as_ref());
    batch.entry(3, "behind", Labels::empty().as_ref());
    let receipt = append(&store, &batch);
    assert_eq!((receipt.stored, receipt.rejected[0].count), (2, 1));
    assert_eq!(receipt.rejected[0].reason, RejectReason::LineTooLong);
    assert!(receipt.rejected[0].example.len() < 200);
    store.flush().unwrap();
    assert_eq!(found(&store, "be").len(), 2);
}

#[test]
fn the_longest_line_is_stored_and_found_by_its_middle() {
    let store = open(LogstoreOptions { line_bytes_max: 200_000, ..options() });
    let line = format!("{}needle77{}", "ab ".repeat(30_000), " 234567".repeat(12_000));
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
    batch.entry(1, &line, Labels::empty().as_ref());
    batch.entry(2, &"z".repeat(200_000), Labels::empty().as_ref());
    assert_eq!(append(&store, &batch).stored, 2);
    for _ in 0..2 {
        assert!(store.stats().damage.is_empty(), "{:?}", store.stats().damage);
        assert_eq!(found(&store, "needle77").len(), 1);
        assert_eq!(found(&store, " 234567 23").len(), 1);
        assert!(found(&store, "needle77 23") == [(1, line.clone())]);
        assert_eq!(found(&store, "zzz").len(), 1);
        store.flush().unwrap();
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_and_make_room_when_others_are_gone() {
    let store = open(LogstoreOptions { streams_max: 500, ..options() });
    let batch = |values: std::ops::Range<u32>| {
        let mut batch = LogBatch::default();
        for value in values {
            batch.begin_with(Labels::from_pairs([("session", value.to_string())]).as_ref());
            batch.entry(i64::from(value), "a line", Labels::empty().as_ref());
        }
        batch
    };
    let receipt = append(&store, &batch(0..2000));
    assert_eq!((receipt.stored, receipt.rejected[0].count), (500, 1500));
    assert_eq!(receipt.rejected[0].reason, RejectReason::TooManySeries);
    assert_eq!(append(&store, &batch(0..500)).stored, 500, "known streams are taken");
    store.flush().unwrap();
    store.delete(&[], TimeRange::ALL, &[]).unwrap();
    for second in 0..3 {
        store.maintain(10 * DAY + second, 10 * DAY + second).unwrap();
    }
    assert_eq!(found(&store, "").len(), 0);
    assert_eq!(append(&store, &batch(1000..1400)).stored, 400);
}

#[test]
fn one_label_of_very_many_values_is_found_value_by_value() {
    let store = open(options());
    for part in 0..4u32 {
        let mut batch = LogBatch::default();
        for value in part * 1000..part * 1000 + 1000 {
            batch.begin_with(Labels::from_pairs([("app", "a"), ("user", &format!("u{value}"))]).as_ref());
            batch.entry(i64::from(value), &format!("hello {value}"), Labels::empty().as_ref());
        }
        assert_eq!(append(&store, &batch).stored, 1000);
    }
    store.flush().unwrap();
    store.maintain(0, 0).unwrap();
    assert_eq!(store.stats().streams, 4000);
    assert_eq!(found(&store, "hello 2345"), [(2345, "hello 2345".to_owned())]);
    let matchers = [model::Matcher::equal("user", "u777")];
    let stats = store.selection_stats(&matchers, TimeRange::ALL, &QueryContext::default()).unwrap();
    assert_eq!((stats.streams, stats.entries), (1, 1));
}

#[test]
fn lines_days_out_of_order_are_sorted_into_their_days() {
    let store = open(options());
    for round in 0..30i64 {
        let mut batch = LogBatch::default();
        batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
        // Forward and back over three weeks, and once before the epoch.
        let day = (round * 11) % 21 - 1;
        for line in 0..20 {
            batch.entry(day * DAY + line * 7 - round, &format!("r{round} l{line}"), Labels::empty().as_ref());
        }
        append(&store, &batch);
        if round % 4 == 3 {
            store.flush().unwrap();
        }
        if round % 9 == 8 {
            store.maintain(30 * DAY, 30 * DAY).unwrap();
        }
    }
    let check = || {
        let rows = found(&store, "r");
        assert_eq!(rows.len(), 600);
        assert_eq!(found(&store, "r17 l3"), [(((17 * 11) % 21 - 1) * DAY + 21 - 17, "r17 l3".to_owned())]);
    };
    check();
    store.flush().unwrap();
    store.maintain(30 * DAY, 30 * DAY).unwrap();
    store.maintain(31 * DAY, 31 * DAY).unwrap();
    check();
}

#[test]
fn odd_bytes_are_kept_as_they_are() {
    let store = open(options());
    let lines =
        ["\0", "a\0b\0c 1\0", "\u{fffd}\u{fffd} 12", "\u{1b}[31mred\u{1b}[0m", "\r\n", "\u{feff}bom 7", ""];
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
    for (at, line) in lines.iter().enumerate() {
        for copy in 0..5 {
            batch.entry((at * 10 + copy) as i64, line, Labels::empty().as_ref());
        }
    }
    assert_eq!(append(&store, &batch).stored, 35);
    for _ in 0..3 {
        let rows = found(&store, "");
        assert!(rows.iter().all(|(time, line)| line == lines[*time as usize / 10]), "{rows:?}");
        assert_eq!(rows.len(), 35);
        assert_eq!((found(&store, "\0").len(), found(&store, "b\0c 1").len()), (10, 5));
        store.flush().unwrap();
        store.maintain(0, 0).unwrap();
    }
}
