//! Reads a log while it is being written: from any place, in order, and only what is durable.
//!
//! A reader never holds segments back. One whose segment has been dropped goes on with the oldest
//! that is left; whoever must not miss anything drops no segment before it was read.

use super::{
    Log, LogError, Shared,
    segment::{self, HEADER_BYTES, Header, RECORD_HEADER_BYTES, RecordSeal},
};
use crate::ReadFile;
use std::{io, sync::Arc};

/// A place between records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from the start of its file; less than its header stands for the first record.
    pub offset: u64,
}

/// See the module.
pub struct LogReader {
    shared: Arc<Shared>,
    at: Position,
    open: Option<OpenSegment>,
}

struct OpenSegment {
    number: u64,
    file: ReadFile,
    seal: RecordSeal,
}

/// What is at a place.
enum Found {
    /// The length of the record, its header included.
    Record(u64),
    /// Nothing that can be read, up to the end of the segment.
    Damage,
    /// The segment has been dropped.
    Gone,
}

impl Log {
    /// Reads from `at` on.
    pub fn reader(&self, at: Position) -> LogReader {
        LogReader { shared: self.shared.clone(), at, open: None }
    }

    /// The place behind the last durable record.
    pub fn durable_end(&self) -> Position {
        self.shared.lock().durable_end
    }

    /// The number of the segment that takes appends.
    pub fn newest_segment(&self) -> u64 {
        self.shared.lock().segment
    }

    /// The number of the oldest segment.
    pub fn oldest_segment(&self) -> u64 {
        let state = self.shared.lock();
        state.older.first_key_value().map_or(state.segment, |(number, _)| *number)
    }
}

impl LogReader {
    /// Reads the next record into `into`, replacing what it held, and returns the place after it;
    /// `None` when no further record is durable yet. Unreadable bytes are logged and passed over.
    ///
    /// # Errors
    /// When reading fails.
    pub fn next(&mut self, into: &mut Vec<u8>) -> Result<Option<Position>, LogError> {
        while let Some(segment_end) = self.find_segment() {
            self.at.offset = self.at.offset.max(HEADER_BYTES);
            match self.read(segment_end, into)? {
                Found::Record(length) => {
                    self.at.offset += length;
                    return Ok(Some(self.at));
                }
                Found::Gone => self.at = Position { segment: self.at.segment + 1, offset: 0 },
                Found::Damage => {
                    let Position { segment, offset } = self.at;
                    tracing::error!(segment, offset, "the rest of a log segment cannot be read");
                    self.at = Position { segment: segment + 1, offset: 0 };
                }
            }
        }
        Ok(None)
    }

    /// Moves to the segment with the next record, and returns where its readable bytes end.
    fn find_segment(&mut self) -> Option<u64> {
        let state = self.shared.lock();
        loop {
            let older = state.older.range(self.at.segment..).next();
            let (number, end) = match older {
                Some((&number, older)) => (number, older.bytes),
                None => (state.durable_end.segment, state.durable_end.offset),
            };
            if number != self.at.segment {
                if number < self.at.segment {
                    return None;
                }
                self.at = Position { segment: number, offset: 0 };
            }
            if self.at.offset.max(HEADER_BYTES) < end {
                return Some(end);
            }
            older?;
            self.at = Position { segment: number + 1, offset: 0 };
        }
    }

    fn read(&mut self, segment_end: u64, into: &mut Vec<u8>) -> Result<Found, LogError> {
        let Position { segment, offset } = self.at;
        let opened = match self.open.take() {
            Some(open) if open.number == segment => Some(open),
            _ => match OpenSegment::open(&self.shared, segment) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Gone),
                opened => opened?,
            },
        };
        let Some(open) = opened else { return Ok(Found::Damage) };
        let room = segment_end - offset;
        let found = open.record(offset, room, into)?;
        self.open = Some(open);
        Ok(found)
    }
}

impl OpenSegment {
    /// `None` when its header is not readable.
    fn open(shared: &Shared, number: u64) -> io::Result<Option<OpenSegment>> {
        let file = shared.dir.open(&segment::name(number))?;
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0)?;
        Ok(match segment::read_header(&header, number) {
            Header::Good(seal) => Some(OpenSegment { number, file, seal }),
            Header::Newer(_) | Header::Bad => None,
        })
    }

    fn record(&self, offset: u64, room: u64, into: &mut Vec<u8>) -> Result<Found, LogError> {
        if room < RECORD_HEADER_BYTES as u64 {
            return Ok(Found::Damage);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        self.file.read_exact_at(&mut header, offset)?;
        let length = RecordSeal::announced(&header).map(|payload| RECORD_HEADER_BYTES + payload);
        let Some(length) = length.filter(|length| *length as u64 <= room) else {
            return Ok(Found::Damage);
        };
        into.clear();
        into.resize(length, 0);
        self.file.read_exact_at(into, offset)?;
        if self.seal.open_alone(into, offset).is_none() {
            return Ok(Found::Damage);
        }
        into.drain(..RECORD_HEADER_BYTES);
        Ok(Found::Record(length as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dir, Faults, LogOptions};

    fn open(dir: &Dir) -> Log {
        Log::open(dir.clone(), LogOptions { segment_bytes_max: 100 }, |_, _| {}).unwrap().0
    }

    fn put(log: &Log, record: u8) {
        log.append(&[&[record; 20]], |done| done.unwrap()).unwrap();
        log.sync().unwrap();
    }

    fn rest(reader: &mut LogReader) -> Vec<u8> {
        let mut record = Vec::new();
        let mut found = Vec::new();
        while reader.next(&mut record).unwrap().is_some() {
            assert_eq!(record, [record[0]; 20]);
            found.push(record[0]);
        }
        found
    }

    #[test]
    fn a_reader_follows_over_segments_and_goes_on_where_it_stood_after_a_start() {
        let scratch = tempfile::tempdir().unwrap();
        for dir in [Dir::simulated(1, Faults::default()), Dir::real(scratch.path()).unwrap()] {
            let log = open(&dir);
            let mut reader = log.reader(Position::default());
            assert_eq!(rest(&mut reader), []);
            (0..10).for_each(|record| put(&log, record));
            assert_eq!(rest(&mut reader), (0..10).collect::<Vec<u8>>());
            assert_eq!(rest(&mut reader), []);
            let stood = reader.at;
            put(&log, 10);
            drop((reader, log));

            let log = open(&dir);
            put(&log, 11);
            assert_eq!(rest(&mut log.reader(stood)), [10, 11]);
            log.remove_before(log.newest_segment()).unwrap();
            assert_eq!(rest(&mut log.reader(Position::default())), [11], "what is gone is passed over");
            assert_eq!(log.oldest_segment(), log.newest_segment());
        }
    }

    #[test]
    fn a_record_is_read_only_once_it_is_durable() {
        let dir = Dir::simulated(2, Faults::default());
        let log = open(&dir);
        put(&log, 1);
        let durable = log.durable_end();
        let mut reader = log.reader(Position::default());
        assert_eq!(rest(&mut reader), [1]);
        assert_eq!(reader.at, durable);
    }

    #[test]
    fn damage_costs_the_rest_of_its_segment() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::real(scratch.path()).unwrap();
        let log = open(&dir);
        (0..9).for_each(|record| put(&log, record));
        let name = segment::name(1);
        let mut bytes = dir.read(&name).unwrap();
        let second = HEADER_BYTES as usize + RECORD_HEADER_BYTES + 20;
        bytes[second + RECORD_HEADER_BYTES] ^= 1;
        std::fs::write(scratch.path().join(&name), bytes).unwrap();
        let found = rest(&mut log.reader(Position::default()));
        assert_eq!((found[0], found[1..].first()), (0, Some(&3)), "three records fit a segment");
        assert_eq!(found.last(), Some(&8));
    }
}
