//! Merges: what is copied, what is sorted anew, and that nobody can tell by the answers.

use super::open;
use crate::part::DATA_FILE;
use disk::{Dir, Faults};
use model::{Labels, LogBatch, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LineFilter, LogRequest, LogStore, MemLogStore, QueryContext, Row};

fn batch(times: impl Iterator<Item = i64>) -> LogBatch {
    let mut batch = LogBatch::default();
    for time in times {
        batch.begin_with(
            Labels::from_pairs([("app", "a"), ("pod", if time % 9 < 7 { "x" } else { "y" })]).as_ref(),
        );
        let id = (time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let text =
            format!("request {id:016x} of user{} took {}ms, shared7d1c{}", time % 5, time % 90, time % 300);
        let level = ["info", "error"][usize::from(time % 4 == 0)];
        let metadata = Labels::from_pairs([("detected_level", level), ("trace_id", &format!("t{time}"))]);
        batch.entry(time, &text, metadata.as_ref());
    }
    batch
}

/// Rows with the needle and the trace, by time and line; and how many units were read for them.
fn answer(store: &dyn LogStore, needle: &str, trace: &str) -> (Vec<(i64, String, Labels)>, usize) {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: vec![LineFilter::ContainsAny(vec![needle.as_bytes().to_vec()])],
        metadata_hints: if trace.is_empty() { Vec::new() } else { vec![("trace_id".into(), trace.into())] },
        direction: Direction::Forward,
    };
    let context = QueryContext::default();
    let scan = store.scan(&request, &context).unwrap();
    let mut rows = Vec::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            if trace.is_empty() || row.metadata.get("trace_id") == Some(trace) {
                rows.push((row.timestamp_ns, row.line.to_owned(), row.metadata.to_owned()));
            }
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).unwrap();
    }
    rows.sort();
    (rows, scan.units().len())
}

/// The data files of all parts.
fn data(dir: &Dir) -> Vec<Vec<u8>> {
    let parts = dir.sub("parts").unwrap();
    let names = parts.list().unwrap();
    names.iter().map(|name| parts.sub(name).unwrap().read(DATA_FILE).unwrap()).collect()
}

fn holds(files: &[Vec<u8>], bytes: &[u8]) -> bool {
    files.iter().any(|file| memchr::memmem::find(file, bytes).is_some())
}

#[test]
fn good_chunks_are_copied_and_answers_stay_the_same() {
    let dir = Dir::simulated(5, Faults::default());
    let (store, reference) = (open(&dir), MemLogStore::new());
    let put = |times: &mut dyn Iterator<Item = i64>| {
        let batch = batch(times);
        store.append(&batch, None, 0).unwrap().commit.wait().unwrap();
        reference.append(&batch, None, 0).unwrap();
        store.flush().unwrap();
    };
    let check = |chunks: u64| {
        let id = |time: u64| format!("{:016x}", time.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for (needle, trace) in [
            (id(17).as_str(), ""),
            (&id(333)[..9], ""),
            (&id(999)[3..], ""),
            ("user3 took 8", ""),
            ("hared7d1c29", ""),
            ("error", ""),
            ("", "t250"),
            ("", "t1234"),
            ("request", ""),
        ] {
            let (rows, units) = answer(&store, needle, trace);
            assert_eq!(rows, answer(&reference, needle, trace).0, "{needle} {trace}");
            if needle.len() == 16 || trace.len() > 3 {
                assert!(units as u64 <= 2 + chunks / 20, "{needle} {trace}: {units} of {chunks} chunks");
            }
        }
    };
    (0..6).for_each(|part| put(&mut (part * 200..part * 200 + 200)));
    let before = data(&dir);
    assert_eq!(before.len(), 6);
    check(store.stats().chunks);
    store.maintain(0, 0).unwrap();
    let merged = data(&dir);
    assert_eq!(merged.len(), 1);
    assert!(before.iter().all(|file| holds(&merged, &file[8..300])), "first chunks are copied");
    check(store.stats().chunks);

    // Rows in the time of old ones, and then as many as the merged part has.
    put(&mut (150..450).map(|time| time * 2 + 1_000_000));
    put(&mut (0..600).map(|time| time + 1_000_000));
    put(&mut (0..600).map(|time| time * 2 + 1));
    put(&mut (0..2000).map(|time| time + 2_000_000));
    (0..8).for_each(|part| put(&mut (part * 500 + 3_000_000..part * 500 + 3_000_400)));
    store.maintain(0, 0).unwrap();
    assert!(data(&dir).len() < 13);
    check(store.stats().chunks);
    drop(store);
    let store = open(&dir);
    assert_eq!(answer(&store, "", ""), answer(&store, "took", ""), "every line says so");
    assert_eq!(answer(&store, "", "").0, answer(&reference, "", "").0);
}

#[test]
fn deleted_rows_are_not_copied() {
    let dir = Dir::simulated(6, Faults::default());
    let store = open(&dir);
    for part in 0..6 {
        store.append(&batch(part * 100..part * 100 + 100), None, 0).unwrap().commit.wait().unwrap();
        store.flush().unwrap();
    }
    store.delete(&[], TimeRange::new(120, 180), &[]).unwrap();
    store.maintain(0, 0).unwrap();
    assert_eq!((data(&dir).len(), answer(&store, "", "").0.len()), (1, 540));
    assert!(answer(&store, "", "").0.iter().all(|row| !(120..180).contains(&row.0)));
}
