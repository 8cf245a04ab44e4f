//! How the agent's own files hold records: each with its length and a checksum.
//!
//! ```text
//! ┌────────────┬──────────────────────┬─────────────┐
//! │ length u32 │ crc32c u32 of payload│ payload     │   little endian
//! └────────────┴──────────────────────┴─────────────┘
//! ```
//!
//! A crash leaves at most a torn frame at the end of a file. Readers stop at the first frame that
//! is torn or damaged; writers cut the file there before they append.

/// Bytes in front of a payload.
pub(crate) const HEADER_BYTES: usize = 8;
/// A longer frame is damage, not data.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Appends a frame to `out`. `parts` follow one another in the payload.
pub(crate) fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let checksum = parts.iter().fold(0, |checksum, part| crc32c::crc32c_append(checksum, part));
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&checksum.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The payload length in a header; `None` when it cannot be one.
pub(crate) fn payload_length(header: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(header.get(..4)?.try_into().ok()?) as usize;
    (length <= PAYLOAD_BYTES_MAX).then_some(length)
}

/// The payload of the frame at the start of `bytes`, when whole and undamaged.
pub(crate) fn payload(bytes: &[u8]) -> Option<&[u8]> {
    let length = payload_length(bytes)?;
    let checksum = u32::from_le_bytes(bytes.get(4..HEADER_BYTES)?.try_into().ok()?);
    let payload = bytes.get(HEADER_BYTES..HEADER_BYTES + length)?;
    (crc32c::crc32c(payload) == checksum).then_some(payload)
}

/// Every good frame from the start of `bytes`, and where the good part ends.
pub(crate) fn read_all(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut payloads = Vec::new();
    let mut offset = 0;
    while let Some(payload) = payload(&bytes[offset..]) {
        payloads.push(payload);
        offset += HEADER_BYTES + payload.len();
    }
    (payloads, offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_and_every_flipped_byte_is_noticed() {
        let mut bytes = Vec::new();
        put(&mut bytes, &[b"one"]);
        let first = bytes.len();
        put(&mut bytes, &[b"tw", b"o"]);
        assert_eq!(read_all(&bytes), (vec![&b"one"[..], b"two"], bytes.len()));
        for cut in 0..bytes.len() {
            let good = if cut < first { 0 } else { first };
            assert_eq!(read_all(&bytes[..cut]).1, good, "cut at {cut}");
        }
        for i in first..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[i] ^= 0x40;
            assert_eq!(read_all(&damaged).1, first, "byte {i}");
        }
    }
}
