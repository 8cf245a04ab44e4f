//! Integers of a fixed number of bits, back to back, the lowest bit first.

/// Zero bytes that a reader keeps behind the packed ones, so that it may always read sixteen.
pub(super) const PADDING_BYTES: usize = 16;

/// Appends `values` with `width` bits (0 to 64) each; ends at a whole byte.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut buffer, mut filled) = (0u128, 0);
    for value in values {
        buffer |= u128::from(value) << filled;
        filled += width;
        while filled >= 8 {
            out.push(buffer as u8);
            buffer >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(buffer as u8);
    }
}

/// Bytes that `count` values of `width` bits take.
pub(super) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Value `index` of those that begin at byte `start`. [`PADDING_BYTES`] must follow the last.
pub(super) fn get(bytes: &[u8], start: usize, width: u32, index: usize) -> u64 {
    let bit = index * width as usize;
    let at = start + bit / 8;
    // The common widths fit one machine word, wherever they begin in their byte.
    if width <= 56 {
        let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) else { return 0 };
        return u64::from_le_bytes(*window) >> (bit % 8) & ((1 << width) - 1);
    }
    let Some(window) = bytes.get(at..).and_then(|rest| rest.first_chunk::<16>()) else { return 0 };
    let mask = (1u128 << width) - 1;
    (u128::from_le_bytes(*window) >> (bit % 8) & mask) as u64
}

/// Bits that a value needs.
pub(super) fn width(value: u64) -> u32 {
    64 - value.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_reads_back() {
        for bits in 0..=64 {
            let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
            let values: Vec<u64> =
                (0..50u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7) & mask).collect();
            let mut bytes = vec![7; 3];
            pack(values.iter().copied(), bits, &mut bytes);
            assert_eq!(bytes.len(), 3 + packed_bytes(values.len(), bits));
            bytes.resize(bytes.len() + PADDING_BYTES, 0);
            let back: Vec<u64> = (0..values.len()).map(|index| get(&bytes, 3, bits, index)).collect();
            assert_eq!(back, values, "{bits} bits");
        }
    }
}
