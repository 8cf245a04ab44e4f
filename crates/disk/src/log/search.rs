//! Finds the next good record behind damage.
//!
//! Any byte may be the first of a record, and whatever four bytes say a length that fits must have
//! its checksum looked at. Computing each anew would read a megabyte for every byte of a large
//! damaged record, minutes for one segment; so checksums of the bytes up to [`STEP`]s are kept,
//! and that of any stretch follows from those at its two ends.

use super::segment::{RECORD_HEADER_BYTES, RecordSeal};

/// Bytes between two kept checksums.
const STEP: usize = 512;
/// Bits of the longest length.
const LENGTH_BITS: usize = 32;

/// The next good record at or after `from`.
pub(super) fn find_next(bytes: &[u8], seal: &RecordSeal, from: usize) -> Option<usize> {
    let last = bytes.len().saturating_sub(RECORD_HEADER_BYTES);
    let mut checksums = None;
    (from..last).find(|&offset| {
        if seal.claimed(bytes, offset).is_none() {
            return false;
        }
        let checksums = checksums.get_or_insert_with(|| Checksums::new(bytes));
        seal.is_good(bytes, offset, checksums)
    })
}

/// CRC-32C of any stretch of some bytes at a small price.
pub(super) struct Checksums<'a> {
    bytes: &'a [u8],
    /// Of the bytes before each multiple of [`STEP`].
    kept: Vec<u32>,
    /// `shifts[k]`: what each bit of a checksum becomes when `1 << k` bytes follow.
    shifts: Vec<[u32; 32]>,
}

impl<'a> Checksums<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let mut kept = vec![0];
        for step in bytes.chunks_exact(STEP) {
            let before = kept.last().copied().unwrap_or(0);
            kept.push(crc32c::crc32c_append(before, step));
        }
        let shift = |k: usize| std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, 1 << k));
        Checksums { bytes, kept, shifts: (0..LENGTH_BITS).map(shift).collect() }
    }

    /// The checksum of `before`'s bytes followed by `bytes[from..][..length]`.
    pub(super) fn appended(&self, before: u32, from: usize, length: usize) -> u32 {
        // The bytes up to `from` cancel out of the checksum up to the end.
        self.shifted(before ^ self.up_to(from), length) ^ self.up_to(from + length)
    }

    fn up_to(&self, end: usize) -> u32 {
        let step = end / STEP;
        crc32c::crc32c_append(self.kept[step], &self.bytes[step * STEP..end])
    }

    fn shifted(&self, mut checksum: u32, length: usize) -> u32 {
        for (_, shift) in self.shifts.iter().enumerate().filter(|(k, _)| length >> k & 1 == 1) {
            let mut sum = 0;
            while checksum != 0 {
                sum ^= shift[checksum.trailing_zeros() as usize];
                checksum &= checksum - 1;
            }
            checksum = sum;
        }
        checksum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_the_checksum_that_computing_it_gives() {
        let bytes: Vec<u8> = (0..5_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let checksums = Checksums::new(&bytes);
        for (from, length) in [(0, 0), (0, 5_000), (1, 1), (511, 2), (512, 512), (700, 4_300), (4_999, 1)] {
            let before = crc32c::crc32c(b"before");
            let computed = crc32c::crc32c_append(before, &bytes[from..from + length]);
            assert_eq!(checksums.appended(before, from, length), computed, "{length} at {from}");
        }
    }
}
