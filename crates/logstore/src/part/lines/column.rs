//! One column: the variables of one position of one template, over the rows that have it.
//!
//! All values of a column have a digit. What they have in common before their first and behind
//! their last digit is kept once; what is between is kept as numbers, hexadecimal, codes of few
//! values, or text, the first that can give back every byte and is smallest.

use super::{bits, encode::EncodedFrame};
use crate::bytes::{Damaged, Reader, put_bytes, put_varint};
use hashbrown::HashMap;
use std::ops::Range;

const KIND_CONSTANT: u8 = 0;
const KIND_CODES: u8 = 1;
const KIND_TEXT: u8 = 2;
const KIND_LOWER_HEX: u8 = 3;
const KIND_UPPER_HEX: u8 = 4;
const KIND_NUMBERS: u8 = 5;
const KIND_NARROW_NUMBERS: u8 = 6;
const KIND_DIFFERENCES: u8 = 7;

/// Values that a column of codes has at most: codes have one byte.
const CODES_MAX: usize = 256;
/// A column of codes has at least this many rows for each of its values.
const ROWS_PER_CODE_MIN: usize = 4;
/// Most digits that 64 bits can have.
pub(super) const NUMBER_DIGITS_MAX: usize = 20;
/// Digits that always fit 64 bits.
const DIGITS_MAX: usize = 19;
/// Differences must save this many bits a row, because reading them is slower.
const DIFFERENCES_GAIN_BITS: u32 = 3;

/// Appends one column.
pub(super) fn encode(values: &[&[u8]], out: &mut EncodedFrame) {
    let first = values[0];
    if values.iter().all(|value| *value == first) {
        out.meta.push(KIND_CONSTANT);
        put_bytes(&mut out.meta, first);
        return;
    }
    let (prefix, suffix) = common_ends(values);
    let middle = |value: &&'_ [u8]| -> Range<usize> { prefix..value.len() - suffix };
    let shape = Shape::of(values.iter().map(|value| &value[middle(value)]));
    let ends = |kind: u8, out: &mut EncodedFrame| {
        out.meta.push(kind);
        put_bytes(&mut out.meta, &first[..prefix]);
        put_bytes(&mut out.meta, &first[first.len() - suffix..]);
    };
    let dense_bits = match &shape {
        Shape::Numbers { .. } => {
            let numbers: Vec<u64> = values.iter().map(|value| number(&value[middle(value)])).collect();
            let plan = NumberPlan::of(&numbers);
            if plan.width <= 8 || !encode_codes(values, plan.width, out) {
                let Shape::Numbers { digits } = shape else { return };
                ends(plan.kind(), out);
                put_varint(&mut out.meta, digits as u64);
                plan.put(&numbers, out);
            }
            return;
        }
        Shape::Hex { digits, .. } => *digits as u32 * 4,
        Shape::Text => first.len() as u32 * 8,
    };
    if encode_codes(values, dense_bits, out) {
        return;
    }
    match shape {
        Shape::Hex { digits, is_upper } => {
            ends(if is_upper { KIND_UPPER_HEX } else { KIND_LOWER_HEX }, out);
            put_varint(&mut out.meta, digits as u64);
            for value in values {
                put_hex(&value[middle(value)], &mut out.dense);
            }
        }
        _ => {
            ends(KIND_TEXT, out);
            let bytes: usize = values.iter().map(|value| middle(value).len() + 1).sum();
            put_varint(&mut out.meta, bytes as u64);
            for value in values {
                out.text.extend_from_slice(&value[middle(value)]);
                out.text.push(b'\n');
            }
        }
    }
}

/// Lengths of what all values begin and end with, as far as it has no digit. As every value has
/// one, the two never overlap.
fn common_ends(values: &[&[u8]]) -> (usize, usize) {
    let first = values[0];
    let mut prefix = first.iter().take_while(|byte| !byte.is_ascii_digit()).count();
    let mut suffix = first.iter().rev().take_while(|byte| !byte.is_ascii_digit()).count();
    for value in values {
        if prefix > 0 {
            prefix = first[..prefix].iter().zip(*value).take_while(|(a, b)| a == b).count();
        }
        if suffix > 0 {
            let ends = first.iter().rev().take(suffix).zip(value.iter().rev());
            suffix = ends.take_while(|(a, b)| a == b).count();
        }
    }
    (prefix, suffix)
}

/// What the values of a column look like.
enum Shape {
    /// Decimal numbers; all of this many digits, or with 0 none of them padded.
    Numbers {
        digits: usize,
    },
    Hex {
        digits: usize,
        is_upper: bool,
    },
    Text,
}

impl Shape {
    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Shape {
        let (mut is_number, mut is_lower, mut is_upper) = (true, true, true);
        let (mut shortest, mut longest, mut is_padded) = (usize::MAX, 0, false);
        for value in values {
            shortest = shortest.min(value.len());
            longest = longest.max(value.len());
            is_padded |= value.len() > 1 && value[0] == b'0';
            for &byte in value {
                let is_digit = byte.is_ascii_digit();
                is_number &= is_digit;
                is_lower &= is_digit || (b'a'..=b'f').contains(&byte);
                is_upper &= is_digit || (b'A'..=b'F').contains(&byte);
            }
            if !is_lower && !is_upper {
                return Shape::Text;
            }
        }
        let is_even = shortest == longest;
        if is_number && longest <= DIGITS_MAX && (is_even || !is_padded) {
            Shape::Numbers { digits: if is_padded { longest } else { 0 } }
        } else if is_even {
            Shape::Hex { digits: longest, is_upper: !is_lower }
        } else {
            Shape::Text
        }
    }
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// How numbers are packed: their distance from the least, or the differences of neighbours
/// (zigzagged) from the least of these.
struct NumberPlan {
    is_differences: bool,
    least: u64,
    width: u32,
}

impl NumberPlan {
    fn of(numbers: &[u64]) -> NumberPlan {
        let (mut least, mut most) = (u64::MAX, 0);
        numbers.iter().for_each(|&number| (least, most) = (least.min(number), most.max(number)));
        let width = bits::width(most - least);
        let steps = differences(numbers);
        let most_step = steps.fold(0, u64::max);
        let step_width = bits::width(most_step);
        if step_width + DIFFERENCES_GAIN_BITS <= width {
            return NumberPlan { is_differences: true, least: numbers[0], width: step_width };
        }
        NumberPlan { is_differences: false, least, width }
    }

    fn kind(&self) -> u8 {
        match self {
            NumberPlan { is_differences: true, .. } => KIND_DIFFERENCES,
            NumberPlan { width: ..=8, .. } => KIND_NARROW_NUMBERS,
            NumberPlan { .. } => KIND_NUMBERS,
        }
    }

    fn put(&self, numbers: &[u64], out: &mut EncodedFrame) {
        put_varint(&mut out.meta, self.least);
        if self.is_differences {
            out.meta.push(self.width as u8);
            bits::pack(differences(numbers), self.width, &mut out.dense);
        } else if self.width <= 8 {
            out.codes.extend(numbers.iter().map(|number| (number - self.least) as u8));
        } else {
            out.meta.push(self.width as u8);
            bits::pack(numbers.iter().map(|number| number - self.least), self.width, &mut out.dense);
        }
    }
}

/// Zigzagged differences of neighbours; the first is 0.
fn differences(numbers: &[u64]) -> impl Iterator<Item = u64> {
    let mut last = numbers[0];
    numbers.iter().map(move |&number| {
        let step = number.wrapping_sub(last) as i64;
        last = number;
        ((step << 1) ^ (step >> 63)) as u64
    })
}

/// Appends a column of codes when that is smaller than `other_bits` for each value.
fn encode_codes(values: &[&[u8]], other_bits: u32, out: &mut EncodedFrame) -> bool {
    let values_max = CODES_MAX.min(values.len() / ROWS_PER_CODE_MIN);
    let mut numbers: HashMap<&[u8], u8> = HashMap::with_capacity(values_max);
    let mut distinct: Vec<&[u8]> = Vec::new();
    let first_code = out.codes.len();
    for value in values {
        let code = match numbers.get(value) {
            Some(&code) => code,
            None if distinct.len() < values_max => {
                let code = distinct.len() as u8;
                numbers.insert(value, code);
                distinct.push(value);
                code
            }
            None => {
                out.codes.truncate(first_code);
                return false;
            }
        };
        out.codes.push(code);
    }
    let dictionary_bytes: usize = distinct.iter().map(|value| value.len() + 1).sum();
    if dictionary_bytes + values.len() > values.len() * other_bits as usize / 8 {
        out.codes.truncate(first_code);
        return false;
    }
    out.meta.push(KIND_CODES);
    put_varint(&mut out.meta, distinct.len() as u64);
    distinct.iter().for_each(|value| put_bytes(&mut out.meta, value));
    true
}

/// Two digits a byte, the high one first; an odd last digit is high.
pub(super) fn put_hex(digits: &[u8], out: &mut Vec<u8>) {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    };
    for pair in digits.chunks(2) {
        out.push(value(pair[0]) << 4 | pair.get(1).map_or(0, |&low| value(low)));
    }
}

/// A column that can be read. Ranges lie in the frame's `head`, offsets in its other sections.
pub(super) enum Column {
    Constant(Range<usize>),
    Codes { values: Vec<Range<usize>>, at: usize },
    Text { ends: Ends, values: Vec<Range<usize>>, all: Range<usize> },
    Hex { ends: Ends, digits: usize, is_upper: bool, at: usize },
    Numbers { ends: Ends, digits: usize, least: u64, width: u32, at: usize },
    NarrowNumbers { ends: Ends, digits: usize, least: u64, at: usize },
    Differences { ends: Ends, digits: usize, least: u64, width: u32, at: usize, numbers: Vec<u64> },
}

/// What all values of a column begin and end with, in the frame's `head`.
pub(super) struct Ends {
    pub(super) prefix: Range<usize>,
    pub(super) suffix: Range<usize>,
}

/// What is left of a frame's sections while its columns are read.
pub(super) struct Sections<'a> {
    pub(super) head: &'a [u8],
    pub(super) meta: Reader<'a>,
    pub(super) text: Reader<'a>,
    /// Bytes of the other two that are taken.
    pub(super) codes_at: usize,
    pub(super) codes: &'a [u8],
    pub(super) dense_at: usize,
    pub(super) dense_bytes: usize,
}

impl Sections<'_> {
    /// Where a slice of `head` lies in it.
    pub(super) fn place(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr() as usize - self.head.as_ptr() as usize;
        start..start + part.len()
    }

    fn ends(&mut self) -> Result<Ends, Damaged> {
        let (prefix, suffix) = (self.meta.bytes()?, self.meta.bytes()?);
        Ok(Ends { prefix: self.place(prefix), suffix: self.place(suffix) })
    }

    fn dense(&mut self, bytes: usize) -> Result<usize, Damaged> {
        let at = self.dense_at;
        self.dense_at = at.saturating_add(bytes);
        if self.dense_at > self.dense_bytes {
            return Err(Damaged::new("column is longer than its frame"));
        }
        Ok(at)
    }

    pub(super) fn take_codes(&mut self, count: usize) -> Result<usize, Damaged> {
        let at = self.codes_at;
        self.codes_at = at.saturating_add(count);
        if self.codes_at > self.codes.len() {
            return Err(Damaged::new("codes are longer than their frame"));
        }
        Ok(at)
    }

    fn digits(&mut self) -> Result<usize, Damaged> {
        let digits = self.meta.varint()? as usize;
        if digits > DIGITS_MAX { Err(Damaged::new("number of too many digits")) } else { Ok(digits) }
    }

    fn width(&mut self) -> Result<u32, Damaged> {
        let width = u32::from(self.meta.byte()?);
        if width > 64 { Err(Damaged::new("number of too many bits")) } else { Ok(width) }
    }

    /// Reads the next column, of `rows` values.
    pub(super) fn column(&mut self, rows: usize) -> Result<Column, Damaged> {
        match self.meta.byte()? {
            KIND_CONSTANT => {
                let value = self.meta.bytes()?;
                Ok(Column::Constant(self.place(value)))
            }
            KIND_CODES => self.codes_column(rows),
            KIND_TEXT => self.text_column(rows),
            kind @ (KIND_LOWER_HEX | KIND_UPPER_HEX) => {
                let ends = self.ends()?;
                let digits = self.meta.u32()? as usize;
                let at = self.dense(digits.div_ceil(2).saturating_mul(rows))?;
                Ok(Column::Hex { ends, digits, is_upper: kind == KIND_UPPER_HEX, at })
            }
            KIND_NARROW_NUMBERS => {
                let (ends, digits, least) = (self.ends()?, self.digits()?, self.meta.varint()?);
                Ok(Column::NarrowNumbers { ends, digits, least, at: self.take_codes(rows)? })
            }
            kind @ (KIND_NUMBERS | KIND_DIFFERENCES) => {
                let (ends, digits, least) = (self.ends()?, self.digits()?, self.meta.varint()?);
                let width = self.width()?;
                let at = self.dense(bits::packed_bytes(rows, width))?;
                if kind == KIND_NUMBERS {
                    return Ok(Column::Numbers { ends, digits, least, width, at });
                }
                Ok(Column::Differences { ends, digits, least, width, at, numbers: Vec::new() })
            }
            _ => Err(Damaged::new("variables of an unknown kind")),
        }
    }

    fn codes_column(&mut self, rows: usize) -> Result<Column, Damaged> {
        let mut values = Vec::new();
        for _ in 0..self.meta.count()? {
            let value = self.meta.bytes()?;
            values.push(self.place(value));
        }
        let at = self.take_codes(rows)?;
        if self.codes[at..at + rows].iter().any(|&code| usize::from(code) >= values.len()) {
            return Err(Damaged::new("code beyond its values"));
        }
        Ok(Column::Codes { values, at })
    }

    fn text_column(&mut self, rows: usize) -> Result<Column, Damaged> {
        let (ends, bytes) = (self.ends()?, self.meta.varint()? as usize);
        let all = self.text.take(bytes)?;
        if memchr::memchr_iter(b'\n', all).count() != rows {
            return Err(Damaged::new("column of another number of values"));
        }
        Ok(Column::Text { ends, all: self.place(all), values: Vec::new() })
    }
}

/// What the values of columns are made from.
pub(super) struct Bytes<'a> {
    pub(super) head: &'a [u8],
    pub(super) codes: &'a [u8],
    /// Padded; see [`bits::PADDING_BYTES`].
    pub(super) dense: &'a [u8],
}

impl Column {
    /// Makes ready what depends on all values before; `dense` is that of the frame.
    pub(super) fn unpack(&mut self, rows: usize, head: &[u8], dense: &[u8]) {
        if let Column::Text { all, values, .. } = self {
            let mut start = all.start;
            values.reserve_exact(rows);
            values.extend(memchr::memchr_iter(b'\n', &head[all.clone()]).map(|newline| {
                let end = all.start + newline;
                std::mem::replace(&mut start, end + 1)..end
            }));
        }
        if let Column::Differences { least, width, at, numbers, .. } = self {
            let mut number = *least;
            *numbers = (0..rows)
                .map(|index| {
                    let step = bits::get(dense, *at, *width, index);
                    number = number.wrapping_add(((step >> 1) as i64 ^ -((step & 1) as i64)) as u64);
                    number
                })
                .collect();
        }
    }

    /// Appends value `index`.
    pub(super) fn put(&self, index: usize, bytes: &Bytes<'_>, out: &mut Vec<u8>) {
        let head = |range: &Range<usize>| &bytes.head[range.clone()];
        match self {
            Column::Constant(value) => append(head(value), out),
            Column::Codes { values, at } => append(head(&values[usize::from(bytes.codes[at + index])]), out),
            Column::Text { ends, values, .. } => {
                ends.around(bytes.head, out, |out| append(head(&values[index]), out));
            }
            Column::Hex { ends, digits, is_upper, at } => {
                let start = at + index * digits.div_ceil(2);
                let packed = &bytes.dense[start..start + digits.div_ceil(2)];
                ends.around(bytes.head, out, |out| put_hex_digits(packed, *digits, *is_upper, out));
            }
            Column::Numbers { ends, digits, least, width, at } => {
                let number = least.wrapping_add(bits::get(bytes.dense, *at, *width, index));
                ends.around(bytes.head, out, |out| put_number(number, *digits, out));
            }
            Column::NarrowNumbers { ends, digits, least, at } => {
                let number = least.wrapping_add(u64::from(bytes.codes[at + index]));
                ends.around(bytes.head, out, |out| put_number(number, *digits, out));
            }
            Column::Differences { ends, digits, numbers, .. } => {
                let number = numbers.get(index).copied().unwrap_or_default();
                ends.around(bytes.head, out, |out| put_number(number, *digits, out));
            }
        }
    }
}

impl Ends {
    #[inline]
    fn around(&self, head: &[u8], out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
        append(&head[self.prefix.clone()], out);
        put(out);
        append(&head[self.suffix.clone()], out);
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
