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

/// Reads `count` values of `width` bits.
pub(crate) fn unpack(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    mut each: impl FnMut(u64),
) -> Result<(), Malformed> {
    if width == 0 {
        (0..count).for_each(|_| each(0));
        return Ok(());
    }
    if width > 64 {
        return Err(Malformed);
    }
    let bytes = reader.take(packed_bytes(count, width))?;
    let mask = u64::MAX >> (64 - width);
    let mut buffer: u128 = 0;
    let mut filled = 0;
    let mut words = bytes.chunks(8);
    for _ in 0..count {
        if filled < width {
            let word = words.next().ok_or(Malformed)?;
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            buffer |= u128::from(u64::from_le_bytes(padded)) << filled;
            filled += 64;
        }
        each(buffer as u64 & mask);
        buffer >>= width;
        filled -= width;
    }
    Ok(())
}
