//! Damaged files: what they belong to is set aside and reported, the rest is served.

use super::open;
use crate::{
    Logstore,
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
    store.maintain(i64::MAX / 2).unwrap();
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
