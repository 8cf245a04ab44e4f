//! What the store acknowledged and some endpoint has not: a log of its own, with a cursor for each
//! endpoint. The bytes are drawn in `docs/formats/egress.md`.
//!
//! A batch is acknowledged to its sender only when it is durable here as well, so that neither a
//! crash of this process nor an outage of an endpoint makes a gap. A segment is dropped once every
//! cursor is past it. Bound: `limits.remote_write_bytes_max`; beyond it the oldest segment goes and
//! what an endpoint had not acknowledged of it is counted as lost.

use super::record;
use anyhow::Context;
use disk::{Dir, Log, LogError, LogOptions, LogReader, Position};
use model::MetricBatch;
use prometheus_client::metrics::counter::Counter;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use store::{Commit, StoreError};

/// Small enough that little is lost at once when the bound is reached.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;
/// The bound is kept by whole segments: there must be several.
const SEGMENTS_MIN: u64 = 8;

/// An endpoint as the journal knows it.
pub(super) struct Follower {
    /// Names its cursor: a plain file name.
    pub(super) key: String,
    /// Counts what it will never get.
    pub(super) lost: Counter,
}

/// See the module.
pub(super) struct Journal {
    log: Log,
    dir: Dir,
    bytes_max: u64,
    state: Mutex<State>,
    durable: Arc<Signal>,
}

struct State {
    /// Samples of each segment.
    segments: BTreeMap<u64, u64>,
    cursors: BTreeMap<String, Tracked>,
}

struct Tracked {
    cursor: Cursor,
    is_saved: bool,
    lost: Counter,
}

/// How far an endpoint has acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cursor {
    at: Position,
    /// Samples of its segment that are before it.
    passed: u64,
}

/// Counts events and wakes who waits for the next.
#[derive(Default)]
struct Signal {
    count: Mutex<u64>,
    changed: Condvar,
}

/// Reads the journal for one endpoint.
pub(super) struct JournalReader(LogReader);

impl Journal {
    /// Opens the journal for these endpoints. Cursors of others are forgotten; a new endpoint
    /// begins with what comes from now on.
    pub(super) fn open(dir: Dir, bytes_max: u64, followers: Vec<Follower>) -> anyhow::Result<Journal> {
        let segment_bytes_max = SEGMENT_BYTES_MAX.min(bytes_max / SEGMENTS_MIN).max(1);
        let mut segments = BTreeMap::new();
        let (log, recovery) = Log::open(dir.clone(), LogOptions { segment_bytes_max }, |segment, payload| {
            *segments.entry(segment).or_default() += record::samples(payload);
        })
        .context("failed to open the journal of remote write")?;
        for gap in &recovery.damage {
            tracing::error!(%gap, "the journal of remote write is damaged; its samples are not sent on");
        }
        let newest = log.newest_segment();
        let end = Cursor { at: Position { segment: newest, offset: 0 }, passed: 0 };
        let mut cursors = BTreeMap::new();
        for Follower { key, lost } in followers {
            let cursor = match read_cursor(&dir, &key)? {
                // Numbers started anew: nothing can be known but that all is still to be sent.
                Some(cursor) if cursor.at.segment >= newest => Cursor::default(),
                Some(cursor) => cursor,
                None => end,
            };
            cursors.insert(key, Tracked { cursor, is_saved: false, lost });
        }
        let journal = Journal {
            log,
            dir,
            bytes_max,
            state: Mutex::new(State { segments, cursors }),
            durable: Arc::default(),
        };
        journal.forget_others()?;
        journal.save_all()?;
        Ok(journal)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forget_others(&self) -> io::Result<()> {
        let known: Vec<String> = self.lock().cursors.keys().map(|key| cursor_name(key)).collect();
        for name in self.dir.list()?.iter().filter(|name| name.starts_with("cursor-")) {
            if !known.contains(name) {
                self.dir.remove(name)?;
            }
        }
        Ok(())
    }

    /// Adds a batch. The commit completes when it is durable.
    ///
    /// # Errors
    /// When there is no room, or the log has failed for good.
    pub(super) fn append(&self, batch: &MetricBatch, now_ms: i64) -> Result<Commit, StoreError> {
        let payload =
            record::encode(batch, now_ms).map_err(|error| StoreError::Io(io::Error::other(error)))?;
        let (commit, handle) = Commit::pending();
        let durable = self.durable.clone();
        let appended = self.log.append(&[&payload], move |done| {
            handle.complete(done);
            durable.raise();
        });
        let segment = match appended {
            Ok(segment) => segment,
            Err(LogError::RecordSize(bytes)) => return Ok(self.refuse(batch, bytes)),
            Err(LogError::Full(why)) => return Err(StoreError::Full(why)),
            Err(error) => return Err(StoreError::Poisoned(error.to_string())),
        };
        *self.lock().segments.entry(segment).or_default() += batch.sample_count() as u64;
        self.hold_to_size()?;
        Ok(commit)
    }

    /// A batch that no record can hold is stored here but sent nowhere.
    fn refuse(&self, batch: &MetricBatch, bytes: usize) -> Commit {
        tracing::error!(bytes, "a batch is too large for the journal of remote write and is not sent on");
        for tracked in self.lock().cursors.values() {
            tracked.lost.inc_by(batch.sample_count() as u64);
        }
        Commit::done()
    }

    fn hold_to_size(&self) -> Result<(), StoreError> {
        while self.log.bytes() > self.bytes_max {
            let oldest = self.log.oldest_segment();
            if oldest == self.log.newest_segment() {
                break;
            }
            let lost = self.lock().drop_segment(oldest);
            tracing::warn!(
                segment = oldest,
                samples = lost,
                "the journal of remote write is full: the oldest samples go"
            );
            self.log.remove_before(oldest + 1).map_err(|error| StoreError::Io(io::Error::other(error)))?;
        }
        Ok(())
    }

    /// From the first record that the endpoint has not acknowledged.
    pub(super) fn reader(&self, key: &str) -> JournalReader {
        let at = self.lock().cursors.get(key).map_or_else(Position::default, |tracked| tracked.cursor.at);
        JournalReader(self.log.reader(at))
    }

    /// The endpoint has acknowledged a record of so many samples, which ends at `after`.
    pub(super) fn advance(&self, key: &str, after: Position, samples: u64) {
        let mut state = self.lock();
        let Some(tracked) = state.cursors.get_mut(key) else { return };
        let before = tracked.cursor;
        // Records whose segment was dropped meanwhile are behind the cursor already.
        if after > before.at {
            let passed = if after.segment == before.at.segment { before.passed } else { 0 };
            tracked.cursor = Cursor { at: after, passed: passed + samples };
            tracked.is_saved = false;
        }
    }

    /// Writes the endpoint's cursor down, so that little is sent again after a crash, and drops
    /// what nobody needs any more.
    pub(super) fn save(&self, key: &str) -> io::Result<()> {
        let cursor = self.lock().cursors.get(key).filter(|tracked| !tracked.is_saved).map(|t| t.cursor);
        let Some(cursor) = cursor else { return Ok(()) };
        write_cursor(&self.dir, key, cursor)?;
        let slowest = {
            let mut state = self.lock();
            if let Some(tracked) = state.cursors.get_mut(key) {
                tracked.is_saved = tracked.cursor == cursor;
            }
            state.cursors.values().map(|tracked| tracked.cursor.at.segment).min().unwrap_or(0)
        };
        self.log.remove_before(slowest).map_err(io::Error::other)?;
        let oldest = self.log.oldest_segment();
        self.lock().segments.retain(|segment, _| *segment >= oldest);
        Ok(())
    }

    fn save_all(&self) -> io::Result<()> {
        let keys: Vec<String> = self.lock().cursors.keys().cloned().collect();
        keys.iter().try_for_each(|key| self.save(key))
    }

    /// Samples that the endpoint has not acknowledged.
    pub(super) fn pending_samples(&self, key: &str) -> u64 {
        let state = self.lock();
        let Some(tracked) = state.cursors.get(key) else { return 0 };
        let Cursor { at, passed } = tracked.cursor;
        let all: u64 = state.segments.range(at.segment..).map(|(_, samples)| samples).sum();
        all.saturating_sub(passed)
    }

    /// Bytes on disk.
    pub(super) fn bytes(&self) -> u64 {
        self.log.bytes()
    }

    /// Batches that have become durable.
    pub(super) fn durable_count(&self) -> u64 {
        *self.durable.lock()
    }

    /// Waits until more than `seen` batches are durable, but not for longer than `patience`.
    pub(super) fn wait(&self, seen: u64, patience: Duration) {
        let count = self.durable.lock();
        let waited = self.durable.changed.wait_timeout_while(count, patience, |count| *count <= seen);
        drop(waited);
    }
}

impl State {
    /// Moves the cursors that are in a segment, or before it, behind it; returns the most samples
    /// that one of them loses.
    fn drop_segment(&mut self, segment: u64) -> u64 {
        let samples = self.segments.remove(&segment).unwrap_or(0);
        let after = Position { segment: segment + 1, offset: 0 };
        let mut most = 0;
        for tracked in self.cursors.values_mut().filter(|tracked| tracked.cursor.at < after) {
            let Cursor { at, passed } = tracked.cursor;
            let lost = if at.segment == segment { samples.saturating_sub(passed) } else { samples };
            tracked.lost.inc_by(lost);
            tracked.cursor = Cursor { at: after, passed: 0 };
            tracked.is_saved = false;
            most = most.max(lost);
        }
        most
    }
}

impl JournalReader {
    /// Decodes the next batch into `batch`; `None` when there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(super) fn next(
        &mut self,
        payload: &mut Vec<u8>,
        batch: &mut MetricBatch,
    ) -> Result<Option<(Position, record::Head)>, LogError> {
        while let Some(after) = self.0.next(payload)? {
            match record::decode(payload, batch) {
                Ok(head) => return Ok(Some((after, head))),
                // The log's checksum was good: another release wrote it.
                Err(error) => {
                    tracing::error!(%error, "a record of the journal of remote write is passed over")
                }
            }
        }
        Ok(None)
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raise(&self) {
        *self.lock() += 1;
        self.changed.notify_all();
    }
}

fn cursor_name(key: &str) -> String {
    format!("cursor-{key}")
}

fn write_cursor(dir: &Dir, key: &str, Cursor { at, passed }: Cursor) -> io::Result<()> {
    dir.write_atomic(&cursor_name(key), format!("{} {} {passed}\n", at.segment, at.offset).as_bytes())
}

fn read_cursor(dir: &Dir, key: &str) -> io::Result<Option<Cursor>> {
    let bytes = match dir.read(&cursor_name(key)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let numbers: Vec<u64> = text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect();
    Ok(Some(match numbers[..] {
        [segment, offset, passed] => Cursor { at: Position { segment, offset }, passed },
        // Unreadable: everything again is better than a gap.
        _ => Cursor::default(),
    }))
}

#[cfg(test)]
mod tests;
