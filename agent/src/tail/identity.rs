//! Which file a file is.
//!
//! A name is not an identity: rotation moves it. An inode number is not, either: the next file may
//! get the same one. A hash of the beginning is not: files begin alike. Hence all three are kept
//! and must agree when an offset is used again: device and inode, the first bytes (up to
//! [`PREFIX_BYTES`], together with how many they were), and the [`MARKER_BYTES`] before the offset.

use std::{
    fs::{File, Metadata},
    io,
};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a file's beginning that are hashed.
pub(super) const PREFIX_BYTES: u64 = 1024;
/// Bytes before an offset that are hashed: log lines nearly always carry a time in them.
pub(super) const MARKER_BYTES: u64 = 64;

/// Device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub(super) struct FileId {
    pub(super) device: u64,
    pub(super) inode: u64,
}

#[cfg(unix)]
impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The hash of a file's first `length` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Prefix {
    pub(super) length: u64,
    pub(super) hash: u64,
}

impl Prefix {
    /// The hash of the first bytes, of which `length` are known to be final.
    pub(super) fn read(file: &File, length: u64) -> io::Result<Self> {
        let length = length.min(PREFIX_BYTES);
        let mut bytes = [0; PREFIX_BYTES as usize];
        let bytes = &mut bytes[..length as usize];
        read_exact_at(file, bytes, 0)?;
        Ok(Prefix { length, hash: xxh3_64(bytes) })
    }

    /// Whether the file still begins so.
    pub(super) fn matches(&self, file: &File) -> io::Result<bool> {
        match Prefix::read(file, self.length) {
            Ok(prefix) => Ok(prefix == *self),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The hash of the bytes that end a part of a file.
pub(super) fn marker_hash(before_offset: &[u8]) -> u64 {
    xxh3_64(&before_offset[before_offset.len().saturating_sub(MARKER_BYTES as usize)..])
}

/// [`marker_hash`] of what is before `offset` in the file; `None` when the file is shorter.
pub(super) fn marker_at(file: &File, offset: u64) -> io::Result<Option<u64>> {
    let length = offset.min(MARKER_BYTES);
    let mut bytes = [0; MARKER_BYTES as usize];
    let bytes = &mut bytes[..length as usize];
    match read_exact_at(file, bytes, offset - length) {
        Ok(()) => Ok(Some(marker_hash(bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_compared_at_the_length_it_was_taken_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "2026-01-01 start\n").unwrap();
        let prefix = Prefix::read(&File::open(&path).unwrap(), 17).unwrap();
        std::fs::write(&path, "2026-01-01 start\nmore\n").unwrap();
        assert!(prefix.matches(&File::open(&path).unwrap()).unwrap());
        std::fs::write(&path, "2026-01-02 start\nmore\n").unwrap();
        assert!(!prefix.matches(&File::open(&path).unwrap()).unwrap());
        std::fs::write(&path, "2026").unwrap();
        assert!(!prefix.matches(&File::open(&path).unwrap()).unwrap());
    }

    #[test]
    fn the_marker_is_what_ends_before_the_offset() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let text: Vec<u8> = (0..200).map(|i| b'a' + i % 23).collect();
        std::fs::write(&path, &text).unwrap();
        let file = File::open(&path).unwrap();
        assert_eq!(marker_at(&file, 150).unwrap(), Some(marker_hash(&text[..150])));
        assert_eq!(marker_at(&file, 3).unwrap(), Some(marker_hash(b"abc")));
        assert_eq!(marker_at(&file, 201).unwrap(), None);
    }
}
