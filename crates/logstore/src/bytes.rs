//! The small change of the file formats: varints, a bounds-checked reader, and sealed payloads.
//!
//! Integers are LEB128 varints unless said otherwise; signed ones are zigzagged. Nothing here
//! trusts a length it reads: a reader never looks beyond its slice and never allocates by a length
//! before it has seen that many bytes.

use std::cell::RefCell;

/// Stored bytes that do not check out; the text says where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Damaged(pub(crate) String);

impl Damaged {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Damaged(what.into())
    }

    /// Apart, so that reading numbers stays small.
    #[cold]
    #[inline(never)]
    fn early() -> Self {
        Damaged::new("ends early")
    }
}

impl From<Damaged> for store::StoreError {
    fn from(damaged: Damaged) -> Self {
        store::StoreError::Damaged(damaged.0)
    }
}

/// Appends an unsigned varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed varint.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Appends a length and that many bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what the functions above wrote.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (&byte, rest) = self.rest.split_first().ok_or_else(Damaged::early)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Damaged> {
        // Most numbers have one byte or two.
        match self.rest {
            [only @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(*only))
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.rest = rest;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, Damaged> {
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
            shift += 7;
            if shift > 63 {
                return Err(Damaged::new("number is too long"));
            }
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Damaged> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.varint()?).map_err(|_| Damaged::new("number is out of range"))
    }

    #[inline(always)]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(Damaged::early)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| Damaged::new("length is out of range"))?)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Damaged::new("text is not UTF-8"))
    }

    /// A count of things that take at least one byte each, so that it bounds an allocation.
    pub(crate) fn count(&mut self) -> Result<usize, Damaged> {
        let count = self.varint()?;
        if count > self.rest.len() as u64 {
            return Err(Damaged::new("count is larger than what follows"));
        }
        Ok(count as usize)
    }
}

/// Wraps a payload: 8 bytes of magic (the last is the version), payload, CRC-32C of both.
pub(crate) fn seal(magic: &[u8; 8], payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 12);
    out.extend_from_slice(magic);
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// Checks and unwraps what [`seal`] made.
pub(crate) fn unseal<'a>(magic: &[u8; 8], bytes: &'a [u8], name: &str) -> Result<&'a [u8], Damaged> {
    let (body, crc) =
        bytes.split_last_chunk::<4>().ok_or_else(|| Damaged::new(format!("`{name}` is too short")))?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return Err(Damaged::new(format!("`{name}` fails its checksum")));
    }
    match body.strip_prefix(magic.as_slice()) {
        Some(payload) => Ok(payload),
        None => Err(Damaged::new(format!("`{name}` has another format or version"))),
    }
}

/// Compresses a payload behind its length, for [`decompress`].
pub(crate) fn compress(raw: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, level)
}

/// Buffers that a thread keeps for the next section; more are let go.
const SPARES_MAX: usize = 8;
/// A larger buffer is let go as well.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// What a thread uses again for every section it reads. Fresh memory costs a page fault for every
/// 4 KiB, which is as much as the rest of reading it.
#[derive(Default)]
struct Reused {
    /// A context is larger than most of what it decompresses.
    decompressor: Option<zstd::bulk::Decompressor<'static>>,
    spares: Vec<Vec<u8>>,
    stored: Vec<u8>,
}

thread_local! {
    static REUSED: RefCell<Reused> = RefCell::default();
}

/// Gives a buffer back that [`decompress`] may fill again.
pub(crate) fn recycle(buffer: Vec<u8>) {
    if (1..=SPARE_BYTES_MAX).contains(&buffer.capacity()) {
        REUSED.with_borrow_mut(|reused| {
            if reused.spares.len() < SPARES_MAX {
                reused.spares.push(buffer);
            }
        });
    }
}

/// Calls `work` with `length` bytes of any content.
pub(crate) fn with_scratch<T>(length: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut stored = REUSED.with_borrow_mut(|reused| std::mem::take(&mut reused.stored));
    if stored.len() < length {
        stored.resize(length, 0);
    }
    let done = work(&mut stored[..length]);
    if stored.len() <= SPARE_BYTES_MAX {
        REUSED.with_borrow_mut(|reused| reused.stored = stored);
    }
    done
}

/// Decompresses to exactly `length` bytes, which is also the most it allocates.
pub(crate) fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, Damaged> {
    let damaged = |error: std::io::Error| Damaged(error.to_string());
    let raw = REUSED.with_borrow_mut(|reused| {
        let fits = |spare: &Vec<u8>| spare.capacity() >= length;
        let mut raw = match reused.spares.iter().position(fits) {
            Some(spare) => reused.spares.swap_remove(spare),
            None => Vec::with_capacity(length),
        };
        let decompressor = match &mut reused.decompressor {
            Some(decompressor) => decompressor,
            None => reused.decompressor.insert(zstd::bulk::Decompressor::new().map_err(damaged)?),
        };
        raw.clear();
        decompressor.decompress_to_buffer(bytes, &mut raw).map_err(damaged)?;
        Ok(raw)
    })?;
    if raw.len() != length {
        return Err(Damaged::new("decompresses to another length"));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_and_overlong_ones_are_refused() {
        let mut out = Vec::new();
        for value in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            put_signed(&mut out, value);
        }
        put_varint(&mut out, u64::MAX);
        let mut reader = Reader::new(&out);
        for value in [0, 1, -1, 63, -64, i64::MAX, i64::MIN] {
            assert_eq!(reader.signed(), Ok(value));
        }
        assert_eq!(reader.varint(), Ok(u64::MAX));
        assert!(reader.is_empty() && reader.byte().is_err());
        assert!(Reader::new(&[0x80; 11]).varint().is_err());
        assert!(Reader::new(&[200, 1, 0]).count().is_err());
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let sealed = seal(b"BWTEST\0\x01", b"payload");
        assert_eq!(unseal(b"BWTEST\0\x01", &sealed, "t").unwrap(), b"payload");
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 4;
            assert!(unseal(b"BWTEST\0\x01", &bad, "t").is_err());
        }
        assert!(unseal(b"BWTEST\0\x02", &sealed, "t").is_err());
    }
}
