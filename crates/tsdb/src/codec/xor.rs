//! Floats as the changed bytes of each against the one before: small code for columns that no
//! other codec fits, such as a few random floats.

use crate::bytes::{Malformed, Reader};
use std::ops::Range;

/// Appends each value's difference: a byte of trailing zero bytes and length, then the bytes.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[f64]) {
    let mut previous = 0;
    for value in values {
        let bits = value.to_bits();
        put_change(out, bits ^ previous);
        previous = bits;
    }
}

/// Reads the values that `wanted` names, appending to `into`.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    wanted: Range<usize>,
    into: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let mut bits = 0;
    for index in 0..wanted.end {
        bits ^= take_change(reader)?;
        if index >= wanted.start {
            into.push(f64::from_bits(bits));
        }
    }
    Ok(())
}

fn put_change(out: &mut Vec<u8>, change: u64) {
    if change == 0 {
        out.push(0);
        return;
    }
    let trailing = change.trailing_zeros() / 8;
    let length = 8 - change.leading_zeros() / 8 - trailing;
    out.push((trailing << 4 | length) as u8);
    out.extend_from_slice(&(change >> (trailing * 8)).to_le_bytes()[..length as usize]);
}

fn take_change(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let control = reader.byte()?;
    let (trailing, length) = (u32::from(control >> 4), usize::from(control & 0xf));
    if trailing as usize + length > 8 {
        return Err(Malformed);
    }
    if length == 0 { Ok(0) } else { Ok(reader.short_u64(length)? << (trailing * 8)) }
}
