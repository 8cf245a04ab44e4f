//! A part's file of filters, read a chunk's filter at a time.

use super::{
    FILTER_FILE, FILTER_MAGIC,
    bundle::BundleError,
    filter::unpack_list,
    table::{ChunkMeta, FLAG_LONG_IDS_PACKED, FilterMeta},
};
use crate::bytes::Damaged;
use disk::ReadFile;
use std::{io, sync::Arc};

/// Bytes read at a time while checking.
const STEP_BYTES: u64 = 256 << 10;
/// Magic before, checksum after the filters.
const MAGIC_BYTES: u64 = FILTER_MAGIC.len() as u64;
const CRC_BYTES: u64 = 4;

/// See the module.
pub(crate) struct FilterFile {
    file: Arc<ReadFile>,
}

impl FilterFile {
    /// Checks the whole file, once, and keeps none of it.
    pub(crate) fn open(file: Arc<ReadFile>) -> Result<FilterFile, BundleError> {
        let length = file.len();
        let damaged = |what: &str| BundleError::from(Damaged::new(format!("`{FILTER_FILE}` {what}")));
        let Some(body) = length.checked_sub(CRC_BYTES).filter(|&body| body >= MAGIC_BYTES) else {
            return Err(damaged("is too short"));
        };
        let mut magic = [0; MAGIC_BYTES as usize];
        file.read_exact_at(&mut magic, 0)?;
        if magic != *FILTER_MAGIC {
            return Err(damaged("has another format or version"));
        }
        let mut buffer = vec![0; STEP_BYTES as usize];
        let (mut crc, mut at) = (0, 0);
        while at < body {
            let step = STEP_BYTES.min(body - at);
            let bytes = &mut buffer[..step as usize];
            file.read_exact_at(bytes, at)?;
            crc = crc32c::crc32c_append(crc, bytes);
            at += step;
        }
        let mut stored = [0; CRC_BYTES as usize];
        file.read_exact_at(&mut stored, body)?;
        if crc != u32::from_le_bytes(stored) {
            return Err(damaged("fails its checksum"));
        }
        Ok(FilterFile { file })
    }

    /// A chunk's filter.
    pub(crate) fn fuse(&self, meta: &FilterMeta) -> io::Result<Vec<u8>> {
        self.read(meta.offset, meta.fuse_bytes)
    }

    /// A chunk's second filter.
    pub(crate) fn wide(&self, meta: &FilterMeta) -> io::Result<Vec<u8>> {
        self.read(meta.offset + u64::from(meta.fuse_bytes), meta.wide_bytes)
    }

    /// A chunk's list of long ids as it is stored.
    pub(crate) fn stored_list(&self, meta: &FilterMeta) -> io::Result<Vec<u8>> {
        self.read(meta.offset + u64::from(meta.fuse_bytes) + u64::from(meta.wide_bytes), meta.long_bytes)
    }

    /// A chunk's list of long ids, each followed by a newline.
    pub(crate) fn list(&self, chunk: &ChunkMeta) -> io::Result<Vec<u8>> {
        let stored = self.stored_list(&chunk.filter)?;
        if chunk.flags & FLAG_LONG_IDS_PACKED == 0 {
            return Ok(stored);
        }
        unpack_list(&stored).map_err(io::Error::other)
    }

    fn read(&self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, MAGIC_BYTES + offset)?;
        Ok(bytes)
    }
}
