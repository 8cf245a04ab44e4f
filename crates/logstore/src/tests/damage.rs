//! Damaged files: what they belong to is set aside and reported, the rest is served.

use super::open;
use crate::{
    Logstore,
    manifest::MANIFEST_FILE,
    part::{DATA_FILE, FILTER_FILE, INDEX_FILE, TABLE_FILE},
};
use disk::{Dir, Faults};
use model::{Labels, LogBatch, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LineFilter, LogRequest, LogStore, QueryContext, Row};

/// Two parts of 40 lines each.
fn two_parts() -> Dir {
    let dir = Dir::simulated(3, Faults::default());
    let store = open(&dir);
    for part in 0..2 {
        let mut batch = LogBatch::default();
        batch.begin_with(Labels::from_pairs([("app", "a")]).as_ref());
        for line in 0..40 {
            let text = format!("part {part} line {line} of some length");
            batch.entry(part * 1000 + line, &text, Labels::empty().as_ref());
        }
        store.append(&batch, None, 0).unwrap().commit.wait().unwrap();
        store.flush().unwrap();
    }
    assert_eq!(store.stats().parts, 2);
    dir
}

fn count(store: &Logstore, needle: &str) -> usize {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: vec![LineFilter::ContainsAny(vec![needle.as_bytes().to_vec()])],
        metadata_hints: Vec::new(),
        direction: Direction::Backward,
    };
    let context = QueryContext::default();
    let scan = store.scan(&request, &context).unwrap();
    let mut found = 0;
    for unit in 0..scan.units().len() {
        let mut sink = |_: Row<'_>| {
            found += 1;
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).unwrap();
    }
    found
}

fn first_part(dir: &Dir) -> Dir {
    let parts = dir.sub("parts").unwrap();
    let name = parts.list().unwrap().remove(0);
    parts.sub(&name).unwrap()
}

#[test]
fn a_damaged_table_sets_its_part_aside() {
    let dir = two_parts();
    first_part(&dir).flip_bit(TABLE_FILE, 200);
    let store = open(&dir);
    assert_eq!((count(&store, "part 0"), count(&store, "part 1")), (0, 40));
    assert_eq!(store.stats().damage.len(), 1, "{:?}", store.stats().damage);
    drop(store);
    let names = dir.sub("parts").unwrap().list().unwrap();
    assert!(names.iter().any(|name| name.ends_with(".damaged")), "{names:?}");
    assert_eq!(count(&open(&dir), "part"), 40, "it stays set aside");
}

#[test]
fn a_damaged_chunk_is_left_out_and_the_rest_is_served() {
    let dir = two_parts();
    first_part(&dir).flip_bit(DATA_FILE, 8 * 12);
    let store = open(&dir);
    let served = count(&store, "part");
    assert!((40..80).contains(&served), "{served}");
    assert!(!store.stats().damage.is_empty());
    store.maintain(i64::MAX / 2, i64::MAX / 2).unwrap();
    assert_eq!(count(&store, "part"), served, "a merge does not drop what is left");
}

#[test]
fn a_damaged_index_costs_time_not_lines() {
    for file in [INDEX_FILE, FILTER_FILE] {
        let dir = two_parts();
        first_part(&dir).flip_bit(file, 8 * 10);
        let store = open(&dir);
        assert_eq!((count(&store, "line 7 "), count(&store, "part 0")), (2, 40));
        assert!(!store.stats().damage.is_empty());
    }
}

/// Rows in parts of their own, a merged part, a deletion, and rows that only the log has.
fn a_store_with_everything() -> (Dir, usize) {
    let dir = two_parts();
    let store = open(&dir);
    for part in 2..7 {
        let mut batch = LogBatch::default();
        batch.begin_with(Labels::from_pairs([("app", "b")]).as_ref());
        (0..40).for_each(|line| {
            batch.entry(part * 1000 + line, &format!("part {part} line {line}"), Labels::empty().as_ref());
        });
        store.append(&batch, None, 0).unwrap().commit.wait().unwrap();
        if part < 6 {
            store.flush().unwrap();
        }
        if part == 3 {
            store.maintain(0, 0).unwrap();
        }
    }
    store.delete(&[], TimeRange::new(4000, 4010), &[]).unwrap();
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("app", "b")]).as_ref());
    (0..40)
        .for_each(|line| batch.entry(7000 + line, &format!("part 7 line {line}"), Labels::empty().as_ref()));
    store.append(&batch, None, 0).unwrap().commit.wait().unwrap();
    let lines = count(&store, "part");
    assert_eq!(lines, 8 * 40 - 10);
    (dir, lines)
}

#[test]
fn a_damaged_manifest_is_set_aside_and_made_anew() {
    let (dir, lines) = a_store_with_everything();
    let bytes = dir.read(MANIFEST_FILE).unwrap().len();
    for at in [0, 7, 8, bytes / 2, bytes - 1] {
        dir.flip_bit(MANIFEST_FILE, 8 * at as u64 + 3);
        let store = open(&dir);
        assert_eq!(count(&store, "part"), lines, "flipped in byte {at}");
        assert_eq!(store.stats().damage.len(), 1, "{:?}", store.stats().damage);
        drop(store);
        assert!(dir.list().unwrap().contains(&format!("{MANIFEST_FILE}.damaged")));
        let store = open(&dir);
        assert_eq!((count(&store, "part"), store.stats().damage.len()), (lines, 0));
    }
}

#[test]
fn a_lost_manifest_loses_no_line() {
    let (dir, lines) = a_store_with_everything();
    dir.remove(MANIFEST_FILE).unwrap();
    let store = open(&dir);
    assert_eq!(count(&store, "part"), lines);
    store.flush().unwrap();
    store.maintain(i64::MAX / 2, i64::MAX / 2).unwrap();
    assert_eq!(count(&store, "part"), lines, "rows of the log were not taken twice");
}

#[test]
fn a_merge_beside_its_inputs_counts_once() {
    let dir = two_parts();
    let parts = dir.sub("parts").unwrap();
    let inputs: Vec<_> = parts
        .list()
        .unwrap()
        .into_iter()
        .map(|name| {
            let part = parts.sub(&name).unwrap();
            let files = part.list().unwrap().into_iter();
            (name, files.map(|file| (file.clone(), part.read(&file).unwrap())).collect::<Vec<_>>())
        })
        .collect();
    let store = open(&dir);
    store.maintain(10 * 86_400_000_000_000, 10 * 86_400_000_000_000).unwrap();
    store.maintain(11 * 86_400_000_000_000, 11 * 86_400_000_000_000).unwrap();
    assert_eq!(store.stats().parts, 1);
    drop(store);
    for (name, files) in &inputs {
        let part = parts.sub(name).unwrap();
        files.iter().for_each(|(file, bytes)| part.write_atomic(file, bytes).unwrap());
    }
    dir.remove(MANIFEST_FILE).unwrap();
    assert_eq!(count(&open(&dir), "part"), 80);
}

#[test]
fn a_manifest_of_a_newer_release_is_refused() {
    let dir = two_parts();
    let bytes = dir.read(MANIFEST_FILE).unwrap();
    let mut magic = *bytes.first_chunk::<8>().unwrap();
    magic[7] += 1;
    dir.write_atomic(MANIFEST_FILE, &crate::bytes::seal(&magic, &bytes[8..bytes.len() - 4])).unwrap();
    let error = super::try_open(&dir).err().unwrap().to_string();
    assert!(error.contains("newer release"), "{error}");
    assert_eq!(dir.sub("parts").unwrap().list().unwrap().len(), 2, "nothing is touched");
}

#[test]
fn a_missing_part_is_reported_and_the_rest_is_served() {
    let dir = two_parts();
    let parts = dir.sub("parts").unwrap();
    parts.remove_all(&parts.list().unwrap().remove(0)).unwrap();
    let store = open(&dir);
    assert_eq!((count(&store, "part 0"), count(&store, "part 1")), (0, 40));
    assert_eq!(store.stats().damage.len(), 1, "{:?}", store.stats().damage);
}
