//! The filters of all chunks of a part, kept in memory as far as most searches for an id need them.
//!
//! Lists of long ids are not kept, only which texts they may have: all lists of the part together,
//! because few parts have a long id at all.

use super::{
    filter_file::{FilterFile, list_of},
    grams::Grams,
    table::ChunkMeta,
};
use std::io;

/// See the module.
pub(crate) struct KeptFilters {
    /// Filters of all chunks, one after the other.
    fuses: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    /// Of all lists of long ids.
    grams: Grams,
}

impl KeptFilters {
    /// Bytes that they take for these chunks.
    pub(crate) fn bytes_of(chunks: &[ChunkMeta]) -> usize {
        let fuses: usize = chunks.iter().map(|chunk| chunk.filter.fuse_bytes as usize).sum();
        fuses + chunks.len() * size_of::<usize>() + Grams::bytes_for(long_bytes(chunks))
    }

    pub(crate) fn read(file: &FilterFile, chunks: &[ChunkMeta]) -> io::Result<KeptFilters> {
        let all = file.read(0, file.bytes())?;
        let part = |offset: usize, length: usize| {
            all.get(offset..).and_then(|rest| rest.get(..length)).ok_or(io::ErrorKind::UnexpectedEof)
        };
        let mut kept =
            KeptFilters { fuses: Vec::new(), ends: Vec::new(), grams: Grams::for_bytes(long_bytes(chunks)) };
        for chunk in chunks {
            let (offset, fuse_bytes) = (chunk.filter.offset as usize, chunk.filter.fuse_bytes as usize);
            kept.fuses.extend_from_slice(part(offset, fuse_bytes)?);
            kept.ends.push(kept.fuses.len());
            let stored = part(offset + fuse_bytes, chunk.filter.long_bytes as usize)?;
            kept.grams.add(&list_of(chunk, stored.to_vec())?);
        }
        Ok(kept)
    }

    /// The filter of chunk `number`.
    pub(crate) fn fuse(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.fuses[start..self.ends[number]]
    }

    /// Whether the list of long ids of some chunk may have the text.
    pub(crate) fn long_ids_may_have(&self, text: &[u8]) -> bool {
        self.grams.may_have(text)
    }
}

fn long_bytes(chunks: &[ChunkMeta]) -> usize {
    chunks.iter().map(|chunk| chunk.filter.long_bytes as usize).sum()
}
