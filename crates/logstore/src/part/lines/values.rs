//! A column that is read: what the head of a frame tells of it, and its values.
//!
//! The head alone says which texts a column's values may contain; where they begin in the other
//! sections shows once it is known how many rows every template has. Whatever depends on all values
//! before is made ready template by template, when the first line of one is asked for.

use super::{
    bits,
    column::{
        DIGITS_MAX, KIND_CODES, KIND_CONSTANT, KIND_DIFFERENCES, KIND_LOWER_HEX, KIND_NARROW_NUMBERS,
        KIND_NUMBERS, KIND_TEXT, KIND_UPPER_HEX, NUMBER_DIGITS_MAX,
    },
};
use crate::bytes::{Damaged, Reader};
use std::ops::Range;

/// A stretch of a frame's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    pub(super) fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// What all values of a column begin and end with.
#[derive(Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) prefix: Span,
    pub(super) suffix: Span,
}

/// A column as the head tells of it.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Constant(Span),
    /// `list` has `count` values, each behind its length.
    Codes {
        count: u32,
        list: Span,
    },
    Text {
        ends: Ends,
        all: Span,
    },
    Hex {
        ends: Ends,
        digits: u32,
        is_upper: bool,
    },
    Numbers {
        ends: Ends,
        digits: u8,
        width: u8,
        least: u64,
    },
    NarrowNumbers {
        ends: Ends,
        digits: u8,
        least: u64,
    },
    Differences {
        ends: Ends,
        digits: u8,
        width: u8,
        first: u64,
    },
}

/// What is left of a frame's head while its columns are read.
pub(super) struct Sections<'a> {
    pub(super) head: &'a [u8],
    pub(super) meta: Reader<'a>,
    pub(super) text: Reader<'a>,
}

impl Sections<'_> {
    /// Where the next `length` bytes of the text lie.
    pub(super) fn take_text(&mut self, length: usize) -> Result<Span, Damaged> {
        let text = self.text.take(length)?;
        Ok(self.place(text))
    }

    /// Where a slice of the head lies in it.
    #[inline(always)]
    fn place(&self, part: &[u8]) -> Span {
        let start = part.as_ptr() as usize - self.head.as_ptr() as usize;
        Span::new(start, start + part.len())
    }

    /// Where the next text of `meta`, which is behind its length, lies.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<Span, Damaged> {
        let bytes = self.meta.bytes()?;
        Ok(self.place(bytes))
    }

    /// Where the rest of `meta` begins.
    pub(super) fn meta_at(&self) -> usize {
        self.place(self.meta.rest()).range().start
    }

    #[inline(always)]
    fn ends(&mut self) -> Result<Ends, Damaged> {
        Ok(Ends { prefix: self.bytes()?, suffix: self.bytes()? })
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<u8, Damaged> {
        let digits = self.meta.varint()? as usize;
        if digits > DIGITS_MAX { Err(Damaged::new("number of too many digits")) } else { Ok(digits as u8) }
    }

    #[inline(always)]
    fn width(&mut self) -> Result<u8, Damaged> {
        let width = self.meta.byte()?;
        if width > 64 { Err(Damaged::new("number of too many bits")) } else { Ok(width) }
    }

    /// Reads the next column. A part has a million of them.
    #[inline]
    pub(super) fn column(&mut self) -> Result<Column, Damaged> {
        match self.meta.byte()? {
            KIND_CONSTANT => Ok(Column::Constant(self.bytes()?)),
            KIND_CODES => self.codes_column(),
            KIND_TEXT => {
                let (ends, bytes) = (self.ends()?, self.meta.varint()? as usize);
                Ok(Column::Text { ends, all: self.take_text(bytes)? })
            }
            kind @ (KIND_LOWER_HEX | KIND_UPPER_HEX) => {
                let (ends, digits) = (self.ends()?, self.meta.u32()?);
                Ok(Column::Hex { ends, digits, is_upper: kind == KIND_UPPER_HEX })
            }
            KIND_NARROW_NUMBERS => {
                let (ends, digits, least) = (self.ends()?, self.digits()?, self.meta.varint()?);
                Ok(Column::NarrowNumbers { ends, digits, least })
            }
            kind @ (KIND_NUMBERS | KIND_DIFFERENCES) => {
                let (ends, digits, least) = (self.ends()?, self.digits()?, self.meta.varint()?);
                let width = self.width()?;
                if kind == KIND_NUMBERS {
                    return Ok(Column::Numbers { ends, digits, least, width });
                }
                Ok(Column::Differences { ends, digits, first: least, width })
            }
            _ => Err(Damaged::new("variables of an unknown kind")),
        }
    }

    fn codes_column(&mut self) -> Result<Column, Damaged> {
        let count = self.meta.count()?;
        let start = self.meta_at();
        for _ in 0..count {
            self.meta.bytes()?;
        }
        Ok(Column::Codes { count: count as u32, list: Span::new(start, self.meta_at()) })
    }
}

/// What the values of columns are made from.
pub(super) struct Bytes<'a> {
    pub(super) head: &'a [u8],
    pub(super) codes: &'a [u8],
    /// Padded; see [`bits::PADDING_BYTES`].
    pub(super) dense: &'a [u8],
}

/// What a column needs to give any of its values without those before it.
pub(super) enum Values {
    /// Nothing more.
    Packed,
    /// Where its values lie in the head: each code's, or each row's.
    Spans(Box<[Span]>),
    /// Each row's number.
    Numbers(Box<[u64]>),
}

impl Column {
    /// Bytes that `rows` values take of the frame's codes.
    pub(super) fn codes_bytes(&self, rows: usize) -> usize {
        if matches!(self, Column::Codes { .. } | Column::NarrowNumbers { .. }) { rows } else { 0 }
    }

    /// Bytes that `rows` values take of the frame's dense section.
    pub(super) fn dense_bytes(&self, rows: usize) -> usize {
        match self {
            Column::Hex { digits, .. } => (*digits as usize).div_ceil(2).saturating_mul(rows),
            Column::Numbers { width, .. } | Column::Differences { width, .. } => {
                bits::packed_bytes(rows, u32::from(*width))
            }
            _ => 0,
        }
    }

    /// Whether the column, which begins at `at` of its section, has `rows` values that can be read.
    pub(super) fn check(&self, rows: usize, at: usize, head: &[u8], codes: &[u8]) -> Result<(), Damaged> {
        match self {
            Column::Codes { count, .. } if rows > 0 => {
                // A maximum is found many bytes at a time.
                let most = codes[at..at + rows].iter().copied().fold(0, u8::max);
                if u32::from(most) >= *count {
                    return Err(Damaged::new("code beyond its values"));
                }
            }
            Column::Text { all, .. } if memchr::memchr_iter(b'\n', all.of(head)).count() != rows => {
                return Err(Damaged::new("column of another number of values"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Makes ready what depends on all values before; the column begins at `at` of its section.
    pub(super) fn values(&self, rows: usize, at: usize, bytes: &Bytes<'_>) -> Values {
        match *self {
            Column::Codes { count, list } => {
                let mut reader = Reader::new(list.of(bytes.head));
                let value = |_| {
                    let value = reader.bytes().unwrap_or_default();
                    let end = list.range().end - reader.rest().len();
                    Span::new(end - value.len(), end)
                };
                Values::Spans((0..count).map(value).collect())
            }
            Column::Text { all, .. } => {
                let mut start = all.range().start;
                let newlines = memchr::memchr_iter(b'\n', all.of(bytes.head));
                let spans = newlines.map(|newline| {
                    let end = all.range().start + newline;
                    Span::new(std::mem::replace(&mut start, end + 1), end)
                });
                Values::Spans(spans.collect())
            }
            Column::Differences { width, first, .. } => {
                let mut number = first;
                let numbers = (0..rows).map(|index| {
                    let step = bits::get(bytes.dense, at, u32::from(width), index);
                    number = number.wrapping_add(((step >> 1) as i64 ^ -((step & 1) as i64)) as u64);
                    number
                });
                Values::Numbers(numbers.collect())
            }
            _ => Values::Packed,
        }
    }

    /// Appends value `index` of the column, which begins at `at` of its section.
    #[inline]
    pub(super) fn put(&self, index: usize, at: usize, values: &Values, bytes: &Bytes<'_>, out: &mut Vec<u8>) {
        let head = bytes.head;
        let span = |index: usize| match values {
            Values::Spans(spans) => spans.get(index).copied().unwrap_or_default().of(head),
            _ => &[],
        };
        match self {
            Column::Constant(value) => append(value.of(head), out),
            Column::Codes { .. } => append(span(usize::from(bytes.codes[at + index])), out),
            Column::Text { ends, .. } => ends.around(head, out, |out| append(span(index), out)),
            Column::Hex { ends, digits, is_upper } => {
                let digits = *digits as usize;
                let start = at + index * digits.div_ceil(2);
                let packed = &bytes.dense[start..start + digits.div_ceil(2)];
                ends.around(head, out, |out| put_hex_digits(packed, digits, *is_upper, out));
            }
            Column::Numbers { ends, digits, least, width } => {
                let number = least.wrapping_add(bits::get(bytes.dense, at, u32::from(*width), index));
                ends.around(head, out, |out| put_number(number, usize::from(*digits), out));
            }
            Column::NarrowNumbers { ends, digits, least } => {
                let number = least.wrapping_add(u64::from(bytes.codes[at + index]));
                ends.around(head, out, |out| put_number(number, usize::from(*digits), out));
            }
            Column::Differences { ends, digits, .. } => {
                let number = match values {
                    Values::Numbers(numbers) => numbers.get(index).copied().unwrap_or_default(),
                    _ => 0,
                };
                ends.around(head, out, |out| put_number(number, usize::from(*digits), out));
            }
        }
    }
}

impl Ends {
    #[inline]
    fn around(&self, head: &[u8], out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        append(self.prefix.of(head), out);
        put(out);
        append(self.suffix.of(head), out);
    }

    pub(super) fn is_bare(&self) -> bool {
        self.prefix.is_empty() && self.suffix.is_empty()
    }
}

/// Appends a short text; most are empty or one byte long, for which a copy costs too much.
#[inline]
pub(super) fn append(text: &[u8], out: &mut Vec<u8>) {
    match text {
        [] => {}
        [byte] => out.push(*byte),
        _ => out.extend_from_slice(text),
    }
}

fn put_hex_digits(packed: &[u8], digits: usize, is_upper: bool, out: &mut Vec<u8>) {
    let table = if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    for byte in packed {
        out.push(table[usize::from(byte >> 4)]);
        out.push(table[usize::from(byte & 15)]);
    }
    if digits % 2 == 1 {
        out.pop();
    }
}

/// The numbers from 00 to 99, which halve the divisions that digits take.
static PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut table = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        table[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    table
}

/// Appends a decimal number, padded with zeros to `digits`.
fn put_number(mut number: u64, digits: usize, out: &mut Vec<u8>) {
    let mut text = [b'0'; NUMBER_DIGITS_MAX];
    let mut at = text.len();
    while number >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&text[at.min(text.len() - digits)..]);
}
