//! Native histograms; both versions share the message.
//!
//! ```text
//! Histogram  { uint64 count_int = 1; double count_float = 2; double sum = 3; sint32 schema = 4;
//!              double zero_threshold = 5; uint64 zero_count_int = 6; double zero_count_float = 7;
//!              repeated BucketSpan negative_spans = 8; repeated sint64 negative_deltas = 9;
//!              repeated double negative_counts = 10; repeated BucketSpan positive_spans = 11;
//!              repeated sint64 positive_deltas = 12; repeated double positive_counts = 13;
//!              enum reset_hint = 14; int64 timestamp = 15; repeated double custom_values = 16;
//!              int64 start_timestamp = 17; }
//! BucketSpan { sint32 offset = 1; uint32 length = 2; }
//! ```

use crate::{
    WireError,
    native_histogram::check_and_reduce,
    protobuf::{Field, Reader, put_double_field, put_message, put_varint, put_varint_field, zigzag_encode},
};
use model::{Buckets, Histogram, ResetHint, Span};

/// A histogram sample; `Err` says which invariant of native histograms it breaks.
pub(super) struct DecodedHistogram {
    pub(super) timestamp_ms: i64,
    pub(super) start_ms: i64,
    pub(super) histogram: Result<Histogram, String>,
}

/// One side's buckets as sent: absolute floats, or deltas between integers.
#[derive(Default)]
struct RawBuckets {
    spans: Vec<Span>,
    counts: Vec<f64>,
    deltas: Vec<i64>,
}

impl RawBuckets {
    fn decode(self) -> Result<Buckets, String> {
        if self.deltas.is_empty() {
            return Ok(Buckets { spans: self.spans, counts: self.counts });
        }
        if !self.counts.is_empty() {
            return Err("both integer and float buckets".to_owned());
        }
        let mut count = 0i64;
        let mut counts = Vec::with_capacity(self.deltas.len());
        for delta in self.deltas {
            count = count.checked_add(delta).ok_or("bucket count overflows")?;
            counts.push(count as f64);
        }
        Ok(Buckets { spans: self.spans, counts })
    }
}

pub(super) fn decode_histogram(mut reader: Reader<'_>) -> Result<DecodedHistogram, WireError> {
    let mut histogram = Histogram { is_integer: true, ..Histogram::default() };
    let (mut positive, mut negative) = (RawBuckets::default(), RawBuckets::default());
    let (mut timestamp_ms, mut start_ms, mut schema) = (0, 0, 0i64);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => histogram.count = field.varint(&reader)? as f64,
            2 => {
                histogram.count = field.double(&reader)?;
                histogram.is_integer = false;
            }
            3 => histogram.sum = field.double(&reader)?,
            4 => schema = field.sint64(&reader)?,
            5 => histogram.zero_threshold = field.double(&reader)?,
            6 => histogram.zero_count = field.varint(&reader)? as f64,
            7 => histogram.zero_count = field.double(&reader)?,
            8..=10 => side(number - 8, field, &reader, &mut negative)?,
            11..=13 => side(number - 11, field, &reader, &mut positive)?,
            14 => histogram.reset_hint = reset_hint(field.varint(&reader)?),
            15 => timestamp_ms = field.int64(&reader)?,
            16 => field.each_fixed64(&reader, |bits| histogram.custom_values.push(f64::from_bits(bits)))?,
            17 => start_ms = field.int64(&reader)?,
            _ => {}
        }
    }
    Ok(DecodedHistogram { timestamp_ms, start_ms, histogram: finish(histogram, schema, positive, negative) })
}

fn side(part: u32, field: Field<'_>, parent: &Reader<'_>, into: &mut RawBuckets) -> Result<(), WireError> {
    match part {
        0 => into.spans.push(span(field.message(parent)?)?),
        1 => field.each_varint(parent, |delta| into.deltas.push(crate::protobuf::zigzag_decode(delta)))?,
        _ => field.each_fixed64(parent, |bits| into.counts.push(f64::from_bits(bits)))?,
    }
    Ok(())
}

fn span(mut reader: Reader<'_>) -> Result<Span, WireError> {
    let mut span = Span::default();
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => span.offset = field.sint64(&reader)? as i32,
            2 => span.length = field.varint(&reader)? as u32,
            _ => {}
        }
    }
    Ok(span)
}

fn reset_hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

fn finish(
    mut histogram: Histogram,
    schema: i64,
    positive: RawBuckets,
    negative: RawBuckets,
) -> Result<Histogram, String> {
    let has_float_buckets = !positive.counts.is_empty() || !negative.counts.is_empty();
    if histogram.is_integer && has_float_buckets {
        return Err("an integer count and float buckets".to_owned());
    }
    histogram.positive = positive.decode()?;
    histogram.negative = negative.decode()?;
    histogram.schema = i8::try_from(schema).map_err(|_| format!("unknown schema {schema}"))?;
    check_and_reduce(&mut histogram)?;
    Ok(histogram)
}

/// Appends the message's fields.
pub(super) fn encode_histogram(out: &mut Vec<u8>, histogram: &Histogram, timestamp_ms: i64, start_ms: i64) {
    if histogram.is_integer {
        put_varint_field(out, 1, histogram.count as u64);
    } else {
        put_double_field(out, 2, histogram.count);
    }
    put_double_field(out, 3, histogram.sum);
    put_varint_field(out, 4, zigzag_encode(i64::from(histogram.schema)));
    put_double_field(out, 5, histogram.zero_threshold);
    if histogram.is_integer {
        put_varint_field(out, 6, histogram.zero_count as u64);
    } else {
        put_double_field(out, 7, histogram.zero_count);
    }
    encode_side(out, 8, &histogram.negative, histogram.is_integer);
    encode_side(out, 11, &histogram.positive, histogram.is_integer);
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    put_varint_field(out, 14, hint);
    put_varint_field(out, 15, timestamp_ms as u64);
    if !histogram.custom_values.is_empty() {
        put_doubles(out, 16, &histogram.custom_values);
    }
    if start_ms != 0 {
        put_varint_field(out, 17, start_ms as u64);
    }
}

fn encode_side(out: &mut Vec<u8>, first_number: u32, buckets: &Buckets, is_integer: bool) {
    for span in &buckets.spans {
        put_message(out, first_number, |out| {
            put_varint_field(out, 1, zigzag_encode(i64::from(span.offset)));
            put_varint_field(out, 2, u64::from(span.length));
        });
    }
    if buckets.counts.is_empty() {
        return;
    }
    if !is_integer {
        put_doubles(out, first_number + 2, &buckets.counts);
        return;
    }
    put_message(out, first_number + 1, |out| {
        let mut previous = 0i64;
        for &count in &buckets.counts {
            let count = count as i64;
            put_varint(out, zigzag_encode(count.wrapping_sub(previous)));
            previous = count;
        }
    });
}

fn put_doubles(out: &mut Vec<u8>, number: u32, values: &[f64]) {
    put_message(out, number, |out| {
        for value in values {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
    });
}
