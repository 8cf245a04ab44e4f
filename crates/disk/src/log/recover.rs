//! Replays the segments of a folder, as the table in `docs/formats/wal.md` says.

use super::{
    LogError,
    search::find_next,
    segment::{self, HEADER_BYTES, Header, RECORD_HEADER_BYTES, RecordSeal},
};
use crate::Dir;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records replayed.
    pub records: u64,
    /// Bytes of a write that a crash cut short, dropped; nobody was told that it had succeeded.
    pub torn_bytes: u64,
    /// Bytes that should have been readable and were not.
    pub damage: Vec<Gap>,
}

/// A stretch of a segment that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// File name of the segment.
    pub segment: String,
    /// First unreadable byte.
    pub offset: u64,
    /// Number of unreadable bytes.
    pub bytes: u64,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "log segment `{}`: {} unreadable bytes at {}", self.segment, self.bytes, self.offset)
    }
}

pub(super) struct Replayed {
    /// Kept segments: number, bytes, whether damaged.
    pub(super) older: Vec<(u64, u64, bool)>,
    pub(super) next_segment: u64,
    pub(super) recovery: Recovery,
}

pub(super) fn replay_all(dir: &Dir, mut replay: impl FnMut(u64, &[u8])) -> Result<Replayed, LogError> {
    let mut replayed = Replayed { older: Vec::new(), next_segment: 1, recovery: Recovery::default() };
    let segments: Vec<u64> = dir.list()?.iter().filter_map(|name| segment::number_of(name)).collect();
    for &number in &segments {
        let is_newest = Some(&number) == segments.last();
        replayed.next_segment = number + 1;
        let bytes = dir.read(&segment::name(number))?;
        match segment::read_header(&bytes, number) {
            Header::Good(seal) => {
                let found = scan(&bytes, &seal, |record| replay(number, record));
                settle(dir, number, &bytes, found, is_newest, &mut replayed)?;
            }
            Header::Newer(version) => {
                return Err(LogError::NewerVersion { name: segment::name(number), version });
            }
            Header::Bad if bytes.len() as u64 <= HEADER_BYTES => dir.remove(&segment::name(number))?,
            Header::Bad => {
                dir.rename(&segment::name(number), &segment::damaged_name(number))?;
                let bytes = bytes.len() as u64;
                replayed.recovery.damage.push(Gap { segment: segment::name(number), offset: 0, bytes });
            }
        }
    }
    Ok(replayed)
}

/// What a scan of one segment found.
struct Scan {
    records: u64,
    /// Unreadable stretches with a good record behind them: offset and length.
    gaps: Vec<(usize, usize)>,
    /// End of the last good record.
    good_end: usize,
}

fn scan(bytes: &[u8], seal: &RecordSeal, mut replay: impl FnMut(&[u8])) -> Scan {
    let mut found = Scan { records: 0, gaps: Vec::new(), good_end: HEADER_BYTES as usize };
    while found.good_end < bytes.len() {
        let next = match seal.open(bytes, found.good_end) {
            Some(_) => found.good_end,
            None => match find_next(bytes, seal, found.good_end + 1) {
                Some(next) => {
                    found.gaps.push((found.good_end, next - found.good_end));
                    next
                }
                None => break,
            },
        };
        let Some(payload) = seal.open(bytes, next) else { break };
        replay(payload);
        found.records += 1;
        found.good_end = next + RECORD_HEADER_BYTES + payload.len();
    }
    found
}

/// Truncates a torn end, reports damage, and keeps or removes the segment.
fn settle(
    dir: &Dir,
    number: u64,
    bytes: &[u8],
    found: Scan,
    is_newest: bool,
    replayed: &mut Replayed,
) -> Result<(), LogError> {
    let name = segment::name(number);
    let Scan { records, mut gaps, good_end } = found;
    let recovery = &mut replayed.recovery;
    recovery.records += records;
    let rest = bytes.len() - good_end;
    if rest > 0 && is_newest {
        let mut file = dir.append_to(&name)?;
        file.truncate(good_end as u64)?;
        file.sync()?;
        recovery.torn_bytes += rest as u64;
    } else if rest > 0 {
        gaps.push((good_end, rest));
    }
    if records == 0 && gaps.is_empty() {
        dir.remove(&name)?;
        return Ok(());
    }
    let is_damaged = !gaps.is_empty();
    recovery.damage.extend(gaps.into_iter().map(|(offset, length)| Gap {
        segment: name.clone(),
        offset: offset as u64,
        bytes: length as u64,
    }));
    let kept_bytes = if is_newest { good_end } else { bytes.len() };
    replayed.older.push((number, kept_bytes as u64, is_damaged));
    Ok(())
}
