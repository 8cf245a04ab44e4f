//! Crashes and faults from one seed: what was acknowledged is there, once; a retry changes nothing.

use super::{open, try_open};
use crate::Logstore;
use disk::{Dir, Faults};
use model::{BatchId, Labels, LogBatch, TimeRange};
use std::{collections::BTreeMap, ops::ControlFlow};
use store::{Commit, Direction, LogRequest, LogStore, QueryContext, Row, StoreError};

/// A small deterministic generator (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn batch(number: u64, random: &mut Random) -> LogBatch {
    let mut batch = LogBatch::default();
    for stream in 0..1 + random.below(3) {
        batch.begin_with(Labels::from_pairs([("app", format!("a{stream}"))]).as_ref());
        for line in 0..1 + random.below(12) {
            let time = (number as i64 - random.below(6) as i64) * 1000;
            batch.entry(time, &format!("batch {number} line {stream}/{line}"), Labels::empty().as_ref());
        }
    }
    batch
}

fn id(sequence: u64) -> BatchId {
    BatchId { agent: "agent".into(), boot: 1, sequence }
}

/// How often every line is stored.
fn lines(store: &Logstore) -> BTreeMap<String, u32> {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let context = QueryContext::default();
    let scan = store.scan(&request, &context).unwrap();
    let mut found = BTreeMap::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            *found.entry(row.line.to_owned()).or_default() += 1;
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).unwrap();
    }
    found
}

fn lines_of(batch: &LogBatch) -> Vec<String> {
    let mut lines = Vec::new();
    for stream in batch.streams() {
        lines.extend(stream.entries().map(|entry| entry.line.to_owned()));
    }
    lines
}

/// Sends batches until something fails; returns those acknowledged, and the rest.
fn work(store: &Logstore, batches: &[LogBatch], random: &mut Random) -> (Vec<usize>, Vec<usize>) {
    let mut commits: Vec<(usize, Option<Commit>)> = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        let receipt = store.append(batch, Some(&id(index as u64 + 1)), 0);
        commits.push((index, receipt.ok().map(|receipt| receipt.commit)));
        let _outcome_does_not_matter = match random.below(8) {
            0 => store.flush(),
            1 => {
                let now_ns = random.below(3) as i64 * 400_000_000_000;
                store.maintain(now_ns, now_ns)
            }
            _ => Ok(()),
        };
    }
    let (acknowledged, rest): (Vec<_>, Vec<_>) = commits
        .into_iter()
        .partition(|(_, commit)| commit.as_ref().is_some_and(|commit| commit.wait().is_ok()));
    let numbers = |list: Vec<(usize, _)>| list.into_iter().map(|(index, _)| index).collect();
    (numbers(acknowledged), numbers(rest))
}

fn check_after_crash(dir: Dir, batches: &[LogBatch], acknowledged: &[usize], seed: u64) {
    let store = open(&dir);
    let found = lines(&store);
    assert!(found.values().all(|&count| count == 1), "seed {seed}: a line is stored twice");
    for &index in acknowledged {
        for line in lines_of(&batches[index]) {
            assert!(found.contains_key(&line), "seed {seed}: acknowledged `{line}` is lost");
        }
    }
    // Everything is sent again, half of it under its old number.
    for (index, batch) in batches.iter().enumerate() {
        let old = id(index as u64 + 1);
        let receipt = store.append(batch, (index % 2 == 0).then_some(&old), 0).unwrap();
        receipt.commit.wait().unwrap();
    }
    store.maintain(1_000_000_000_000, 1_000_000_000_000).unwrap();
    let found = lines(&store);
    assert!(found.values().all(|&count| count == 1), "seed {seed}: a repeat was stored");
    let expected: Vec<String> = batches.iter().flat_map(lines_of).collect();
    assert_eq!(found.len(), expected.len(), "seed {seed}: lines are missing after a retry");
    assert!(store.stats().damage.is_empty(), "seed {seed}: {:?}", store.stats().damage);
    drop(store);
    assert_eq!(lines(&open(&dir)).len(), expected.len(), "seed {seed}");
}

#[test]
fn acknowledged_lines_survive_a_crash_at_any_moment_and_retries_collapse() {
    for seed in 0..60 {
        let mut random = Random(seed);
        let batches: Vec<LogBatch> = (0..25).map(|number| batch(number, &mut random)).collect();
        let dir = Dir::simulated(seed, Faults::default());
        let store = open(&dir);
        dir.set_faults(Faults { halt_at_operation: Some(1 + random.below(260)), ..Faults::default() });
        let (acknowledged, _) = work(&store, &batches, &mut random);
        drop(store);
        check_after_crash(dir.crash(), &batches, &acknowledged, seed);
    }
}

#[test]
fn a_crash_while_opening_loses_nothing() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let batches: Vec<LogBatch> = (0..12).map(|number| batch(number, &mut random)).collect();
        let dir = Dir::simulated(seed, Faults::default());
        let (acknowledged, rest) = work(&open(&dir), &batches, &mut random);
        assert!(rest.is_empty());
        let dir = dir.crash();
        dir.set_faults(Faults { halt_at_operation: Some(1 + random.below(12)), ..Faults::default() });
        drop(try_open(&dir));
        check_after_crash(dir.crash(), &batches, &acknowledged, seed);
    }
}

#[test]
fn a_failed_sync_or_write_never_acknowledges_what_is_lost() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let batches: Vec<LogBatch> = (0..20).map(|number| batch(number, &mut random)).collect();
        let dir = Dir::simulated(seed, Faults::default());
        let store = open(&dir);
        let at = Some(1 + random.below(80));
        dir.set_faults(if seed % 2 == 0 {
            Faults { fail_at_sync: at, ..Faults::default() }
        } else {
            Faults { fail_at_write: at, ..Faults::default() }
        });
        let (acknowledged, _) = work(&store, &batches, &mut random);
        drop(store);
        check_after_crash(dir.crash(), &batches, &acknowledged, seed);
    }
}

#[test]
fn a_full_disk_refuses_and_recovers_when_there_is_room() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let batches: Vec<LogBatch> = (0..20).map(|number| batch(number, &mut random)).collect();
        let dir = Dir::simulated(seed, Faults::default());
        let store = open(&dir);
        let capacity_bytes = Some(4000 + random.below(8000));
        dir.set_faults(Faults { capacity_bytes, ..Faults::default() });
        let mut refused = 0;
        let mut acknowledged = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            match store.append(batch, Some(&id(index as u64 + 1)), 0) {
                Ok(receipt) => {
                    receipt.commit.wait().unwrap();
                    acknowledged.push(index);
                }
                Err(StoreError::Full(_)) => refused += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
            if index % 5 == 4 {
                let flushed = store.flush();
                assert!(matches!(flushed, Ok(()) | Err(StoreError::Full(_))), "seed {seed}: {flushed:?}");
            }
        }
        let found = lines(&store);
        for &index in &acknowledged {
            assert!(lines_of(&batches[index]).iter().all(|line| found[line] == 1), "seed {seed}");
        }
        dir.set_faults(Faults::default());
        for (index, batch) in batches.iter().enumerate() {
            store.append(batch, Some(&id(index as u64 + 1)), 0).unwrap().commit.wait().unwrap();
        }
        store.flush().unwrap();
        let expected: usize = batches.iter().map(|batch| lines_of(batch).len()).sum();
        assert_eq!(lines(&store).len(), expected, "seed {seed}, {refused} refused");
        drop(store);
        check_after_crash(dir.crash(), &batches, &acknowledged, seed);
    }
}
