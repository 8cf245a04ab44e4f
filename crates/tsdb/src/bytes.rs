//! Variable-length integers and fields, written to a vector and read from a slice.

/// Stored bytes that do not decode. The checksums pass before anything is decoded, so this means
/// a bug or a forged file, never a torn write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored bytes do not decode")]
pub(crate) struct Malformed;

/// Appends LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed integer, small magnitudes short.
pub(crate) fn put_zigzag(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Appends a field with its length.
pub(crate) fn put_field(out: &mut Vec<u8>, field: &[u8]) {
    put_varint(out, field.len() as u64);
    out.extend_from_slice(field);
}

pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
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

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
        self.rest = rest;
        Ok(byte)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// A varint that counts things which take at least one byte or bit each: refused when it is
    /// beyond `max`, so that nothing allocates by a forged number.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > max as u64 { Err(Malformed) } else { Ok(count as usize) }
    }

    #[inline]
    pub(crate) fn zigzag(&mut self) -> Result<i64, Malformed> {
        self.varint().map(unzigzag)
    }

    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (field, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(field)
    }

    pub(crate) fn field(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(self.rest.len())?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.field()?).map_err(|_| Malformed)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let mut field = [0; 4];
        field.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(field))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let mut field = [0; 8];
        field.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(field))
    }

    /// The low `length` (at most 8) bytes of a little-endian integer.
    #[inline]
    pub(crate) fn short_u64(&mut self, length: usize) -> Result<u64, Malformed> {
        let mut field = [0; 8];
        field.get_mut(..length).ok_or(Malformed)?.copy_from_slice(self.take(length)?);
        Ok(u64::from_le_bytes(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_round_trip_and_short_input_is_refused() {
        let values = [0, 1, -1, 63, -64, 64, 1 << 40, i64::MAX, i64::MIN];
        let mut out = Vec::new();
        for value in values {
            put_zigzag(&mut out, value);
        }
        put_field(&mut out, b"ab");
        let mut reader = Reader::new(&out);
        for value in values {
            assert_eq!(reader.zigzag(), Ok(value));
        }
        assert_eq!(reader.field(), Ok(&b"ab"[..]));
        assert_eq!(reader.byte(), Err(Malformed));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(Malformed));
        assert_eq!(Reader::new(&[5, 1]).field(), Err(Malformed));
    }
}
