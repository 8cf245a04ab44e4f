//! The store itself: its state, how it is opened, and what reads see of it.
//!
//! Locks, in the order in which they may be taken: `merging`, `flushing`, `appender`, `manifest`,
//! `state`. `appender` keeps the write-ahead log and the memory in one order; `state` is held only
//! for moments.

use crate::{
    LogstoreOptions,
    append::Accepted,
    bytes::Damaged,
    damage::Damage,
    manifest::{DELETIONS_FILE, MANIFEST_FILE, Manifest, encode_deletions},
    memory::{Memory, MemorySnapshot, hash_of},
    part::{Part, cache::Caches, writer::Shape},
    probe,
    quiet::{Days, Watch},
    record::{self, RecordWriter},
    recover::{Recovered, recover},
    retention::{Cuts, Rules},
    stream::Registry,
    tombstone::Tombstone,
};
use disk::{Dir, DirLock, Log, LogError, LogOptions};
use model::BatchId;
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};
use store::{BatchLedger, Commit, StoreError};

/// Logs on local disk; see the crate.
pub struct Logstore {
    pub(crate) options: LogstoreOptions,
    pub(crate) shape: Shape,
    pub(crate) log: Log,
    pub(crate) dir: Dir,
    pub(crate) parts_dir: Dir,
    pub(crate) registry: Registry,
    pub(crate) caches: Arc<Caches>,
    pub(crate) damage: Arc<Damage>,
    pub(crate) merging: Mutex<()>,
    pub(crate) flushing: Mutex<()>,
    pub(crate) watch: Mutex<Watch>,
    pub(crate) days: Mutex<Days>,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) state: RwLock<State>,
    _lock: DirLock,
}

/// What appends change besides the memory.
pub(crate) struct Appender {
    pub(crate) ledger: BatchLedger,
    pub(crate) record: RecordWriter,
    /// Completes when everything appended so far is durable.
    pub(crate) last_commit: Commit,
    /// Whether the log has records that no flush has covered.
    pub(crate) has_unflushed: bool,
}

/// What reads see.
pub(crate) struct State {
    pub(crate) memory: Memory,
    /// On its way to disk, oldest first.
    pub(crate) frozen: Vec<Arc<Frozen>>,
    /// Ascending by day, then rank.
    pub(crate) parts: Arc<Vec<Arc<Part>>>,
    pub(crate) tombstones: Arc<Vec<Arc<Tombstone>>>,
    /// Older rows are not shown: retention, as the last maintenance saw it.
    pub(crate) cuts: Cuts,
}

impl State {
    /// Time of the newest row.
    pub(crate) fn newest_ns(&self) -> Option<i64> {
        let frozen = self.frozen.iter().filter_map(|frozen| frozen.memory.newest_ns());
        let parts = self.parts.iter().map(|part| part.range.end);
        frozen.chain(parts).chain(self.memory.newest_ns()).max()
    }
}

/// A full memory on its way to disk.
pub(crate) struct Frozen {
    pub(crate) memory: Memory,
    pub(crate) snapshot: MemorySnapshot,
    /// Later rows are in this segment of the log or after it.
    pub(crate) next_segment: u64,
    pub(crate) ledger: Vec<u8>,
    /// Its parts, once they are written; a retry has only the manifest left to do.
    pub(crate) parts: OnceLock<Vec<Arc<Part>>>,
}

/// The store at one moment.
#[derive(Clone)]
pub(crate) struct View {
    /// Oldest first.
    pub(crate) memories: Vec<MemorySnapshot>,
    pub(crate) parts: Arc<Vec<Arc<Part>>>,
    pub(crate) tombstones: Arc<Vec<Arc<Tombstone>>>,
    pub(crate) cuts: Cuts,
}

impl Logstore {
    /// Opens the store in `dir`: reads its parts, replays its write-ahead log, and removes what a
    /// crash has left behind. `now_ns` is the time that replayed rows are taken to have arrived.
    ///
    /// # Errors
    /// When the folder is in use, cannot be read, or was written by a newer release. A damaged
    /// part or record is set aside and reported instead.
    pub fn open(dir: Dir, options: LogstoreOptions, now_ns: i64) -> Result<Logstore, StoreError> {
        Self::open_shaped(dir, options, Shape::default(), now_ns)
    }

    /// As [`Logstore::open`], with pieces of another size.
    pub(crate) fn open_shaped(
        dir: Dir,
        options: LogstoreOptions,
        shape: Shape,
        now_ns: i64,
    ) -> Result<Logstore, StoreError> {
        let lock = dir.lock()?;
        let damage = Arc::new(Damage::default());
        let parts_dir = dir.sub("parts")?;
        let registry = Registry::new(Rules::new(options.limits, &options.stream_retention));
        let Recovered { manifest, parts, is_rebuilt } = recover(&dir, &parts_dir, &registry, &damage)?;
        let parts = Arc::new(parts);
        let tombstones = Arc::new(manifest.tombstones.clone());
        let stored = is_rebuilt.then(|| View {
            memories: Vec::new(),
            parts: parts.clone(),
            tombstones: tombstones.clone(),
            cuts: registry.rules().cuts(i64::MIN, i64::MIN),
        });
        let mut ledger = BatchLedger::decode(&manifest.ledger).unwrap_or_default();
        let mut memory = Memory::default();
        let mut has_unflushed = false;
        let replay = |segment: u64, bytes: &[u8]| {
            if segment < manifest.replay_from {
                return;
            }
            has_unflushed = true;
            match replay_record(bytes, &registry, &mut memory, stored.as_ref(), now_ns) {
                Ok(Some(id)) => {
                    ledger.record(&id);
                }
                Ok(None) => {}
                Err(error) => damage.note(format!("log segment {segment}: {error}")),
            }
        };
        let (log, recovery) = Log::open(dir.sub("wal")?, LogOptions::default(), replay).map_err(log_error)?;
        recovery.damage.iter().for_each(|gap| damage.note(gap.to_string()));
        log.remove_before(manifest.replay_from).map_err(log_error)?;
        let mut state = State {
            memory,
            frozen: Vec::new(),
            parts,
            tombstones,
            cuts: registry.rules().cuts(i64::MIN, i64::MIN),
        };
        state.cuts = registry.rules().cuts(now_ns, state.newest_ns().unwrap_or(now_ns));
        let appender =
            Appender { ledger, record: RecordWriter::default(), last_commit: Commit::done(), has_unflushed };
        Ok(Logstore {
            caches: Arc::new(Caches::new(options.cache_bytes_max)),
            options,
            shape,
            log,
            dir,
            parts_dir,
            registry,
            damage,
            merging: Mutex::default(),
            flushing: Mutex::default(),
            watch: Mutex::default(),
            days: Mutex::default(),
            appender: Mutex::new(appender),
            manifest: Mutex::new(manifest),
            state: RwLock::new(state),
            _lock: lock,
        })
    }

    /// The store as it is now.
    pub(crate) fn view(&self) -> View {
        let mut state = write(&self.state);
        let mut memories: Vec<MemorySnapshot> =
            state.frozen.iter().map(|frozen| frozen.snapshot.clone()).collect();
        if !state.memory.is_empty() {
            memories.push(state.memory.snapshot());
        }
        View {
            memories,
            parts: state.parts.clone(),
            tombstones: state.tombstones.clone(),
            cuts: state.cuts.clone(),
        }
    }

    /// Makes a change of the manifest durable, then visible: `change` is applied to a copy that
    /// replaces the manifest on disk, and `show` to the state.
    pub(crate) fn publish(
        &self,
        change: impl FnOnce(&mut Manifest),
        show: impl FnOnce(&mut State),
    ) -> Result<(), StoreError> {
        let mut manifest = lock(&self.manifest);
        let mut next = manifest.clone();
        change(&mut next);
        next.sort();
        if next.tombstones.len() != manifest.tombstones.len() {
            self.dir.write_atomic(DELETIONS_FILE, &encode_deletions(&next.tombstones)).map_err(io_error)?;
        }
        self.dir.write_atomic(MANIFEST_FILE, &next.encode()).map_err(io_error)?;
        *manifest = next;
        let mut state = write(&self.state);
        show(&mut state);
        Ok(())
    }

    /// A number for a new part, never given out before nor after.
    pub(crate) fn take_part_id(&self) -> u64 {
        let mut manifest = lock(&self.manifest);
        manifest.next_part += 1;
        manifest.next_part - 1
    }
}

/// Takes the rows of a record of the write-ahead log into memory; returns the batch's id. With
/// `stored`, rows that its parts have already are left out.
fn replay_record(
    bytes: &[u8],
    registry: &Registry,
    memory: &mut Memory,
    stored: Option<&View>,
    now_ns: i64,
) -> Result<Option<BatchId>, Damaged> {
    let mut rows = Vec::new();
    let id = record::read(bytes, |labels, entry| {
        if let Some(stream) = registry.get_or_add(labels, usize::MAX) {
            let hash = hash_of(&stream, &entry);
            rows.push(Accepted { stream, entry, hash });
        }
    });
    let mut is_repeat = vec![false; rows.len()];
    if let Some(view) = stored {
        probe::mark_stored(view, &rows, &mut is_repeat);
    }
    for row in rows.iter().zip(is_repeat).filter(|(_, is_repeat)| !is_repeat).map(|(row, _)| row) {
        memory.insert(&row.stream, row.hash, &row.entry, now_ns);
    }
    id
}

pub(crate) fn log_error(error: LogError) -> StoreError {
    match error {
        LogError::Full(reason) => StoreError::Full(reason),
        LogError::Poisoned(reason) => StoreError::Poisoned(reason),
        LogError::Io(error) => StoreError::Io(error),
        other => StoreError::Invalid(other.to_string()),
    }
}

pub(crate) fn io_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(error.to_string()),
        _ => StoreError::Io(error),
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(shared: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    shared.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(shared: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    shared.write().unwrap_or_else(PoisonError::into_inner)
}
