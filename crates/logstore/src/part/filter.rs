//! Filters of ids that only one chunk of a part has.
//!
//! A binary-fuse filter (about 9 bits a key, 0.4 % false positives, no false negatives) answers
//! "may this chunk have exactly this id"; of ids of at least [`WIDE_ID_BYTES_MIN`] bytes, which are
//! what people search for, a second one of other hashes makes that 0.002 %; a mask of the ids' lengths
//! answers "may it have a longer id that contains this text"; ids longer than [`LONG_ID_BYTES`] are
//! listed, because hashes and names of attempts are searched for by their beginnings.

use crate::bytes::{Damaged, Reader, compress, decompress, put_varint};
use std::io;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// Ids of this length and more are in two filters.
pub(crate) const WIDE_ID_BYTES_MIN: usize = 16;
/// Longer ids are listed instead of filtered.
pub(crate) const LONG_ID_BYTES: usize = 32;
/// Most bytes of a chunk's list; the rest is left out and the chunk flagged, which every search for a
/// long id then has to read. Hadoop's logs have some 100 KB of them in a chunk.
pub(crate) const LONG_IDS_BYTES_MAX: usize = 256 << 10;
const LIST_ZSTD_LEVEL: i32 = 3;

/// What is written for one chunk.
#[derive(Default)]
pub(crate) struct ChunkFilter {
    pub(crate) fuse: Vec<u8>,
    /// The second filter, of the [`wide_key`]s of longer ids.
    pub(crate) wide: Vec<u8>,
    /// As [`pack_list`] writes it.
    pub(crate) long_ids: Vec<u8>,
    /// Bit n: an id of n bytes is in the filter.
    pub(crate) id_lengths: u64,
}

/// The key of an id's hash in the second filter.
pub(crate) fn wide_key(hash: u64) -> u64 {
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)
}

/// A filter of `keys` as bytes, empty for none; `None` when it cannot be built, which happens once
/// in many millions of attempts.
pub(crate) fn build(mut keys: Vec<u64>) -> Option<Vec<u8>> {
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() {
        return Some(Vec::new());
    }
    let filter = BinaryFuse8::try_from(&keys).ok()?;
    let mut bytes = vec![0; BinaryFuse8::DESCRIPTOR_LEN];
    filter.dma_copy_descriptor_to(&mut bytes);
    bytes.extend_from_slice(filter.dma_fingerprints());
    Some(bytes)
}

/// Whether a filter made by [`build`] may have the key.
pub(crate) fn may_contain(fuse: &[u8], key: u64) -> bool {
    match fuse.split_at_checked(BinaryFuse8::DESCRIPTOR_LEN) {
        None => !fuse.is_empty(),
        Some((descriptor, fingerprints)) => BinaryFuse8Ref::from_dma(descriptor, fingerprints).contains(&key),
    }
}

/// A list of long ids, each followed by a newline, as it is stored: its length, and the list
/// compressed. Nothing for an empty list.
pub(crate) fn pack_list(list: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = Vec::new();
    if !list.is_empty() {
        put_varint(&mut packed, list.len() as u64);
        packed.extend_from_slice(&compress(list, LIST_ZSTD_LEVEL)?);
    }
    Ok(packed)
}

/// Reads what [`pack_list`] writes.
pub(crate) fn unpack_list(packed: &[u8]) -> Result<Vec<u8>, Damaged> {
    if packed.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(packed);
    let length = reader.varint()?;
    if length > LONG_IDS_BYTES_MAX as u64 {
        return Err(Damaged::new("list of long ids is too long"));
    }
    decompress(reader.rest(), length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_ever_missed() {
        for count in [0u64, 1, 2, 3, 10, 1000, 30_000] {
            let keys: Vec<u64> = (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
            let fuse = build(keys.clone()).unwrap();
            assert!(keys.iter().all(|&key| may_contain(&fuse, key)), "{count}");
            let false_positives =
                (0..10_000u64).filter(|n| may_contain(&fuse, n.wrapping_mul(0x51_7cc1_b727))).count();
            assert!(
                count == 0 && false_positives == 0 || false_positives < 200,
                "{count}: {false_positives}"
            );
        }
    }

    #[test]
    fn the_second_filter_errs_elsewhere() {
        let hash = |n: u64| n.wrapping_mul(0x51_7cc1_b727_2205);
        let keys: Vec<u64> = (0..10_000).map(hash).collect();
        let first = build(keys.clone()).unwrap();
        let second = build(keys.iter().copied().map(wide_key).collect()).unwrap();
        assert!(keys.iter().all(|&key| may_contain(&second, wide_key(key))));
        let both = |&key: &u64| may_contain(&first, key) && may_contain(&second, wide_key(key));
        assert!((10_000..110_000).map(hash).filter(both).count() < 10);
    }

    #[test]
    fn a_list_reads_back() {
        for list in [&b""[..], b"attempt_201706092018_0024_m_000003_1012\nattempt_201706092018_0024_m_0000\n"]
        {
            assert_eq!(unpack_list(&pack_list(list).unwrap()).unwrap(), list);
        }
        let mut long = Vec::new();
        put_varint(&mut long, u64::MAX);
        assert!(unpack_list(&long).is_err());
    }
}
