//! One column: the variables of one position of one template, over the rows that have it.
//!
//! All values of a column have a digit. What they have in common before their first and behind
//! their last digit is kept once; what is between is kept as numbers, hexadecimal, codes of few
//! values, or text, the first that can give back every byte and is smallest.

use super::{bits, encode::EncodedFrame};
use crate::bytes::{put_bytes, put_varint};
use hashbrown::HashMap;
use std::ops::Range;

pub(super) const KIND_CONSTANT: u8 = 0;
pub(super) const KIND_CODES: u8 = 1;
pub(super) const KIND_TEXT: u8 = 2;
pub(super) const KIND_LOWER_HEX: u8 = 3;
pub(super) const KIND_UPPER_HEX: u8 = 4;
pub(super) const KIND_NUMBERS: u8 = 5;
pub(super) const KIND_NARROW_NUMBERS: u8 = 6;
pub(super) const KIND_DIFFERENCES: u8 = 7;

/// Values that a column of codes has at most: codes have one byte.
const CODES_MAX: usize = 256;
/// A column of codes has at least this many rows for each of its values.
const ROWS_PER_CODE_MIN: usize = 4;
/// Most digits that 64 bits can have.
pub(super) const NUMBER_DIGITS_MAX: usize = 20;
/// Digits that always fit 64 bits.
pub(super) const DIGITS_MAX: usize = 19;
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
