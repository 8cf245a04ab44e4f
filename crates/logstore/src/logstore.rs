//! The store itself: its state, how it is opened, and what reads see of it.
//!
//! Locks, in the order in which they may be taken: `merging`, `flushing`, `appender`, `manifest`,
//! `state`. `appender` keeps the write-ahead log and the memory in one order; `state` is held only
//! for moments.

use crate::{
    LogstoreOptions,
    damage::Damage,
    manifest::{MANIFEST_FILE, Manifest},
    memory::{Memory, MemorySnapshot, hash_of},
    part::{Part, PartId, cache::Cache, lookup::Cached, writer::Shape},
    record::{self, RecordWriter},
    stream::Registry,
    tombstone::Tombstone,
};
use disk::{Dir, DirLock, Log, LogError, LogOptions};
use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};
use store::{BatchLedger, Commit, StoreError};

/// Ending of the name of a folder of a part that could not be opened.
const DAMAGED_SUFFIX: &str = ".damaged";

/// Logs on local disk; see the crate.
pub struct Logstore {
    pub(crate) options: LogstoreOptions,
    pub(crate) shape: Shape,
    pub(crate) log: Log,
    pub(crate) dir: Dir,
    pub(crate) parts_dir: Dir,
    pub(crate) registry: Registry,
    pub(crate) cache: Cache<Cached>,
    pub(crate) damage: Arc<Damage>,
    pub(crate) merging: Mutex<()>,
    pub(crate) flushing: Mutex<()>,
    pub(crate) appender: Mutex<Appender>,
    pub(crate) manifest: Mutex<Manifest>,
    pub(crate) state: RwLock<State>,
    /// Older rows are not shown: retention, as the last maintenance saw it.
    pub(crate) oldest_ns: AtomicI64,
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
    pub(crate) oldest_ns: i64,
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
        let mut manifest = read_manifest(&dir)?;
        let parts_dir = dir.sub("parts")?;
        let registry = Registry::default();
        let parts = open_parts(&parts_dir, &mut manifest, &registry, &damage)?;
        let mut ledger = BatchLedger::decode(&manifest.ledger).unwrap_or_default();
        let mut memory = Memory::default();
        let mut has_unflushed = false;
        let replay = |segment: u64, bytes: &[u8]| {
            if segment < manifest.replay_from {
                return;
            }
            has_unflushed = true;
            let read = record::read(bytes, |labels, entry| {
                if let Some(stream) = registry.get_or_add(labels, usize::MAX) {
                    memory.insert(&stream, hash_of(&stream, &entry), &entry, now_ns);
                }
            });
            match read {
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
        let state = State {
            memory,
            frozen: Vec::new(),
            parts: Arc::new(parts),
            tombstones: Arc::new(manifest.tombstones.clone()),
        };
        let appender =
            Appender { ledger, record: RecordWriter::default(), last_commit: Commit::done(), has_unflushed };
        Ok(Logstore {
            cache: Cache::new(options.cache_bytes_max),
            oldest_ns: AtomicI64::new(options.limits.oldest_ns(now_ns)),
            options,
            shape,
            log,
            dir,
            parts_dir,
            registry,
            damage,
            merging: Mutex::default(),
            flushing: Mutex::default(),
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
            oldest_ns: self.oldest_ns.load(Relaxed),
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

fn read_manifest(dir: &Dir) -> Result<Manifest, StoreError> {
    match dir.read(MANIFEST_FILE) {
        Ok(bytes) => Ok(Manifest::decode(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(Manifest { next_part: 1, ..Manifest::default() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the listed parts, sets aside those that cannot be opened, and removes all else.
fn open_parts(
    parts_dir: &Dir,
    manifest: &mut Manifest,
    registry: &Registry,
    damage: &Arc<Damage>,
) -> Result<Vec<Arc<Part>>, StoreError> {
    let found = parts_dir.list()?;
    let mut parts = Vec::new();
    let listed = std::mem::take(&mut manifest.parts);
    for &id in &listed {
        let name = id.name();
        if !found.contains(&name) {
            damage.note(format!("`{name}` is missing"));
            continue;
        }
        match Part::open(parts_dir.sub(&name)?, id, registry, damage) {
            Ok(part) => {
                manifest.parts.push(id);
                parts.push(Arc::new(part));
            }
            Err(error) => {
                damage.note(format!("`{name}`: {error}"));
                parts_dir.rename(&name, &format!("{name}{DAMAGED_SUFFIX}"))?;
            }
        }
    }
    let is_listed = |name: &str| listed.iter().any(|id: &PartId| id.name() == name);
    for name in found.iter().filter(|name| !is_listed(name) && !name.ends_with(DAMAGED_SUFFIX)) {
        parts_dir.remove_all(name)?;
    }
    parts_dir.sync_dir()?;
    Ok(parts)
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
