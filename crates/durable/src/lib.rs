//! A `redb` file for the small state of a service that must go on whatever happens to its disk.
//!
//! The whole file is checked at the start, and set aside when it is damaged. After an I/O error, such as
//! that of a full disk, `redb` refuses everything until the file is opened anew: that is tried with a
//! later transaction, so that the state is durable again once there is room.
//!
//! What the file then has to say is what the page cache has to say. After an fsync that failed Linux takes
//! pages for written that are not, and the next fsync succeeds without them; so the bytes are written
//! again before they are believed.

use redb::{
    Database, DatabaseError, ReadTransaction, ReadableDatabase, StorageBackend, StorageError,
    WriteTransaction, backends::FileBackend,
};
use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two tries to open the file anew, at least.
const REOPEN_EVERY: Duration = Duration::from_secs(2);
/// Each try goes through the whole of the file: this many times as long nothing is tried.
const REOPEN_PAUSE_FACTOR: u32 = 10;
/// Between two tries when the file was found damaged twice: it will hardly be better.
const DAMAGED_PAUSE: Duration = Duration::from_secs(600);
/// Bytes that are written again at once.
const REWRITE_BYTES: usize = 1 << 20;

/// Opens the file, without an opinion of what is in it.
type Open<B> = Box<dyn Fn() -> Result<B, DatabaseError> + Send + Sync>;

/// See the module.
pub struct File(Reopened<FileBackend>);

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
        Ok(File(Reopened::new(database, Box::new(move || backend(&path)))))
    }

    /// Runs `write` in a transaction. All of it is on disk on return, or nothing is.
    ///
    /// # Errors
    /// Those of `write` and of the disk. A later call may succeed.
    pub fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        self.0.write(write)
    }

    /// Runs `read` on a snapshot.
    ///
    /// # Errors
    /// Those of `read` and of the disk.
    pub fn read<T, E: From<redb::Error>>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, E>,
    ) -> Result<T, E> {
        self.0.read(read)
    }
}

/// A database that is opened anew after an I/O error.
struct Reopened<B> {
    open: Open<B>,
    /// None while it cannot be opened.
    database: RwLock<Option<Database>>,
    /// A transaction failed, and the file is not opened anew yet. Changes only while `database` is locked,
    /// so that the failure is never that of one before.
    failed: AtomicBool,
    next_try: Mutex<NextTry>,
}

/// When opening anew is tried again.
#[derive(Debug, Default)]
struct NextTry {
    /// Not before this.
    at: Option<Instant>,
    /// The last try that could tell has found damage.
    is_damaged: bool,
}

impl<B: StorageBackend> Reopened<B> {
    fn new(database: Database, open: Open<B>) -> Self {
        let database = RwLock::new(Some(database));
        Reopened { open, database, failed: AtomicBool::new(false), next_try: Mutex::default() }
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        self.reopen_if_failed()?;
        self.with(|database| {
            let done = in_transaction(database, write);
            if matches!(done, Err(redb::Error::Io(_) | redb::Error::PreviousIo)) {
                self.failed.store(true, Ordering::Release);
            }
            done
        })
    }

    fn read<T, E: From<redb::Error>>(
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
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut next_try = self.next_try.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let began = Instant::now();
        if next_try.at.is_some_and(|at| began < at) {
            return Err(redb::Error::PreviousIo);
        }
        let reopened = self.reopen();
        let mut pause = REOPEN_EVERY.max(began.elapsed() * REOPEN_PAUSE_FACTOR);
        match &reopened {
            Ok(()) => next_try.is_damaged = false,
            Err(error) if is_damage(error) => {
                let was_damaged = std::mem::replace(&mut next_try.is_damaged, true);
                if was_damaged {
                    tracing::error!(
                        %error,
                        "a file of state was found damaged: what it held is in memory until the next start, which sets it aside"
                    );
                    pause = DAMAGED_PAUSE;
                }
            }
            // A full disk, say, does not tell.
            Err(_) => {}
        }
        next_try.at = Some(Instant::now() + pause);
        Ok(reopened?)
    }

    fn reopen(&self) -> Result<(), DatabaseError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // It holds a lock on the file.
        drop(database.take());
        let backend = (self.open)()?;
        check_not_emptied(&backend)?;
        rewrite(&backend)?;
        *database = Some(checked().create_with_backend(backend)?);
        self.failed.store(false, Ordering::Release);
        Ok(())
    }
}

fn in_transaction<T>(
    database: &Database,
    write: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
) -> Result<T, redb::Error> {
    let transaction = database.begin_write()?;
    let value = write(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

/// Reads every page and its checksum when it opens a file: without that, a flipped bit is found when its
/// page is read, by a panic.
fn checked() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_check_integrity_on_open(true);
    builder
}

/// The file that was there before. It may be gone, with its volume say: then it is not created, because a
/// fresh one would hold only what changes from now on, and pass for the whole.
fn backend(path: &Path) -> Result<FileBackend, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).open(path);
    let gone = |error: io::Error| io::Error::new(error.kind(), format!("`{}`: {error}", path.display()));
    FileBackend::new(file.map_err(gone).map_err(StorageError::Io)?)
}

/// For the same reason one that was emptied is not taken.
fn check_not_emptied(backend: &impl StorageBackend) -> Result<(), DatabaseError> {
    if backend.len().map_err(StorageError::from)? > 0 {
        return Ok(());
    }
    let emptied = io::Error::other("a file of state was emptied: what it held is in memory");
    Err(StorageError::Io(emptied).into())
}

/// Writes every byte of a file again, in its place, and waits until they are on disk. What a disk has
/// misread is thereby written, too: the check that follows finds it, and the next start sets the file aside.
fn rewrite(backend: &impl StorageBackend) -> Result<(), DatabaseError> {
    let mut buffer = vec![0; REWRITE_BYTES];
    let length = backend.len().map_err(StorageError::from)?;
    for offset in (0..length).step_by(REWRITE_BYTES) {
        let size = (length - offset).min(REWRITE_BYTES as u64) as usize;
        let bytes = &mut buffer[..size];
        backend.read(offset, bytes).map_err(StorageError::from)?;
        backend.write(offset, bytes).map_err(StorageError::from)?;
    }
    Ok(backend.sync_data().map_err(StorageError::from)?)
}

#[allow(clippy::disallowed_methods, reason = "sets a damaged file aside; nothing durable hangs on it")]
fn open_or_set_aside(path: &Path, lost: &str) -> Result<Database, redb::Error> {
    // One that was emptied would be taken for a new one.
    let is_emptied = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    let error = if is_emptied {
        DatabaseError::Storage(StorageError::Corrupted("the file is empty".to_owned()))
    } else {
        match checked().create(path) {
            Err(error) if is_damage(&error) => error,
            opened => return Ok(opened?),
        }
    };
    let aside = path.with_extension("redb.damaged");
    tracing::error!(%error, path = %path.display(), aside = %aside.display(), lost, "a damaged file was set aside");
    std::fs::rename(path, &aside).map_err(StorageError::Io)?;
    Ok(checked().create(path)?)
}

fn is_damage(error: &DatabaseError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        // No version of this program has written another format.
        DatabaseError::UpgradeRequired(_) | DatabaseError::Storage(StorageError::Corrupted(_)) => true,
        DatabaseError::Storage(StorageError::Io(error)) => {
            matches!(error.kind(), InvalidData | UnexpectedEof)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
