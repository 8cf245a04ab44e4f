//! Reading and writing protobuf in place.
//!
//! Only what the formats here need: varints, fixed 32 and 64 bit, length-delimited fields. Groups
//! are refused. A [`Reader`] borrows the message, never allocates, never reads beyond it, and
//! knows its offset in the whole request for error messages.
//!
//! Nothing here recurses; callers bound the depth of messages that nest in themselves.

use crate::WireError;

/// Reads the fields of one message, or the elements of one packed field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Offset of the end of `rest` in the whole request.
    end_offset: usize,
}

/// One field's value, by wire type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Delimited(Reader<'a>),
    Fixed32(u32),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Reader { rest: message, end_offset: message.len() }
    }

    /// A reader of `content`, which is what was read last, for its offsets in messages.
    pub(crate) fn behind(&self, content: &'a [u8]) -> Reader<'a> {
        Reader { rest: content, end_offset: self.end_offset - self.rest.len() }
    }

    /// The bytes not read yet.
    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    pub(crate) fn error(&self, problem: &'static str) -> WireError {
        WireError::Protobuf { offset: self.end_offset - self.rest.len(), problem }
    }

    /// The next field's number and value, or `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Field<'a>)>, WireError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let number = (key >> 3) as u32;
        if number == 0 || key > u64::from(u32::MAX) {
            return Err(self.error("bad field number"));
        }
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.fixed64()?),
            2 => Field::Delimited(self.delimited()?),
            5 => Field::Fixed32(self.fixed32()?),
            _ => return Err(self.error("unsupported wire type")),
        };
        Ok(Some((number, field)))
    }

    /// The content of the next field if it is delimited, shorter than 128 bytes and has the one-byte
    /// key `key`; otherwise nothing is read. A short way around [`Reader::next`] for fields that
    /// come by the million.
    #[inline]
    pub(crate) fn take_short(&mut self, key: u8) -> Option<&'a [u8]> {
        self.take_short_with_length(key).map(|content| &content[1..])
    }

    /// [`Reader::take_short`] with the length's byte in front of the content.
    #[inline]
    pub(crate) fn take_short_with_length(&mut self, key: u8) -> Option<&'a [u8]> {
        let [found, rest @ ..] = self.rest else {
            return None;
        };
        let length = *rest.first()?;
        if *found != key || length >= 0x80 {
            return None;
        }
        let (content, tail) = rest.split_at_checked(usize::from(length) + 1)?;
        self.rest = tail;
        Some(content)
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.rest {
            [byte, tail @ ..] if *byte < 0x80 => {
                self.rest = tail;
                Ok(u64::from(*byte))
            }
            [low, high, tail @ ..] if *high < 0x80 => {
                self.rest = tail;
                Ok(u64::from(low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for (i, &byte) in self.rest.iter().take(10).enumerate() {
            if i == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte < 0x80 {
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
        }
        Err(self.error(if self.rest.len() < 10 { "truncated varint" } else { "varint too long" }))
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let Some((bytes, tail)) = self.rest.split_first_chunk::<8>() else {
            return Err(self.error("truncated 64-bit value"));
        };
        self.rest = tail;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn fixed32(&mut self) -> Result<u32, WireError> {
        let Some((bytes, tail)) = self.rest.split_first_chunk::<4>() else {
            return Err(self.error("truncated 32-bit value"));
        };
        self.rest = tail;
        Ok(u32::from_le_bytes(*bytes))
    }

    #[inline]
    fn delimited(&mut self) -> Result<Reader<'a>, WireError> {
        let length = self.varint()?;
        let field = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((field, tail)) = field else {
            return Err(self.error("field longer than its message"));
        };
        self.rest = tail;
        Ok(Reader { rest: field, end_offset: self.end_offset - tail.len() })
    }
}

impl<'a> Field<'a> {
    /// A sub-message, a packed field, or with [`Reader::bytes`] a string.
    #[inline]
    pub(crate) fn message(self, parent: &Reader<'_>) -> Result<Reader<'a>, WireError> {
        match self {
            Field::Delimited(reader) => Ok(reader),
            _ => Err(parent.error("length-delimited field expected")),
        }
    }

    #[inline]
    pub(crate) fn bytes(self, parent: &Reader<'_>) -> Result<&'a [u8], WireError> {
        self.message(parent).map(|reader| reader.rest)
    }

    #[inline]
    pub(crate) fn varint(self, parent: &Reader<'_>) -> Result<u64, WireError> {
        match self {
            Field::Varint(value) => Ok(value),
            _ => Err(parent.error("varint field expected")),
        }
    }

    #[inline]
    pub(crate) fn int64(self, parent: &Reader<'_>) -> Result<i64, WireError> {
        self.varint(parent).map(|value| value as i64)
    }

    pub(crate) fn sint64(self, parent: &Reader<'_>) -> Result<i64, WireError> {
        self.varint(parent).map(zigzag_decode)
    }

    #[inline]
    pub(crate) fn fixed64(self, parent: &Reader<'_>) -> Result<u64, WireError> {
        match self {
            Field::Fixed64(value) => Ok(value),
            _ => Err(parent.error("64-bit field expected")),
        }
    }

    pub(crate) fn fixed32(self, parent: &Reader<'_>) -> Result<u32, WireError> {
        match self {
            Field::Fixed32(value) => Ok(value),
            _ => Err(parent.error("32-bit field expected")),
        }
    }

    #[inline]
    pub(crate) fn double(self, parent: &Reader<'_>) -> Result<f64, WireError> {
        self.fixed64(parent).map(f64::from_bits)
    }

    /// Each element of a repeated varint field, packed or not.
    #[inline]
    pub(crate) fn each_varint(self, parent: &Reader<'_>, mut take: impl FnMut(u64)) -> Result<(), WireError> {
        match self {
            Field::Varint(value) => take(value),
            Field::Delimited(mut packed) => {
                while !packed.is_empty() {
                    take(packed.varint()?);
                }
            }
            _ => return Err(parent.error("repeated varint field expected")),
        }
        Ok(())
    }

    /// Each element of a repeated 64-bit field, packed or not.
    pub(crate) fn each_fixed64(
        self,
        parent: &Reader<'_>,
        mut take: impl FnMut(u64),
    ) -> Result<(), WireError> {
        match self {
            Field::Fixed64(value) => take(value),
            Field::Delimited(mut packed) => {
                while !packed.is_empty() {
                    take(packed.fixed64()?);
                }
            }
            _ => return Err(parent.error("repeated 64-bit field expected")),
        }
        Ok(())
    }
}

pub(crate) fn zigzag_decode(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

pub(crate) fn zigzag_encode(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Appends a varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Appends a varint field, also when it is 0.
pub(crate) fn put_varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, 0);
    put_varint(out, value);
}

/// Appends a 64-bit field, also when it is 0.
pub(crate) fn put_fixed64_field(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a 32-bit field, also when it is 0.
pub(crate) fn put_fixed32_field(out: &mut Vec<u8>, number: u32, value: u32) {
    put_key(out, number, 5);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a double field.
pub(crate) fn put_double_field(out: &mut Vec<u8>, number: u32, value: f64) {
    put_fixed64_field(out, number, value.to_bits());
}

/// Appends a string or bytes field, also when it is empty.
pub(crate) fn put_bytes_field(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a field whose content `write` appends: a sub-message or a packed field.
///
/// The length comes before the content and is known after it; one byte is kept free for it, and
/// content of 128 bytes or more is moved up to make room.
pub(crate) fn put_message_field<E>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    put_key(out, number, 2);
    let length_at = out.len();
    out.push(0);
    write(out)?;
    let length = out.len() - length_at - 1;
    let mut encoded = [0u8; 10];
    let mut width = 0;
    let mut value = length;
    while value >= 0x80 {
        encoded[width] = value as u8 | 0x80;
        value >>= 7;
        width += 1;
    }
    encoded[width] = value as u8;
    width += 1;
    if width > 1 {
        out.resize(out.len() + width - 1, 0);
        out.copy_within(length_at + 1..length_at + 1 + length, length_at + width);
    }
    out[length_at..length_at + width].copy_from_slice(&encoded[..width]);
    Ok(())
}

/// [`put_message_field`] for content that cannot fail.
pub(crate) fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let written: Result<(), std::convert::Infallible> = put_message_field(out, number, |out| {
        write(out);
        Ok(())
    });
    match written {
        Ok(()) => {}
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_read_back() {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, u64::MAX);
        put_double_field(&mut out, 2, -0.0);
        put_message(&mut out, 3, |out| put_bytes_field(out, 1, &[7; 300]));
        put_fixed32_field(&mut out, 4, 9);
        let mut reader = Reader::new(&out);
        let (number, field) = reader.next().unwrap().unwrap();
        assert_eq!((number, field.varint(&reader)), (1, Ok(u64::MAX)));
        let (_, field) = reader.next().unwrap().unwrap();
        assert_eq!(field.double(&reader).map(f64::to_bits), Ok((-0.0f64).to_bits()));
        let (_, field) = reader.next().unwrap().unwrap();
        let mut inner = field.message(&reader).unwrap();
        let (_, field) = inner.next().unwrap().unwrap();
        assert_eq!(field.bytes(&inner).unwrap(), [7; 300]);
        let (_, field) = reader.next().unwrap().unwrap();
        assert_eq!(field.fixed32(&reader), Ok(9));
        assert!(reader.next().unwrap().is_none());
    }

    #[test]
    fn malformed_bytes_are_refused_with_their_offset() {
        for (bytes, offset, problem) in [
            (&b"\x08"[..], 1, "truncated varint"),
            (b"\x08\xff\xff", 1, "truncated varint"),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 1, "varint too long"),
            (b"\x0a\x05abcd", 2, "field longer than its message"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "field longer than its message"),
            (b"\x09\x00", 1, "truncated 64-bit value"),
            (b"\x0d\x00", 1, "truncated 32-bit value"),
            (b"\x0b", 1, "unsupported wire type"),
            (b"\x00\x00", 1, "bad field number"),
        ] {
            let mut reader = Reader::new(bytes);
            let error = reader.next().map(|field| field.is_some());
            assert_eq!(error, Err(WireError::Protobuf { offset, problem }), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn zigzag_round_trips(value: i64) {
            prop_assert_eq!(zigzag_decode(zigzag_encode(value)), value);
        }

        #[test]
        fn arbitrary_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            let mut fields = 0;
            while let Ok(Some(_)) = reader.next() {
                fields += 1;
            }
            prop_assert!(fields <= bytes.len() / 2);
        }
    }
}
