use super::{Log, LogError, LogOptions, Recovery, segment};
use crate::{Dir, Faults};
use std::sync::{Arc, Mutex, mpsc};

const SMALL: LogOptions = LogOptions { segment_bytes_max: 400 };

fn open(dir: &Dir) -> (Log, Recovery, Vec<(u64, Vec<u8>)>) {
    let mut records = Vec::new();
    let (log, recovery) =
        Log::open(dir.clone(), SMALL, |segment, record| records.push((segment, record.to_vec()))).unwrap();
    (log, recovery, records)
}

fn payloads(records: &[(u64, Vec<u8>)]) -> Vec<&[u8]> {
    records.iter().map(|(_, record)| record.as_slice()).collect()
}

/// Appends and waits until the record is durable.
fn put(log: &Log, record: &[u8]) -> Result<u64, LogError> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let segment = log.append(&[record], move |done| sender.send(done).unwrap())?;
    receiver.recv().unwrap().map_err(LogError::Poisoned)?;
    Ok(segment)
}

fn record(i: u64) -> Vec<u8> {
    (0..i % 90 + 8).map(|j| (i * 31 + j) as u8).chain(i.to_le_bytes()).collect()
}

#[test]
fn records_come_back_in_order_over_segments_and_starts() {
    let scratch = tempfile::tempdir().unwrap();
    for dir in [Dir::simulated(1, Faults::default()), Dir::real(scratch.path()).unwrap()] {
        let (log, _, _) = open(&dir);
        log.append(&[b"ab", b"", b"c"], |done| done.unwrap()).unwrap();
        drop(log);
        let (log, _, records) = open(&dir);
        assert_eq!(records, [(1, b"abc".to_vec())]);
        for i in 0..50 {
            put(&log, &record(i)).unwrap();
        }
        let bytes = log.bytes();
        drop(log);
        let (log, recovery, records) = open(&dir);
        assert_eq!(recovery, Recovery { records: 51, ..Recovery::default() });
        assert!(records.last().unwrap().0 > 5, "several segments were written");
        assert_eq!(
            records[1..].iter().map(|(_, r)| r.clone()).collect::<Vec<_>>(),
            (0..50).map(record).collect::<Vec<_>>()
        );
        assert_eq!(log.bytes(), bytes + segment::HEADER_BYTES);
    }
}

#[test]
fn records_appended_together_are_all_there_or_none() {
    let dir = Dir::simulated(1, Faults::default());
    let (log, _, _) = open(&dir);
    put(&log, b"before").unwrap();
    for write in 1..=3 {
        dir.set_faults(Faults { full_at_write: Some(write), ..Faults::default() });
        let end = log.append_together(&[&[b"a", b"b"], &[b"c"], &[b"d"]], |_| {});
        assert!(matches!(end, Err(LogError::Full(_))), "write {write}");
    }
    assert!(matches!(log.append_together(&[&[b"a"], &[]], |_| {}), Err(LogError::RecordSize(0))));
    dir.set_faults(Faults::default());
    log.append_together(&[&[&[b'r'; 300]], &[b"c"], &[&[b's'; 300]]], |done| done.unwrap()).unwrap();
    drop(log);
    let (_, _, records) = open(&dir);
    assert_eq!(payloads(&records), [&b"before"[..], &[b'r'; 300], b"c", &[b's'; 300]]);
    assert!(records.iter().all(|(segment, _)| *segment == records[0].0), "one segment");
}

#[test]
fn dropped_segments_are_gone_and_rotation_separates() {
    let dir = Dir::simulated(1, Faults::default());
    let (log, _, _) = open(&dir);
    put(&log, b"before").unwrap();
    let segment = log.rotate().unwrap();
    assert_eq!(log.rotate().unwrap(), segment, "an empty segment is not followed by another");
    assert_eq!(put(&log, b"after").unwrap(), segment);
    log.remove_before(segment).unwrap();
    drop(log);
    let (_, _, records) = open(&dir.crash());
    assert_eq!(payloads(&records), [b"after"]);
}

#[test]
fn empty_starts_do_not_pile_up_files() {
    let dir = Dir::simulated(1, Faults::default());
    for _ in 0..5 {
        drop(open(&dir));
    }
    assert_eq!(dir.list().unwrap().len(), 1);
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let dir = Dir::simulated(7, Faults::default());
    let (log, _, _) = open(&dir);
    put(&log, b"one").unwrap();
    dir.set_faults(Faults { full_at_write: Some(1), ..Faults::default() });
    assert!(matches!(put(&log, &[9; 300]), Err(LogError::Full(_))));
    put(&log, b"two").unwrap();
    drop(log);
    let (_, recovery, records) = open(&dir);
    assert_eq!(payloads(&records), [b"one", b"two"]);
    assert_eq!(recovery.torn_bytes, 0);
}

#[test]
fn a_failed_fsync_or_write_poisons_for_good() {
    for faults in [
        Faults { fail_at_sync: Some(1), ..Faults::default() },
        Faults { fail_at_write: Some(1), ..Faults::default() },
    ] {
        let dir = Dir::simulated(7, Faults::default());
        let (log, _, _) = open(&dir);
        dir.set_faults(faults);
        assert!(matches!(put(&log, b"one"), Err(LogError::Poisoned(_))));
        assert!(matches!(put(&log, b"two"), Err(LogError::Poisoned(_))));
        assert!(log.sync().is_err() && log.rotate().is_err());
    }
}

#[test]
fn sizes_that_cannot_be_logged_are_refused() {
    let (log, _, _) = open(&Dir::simulated(1, Faults::default()));
    assert!(matches!(put(&log, b""), Err(LogError::RecordSize(0))));
    let long = vec![0; super::RECORD_BYTES_MAX + 1];
    assert!(matches!(put(&log, &long), Err(LogError::RecordSize(_))));
}

/// Three records in segment 1, one in segment 2; bit flips at every place of segment 1.
#[test]
fn one_flipped_bit_costs_at_most_one_record_and_is_reported() {
    for byte in 0..150 {
        let dir = Dir::simulated(byte, Faults::default());
        let (log, _, _) = open(&dir);
        for i in 0..3 {
            put(&log, &[i + 1; 30]).unwrap();
        }
        let second = log.rotate().unwrap();
        put(&log, b"later").unwrap();
        drop(log);
        let name = segment::name(1);
        if byte * 8 >= dir.read(&name).unwrap().len() as u64 * 8 {
            break;
        }
        dir.flip_bit(&name, byte * 8 + byte % 8);
        let (log, recovery, records) = open(&dir);
        let in_padding = (28..32).contains(&byte);
        let in_header = byte < 28;
        assert_eq!(
            records.len(),
            if in_padding {
                4
            } else if in_header {
                1
            } else {
                3
            },
            "byte {byte}"
        );
        assert_eq!(recovery.damage.len(), usize::from(!in_padding), "byte {byte}");
        assert_eq!(records.last().unwrap().1, b"later");
        log.remove_before(second).unwrap();
        let set_aside = dir.list().unwrap().contains(&segment::damaged_name(1));
        assert_eq!(set_aside, !in_padding, "byte {byte}");
    }
}

#[test]
fn a_newer_version_is_not_touched() {
    let dir = Dir::simulated(1, Faults::default());
    let mut header = b"BWLG".to_vec();
    header.extend_from_slice(&2u32.to_le_bytes());
    header.extend_from_slice(&1u64.to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    let checksum = crc32c::crc32c(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    dir.write_atomic(&segment::name(1), &header).unwrap();
    let opened = Log::open(dir.clone(), SMALL, |_, _| {});
    assert!(matches!(opened, Err(LogError::NewerVersion { version: 2, .. })));
    assert_eq!(dir.list().unwrap(), [segment::name(1)]);
}

/// Power goes at a random operation while threads append; starts follow one another. Whatever was
/// acknowledged is replayed, in order, and nothing else than appended records is.
#[test]
fn acknowledged_records_survive_crashes() {
    let mut total = 0;
    for seed in 0..150 {
        let mut dir = Dir::simulated(seed, Faults::default());
        let mut acknowledged: Vec<u64> = Vec::new();
        let mut next = 0u64;
        for round in 0..4 {
            let (log, recovery, records) = open(&dir);
            assert_eq!(recovery.damage, [], "seed {seed} round {round}");
            let numbers: Vec<u64> =
                records.iter().map(|(_, bytes)| u64::from_le_bytes(*bytes.last_chunk().unwrap())).collect();
            assert!(numbers.is_sorted(), "seed {seed} round {round}");
            for (number, (_, bytes)) in numbers.iter().zip(&records) {
                assert_eq!(*bytes, record(*number), "seed {seed}: made up");
            }
            for number in &acknowledged {
                assert!(numbers.contains(number), "seed {seed} round {round}: lost {number}");
            }
            dir.set_faults(Faults {
                halt_at_operation: Some(seed % 40 + round * 7 + 1),
                ..Faults::default()
            });
            let done = Arc::new(Mutex::new(Vec::new()));
            for _ in 0..30 {
                let (number, done) = (next, done.clone());
                let (sender, told) = mpsc::sync_channel(1);
                let appended = log.append(&[&record(number)], move |result| {
                    if result.is_ok() {
                        done.lock().unwrap().push(number);
                    }
                    sender.send(()).ok();
                });
                next += 1;
                if appended.is_err() {
                    break;
                }
                // Some are waited for, so that a busy machine acknowledges records too.
                if number % 4 == 0 {
                    told.recv().unwrap();
                }
            }
            if seed % 2 == 0 {
                drop(log);
                dir = dir.crash();
            } else {
                dir = dir.crash();
                drop(log);
            }
            acknowledged.append(&mut done.lock().unwrap());
        }
        total += acknowledged.len();
    }
    assert!(total > 1000, "only {total} records were acknowledged before the power went");
}

/// Every fourth byte of the damaged record begins what looks like the length of a large record.
/// Computing a checksum anew for each would read most of a terabyte.
#[test]
fn the_record_behind_a_large_damaged_one_is_found_soon() {
    let dir = Dir::simulated(1, Faults::default());
    let large = LogOptions::default();
    let (log, _) = Log::open(dir.clone(), large, |_, _| {}).unwrap();
    put(&log, &[0, 0, 16, 0].repeat(1 << 20)).unwrap();
    put(&log, b"behind").unwrap();
    drop(log);
    dir.flip_bit(&segment::name(1), 8 * (segment::HEADER_BYTES + 6));
    let mut records = Vec::new();
    let (_, recovery) = Log::open(dir, large, |_, record| records.push(record.to_vec())).unwrap();
    assert_eq!((records, recovery.damage.len()), (vec![b"behind".to_vec()], 1));
}
