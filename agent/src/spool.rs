//! Samples on disk until every destination has acknowledged them.
//!
//! Segments of [`crate::frames`] are appended to and read in order; each destination has a cursor.
//! A frame's payload is the number of its samples (u32), the time of collection (i64 ms) and the
//! samples as remote write 2.0, zstd-compressed.
//!
//! ```text
//! spool/00000000000000000007.seg   frame frame frame …
//! spool/cursor-<destination>       "7 4096": segment and offset of the next frame
//! ```
//!
//! Bound: the size given at the start. When it is reached the oldest segment goes, and what a
//! destination had not yet taken of it is counted as lost (`queue_full`). A segment is removed once
//! every cursor is past it. A damaged frame ends its segment; nobody can tell how
//! many samples followed it there, so it is logged. Frames are in the page cache at once, so that they survive the process; they
//! are brought to the medium when a segment ends and at shutdown.

use crate::frames::{self, HEADER_BYTES};
use disk::{Dir, WriteFile};
use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

const SEGMENT_BYTES_MAX: u64 = 1 << 20;
const SEGMENTS_MIN: u64 = 8;
/// Samples and time in front of the compressed samples.
const PREFIX_BYTES: usize = 12;

/// A place between frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    segment: u64,
    offset: u64,
}

/// One collection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) samples: u64,
    pub(crate) timestamp_ms: i64,
    pub(crate) body: Vec<u8>,
    /// The place after it.
    pub(crate) next: Cursor,
}

/// What a destination will never get.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dropped {
    pub(crate) destination: String,
    pub(crate) samples: u64,
}

/// See the module. One lock; every call is a few file operations long.
pub(crate) struct Spool(Mutex<State>);

struct State {
    dir: Dir,
    bytes_max: u64,
    /// Bytes of each segment, the newest included.
    segments: BTreeMap<u64, u64>,
    current: Option<WriteFile>,
    cursors: BTreeMap<String, Cursor>,
    frame: Vec<u8>,
}

impl Spool {
    /// Opens the spool for these destinations. Cursors of others are forgotten; a new destination
    /// begins with what comes from now on.
    pub(crate) fn open(dir: Dir, bytes_max: u64, destinations: &[String]) -> io::Result<Self> {
        let names = dir.list()?;
        let mut segments = BTreeMap::new();
        for number in names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse::<u64>().ok()) {
            let bytes = dir.read(&segment_name(number))?;
            segments.insert(number, frames::read_all(&bytes).1 as u64);
        }
        let newest = segments.last_key_value().map_or(0, |(number, _)| *number);
        let end = Cursor { segment: newest + 1, offset: 0 };
        let mut cursors = BTreeMap::new();
        for destination in destinations {
            let cursor = match read_cursor(&dir, destination)? {
                Some(cursor) => cursor.min(end),
                None => {
                    write_cursor(&dir, destination, end)?;
                    end
                }
            };
            cursors.insert(destination.clone(), cursor);
        }
        let known = |name: &str| destinations.iter().any(|destination| name == cursor_name(destination));
        for name in names.iter().filter(|name| name.starts_with("cursor-") && !known(name)) {
            dir.remove(name)?;
        }
        let state = State { dir, bytes_max, segments, current: None, cursors, frame: Vec::new() };
        let spool = Spool(Mutex::new(state));
        spool.lock().remove_done()?;
        Ok(spool)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a collection; returns what had to go for it.
    pub(crate) fn append(&self, samples: u64, timestamp_ms: i64, body: &[u8]) -> io::Result<Vec<Dropped>> {
        self.lock().append(samples, timestamp_ms, body)
    }

    /// The next collections for a destination: at least one when there is any, then further ones
    /// up to `records_max` and `bytes_max`.
    pub(crate) fn read(
        &self,
        destination: &str,
        records_max: usize,
        bytes_max: usize,
    ) -> io::Result<Vec<Record>> {
        self.lock().read(destination, records_max, bytes_max)
    }

    /// Everything before `next` needs no further delivery to the destination.
    pub(crate) fn advance(&self, destination: &str, next: Cursor) -> io::Result<()> {
        let mut state = self.lock();
        state.cursors.insert(destination.to_owned(), next);
        state.remove_done()
    }

    /// Writes the cursors down, so that little is sent again after a restart. Samples sent again
    /// are no harm: the receiver has them.
    pub(crate) fn save_cursor(&self, destination: &str) -> io::Result<()> {
        let state = self.lock();
        let Some(cursor) = state.cursors.get(destination) else { return Ok(()) };
        write_cursor(&state.dir, destination, *cursor)
    }

    /// Brings everything to the medium.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let state = self.lock();
        state.current.as_ref().map_or(Ok(()), WriteFile::sync)?;
        state.dir.sync_dir()
    }

    /// Bytes on disk, whoever still needs them.
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.lock().segments.values().sum()
    }

    /// Bytes on disk that wait for a destination.
    pub(crate) fn waiting_bytes(&self, destination: &str) -> u64 {
        let state = self.lock();
        let Some(cursor) = state.cursors.get(destination) else { return 0 };
        let left = |(number, bytes): (&u64, &u64)| match number.cmp(&cursor.segment) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => bytes.saturating_sub(cursor.offset),
            std::cmp::Ordering::Greater => *bytes,
        };
        state.segments.iter().map(left).sum()
    }
}

impl State {
    fn append(&mut self, samples: u64, timestamp_ms: i64, body: &[u8]) -> io::Result<Vec<Dropped>> {
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        frames::put(&mut frame, &[&samples.to_le_bytes(), &timestamp_ms.to_le_bytes(), body]);
        let dropped = self.make_room(frame.len() as u64)?;
        let outcome = self.write(&frame);
        self.frame = frame;
        outcome.map(|()| dropped)
    }

    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let segment_max = SEGMENT_BYTES_MAX.min(self.bytes_max / SEGMENTS_MIN);
        let is_full = |file: &WriteFile| !file.is_empty() && file.len() + frame.len() as u64 > segment_max;
        if let Some(full) = self.current.take_if(|file| is_full(file)) {
            full.sync()?;
        }
        let number = self.next_number();
        let file = match &mut self.current {
            Some(file) => file,
            none => {
                let file = self.dir.create(&segment_name(number))?;
                self.segments.insert(number, 0);
                none.insert(file)
            }
        };
        let before = file.len();
        if let Err(error) = file.write_all(frame) {
            file.truncate(before)?;
            return Err(error);
        }
        if let Some(mut newest) = self.segments.last_entry() {
            *newest.get_mut() = file.len();
        }
        Ok(())
    }

    /// Beyond every segment that is there and every one that a cursor has entered: a number used
    /// again would be read from where the cursor stood in the old segment.
    fn next_number(&self) -> u64 {
        let newest = self.segments.last_key_value().map_or(0, |(number, _)| *number);
        let entered = |cursor: &Cursor| cursor.segment.saturating_sub(u64::from(cursor.offset == 0));
        let passed = self.cursors.values().map(entered).max().unwrap_or(0);
        newest.max(passed) + 1
    }

    /// Removes the oldest segments until `more` bytes fit.
    fn make_room(&mut self, more: u64) -> io::Result<Vec<Dropped>> {
        let mut dropped = Vec::new();
        while self.segments.values().sum::<u64>() + more > self.bytes_max {
            let Some((oldest, _)) = self.segments.pop_first() else { break };
            if self.segments.is_empty() {
                self.current = None;
            }
            dropped.extend(self.drop_segment(oldest)?);
        }
        Ok(dropped)
    }

    fn drop_segment(&mut self, segment: u64) -> io::Result<Vec<Dropped>> {
        let bytes = self.dir.read(&segment_name(segment))?;
        let after = Cursor { segment: segment + 1, offset: 0 };
        let mut dropped = Vec::new();
        for (destination, cursor) in self.cursors.iter_mut().filter(|(_, cursor)| **cursor < after) {
            let offset = if cursor.segment == segment { cursor.offset as usize } else { 0 };
            let unread = frames::read_all(bytes.get(offset..).unwrap_or_default()).0;
            let samples = unread.iter().filter_map(|payload| Some(split(payload)?.0)).sum();
            dropped.push(Dropped { destination: destination.clone(), samples });
            *cursor = after;
        }
        self.dir.remove(&segment_name(segment))?;
        Ok(dropped)
    }

    fn read(&mut self, destination: &str, records_max: usize, bytes_max: usize) -> io::Result<Vec<Record>> {
        let Some(mut cursor) = self.cursors.get(destination).copied() else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < records_max && bytes < bytes_max {
            let Some((&segment, &length)) = self.segments.range(cursor.segment..).next() else { break };
            if segment > cursor.segment {
                cursor = Cursor { segment, offset: 0 };
            }
            if cursor.offset >= length {
                if self.segments.range(segment + 1..).next().is_none() {
                    break;
                }
                cursor = Cursor { segment: segment + 1, offset: 0 };
                continue;
            }
            match self.read_frame(cursor)? {
                Some(record) => {
                    cursor = record.next;
                    bytes += record.body.len();
                    records.push(record);
                }
                None => {
                    tracing::warn!(
                        segment,
                        offset = cursor.offset,
                        "the spool is damaged; the rest of a segment is lost"
                    );
                    self.segments.insert(segment, cursor.offset);
                }
            }
        }
        Ok(records)
    }

    fn read_frame(&self, at: Cursor) -> io::Result<Option<Record>> {
        let file = self.dir.open(&segment_name(at.segment))?;
        let mut frame = vec![0; HEADER_BYTES];
        file.read_exact_at(&mut frame, at.offset)?;
        let Some(length) = frames::payload_length(&frame) else { return Ok(None) };
        if at.offset + (HEADER_BYTES + length) as u64 > file.len() {
            return Ok(None);
        }
        frame.resize(HEADER_BYTES + length, 0);
        file.read_exact_at(&mut frame[HEADER_BYTES..], at.offset + HEADER_BYTES as u64)?;
        let Some((samples, timestamp_ms, body)) = frames::payload(&frame).and_then(split) else {
            return Ok(None);
        };
        let next = Cursor { segment: at.segment, offset: at.offset + frame.len() as u64 };
        Ok(Some(Record { samples, timestamp_ms, body: body.to_vec(), next }))
    }

    /// Removes segments that every cursor has passed. The newest stays, it is appended to.
    fn remove_done(&mut self) -> io::Result<()> {
        let Some(slowest) = self.cursors.values().min().copied() else { return Ok(()) };
        while let Some((&oldest, &length)) = self.segments.first_key_value() {
            let is_passed = slowest.segment > oldest || slowest.segment == oldest && slowest.offset >= length;
            let is_newest = self.segments.len() == 1 && self.current.is_some();
            if !is_passed || is_newest {
                break;
            }
            self.segments.remove(&oldest);
            self.dir.remove(&segment_name(oldest))?;
        }
        Ok(())
    }
}

fn segment_name(number: u64) -> String {
    format!("{number:020}.seg")
}

fn cursor_name(destination: &str) -> String {
    format!("cursor-{destination}")
}

fn write_cursor(dir: &Dir, destination: &str, cursor: Cursor) -> io::Result<()> {
    let text = format!("{} {}\n", cursor.segment, cursor.offset);
    dir.write_atomic(&cursor_name(destination), text.as_bytes())
}

fn read_cursor(dir: &Dir, destination: &str) -> io::Result<Option<Cursor>> {
    let bytes = match dir.read(&cursor_name(destination)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut numbers = text.split_ascii_whitespace().map_while(|word| word.parse().ok());
    // An unreadable cursor begins anew: samples sent twice are stored once.
    let (segment, offset) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    Ok(Some(Cursor { segment, offset }))
}

fn split(payload: &[u8]) -> Option<(u64, i64, &[u8])> {
    let (prefix, body) = payload.split_at_checked(PREFIX_BYTES)?;
    let samples = u32::from_le_bytes(prefix[..4].try_into().ok()?);
    let timestamp_ms = i64::from_le_bytes(prefix[4..].try_into().ok()?);
    Some((u64::from(samples), timestamp_ms, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::Faults;

    fn dir() -> Dir {
        Dir::simulated(11, Faults::default())
    }

    fn open(dir: &Dir, bytes_max: u64) -> Spool {
        Spool::open(dir.clone(), bytes_max, &["a".into(), "b".into()]).unwrap()
    }

    fn bodies(spool: &Spool, destination: &str) -> Vec<Vec<u8>> {
        spool.read(destination, 100, 1 << 20).unwrap().into_iter().map(|record| record.body).collect()
    }

    #[test]
    fn each_destination_goes_at_its_own_pace_and_over_restarts() {
        let dir = dir();
        let spool = open(&dir, 1 << 20);
        for i in 1..=3u8 {
            spool.append(u64::from(i), 1000 * i64::from(i), &[i; 4]).unwrap();
        }
        let first = spool.read("a", 1, 1 << 20).unwrap();
        assert_eq!((first[0].samples, first[0].timestamp_ms), (1, 1000));
        spool.advance("a", first[0].next).unwrap();
        spool.save_cursor("a").unwrap();
        spool.save_cursor("b").unwrap();
        spool.sync().unwrap();
        drop(spool);

        let spool = open(&dir, 1 << 20);
        assert_eq!(bodies(&spool, "a"), [[2; 4], [3; 4]]);
        assert_eq!(bodies(&spool, "b"), [[1; 4], [2; 4], [3; 4]]);
        spool.append(4, 4000, &[4; 4]).unwrap();
        assert_eq!(bodies(&spool, "a"), [[2; 4], [3; 4], [4; 4]], "a new segment follows the old one");
        for destination in ["a", "b"] {
            let last = spool.read(destination, 100, 1 << 20).unwrap().pop().unwrap();
            spool.advance(destination, last.next).unwrap();
        }
        assert!(bodies(&spool, "a").is_empty() && bodies(&spool, "b").is_empty());
        assert_eq!(dir.list().unwrap().iter().filter(|name| name.ends_with(".seg")).count(), 1);
    }

    #[test]
    fn what_comes_after_a_restart_with_everything_delivered_is_read() {
        let dir = dir();
        let spool = open(&dir, 1 << 20);
        spool.append(1, 0, &[1; 400]).unwrap();
        for destination in ["a", "b"] {
            let last = spool.read(destination, 100, 1 << 20).unwrap().pop().unwrap();
            spool.advance(destination, last.next).unwrap();
            spool.save_cursor(destination).unwrap();
        }
        drop(spool);
        let spool = open(&dir, 1 << 20);
        assert_eq!(spool.bytes(), 0, "what was delivered is gone");
        spool.append(1, 0, &[2; 4]).unwrap();
        assert_eq!(bodies(&spool, "a"), [[2; 4]]);
        drop(spool);
        assert_eq!(bodies(&open(&dir, 1 << 20), "b"), [[2; 4]], "and after another one");
    }

    #[test]
    fn the_oldest_goes_when_the_spool_is_full_and_is_counted() {
        let spool = open(&dir(), 8 * 1024);
        let mut lost = BTreeMap::<String, u64>::new();
        for i in 0..100u8 {
            for dropped in spool.append(10, 0, &[i; 200]).unwrap() {
                *lost.entry(dropped.destination).or_default() += dropped.samples;
            }
            // One destination keeps up.
            let last = spool.read("a", 100, 1 << 20).unwrap().pop().unwrap();
            spool.advance("a", last.next).unwrap();
        }
        assert!(spool.bytes() <= 8 * 1024);
        assert_eq!(spool.waiting_bytes("a"), 0);
        assert!((1..=spool.bytes()).contains(&spool.waiting_bytes("b")));
        let kept = bodies(&spool, "b");
        assert_eq!(kept.last().unwrap()[0], 99);
        assert_eq!(kept[0][0] as u64 * 10, lost["b"], "kept and lost together are everything");
        assert_eq!(lost.get("a").copied().unwrap_or(0), 0);
    }

    #[test]
    fn damage_costs_the_rest_of_its_segment_only() {
        let dir = dir();
        let spool = open(&dir, 1 << 20);
        spool.append(1, 0, b"one").unwrap();
        spool.append(1, 0, b"two").unwrap();
        drop(spool);
        let spool = open(&dir, 1 << 20);
        spool.append(1, 0, b"three").unwrap();
        drop(spool);
        let name = segment_name(1);
        let mut bytes = dir.read(&name).unwrap();
        let at = bytes.len() - 1;
        bytes[at] ^= 1;
        dir.write_atomic(&name, &bytes).unwrap();
        let spool = open(&dir, 1 << 20);
        assert_eq!(bodies(&spool, "a"), [&b"one"[..], b"three"]);
    }

    #[test]
    fn a_full_disk_is_an_error_and_leaves_the_spool_usable() {
        let dir = dir();
        let spool = open(&dir, 2048);
        assert!(spool.append(1, 0, &[0; 4096]).is_ok(), "a single large record is taken");
        assert_eq!(spool.read("a", 10, 1).unwrap().len(), 1);
    }
}
