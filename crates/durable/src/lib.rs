//! A `redb` file for the small state of a service that must go on whatever happens to its disk.
//!
//! A damaged file is set aside at the start. After an I/O error, such as that of a full disk, `redb`
//! refuses everything until the file is opened anew: that is tried with a later transaction, so that
//! the state is durable again once there is room.

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageError, WriteTransaction};
use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Between two tries to open the file anew: each may go through the whole of it.
const REOPEN_EVERY: Duration = Duration::from_secs(2);

type Open = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// See the module.
pub struct File {
    open: Open,
    /// None while it cannot be opened.
    database: RwLock<Option<Database>>,
    state: Mutex<State>,
    reopen_every: Duration,
}

#[derive(Default)]
struct State {
    /// A transaction failed, and the file is not opened anew yet.
    failed: bool,
    /// When that was tried last.
    tried_at: Option<Instant>,
}

impl File {
    /// Opens or creates the file at `path`. Damage must not keep a service from starting: a damaged file
    /// is renamed to `….damaged`, `lost` says in the log what is forgotten by that, and a fresh one begins.
    ///
    /// # Errors
    /// When it can be neither opened nor created.
    pub fn open(path: &Path, lost: &str) -> Result<Self, redb::Error> {
        let database = open_or_set_aside(path, lost)?;
        let path: PathBuf = path.into();
        // Whatever is found damaged later is left for the next start: what is in memory is still true.
        Ok(Self::of(database, Box::new(move || Database::create(&path)), REOPEN_EVERY))
    }

    fn of(database: Database, open: Open, reopen_every: Duration) -> Self {
        File { open, database: RwLock::new(Some(database)), state: Mutex::default(), reopen_every }
    }

    /// Runs `write` in a transaction. All of it is on disk on return, or nothing is.
    ///
    /// # Errors
    /// Those of `write` and of the disk. A later call may succeed.
    pub fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        self.reopen_if_failed()?;
        let done = self.with(|database| {
            let transaction = database.begin_write()?;
            let value = write(&transaction)?;
            transaction.commit()?;
            Ok(value)
        });
        if matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
            self.state().failed = true;
        }
        done
    }

    /// Runs `read` on a snapshot.
    ///
    /// # Errors
    /// Those of `read` and of the disk.
    pub fn read<T, E: From<redb::Error>>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        self.with(|database| read(&database.begin_read().map_err(redb::Error::from)?))
    }

    fn with<T, E: From<redb::Error>>(&self, run: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        run(database.as_ref().ok_or(redb::Error::PreviousIo)?)
    }

    fn reopen_if_failed(&self) -> Result<(), redb::Error> {
        let mut state = self.state();
        if !state.failed {
            return Ok(());
        }
        if state.tried_at.is_some_and(|at| at.elapsed() < self.reopen_every) {
            return Err(redb::Error::PreviousIo);
        }
        state.tried_at = Some(Instant::now());
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // It holds a lock on the file.
        drop(database.take());
        *database = Some((self.open)()?);
        state.failed = false;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::disallowed_methods, reason = "sets a damaged file aside; nothing durable hangs on it")]
fn open_or_set_aside(path: &Path, lost: &str) -> Result<Database, redb::Error> {
    // One that was emptied would be taken for a new one.
    let is_emptied = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    let error = if is_emptied {
        StorageError::Corrupted("the file is empty".to_owned())
    } else {
        match Database::create(path) {
            Err(DatabaseError::Storage(error)) if is_damage(&error) => error,
            opened => return Ok(opened?),
        }
    };
    let aside = path.with_extension("redb.damaged");
    tracing::error!(%error, path = %path.display(), aside = %aside.display(), lost, "a damaged file was set aside");
    std::fs::rename(path, &aside).map_err(StorageError::Io)?;
    Ok(Database::create(path)?)
}

fn is_damage(error: &StorageError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        StorageError::Corrupted(_) => true,
        StorageError::Io(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{StorageBackend, TableDefinition};
    use std::{
        io,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("t");

    /// A disk that can be full. Clones hold the same bytes.
    #[derive(Clone, Debug, Default)]
    struct Disk {
        bytes: Arc<Mutex<Vec<u8>>>,
        is_full: Arc<AtomicBool>,
    }

    impl Disk {
        fn check(&self) -> io::Result<()> {
            if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            Ok(self.bytes.lock().unwrap().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            out.copy_from_slice(&self.bytes.lock().unwrap()[offset as usize..][..out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.check()?;
            self.bytes.lock().unwrap().resize(len as usize, 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            self.check()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.check()?;
            self.bytes.lock().unwrap()[offset as usize..][..data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    fn put(file: &File, key: &str, value: u64) -> Result<(), redb::Error> {
        file.write(|transaction| {
            transaction.open_table(TABLE)?.insert(key, value)?;
            Ok(())
        })
    }

    fn get(file: &File, key: &str) -> Result<Option<u64>, redb::Error> {
        file.read(|transaction| Ok(transaction.open_table(TABLE)?.get(key)?.map(|value| value.value())))
    }

    #[test]
    fn what_a_full_disk_refused_is_taken_once_there_is_room() {
        let disk = Disk::default();
        let again = disk.clone();
        let open = move || redb::Builder::new().create_with_backend(again.clone());
        let file = File::of(open().unwrap(), Box::new(open), Duration::ZERO);
        put(&file, "a", 1).unwrap();
        disk.is_full.store(true, Ordering::Relaxed);
        for _ in 0..3 {
            assert!(put(&file, "b", 2).is_err());
        }
        disk.is_full.store(false, Ordering::Relaxed);
        put(&file, "c", 3).unwrap();
        let found = ["a", "b", "c"].map(|key| get(&file, key).unwrap());
        assert_eq!(found, [Some(1), None, Some(3)]);
    }

    #[test]
    fn a_file_that_failed_is_not_opened_anew_all_the_time() {
        let disk = Disk::default();
        let again = disk.clone();
        let open = move || redb::Builder::new().create_with_backend(again.clone());
        let file = File::of(open().unwrap(), Box::new(open), Duration::from_secs(3600));
        put(&file, "a", 1).unwrap();
        disk.is_full.store(true, Ordering::Relaxed);
        assert!(put(&file, "b", 2).is_err());
        assert!(put(&file, "b", 2).is_err(), "tried at once, in vain");
        disk.is_full.store(false, Ordering::Relaxed);
        assert!(put(&file, "b", 2).is_err(), "and not again so soon");
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        for damage in [&b"noise noise noise noise noise noise noise noise"[..], &[0; 70_001], &[]] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("state.redb");
            std::fs::write(&path, damage).unwrap();
            put(&File::open(&path, "all of it").unwrap(), "a", 1).unwrap();
            assert_eq!(std::fs::read(path.with_extension("redb.damaged")).unwrap(), damage);
            assert_eq!(get(&File::open(&path, "all of it").unwrap(), "a").unwrap(), Some(1));
        }
    }
}
