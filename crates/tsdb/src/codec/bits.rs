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
    let length = packed_bytes(count, width);
    // Any value is read as part of a word and a byte, for which there is room behind the last one.
    let rest = reader.rest();
    let packed = reader.take(length)?;
    match rest.get(..length + PADDING) {
        Some(bytes) => extract(bytes, count, width, minimum, into),
        None => {
            let mut padded = [0; UNPACK_MAX * 8 + PADDING];
            padded[..length].copy_from_slice(packed);
            extract(&padded, count, width, minimum, into);
        }
    }
    Ok(())
}

/// Bytes that must follow packed values.
const PADDING: usize = 8;

fn extract(bytes: &[u8], count: usize, width: u32, minimum: i64, into: &mut Vec<i64>) {
    let mask = u64::MAX >> (64 - width);
    let word = |bit: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&bytes[bit / 8..bit / 8 + 8]);
        u64::from_le_bytes(field) >> (bit % 8)
    };
    let bits = (0..count).map(|i| i * width as usize);
    if width <= u64::BITS - 7 {
        into.extend(bits.map(|bit| ((word(bit) & mask) as i64).wrapping_add(minimum)));
        return;
    }
    into.extend(bits.map(|bit| {
        let mut value = word(bit);
        if bit % 8 + width as usize > 64 {
            value |= u64::from(bytes[bit / 8 + 8]) << (64 - bit % 8);
        }
        ((value & mask) as i64).wrapping_add(minimum)
    }));
}
