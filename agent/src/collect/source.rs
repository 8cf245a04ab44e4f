//! Reading kernel files cheaply: descriptors stay open and buffers are used again.
//!
//! A file below `/proc` is generated anew by a read from offset 0, so one `pread` per collection
//! replaces open, read and close. A read that fails is tried once more with a fresh descriptor,
//! which covers devices that were replaced. Bound: [`FILE_BYTES_MAX`] per file.

use super::CollectError;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Kernel files are far smaller, except `/proc/stat` and `mountinfo` on huge hosts.
const FILE_BYTES_MAX: usize = 16 << 20;
/// First size of a buffer: one page, what most kernel files fit into.
const FILE_BYTES_FIRST: usize = 4096;

/// Where the kernel's trees are, for agents inside a container that watch the host.
#[derive(Clone, Debug)]
pub(crate) struct Roots {
    /// Usually `/proc`.
    pub(crate) procfs: PathBuf,
    /// Usually `/sys`.
    pub(crate) sysfs: PathBuf,
    /// Usually `/`.
    pub(crate) rootfs: PathBuf,
}

impl Roots {
    /// A file below `/proc`.
    pub(crate) fn proc(&self, path: &str) -> KeptFile {
        KeptFile::new(self.procfs.join(path))
    }
}

/// A kernel file that is read once per collection.
#[derive(Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
    filled: usize,
}

impl KeptFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        KeptFile { path, file: None, buffer: Vec::new(), filled: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes of this moment.
    pub(crate) fn read_bytes(&mut self) -> Result<&[u8], CollectError> {
        let kept = self.file.is_some();
        let mut outcome = self.fill();
        if outcome.is_err() && kept {
            self.file = None;
            outcome = self.fill();
        }
        match outcome {
            Ok(()) => Ok(&self.buffer[..self.filled]),
            Err(source) => {
                self.file = None;
                Err(CollectError::Io { path: self.path.clone(), source })
            }
        }
    }

    /// The file as text.
    pub(crate) fn read(&mut self) -> Result<&str, CollectError> {
        self.read_bytes()?;
        let bytes = &self.buffer[..self.filled];
        std::str::from_utf8(bytes).map_err(|error| CollectError::Malformed {
            path: self.path.clone(),
            near: String::from_utf8_lossy(&bytes[error.valid_up_to()..][..error.error_len().unwrap_or(1)])
                .into_owned(),
        })
    }

    /// The file as one number.
    pub(crate) fn read_number(&mut self) -> Result<f64, CollectError> {
        let path = self.path.clone();
        let text = self.read()?.trim();
        text.parse().map_err(|_| malformed(&path, text))
    }

    fn fill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::open(&self.path)?),
        };
        self.filled = 0;
        loop {
            if self.buffer.len() == self.filled {
                if self.filled >= FILE_BYTES_MAX {
                    return Err(io::Error::other("file is too large"));
                }
                self.buffer.resize((self.filled * 2).max(FILE_BYTES_FIRST), 0);
            }
            match read_at(file, &mut self.buffer[self.filled..], self.filled as u64) {
                Ok(0) => return Ok(()),
                Ok(read) => self.filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// An error that shows where a file stopped making sense.
pub(crate) fn malformed(path: &Path, near: &str) -> CollectError {
    CollectError::Malformed { path: path.to_path_buf(), near: near.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_file_is_read_anew_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loadavg");
        std::fs::write(&path, "1").unwrap();
        let mut file = KeptFile::new(path.clone());
        assert_eq!(file.read_number().unwrap(), 1.0);
        std::fs::write(&path, "2".repeat(10_000)).unwrap();
        assert_eq!(file.read().unwrap().len(), 10_000);
    }

    #[test]
    fn damage_is_an_error_that_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut file = KeptFile::new(path.clone());
        assert!(file.read().unwrap_err().is_absence());
        std::fs::write(&path, b"ab\xffcd").unwrap();
        assert!(file.read().unwrap_err().to_string().contains("unexpected content"));
        std::fs::write(&path, "twelve").unwrap();
        assert!(file.read_number().unwrap_err().to_string().ends_with("near `twelve`"));
    }
}
