//! The values of a block: floats or histograms of one series, with start times where known.

use super::{Effort, decimal, histograms, integers, paged, xor};
use crate::bytes::{Malformed, Reader, put_varint, put_zigzag};
use model::Samples;
use pco::ChunkConfig;
use std::ops::Range;

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const XOR: u8 = 2;
/// Written before there were pages.
const PCO: u8 = 3;
const HISTOGRAMS: u8 = 4;
const PAGED: u8 = 5;
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
        && let Some(compressed) = paged::encode(values, &ChunkConfig::default())
        && compressed.len() < out.len() - start
    {
        out.truncate(start);
        out.extend_from_slice(&compressed);
        return PAGED;
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

/// Buffers that blocks are decoded through, kept from block to block.
#[derive(Default)]
pub(crate) struct Scratch {
    steps: Vec<i64>,
    floats: Vec<f64>,
    exceptions: Vec<(usize, f64)>,
    pco: paged::Scratch,
}

/// Reads what `wanted` names of a block of `count` samples. Their timestamps were pushed to `into`
/// already.
pub(crate) fn decode(
    bytes: &[u8],
    count: usize,
    wanted: Range<usize>,
    scratch: &mut Scratch,
    into: &mut Samples,
) -> Result<(), Malformed> {
    debug_assert!(
        wanted.start < wanted.end && wanted.end <= count,
        "a block is read for some of its samples"
    );
    let mut reader = Reader::new(bytes);
    let tag = reader.byte()?;
    if tag & HAS_STARTS != 0 {
        let mut starts = Vec::with_capacity(count);
        integers::decode_field(&mut reader, count, &mut starts)?;
        into.starts_ms.resize(into.values.len(), 0);
        into.starts_ms.extend_from_slice(&starts[wanted.clone()]);
    }
    match tag & !HAS_STARTS {
        CONSTANT => {
            let value = f64::from_bits(reader.varint()?.swap_bytes());
            into.values.resize(into.values.len() + wanted.len(), value);
        }
        DECIMAL => decode_decimals(&mut reader, count, wanted, scratch, &mut into.values)?,
        XOR => xor::decode(&mut reader, wanted, &mut into.values)?,
        PAGED => paged::decode(reader.rest(), count, wanted, &mut scratch.pco, &mut into.values)?,
        PCO => decode_pco(reader.rest(), wanted, scratch, &mut into.values)?,
        HISTOGRAMS => decode_histograms(&mut reader, count, wanted, into)?,
        _ => return Err(Malformed),
    }
    if !into.starts_ms.is_empty() {
        into.starts_ms.resize(into.values.len(), 0);
    }
    Ok(())
}

/// Whether these are floats with nothing beside them that take decoding.
pub(crate) fn is_coded_floats(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(DECIMAL | XOR | PCO | PAGED)))
}

/// `wanted`, and what is decoded with it anyway.
pub(crate) fn decoded_with(wanted: &Range<usize>, count: usize) -> Range<usize> {
    let page = paged::PAGE;
    wanted.start / page * page..wanted.end.next_multiple_of(page).min(count)
}

fn decode_histograms(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Range<usize>,
    into: &mut Samples,
) -> Result<(), Malformed> {
    let mut index = 0;
    histograms::decode(reader, count, |histogram| {
        if wanted.contains(&index) {
            into.histograms.push((into.values.len() as u32, histogram.clone()));
            into.values.push(histogram.sum);
        }
        index += 1;
    })
}

/// `pco` decodes from the beginning: what is wanted goes to its place directly when nothing is before
/// it.
fn decode_pco(
    bytes: &[u8],
    wanted: Range<usize>,
    scratch: &mut Scratch,
    into: &mut Vec<f64>,
) -> Result<(), Malformed> {
    if wanted.start == 0 {
        return decode_pco_prefix(bytes, wanted.end, into);
    }
    scratch.floats.clear();
    decode_pco_prefix(bytes, wanted.end, &mut scratch.floats)?;
    into.extend_from_slice(&scratch.floats[wanted]);
    Ok(())
}

fn decode_pco_prefix(bytes: &[u8], count: usize, into: &mut Vec<f64>) -> Result<(), Malformed> {
    let start = into.len();
    into.resize(start + count, 0.0);
    let progress =
        pco::standalone::simple_decompress_into(bytes, &mut into[start..]).map_err(|_| Malformed)?;
    if progress.n_processed == count { Ok(()) } else { Err(Malformed) }
}

fn decode_decimals(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Range<usize>,
    scratch: &mut Scratch,
    into: &mut Vec<f64>,
) -> Result<(), Malformed> {
    let exponent = reader.byte()?;
    if !decimal::is_exponent(exponent) {
        return Err(Malformed);
    }
    let start = into.len();
    scratch.exceptions.clear();
    let mut next = 0usize;
    for _ in 0..reader.count(count)? {
        let index = next.checked_add(reader.count(count)?).ok_or(Malformed)?;
        scratch.exceptions.push((index, f64::from_bits(reader.u64()?)));
        next = index + 1;
    }
    let (base, divisor) = (reader.zigzag()?, reader.varint()? as i64);
    scratch.steps.clear();
    integers::decode_last(reader, count, wanted.clone(), &mut scratch.pco, &mut scratch.steps)?;
    let steps = scratch.steps.iter();
    let mantissas = steps.map(|step| step.wrapping_mul(divisor).wrapping_add(base));
    decimal::unscale_all(mantissas, exponent, into);
    for &(index, value) in &scratch.exceptions {
        if index >= count {
            return Err(Malformed);
        }
        if wanted.contains(&index) {
            into[start + index - wanted.start] = value;
        }
    }
    Ok(())
}
