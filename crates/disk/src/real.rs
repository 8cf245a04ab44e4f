//! Folders and files of the operating system. Errors carry the path.

use std::{
    fs::{self, File},
    hash::{BuildHasher, RandomState},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Name of the file whose lock holds a folder.
const LOCK_NAME: &str = "LOCK";

#[derive(Clone)]
pub(crate) struct RealDir(Arc<Path>);

pub(crate) struct RealRead {
    path: PathBuf,
    file: File,
    length: u64,
}

/// Appends with positioned writes, so that a truncation needs no seek.
pub(crate) struct RealWrite {
    file: Arc<File>,
    length: u64,
}

pub(crate) struct RealSyncer(Arc<File>);

impl RealDir {
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path).map_err(|error| not_created(&path, error))?;
        Ok(RealDir(path.into()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn sub(&self, name: &str) -> io::Result<Self> {
        let path = self.0.join(name);
        match fs::create_dir(&path) {
            Ok(()) => self.sync_dir()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(at(&path, error)),
        }
        Ok(RealDir(path.into()))
    }

    pub(crate) fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(|error| at(&self.0, error))? {
            let name = entry.map_err(|error| at(&self.0, error))?.file_name();
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = name.into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(crate) fn open(&self, name: &str) -> io::Result<RealRead> {
        let path = self.0.join(name);
        let file = File::open(&path).map_err(|error| at(&path, error))?;
        let length = file.metadata().map_err(|error| at(&path, error))?.len();
        Ok(RealRead { path, file, length })
    }

    pub(crate) fn create_file(&self, name: &str) -> io::Result<RealWrite> {
        let path = self.0.join(name);
        let file = File::create(&path).map_err(|error| at(&path, error))?;
        Ok(RealWrite { file: Arc::new(file), length: 0 })
    }

    pub(crate) fn append_to(&self, name: &str) -> io::Result<RealWrite> {
        let path = self.0.join(name);
        let file = File::options().write(true).open(&path).map_err(|error| at(&path, error))?;
        let length = file.metadata().map_err(|error| at(&path, error))?.len();
        Ok(RealWrite { file: Arc::new(file), length })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where renaming is wrapped")]
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let from = self.0.join(from);
        fs::rename(&from, self.0.join(to)).map_err(|error| at(&from, error))
    }

    pub(crate) fn link(&self, from: &str, to: &RealDir, name: &str) -> io::Result<()> {
        let from = self.0.join(from);
        fs::hard_link(&from, to.0.join(name)).map_err(|error| at(&from, error))
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        fs::remove_file(&path).map_err(|error| at(&path, error))
    }

    pub(crate) fn remove_all(&self, sub: &str) -> io::Result<()> {
        let path = self.0.join(sub);
        fs::remove_dir_all(&path).map_err(|error| at(&path, error))
    }

    pub(crate) fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.0).and_then(|folder| folder.sync_all()).map_err(|error| at(&self.0, error))
    }

    pub(crate) fn bytes_used(&self) -> io::Result<u64> {
        bytes_below(&self.0)
    }

    pub(crate) fn lock(&self) -> io::Result<File> {
        let path = self.0.join(LOCK_NAME);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| at(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::WouldBlock,
                format!("`{}` is in use by another process", self.0.display()),
            )),
            Err(fs::TryLockError::Error(error)) => Err(at(&path, error)),
        }
    }
}

impl RealRead {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(into, offset).map_err(|error| at(&self.path, error))
    }
}

impl RealWrite {
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.length = length;
        Ok(())
    }

    pub(crate) fn syncer(&self) -> RealSyncer {
        RealSyncer(self.file.clone())
    }
}

impl RealSyncer {
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A number nobody outside can guess: the standard library keys its hash maps with it.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().hash_one(0u8)
}

fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(folder).map_err(|error| at(folder, error))? {
        let entry = entry.map_err(|error| at(folder, error))?;
        let counted = entry.metadata().and_then(|metadata| {
            if metadata.is_dir() { bytes_below(&entry.path()) } else { Ok(metadata.len()) }
        });
        match counted {
            Ok(bytes) => total += bytes,
            // Another thread removed it between the listing and the look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

/// Why a folder could not be created. A link to what is not there, such as a volume that is not mounted,
/// exists already, too.
fn not_created(path: &Path, error: io::Error) -> io::Error {
    if path.is_file() {
        let words = format!("`{}` is a file, where a folder is wanted", path.display());
        return io::Error::new(io::ErrorKind::NotADirectory, words);
    }
    let target = |path: &Path| fs::read_link(path).ok().filter(|_| fs::metadata(path).is_err());
    let dangling = path.ancestors().find_map(|path| Some((path, target(path)?)));
    match dangling {
        Some((link, target)) => io::Error::new(
            io::ErrorKind::NotFound,
            format!("`{}` is a link to `{}`, which is not there", link.display(), target.display()),
        ),
        None => at(path, error),
    }
}

/// Adds the path to an error and keeps its kind.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use crate::Dir;
    use std::io::ErrorKind;

    #[test]
    fn a_real_folder_does_what_its_interface_says() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::real(scratch.path().join("data")).unwrap();
        crate::simulated::tests::exercise(&dir);
        assert_eq!(dir.path().unwrap(), scratch.path().join("data"));
    }

    #[test]
    fn a_folder_is_held_once() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::real(scratch.path()).unwrap();
        let held = dir.lock().unwrap();
        let error = Dir::real(scratch.path()).unwrap().lock().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert!(error.to_string().contains("in use by another process"), "{error}");
        drop(held);
        dir.lock().unwrap();
    }

    #[test]
    fn errors_name_the_path() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Dir::real(scratch.path()).unwrap();
        let error = dir.read("absent").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("absent"));
        dir.sub("folder").unwrap();
        let error = dir.read("folder").unwrap_err();
        assert!(error.kind() == ErrorKind::IsADirectory && error.to_string().contains("folder"), "{error}");
    }

    #[test]
    fn a_file_in_the_place_of_the_folder_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, "").unwrap();
        let error = super::RealDir::create(path).map(drop).unwrap_err();
        assert!(error.to_string().ends_with("/data` is a file, where a folder is wanted"), "{error}");
    }

    #[test]
    fn a_link_to_what_is_not_there_is_called_one() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("data");
        std::os::unix::fs::symlink("/absent/volume", &link).unwrap();
        for path in [link.clone(), link.join("metrics")] {
            let error = super::RealDir::create(path).map(drop).unwrap_err();
            let words = format!("`{}` is a link to `/absent/volume`, which is not there", link.display());
            assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, words));
        }
    }
}
