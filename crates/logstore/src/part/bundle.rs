//! A part's tantivy files in one file of ours. Drawn in `docs/formats/logstore.md`.
//!
//! The index is built in memory, bundled when it is finished, and read in place: every read goes
//! to the bundle at the offset its directory names.

use crate::bytes::{Damaged, Reader, put_bytes, put_varint, seal, unseal};
use disk::{ReadFile, WriteFile};
use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tantivy::{
    Directory, HasLen, Index,
    directory::{
        FileHandle, OwnedBytes, RamDirectory, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, OpenReadError, OpenWriteError},
    },
};

const MAGIC: &[u8; 8] = b"BWLIDX\0\x01";
/// The directory's length at the very end of the file.
const TRAILER_BYTES: u64 = 8;
const DIRECTORY_BYTES_MAX: u64 = 1 << 20;

/// Writes the files of a finished index that lies in `ram`; returns the bytes written.
pub(crate) fn write(index: &Index, ram: &RamDirectory, file: &mut WriteFile) -> io::Result<u64> {
    let mut names: Vec<PathBuf> = index.directory().list_managed_files().into_iter().collect();
    names.push(PathBuf::from(".managed.json"));
    names.sort();
    names.dedup();
    let mut offset = 0;
    let mut directory = Vec::new();
    for name in &names {
        let bytes = match ram.atomic_read(name) {
            Ok(bytes) => bytes,
            Err(OpenReadError::FileDoesNotExist(_)) => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
        file.write_all(&bytes)?;
        put_bytes(&mut directory, name.to_string_lossy().as_bytes());
        put_varint(&mut directory, offset);
        put_varint(&mut directory, bytes.len() as u64);
        put_varint(&mut directory, u64::from(crc32c::crc32c(&bytes)));
        offset += bytes.len() as u64;
    }
    let directory = seal(MAGIC, &directory);
    file.write_all(&directory)?;
    file.write_all(&(directory.len() as u64).to_le_bytes())?;
    Ok(offset + directory.len() as u64 + TRAILER_BYTES)
}

#[derive(Clone, Copy, Debug)]
struct Member {
    offset: u64,
    bytes: u64,
    crc: u32,
}

/// A bundle opened for reading, as a directory that tantivy can open.
#[derive(Clone)]
pub(crate) struct Bundle {
    file: Arc<ReadFile>,
    members: Arc<HashMap<PathBuf, Member>>,
    /// The whole file, when all of it is about to be read.
    whole: Option<OwnedBytes>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("members", &self.members).finish_non_exhaustive()
    }
}

impl Bundle {
    /// Reads the directory and checks every member against its checksum, once, so that a damaged
    /// index can never hide a line.
    pub(crate) fn open(file: Arc<ReadFile>) -> Result<Bundle, BundleError> {
        let length = file.len();
        let mut trailer = [0; TRAILER_BYTES as usize];
        let trailer_at =
            length.checked_sub(TRAILER_BYTES).ok_or_else(|| Damaged::new("index is too short"))?;
        file.read_exact_at(&mut trailer, trailer_at)?;
        let directory_bytes = u64::from_le_bytes(trailer);
        let directory_at = trailer_at
            .checked_sub(directory_bytes)
            .filter(|_| directory_bytes <= DIRECTORY_BYTES_MAX)
            .ok_or_else(|| Damaged::new("index directory is out of bounds"))?;
        let mut directory = vec![0; directory_bytes as usize];
        file.read_exact_at(&mut directory, directory_at)?;
        let mut reader = Reader::new(unseal(MAGIC, &directory, "index directory")?);
        let mut members = HashMap::new();
        while !reader.is_empty() {
            let name = PathBuf::from(reader.text()?);
            let member = Member { offset: reader.varint()?, bytes: reader.varint()?, crc: reader.u32()? };
            check_member(&file, &member, directory_at)?;
            members.insert(name, member);
        }
        Ok(Bundle { file, members: Arc::new(members), whole: None })
    }

    /// The same bundle, read in one go: for a reader of every term, which would otherwise ask the
    /// file once for each.
    pub(crate) fn read_whole(&self) -> io::Result<Bundle> {
        let end = self.members.values().map(|member| member.offset + member.bytes).max().unwrap_or(0);
        let mut bytes = vec![0; end as usize];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(Bundle { whole: Some(OwnedBytes::new(bytes)), ..self.clone() })
    }

    fn member(&self, path: &Path) -> Result<MemberFile, OpenReadError> {
        match self.members.get(path) {
            Some(&member) => {
                let whole = self.whole.as_ref();
                let bytes = whole
                    .map(|all| all.slice(member.offset as usize..(member.offset + member.bytes) as usize));
                Ok(MemberFile { file: self.file.clone(), member, bytes })
            }
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }
}

fn check_member(file: &ReadFile, member: &Member, end: u64) -> Result<(), BundleError> {
    if member.offset.checked_add(member.bytes).is_none_or(|member_end| member_end > end) {
        return Err(Damaged::new("index member is out of bounds").into());
    }
    let mut crc = 0;
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < member.bytes {
        let step = (member.bytes - at).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..step], member.offset + at)?;
        crc = crc32c::crc32c_append(crc, &buffer[..step]);
        at += step as u64;
    }
    if crc == member.crc { Ok(()) } else { Err(Damaged::new("index fails its checksum").into()) }
}

/// Why a bundle could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error(transparent)]
    Damaged(#[from] Damaged),
    #[error(transparent)]
    Io(#[from] io::Error),
}

struct MemberFile {
    file: Arc<ReadFile>,
    member: Member,
    bytes: Option<OwnedBytes>,
}

impl std::fmt::Debug for MemberFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberFile").field("member", &self.member).finish_non_exhaustive()
    }
}

impl HasLen for MemberFile {
    fn len(&self) -> usize {
        self.member.bytes as usize
    }
}

impl FileHandle for MemberFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.end > self.len() || range.start > range.end {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "read beyond an index member"));
        }
        if let Some(bytes) = &self.bytes {
            return Ok(bytes.slice(range));
        }
        let mut bytes = vec![0; range.len()];
        self.file.read_exact_at(&mut bytes, self.member.offset + range.start as u64)?;
        Ok(OwnedBytes::new(bytes))
    }
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "a part's index is read-only")
}

impl Directory for Bundle {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(self.member(path)?))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError { io_error: Arc::new(read_only()), filepath: path.to_owned() })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.members.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::wrap_io_error(read_only(), path.to_owned()))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let member = self.member(path)?;
        let bytes = member
            .read_bytes(0..member.len())
            .map_err(|error| OpenReadError::wrap_io_error(error, path.to_owned()))?;
        Ok(bytes.to_vec())
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
