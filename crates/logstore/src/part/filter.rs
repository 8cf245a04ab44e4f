//! Filters of ids that only one chunk of a part has.
//!
//! A binary-fuse filter (about 9 bits a key, 0.4 % false positives, no false negatives) answers
//! "may this chunk have exactly this id"; a mask of the ids' lengths answers "may it have a longer
//! id that contains this text"; ids longer than [`LONG_ID_BYTES`] are listed as they are, because
//! hashes and sign-offs of 40 and more characters are searched for by their beginnings.

use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

/// Longer ids are listed instead of filtered.
pub(crate) const LONG_ID_BYTES: usize = 32;
/// Most bytes of a chunk's list; the rest is left out and the chunk flagged.
pub(crate) const LONG_IDS_BYTES_MAX: usize = 64 << 10;

/// What is written for one chunk.
#[derive(Default)]
pub(crate) struct ChunkFilter {
    pub(crate) fuse: Vec<u8>,
    /// Each followed by a newline.
    pub(crate) long_ids: Vec<u8>,
    /// Bit n: an id of n bytes is in the filter.
    pub(crate) id_lengths: u64,
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
}
