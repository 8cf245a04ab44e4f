//! A segmented append-only log with group commit; the bytes are drawn in `docs/formats/wal.md`.
//!
//! * Records become durable in the order of their appends, and are replayed in that order.
//! * A record waits for the fsync in flight and never for a timer: while one fsync runs, appends
//!   pile up behind it and share the next one.
//! * A write that finds no room is taken back and the log stays usable. A failed fsync, or a failed
//!   write that cannot be taken back, poisons the log for good: what the medium holds is unknown.
//!
//! Bounds: a record has at most [`RECORD_BYTES_MAX`] bytes; at most [`PENDING_MAX`] records wait
//! for an fsync, further appends block until it has finished.

mod reader;
mod recover;
mod search;
mod segment;
#[cfg(test)]
mod tests;

use crate::{Dir, WriteFile};
use recover::{Replayed, replay_all};
use segment::{HEADER_BYTES, RecordSeal};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

pub use reader::{LogReader, Position};
pub use recover::{Gap, Recovery};

/// Most bytes of one record.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// Most records waiting for one fsync.
const PENDING_MAX: usize = 4096;
/// The buffer that joins a record's parts is given back when it has grown beyond this.
const SCRATCH_BYTES_KEPT: usize = 4 << 20;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has reached this size is followed by a new one.
    pub segment_bytes_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment_bytes_max: 64 << 20 }
    }
}

/// Why a log did not take a record.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No room; the log is as before and may be tried again.
    #[error("no room for the record: {0}")]
    Full(String),
    /// A write or fsync failed; the log takes nothing until it is opened anew.
    #[error("log stopped after a failure: {0}")]
    Poisoned(String),
    /// The record is empty or longer than [`RECORD_BYTES_MAX`].
    #[error("record of {0} bytes cannot be logged")]
    RecordSize(usize),
    /// The log was written by a newer release.
    #[error("log segment `{name}` has version {version}, newer than this program")]
    NewerVersion {
        /// File name.
        name: String,
        /// Its version.
        version: u32,
    },
    /// Opening or removing failed.
    #[error("log failed: {0}")]
    Io(#[from] io::Error),
}

type Done = Box<dyn FnOnce(Result<(), String>) + Send>;

/// See the module.
pub struct Log {
    shared: Arc<Shared>,
    syncing: Option<thread::JoinHandle<()>>,
}

struct Shared {
    dir: Dir,
    options: LogOptions,
    state: Mutex<State>,
    /// Told when a record is appended, when an fsync has finished, and at the end.
    changed: Condvar,
}

struct State {
    current: WriteFile,
    segment: u64,
    seal: RecordSeal,
    /// Older segments: bytes, and whether some of them could not be read.
    older: BTreeMap<u64, Older>,
    scratch: Vec<u8>,
    pending: Vec<Done>,
    is_syncing: bool,
    /// Records appended and records made durable since the start.
    appended: u64,
    durable: u64,
    /// The place behind the last record that is known to be durable.
    durable_end: Position,
    poisoned: Option<String>,
    is_closing: bool,
}

#[derive(Clone, Copy)]
struct Older {
    bytes: u64,
    is_damaged: bool,
}

impl Log {
    /// Replays every record of the log in `dir` into `replay` (segment number, payload) and opens
    /// a new segment for appends.
    ///
    /// # Errors
    /// When the folder cannot be read or written, or a newer release wrote it. Damage is not an
    /// error: see [`Recovery`].
    pub fn open(
        dir: Dir,
        options: LogOptions,
        replay: impl FnMut(u64, &[u8]),
    ) -> Result<(Log, Recovery), LogError> {
        let Replayed { older, next_segment, recovery } = replay_all(&dir, replay)?;
        let older =
            older.into_iter().map(|(segment, bytes, is_damaged)| (segment, Older { bytes, is_damaged }));
        let (current, seal) = segment::create(&dir, next_segment)?;
        let state = State {
            current,
            segment: next_segment,
            seal,
            older: older.collect(),
            scratch: Vec::new(),
            pending: Vec::new(),
            is_syncing: false,
            appended: 0,
            durable: 0,
            durable_end: Position { segment: next_segment, offset: HEADER_BYTES },
            poisoned: None,
            is_closing: false,
        };
        let shared = Arc::new(Shared { dir, options, state: Mutex::new(state), changed: Condvar::new() });
        let worker = shared.clone();
        let syncing = thread::Builder::new().name("log-sync".to_owned()).spawn(move || worker.sync_loop())?;
        Ok((Log { shared, syncing: Some(syncing) }, recovery))
    }

    /// Appends one record, made of `record_parts` in a row, and returns the segment it is in.
    /// `done` is called on the log's own thread once the record is durable or never will be; it
    /// must be quick and must not append. It is dropped uncalled when this call fails.
    ///
    /// # Errors
    /// [`LogError::Full`] when there is no room, [`LogError::Poisoned`] after a failure,
    /// [`LogError::RecordSize`] for a record that is empty or too long.
    pub fn append(
        &self,
        record_parts: &[&[u8]],
        done: impl FnOnce(Result<(), String>) + Send + 'static,
    ) -> Result<u64, LogError> {
        self.append_together(&[record_parts], done)
    }

    /// Appends several records to one segment, all of them or none. A crash may still cut them
    /// short behind any of them. Otherwise as [`Log::append`].
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_together(
        &self,
        records: &[&[&[u8]]],
        done: impl FnOnce(Result<(), String>) + Send + 'static,
    ) -> Result<u64, LogError> {
        let bad_size = |&length: &usize| length == 0 || length > RECORD_BYTES_MAX;
        let length_of = |record: &&[&[u8]]| record.iter().map(|part| part.len()).sum();
        if let Some(length) = records.iter().map(length_of).find(bad_size) {
            return Err(LogError::RecordSize(length));
        }
        let mut state = self.shared.lock();
        while state.pending.len() >= PENDING_MAX && state.poisoned.is_none() {
            state = self.shared.wait(state);
        }
        state.check()?;
        if state.current.len() >= self.shared.options.segment_bytes_max {
            self.shared.rotate(&mut state)?;
        }
        state.write(records)?;
        state.pending.push(Box::new(done));
        state.appended += 1;
        let segment = state.segment;
        // While an fsync runs its end wakes the thread anyway.
        if !state.is_syncing {
            self.shared.changed.notify_all();
        }
        Ok(segment)
    }

    /// Ends the current segment and returns the number of the new one: all records appended from
    /// now on are in it or later ones.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn rotate(&self) -> Result<u64, LogError> {
        let mut state = self.shared.lock();
        state.check()?;
        if state.current.len() > HEADER_BYTES {
            self.shared.rotate(&mut state)?;
        }
        Ok(state.segment)
    }

    /// Blocks until every record appended before the call is durable.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] when that will never be.
    pub fn sync(&self) -> Result<(), LogError> {
        let mut state = self.shared.lock();
        let wanted = state.appended;
        while state.durable < wanted && state.poisoned.is_none() {
            state = self.shared.wait(state);
        }
        state.check()
    }

    /// Drops all segments before `segment`. Those with unreadable records are renamed `.damaged`
    /// instead.
    ///
    /// # Errors
    /// When a file cannot be removed; the next call tries again.
    pub fn remove_before(&self, segment: u64) -> Result<(), LogError> {
        let doomed: Vec<(u64, Older)> =
            self.shared.lock().older.range(..segment).map(|(number, older)| (*number, *older)).collect();
        for &(number, older) in &doomed {
            let name = segment::name(number);
            if older.is_damaged {
                self.shared.dir.rename(&name, &segment::damaged_name(number))?;
            } else {
                self.shared.dir.remove(&name)?;
            }
            self.shared.lock().older.remove(&number);
        }
        if !doomed.is_empty() {
            self.shared.dir.sync_dir()?;
        }
        Ok(())
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        let state = self.shared.lock();
        state.current.len() + state.older.values().map(|older| older.bytes).sum::<u64>()
    }
}

impl Drop for Log {
    /// Makes durable what is pending, calls what waits for it, and ends the thread.
    fn drop(&mut self) {
        self.shared.lock().is_closing = true;
        self.shared.changed.notify_all();
        if let Some(syncing) = self.syncing.take()
            && syncing.join().is_err()
        {
            tracing::error!("the log's sync thread panicked");
        }
    }
}

impl State {
    fn check(&self) -> Result<(), LogError> {
        match &self.poisoned {
            None => Ok(()),
            Some(reason) => Err(LogError::Poisoned(reason.clone())),
        }
    }

    /// Writes records at the end of the current segment, or leaves the segment as it was.
    fn write(&mut self, records: &[&[&[u8]]]) -> Result<(), LogError> {
        let offset = self.current.len();
        let written = records.iter().try_for_each(|record| {
            self.seal.seal(self.current.len(), record, &mut self.scratch);
            self.current.write_all(&self.scratch)
        });
        if self.scratch.capacity() > SCRATCH_BYTES_KEPT {
            self.scratch = Vec::new();
        }
        let Err(error) = written else { return Ok(()) };
        if let Err(truncate_error) = self.current.truncate(offset) {
            return Err(self.poison(format!("{error}; taking the write back: {truncate_error}")));
        }
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Err(LogError::Full(error.to_string()))
            }
            _ => Err(self.poison(error.to_string())),
        }
    }

    fn poison(&mut self, reason: String) -> LogError {
        let reason = self.poisoned.get_or_insert(reason).clone();
        tracing::error!(reason, "log takes no more records");
        LogError::Poisoned(reason)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The old segment is made durable first, under the lock: so only the newest segment can be
    /// torn, and whoever syncs the current file has synced all before it.
    fn rotate(&self, state: &mut State) -> Result<(), LogError> {
        if let Err(error) = state.current.sync() {
            return Err(state.poison(error.to_string()));
        }
        let next = state.segment + 1;
        let (current, seal) = segment::create(&self.dir, next).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::Full(error.to_string()),
            _ => LogError::Io(error),
        })?;
        let bytes = state.current.len();
        state.older.insert(state.segment, Older { bytes, is_damaged: false });
        (state.current, state.segment, state.seal) = (current, next, seal);
        state.durable_end = Position { segment: next, offset: HEADER_BYTES };
        Ok(())
    }

    fn sync_loop(&self) {
        let mut state = self.lock();
        loop {
            while state.pending.is_empty() && !state.is_closing {
                state = self.wait(state);
            }
            if state.pending.is_empty() {
                return;
            }
            let batch = std::mem::take(&mut state.pending);
            let result = match &state.poisoned {
                Some(reason) => Err(reason.clone()),
                None => {
                    let (syncer, appended) = (state.current.syncer(), state.appended);
                    let end = Position { segment: state.segment, offset: state.current.len() };
                    state.is_syncing = true;
                    drop(state);
                    let synced = syncer.sync();
                    state = self.lock();
                    state.is_syncing = false;
                    if synced.is_ok() {
                        state.durable = appended;
                        // A rotation meanwhile has made more durable than this.
                        state.durable_end = state.durable_end.max(end);
                    }
                    synced.map_err(|error| state.poison(format!("fsync: {error}")).to_string())
                }
            };
            drop(state);
            for done in batch {
                done(result.clone());
            }
            state = self.lock();
            self.changed.notify_all();
        }
    }
}
