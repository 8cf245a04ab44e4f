//! Integers of equal width, packed without gaps, least significant bit first.

use crate::bytes::{Malformed, Reader};

/// Bits that `value` needs.
pub(crate) fn width_of(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Bytes that `count` values of `width` bits take.
pub(crate) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends each of `values` in `width` bits.
pub(crate) fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    if width == 0 {
        return;
    }
    let mut buffer: u128 = 0;
    let mut filled = 0;
    for value in values {
        buffer |= u128::from(value) << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&(buffer as u64).to_le_bytes());
            buffer >>= 64;
            filled -= 64;
        }
    }
    let bytes = buffer.to_le_bytes();
    out.extend_from_slice(&bytes[..filled.div_ceil(8) as usize]);
}

/// Most values that [`unpack`] reads at once.
pub(crate) const UNPACK_MAX: usize = 32;

/// Reads `count` values of `width` bits and appends each plus `minimum`.
pub(crate) fn unpack(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    minimum: i64,
    into: &mut Vec<i64>,
) -> Result<(), Malformed> {
    debug_assert!(count <= UNPACK_MAX, "a group is short");
    if width > 64 {
        return Err(Malformed);
    }
    if width == 0 {
        into.resize(into.len() + count, minimum);
        return Ok(());
    }
    // Behind the bytes is room for a word and a byte, so that any value can be read as part of them.
    let mut padded = [0; UNPACK_MAX * 8 + 16];
    let length = packed_bytes(count, width);
    padded[..length].copy_from_slice(reader.take(length)?);
    let mask = u64::MAX >> (64 - width);
    into.extend((0..count).map(|i| {
        let bit = i * width as usize;
        let (byte, shift) = (bit / 8, bit % 8);
        let mut field = [0; 8];
        field.copy_from_slice(&padded[byte..byte + 8]);
        let mut value = u64::from_le_bytes(field) >> shift;
        if shift + width as usize > 64 {
            value |= u64::from(padded[byte + 8]) << (64 - shift);
        }
        ((value & mask) as i64).wrapping_add(minimum)
    }));
    Ok(())
}
