//! A folder of files and folders, real or simulated.
//!
//! Durability rules, which the simulated folder enforces: bytes are durable after
//! [`WriteFile::sync`]; a created, renamed or removed name is durable after [`Dir::sync_dir`] of
//! its folder. [`Dir::write_atomic`], [`Dir::publish`] and [`Dir::sub`] do both.

use crate::{
    Faults, name,
    real::{self, RealDir},
    simulated::{self, SimulatedDir},
};
use std::{fmt, io, path::PathBuf};

/// Ending of the name under which [`Dir::write_atomic`] prepares a file. A crash may leave such
/// files behind; whoever owns the folder removes them when it opens it.
pub const TMP_SUFFIX: &str = ".tmp";

/// A folder; clones are cheap and name the same folder.
#[derive(Clone)]
pub struct Dir(pub(crate) Backend);

#[derive(Clone)]
pub(crate) enum Backend {
    Real(RealDir),
    Simulated(SimulatedDir),
}

/// A file opened for reading at any offset, by any number of threads.
pub struct ReadFile(pub(crate) ReadBackend);

pub(crate) enum ReadBackend {
    Real(real::RealRead),
    Simulated(simulated::SimulatedFile),
}

/// A file opened for appending and truncating.
pub struct WriteFile(pub(crate) WriteBackend);

pub(crate) enum WriteBackend {
    Real(real::RealWrite),
    Simulated(simulated::SimulatedFile),
}

/// Makes a [`WriteFile`]'s bytes durable from another thread while it is being appended to.
pub struct Syncer(pub(crate) SyncBackend);

pub(crate) enum SyncBackend {
    Real(real::RealSyncer),
    Simulated(simulated::SimulatedFile),
}

/// Holds a folder for this process until dropped.
#[derive(Debug)]
pub struct DirLock {
    /// Held for its lock and its drop.
    _held: LockBackend,
}

#[derive(Debug)]
#[expect(dead_code, reason = "the lock is held, never looked at")]
pub(crate) enum LockBackend {
    Real(std::fs::File),
    Simulated(simulated::SimulatedLock),
}

impl Dir {
    /// Opens a folder on disk, created (with its parents) when missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn real(path: impl Into<PathBuf>) -> io::Result<Dir> {
        RealDir::create(path.into()).map(|dir| Dir(Backend::Real(dir)))
    }

    /// A folder in memory whose crashes and torn writes follow from `seed`.
    pub fn simulated(seed: u64, faults: Faults) -> Dir {
        Dir(Backend::Simulated(SimulatedDir::new(seed, faults)))
    }

    /// The folder `name` inside this one, created durably when missing.
    ///
    /// # Errors
    /// When the name is not plain, or it cannot be created.
    pub fn sub(&self, name: &str) -> io::Result<Dir> {
        name::check(name)?;
        match &self.0 {
            Backend::Real(dir) => dir.sub(name).map(|dir| Dir(Backend::Real(dir))),
            Backend::Simulated(dir) => dir.sub(name).map(|dir| Dir(Backend::Simulated(dir))),
        }
    }

    /// Names of the files and folders in it, ascending.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<String>> {
        match &self.0 {
            Backend::Real(dir) => dir.list(),
            Backend::Simulated(dir) => dir.list(),
        }
    }

    /// All bytes of a file.
    ///
    /// # Errors
    /// `NotFound` when there is none, or when reading fails.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.open(name)?.read_all()
    }

    /// Opens a file for reading. It stays readable after it was removed.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn open(&self, name: &str) -> io::Result<ReadFile> {
        name::check(name)?;
        match &self.0 {
            Backend::Real(dir) => dir.open(name).map(|file| ReadFile(ReadBackend::Real(file))),
            Backend::Simulated(dir) => {
                dir.open_to_read(name).map(|file| ReadFile(ReadBackend::Simulated(file)))
            }
        }
    }

    /// Creates an empty file, emptying an existing one.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(&self, name: &str) -> io::Result<WriteFile> {
        name::check(name)?;
        match &self.0 {
            Backend::Real(dir) => dir.create_file(name).map(|file| WriteFile(WriteBackend::Real(file))),
            Backend::Simulated(dir) => {
                dir.create_file(name).map(|file| WriteFile(WriteBackend::Simulated(file)))
            }
        }
    }

    /// Opens an existing file to append to or truncate.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn append_to(&self, name: &str) -> io::Result<WriteFile> {
        name::check(name)?;
        match &self.0 {
            Backend::Real(dir) => dir.append_to(name).map(|file| WriteFile(WriteBackend::Real(file))),
            Backend::Simulated(dir) => dir.open(name).map(|file| WriteFile(WriteBackend::Simulated(file))),
        }
    }

    /// Replaces a file durably: after a crash it holds the old bytes or the new ones.
    ///
    /// # Errors
    /// When a step fails; the file is then unchanged, or replaced but perhaps not durably.
    pub fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let tmp = format!("{name}{TMP_SUFFIX}");
        let mut file = self.create(&tmp)?;
        let written = file.write_all(bytes).and_then(|()| file.sync());
        drop(file);
        if let Err(error) = written {
            // The leftover is harmless and the first error is the one to tell.
            drop(self.remove(&tmp));
            return Err(error);
        }
        self.rename(&tmp, name)?;
        self.sync_dir()
    }

    /// Renames the folder `tmp` to `name` durably. Its files must have been synced by their
    /// writer; after a crash either the whole folder is there under `name` or nothing is.
    ///
    /// # Errors
    /// When a step fails, or `name` is a folder that is not empty.
    pub fn publish(&self, tmp: &str, name: &str) -> io::Result<()> {
        self.sub(tmp)?.sync_dir()?;
        self.rename(tmp, name)?;
        self.sync_dir()
    }

    /// Renames a file or folder within this folder; durable after [`Dir::sync_dir`].
    ///
    /// # Errors
    /// When it fails.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        name::check(from)?;
        name::check(to)?;
        match &self.0 {
            Backend::Real(dir) => dir.rename(from, to),
            Backend::Simulated(dir) => dir.rename(from, to),
        }
    }

    /// Gives a file of this folder a second name in folder `to`: the same bytes, until one of the
    /// names is replaced. Durable after [`Dir::sync_dir`] of `to`.
    ///
    /// # Errors
    /// `NotFound` when there is none, or when the file system cannot.
    pub fn link(&self, from: &str, to: &Dir, name: &str) -> io::Result<()> {
        name::check(from)?;
        name::check(name)?;
        match (&self.0, &to.0) {
            (Backend::Real(dir), Backend::Real(to)) => dir.link(from, to, name),
            (Backend::Simulated(dir), Backend::Simulated(to)) => dir.link(from, to, name),
            _ => Err(io::Error::new(
                io::ErrorKind::CrossesDevices,
                "a link from one kind of folder to another",
            )),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        name::check(name)?;
        match &self.0 {
            Backend::Real(dir) => dir.remove(name),
            Backend::Simulated(dir) => dir.remove(name),
        }
    }

    /// Removes a folder with all it holds.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub fn remove_all(&self, sub: &str) -> io::Result<()> {
        name::check(sub)?;
        match &self.0 {
            Backend::Real(dir) => dir.remove_all(sub),
            Backend::Simulated(dir) => dir.remove_all(sub),
        }
    }

    /// Makes created, renamed and removed names of this folder durable.
    ///
    /// # Errors
    /// When it fails.
    pub fn sync_dir(&self) -> io::Result<()> {
        match &self.0 {
            Backend::Real(dir) => dir.sync_dir(),
            Backend::Simulated(dir) => dir.sync_dir(),
        }
    }

    /// Bytes of all files in it and in the folders below.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn bytes_used(&self) -> io::Result<u64> {
        match &self.0 {
            Backend::Real(dir) => dir.bytes_used(),
            Backend::Simulated(dir) => dir.bytes_used(),
        }
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// `WouldBlock` when another holder has it.
    pub fn lock(&self) -> io::Result<DirLock> {
        let held = match &self.0 {
            Backend::Real(dir) => LockBackend::Real(dir.lock()?),
            Backend::Simulated(dir) => LockBackend::Simulated(dir.lock()?),
        };
        Ok(DirLock { _held: held })
    }

    /// Where it is on disk; `None` when simulated.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.0 {
            Backend::Real(dir) => Some(dir.path().to_owned()),
            Backend::Simulated(_) => None,
        }
    }

    /// A number that differs from call to call; in a simulated folder it follows from the seed.
    pub(crate) fn random_u64(&self) -> u64 {
        match &self.0 {
            Backend::Real(_) => real::random_u64(),
            Backend::Simulated(dir) => dir.random_u64(),
        }
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Backend::Real(dir) => write!(f, "Dir({})", dir.path().display()),
            Backend::Simulated(_) => f.write_str("Dir(simulated)"),
        }
    }
}

impl ReadFile {
    /// Length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        match &self.0 {
            ReadBackend::Real(file) => file.len(),
            ReadBackend::Simulated(file) => file.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All its bytes.
    ///
    /// # Errors
    /// When reading fails.
    pub fn read_all(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Fills `into` with the bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before, or when reading fails.
    pub fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.0 {
            ReadBackend::Real(file) => file.read_exact_at(into, offset),
            ReadBackend::Simulated(file) => file.read_exact_at(into, offset),
        }
    }
}

impl WriteFile {
    /// Appends. After an error part of `bytes` may have been written; [`WriteFile::truncate`]
    /// takes it back.
    ///
    /// # Errors
    /// `StorageFull` or `QuotaExceeded` when there is no room, or when writing fails.
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            WriteBackend::Real(file) => file.write_all(bytes),
            WriteBackend::Simulated(file) => file.write_all(bytes),
        }
    }

    /// Makes the bytes durable; the name needs [`Dir::sync_dir`].
    ///
    /// # Errors
    /// When it fails. What was not durable before must then be taken for lost.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            WriteBackend::Real(file) => file.syncer().sync(),
            WriteBackend::Simulated(file) => file.sync(),
        }
    }

    /// Cuts the file to `length` bytes.
    ///
    /// # Errors
    /// When it fails.
    pub fn truncate(&mut self, length: u64) -> io::Result<()> {
        match &mut self.0 {
            WriteBackend::Real(file) => file.truncate(length),
            WriteBackend::Simulated(file) => file.truncate(length),
        }
    }

    /// Bytes written so far, with what the file had when opened.
    pub fn len(&self) -> u64 {
        match &self.0 {
            WriteBackend::Real(file) => file.len(),
            WriteBackend::Simulated(file) => file.len(),
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A handle that syncs this file from another thread.
    pub fn syncer(&self) -> Syncer {
        Syncer(match &self.0 {
            WriteBackend::Real(file) => SyncBackend::Real(file.syncer()),
            WriteBackend::Simulated(file) => SyncBackend::Simulated(file.clone()),
        })
    }
}

impl Syncer {
    /// See [`WriteFile::sync`].
    ///
    /// # Errors
    /// When it fails.
    pub fn sync(&self) -> io::Result<()> {
        match &self.0 {
            SyncBackend::Real(file) => file.sync(),
            SyncBackend::Simulated(file) => file.sync(),
        }
    }
}
