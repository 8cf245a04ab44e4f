//! The values of a block: floats or histograms of one series, with start times where known.

use super::{Effort, decimal, histograms, integers, xor};
use crate::bytes::{Malformed, Reader, put_varint, put_zigzag};
use model::Samples;
use pco::ChunkConfig;
use std::ops::Range;

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const XOR: u8 = 2;
const PCO: u8 = 3;
const HISTOGRAMS: u8 = 4;
/// Set when a column of start times comes first.
const HAS_STARTS: u8 = 0x80;

/// Fewer floats than this never win by `pco`'s own header.
const PCO_MIN: usize = 32;

/// Appends the samples of `range`, which are all floats or all histograms.
pub(crate) fn encode(out: &mut Vec<u8>, samples: &Samples, range: Range<usize>, effort: Effort) {
    let starts = samples.starts_ms.get(range.clone()).filter(|starts| starts.iter().any(|&start| start != 0));
    let tag_at = out.len();
    out.push(0);
    if let Some(starts) = starts {
        integers::encode_field(out, starts, effort);
    }
    let tag = if samples.histogram(range.start).is_some() {
        let first = samples.histograms.partition_point(|(i, _)| (*i as usize) < range.start);
        let column = &samples.histograms[first..first + range.len()];
        histograms::encode(out, column.iter().map(|(_, histogram)| &**histogram));
        HISTOGRAMS
    } else {
        encode_floats(out, &samples.values[range], effort)
    };
    out[tag_at] = tag | if starts.is_some() { HAS_STARTS } else { 0 };
}

/// Appends the smallest form found and returns its tag.
fn encode_floats(out: &mut Vec<u8>, values: &[f64], effort: Effort) -> u8 {
    let Some(first) = values.first() else { return CONSTANT };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        put_varint(out, first.to_bits().swap_bytes());
        return CONSTANT;
    }
    let start = out.len();
    if let Some(decimals) = decimal::scale(values) {
        encode_decimals(out, &decimals, effort);
        // Decimal digits that fill the mantissa are noise: another codec may do better.
        if out.len() - start <= values.len() * 6 {
            return DECIMAL;
        }
        let decimal_bytes = out.split_off(start);
        let tag = encode_bits(out, values);
        if out.len() - start < decimal_bytes.len() {
            return tag;
        }
        out.truncate(start);
        out.extend_from_slice(&decimal_bytes);
        return DECIMAL;
    }
    encode_bits(out, values)
}

/// Floats as they are: by `pco` or as changed bytes.
fn encode_bits(out: &mut Vec<u8>, values: &[f64]) -> u8 {
    let start = out.len();
    xor::encode(out, values);
    if values.len() >= PCO_MIN
        && let Ok(compressed) = pco::standalone::simple_compress(values, &ChunkConfig::default())
        && compressed.len() < out.len() - start
    {
        out.truncate(start);
        out.extend_from_slice(&compressed);
        return PCO;
    }
    XOR
}

fn encode_decimals(out: &mut Vec<u8>, decimals: &decimal::Decimals, effort: Effort) {
    out.push(decimals.exponent);
    put_varint(out, decimals.exceptions.len() as u64);
    let mut next = 0;
    for &(index, value) in &decimals.exceptions {
        put_varint(out, u64::from(index - next));
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        next = index + 1;
    }
    let base = decimals.mantissas.first().copied().unwrap_or(0);
    let divisor = decimal::common_divisor(&decimals.mantissas);
    put_zigzag(out, base);
    put_varint(out, divisor);
    // Mantissas are below 2^53, so neither the difference nor the divisor overflows.
    let steps: Vec<i64> =
        decimals.mantissas.iter().map(|mantissa| (mantissa - base) / divisor as i64).collect();
    integers::encode(out, &steps, effort);
}

/// Reads a block of `count` samples whose timestamps were pushed to `into` already.
pub(crate) fn decode(bytes: &[u8], count: usize, into: &mut Samples) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    let tag = reader.byte()?;
    let first = into.values.len();
    if tag & HAS_STARTS != 0 {
        into.starts_ms.resize(first, 0);
        integers::decode_field(&mut reader, count, &mut into.starts_ms)?;
    }
    match tag & !HAS_STARTS {
        CONSTANT => {
            let value = f64::from_bits(reader.varint()?.swap_bytes());
            into.values.resize(first + count, value);
        }
        DECIMAL => decode_decimals(&mut reader, count, &mut into.values)?,
        XOR => xor::decode(&mut reader, count, &mut into.values)?,
        PCO => decode_pco(reader.rest(), count, &mut into.values)?,
        HISTOGRAMS => histograms::decode(&mut reader, count, |histogram| {
            let index = into.values.len() as u32;
            into.values.push(histogram.sum);
            into.histograms.push((index, histogram));
        })?,
        _ => return Err(Malformed),
    }
    if !into.starts_ms.is_empty() {
        into.starts_ms.resize(first + count, 0);
    }
    Ok(())
}

fn decode_pco(bytes: &[u8], count: usize, into: &mut Vec<f64>) -> Result<(), Malformed> {
    let start = into.len();
    into.resize(start + count, 0.0);
    let progress =
        pco::standalone::simple_decompress_into(bytes, &mut into[start..]).map_err(|_| Malformed)?;
    if progress.n_processed == count { Ok(()) } else { Err(Malformed) }
}

fn decode_decimals(reader: &mut Reader<'_>, count: usize, into: &mut Vec<f64>) -> Result<(), Malformed> {
    let exponent = reader.byte()?;
    if !decimal::is_exponent(exponent) {
        return Err(Malformed);
    }
    let start = into.len();
    let exception_count = reader.count(count)?;
    let mut exceptions = Vec::with_capacity(exception_count);
    let mut next = 0usize;
    for _ in 0..exception_count {
        let index = next.checked_add(reader.count(count)?).ok_or(Malformed)?;
        exceptions.push((index, f64::from_bits(reader.u64()?)));
        next = index + 1;
    }
    let (base, divisor) = (reader.zigzag()?, reader.varint()? as i64);
    let mut steps = Vec::with_capacity(count);
    integers::decode(reader, count, &mut steps)?;
    into.extend(steps.iter().map(|step| {
        let mantissa = step.wrapping_mul(divisor).wrapping_add(base);
        decimal::unscale(mantissa, exponent)
    }));
    for (index, value) in exceptions {
        *into.get_mut(start + index).ok_or(Malformed)? = value;
    }
    Ok(())
}
