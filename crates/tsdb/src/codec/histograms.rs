//! Native histograms as bytes.
//!
//! One histogram is self-contained ([`put`]); a column of them is their concatenation under zstd,
//! which finds the equal spans and high bytes of neighbours.

use crate::bytes::{Malformed, Reader, put_field, put_varint, put_zigzag};
use model::{Buckets, Histogram, ResetHint, Span};
use std::sync::Arc;

/// zstd level of histogram columns.
const LEVEL: i32 = 3;
/// Most bytes that a column may have when decompressed, a guard against forged lengths.
const COLUMN_BYTES_MAX: usize = 256 << 20;

const IS_INTEGER: u8 = 1;
const RESET_HINT_SHIFT: u32 = 1;

/// Appends one histogram.
pub(crate) fn put(out: &mut Vec<u8>, histogram: &Histogram) {
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0u8,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    out.push(u8::from(histogram.is_integer) | hint << RESET_HINT_SHIFT);
    out.push(histogram.schema as u8);
    for number in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        put_float(out, number);
    }
    put_buckets(out, &histogram.positive);
    put_buckets(out, &histogram.negative);
    put_floats(out, &histogram.custom_values);
}

/// Reads one histogram.
pub(crate) fn take(reader: &mut Reader<'_>) -> Result<Histogram, Malformed> {
    let flags = reader.byte()?;
    let reset_hint = match flags >> RESET_HINT_SHIFT {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return Err(Malformed),
    };
    Ok(Histogram {
        is_integer: flags & IS_INTEGER != 0,
        reset_hint,
        schema: reader.byte()? as i8,
        zero_threshold: take_float(reader)?,
        zero_count: take_float(reader)?,
        count: take_float(reader)?,
        sum: take_float(reader)?,
        positive: take_buckets(reader)?,
        negative: take_buckets(reader)?,
        custom_values: take_floats(reader)?,
    })
}

/// Appends a column.
pub(crate) fn encode<'a>(out: &mut Vec<u8>, histograms: impl Iterator<Item = &'a Histogram>) {
    let mut plain = Vec::new();
    for histogram in histograms {
        put(&mut plain, histogram);
    }
    match zstd::bulk::compress(&plain, LEVEL) {
        Ok(compressed) if compressed.len() < plain.len() => {
            put_varint(out, plain.len() as u64);
            put_field(out, &compressed);
        }
        // A length of 0 marks a column that zstd could not shorten.
        _ => {
            put_varint(out, 0);
            put_field(out, &plain);
        }
    }
}

/// Reads a column of `count`.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    count: usize,
    mut each: impl FnMut(Arc<Histogram>),
) -> Result<(), Malformed> {
    let plain_length = reader.count(COLUMN_BYTES_MAX)?;
    let field = reader.field()?;
    let decompressed;
    let plain = match plain_length {
        0 => field,
        length => {
            decompressed = zstd::bulk::decompress(field, length).map_err(|_| Malformed)?;
            &decompressed
        }
    };
    let mut plain = Reader::new(plain);
    for _ in 0..count {
        each(Arc::new(take(&mut plain)?));
    }
    Ok(())
}

/// Counts and small numbers have zeros at the end of their bits: swapped, they are short varints.
fn put_float(out: &mut Vec<u8>, value: f64) {
    put_varint(out, value.to_bits().swap_bytes());
}

fn take_float(reader: &mut Reader<'_>) -> Result<f64, Malformed> {
    Ok(f64::from_bits(reader.varint()?.swap_bytes()))
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put_varint(out, values.len() as u64);
    for value in values {
        put_float(out, *value);
    }
}

fn take_floats(reader: &mut Reader<'_>) -> Result<Vec<f64>, Malformed> {
    let count = reader.count(reader.rest().len())?;
    (0..count).map(|_| take_float(reader)).collect()
}

fn put_buckets(out: &mut Vec<u8>, buckets: &Buckets) {
    put_varint(out, buckets.spans.len() as u64);
    for span in &buckets.spans {
        put_zigzag(out, i64::from(span.offset));
        put_varint(out, u64::from(span.length));
    }
    put_floats(out, &buckets.counts);
}

fn take_buckets(reader: &mut Reader<'_>) -> Result<Buckets, Malformed> {
    let count = reader.count(reader.rest().len())?;
    let span = |reader: &mut Reader<'_>| {
        let offset = i32::try_from(reader.zigzag()?).map_err(|_| Malformed)?;
        let length = u32::try_from(reader.varint()?).map_err(|_| Malformed)?;
        Ok(Span { offset, length })
    };
    let spans = (0..count).map(|_| span(reader)).collect::<Result<_, Malformed>>()?;
    Ok(Buckets { spans, counts: take_floats(reader)? })
}
