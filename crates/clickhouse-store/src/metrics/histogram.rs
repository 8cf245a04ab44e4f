//! A native histogram in the `histogram` column. Little endian: version (1), schema, flags (bit 0
//! integer, bits 1 and 2 reset hint), zero threshold, zero count, count, sum; then the positive
//! buckets, the negative ones, and the custom bounds, each list behind its LEB128 length. Floats
//! keep every bit. An empty column is a float sample.

use crate::row_binary::put_varint;
use model::{Buckets, Histogram, ResetHint, Span};

const VERSION: u8 = 1;

pub(super) fn encode(histogram: &Histogram, out: &mut Vec<u8>) {
    let hint = match histogram.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NotReset => 2,
        ResetHint::Gauge => 3,
    };
    out.extend([VERSION, histogram.schema as u8, u8::from(histogram.is_integer) | (hint << 1)]);
    for value in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        out.extend(value.to_bits().to_le_bytes());
    }
    for buckets in [&histogram.positive, &histogram.negative] {
        put_varint(out, buckets.spans.len() as u64);
        for span in &buckets.spans {
            out.extend(span.offset.to_le_bytes());
            out.extend(span.length.to_le_bytes());
        }
        put_floats(out, &buckets.counts);
    }
    put_floats(out, &histogram.custom_values);
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put_varint(out, values.len() as u64);
    for value in values {
        out.extend(value.to_bits().to_le_bytes());
    }
}

/// `None` when the bytes are not a histogram of a version that we know.
pub(super) fn decode(bytes: &[u8]) -> Option<Histogram> {
    let mut rest = bytes;
    let [version, schema, flags] = take::<3>(&mut rest)?;
    if version != VERSION {
        return None;
    }
    let reset_hint = match flags >> 1 {
        0 => ResetHint::Unknown,
        1 => ResetHint::Reset,
        2 => ResetHint::NotReset,
        3 => ResetHint::Gauge,
        _ => return None,
    };
    let histogram = Histogram {
        schema: schema as i8,
        is_integer: flags & 1 != 0,
        reset_hint,
        zero_threshold: float(&mut rest)?,
        zero_count: float(&mut rest)?,
        count: float(&mut rest)?,
        sum: float(&mut rest)?,
        positive: buckets(&mut rest)?,
        negative: buckets(&mut rest)?,
        custom_values: floats(&mut rest)?,
    };
    rest.is_empty().then_some(histogram)
}

fn buckets(rest: &mut &[u8]) -> Option<Buckets> {
    let spans = (0..length(rest, 8)?)
        .map(|_| {
            Some(Span { offset: i32::from_le_bytes(take(rest)?), length: u32::from_le_bytes(take(rest)?) })
        })
        .collect::<Option<_>>()?;
    Some(Buckets { spans, counts: floats(rest)? })
}

fn floats(rest: &mut &[u8]) -> Option<Vec<f64>> {
    (0..length(rest, 8)?).map(|_| float(rest)).collect()
}

fn float(rest: &mut &[u8]) -> Option<f64> {
    Some(f64::from_bits(u64::from_le_bytes(take(rest)?)))
}

/// A length that what is left can hold, at `width` bytes an item.
fn length(rest: &mut &[u8], width: usize) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..35).step_by(7) {
        let [byte] = take(rest)?;
        value |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (value <= rest.len() / width).then_some(value);
        }
    }
    None
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_buckets() -> impl Strategy<Value = Buckets> {
        let spans = prop::collection::vec((any::<i32>(), any::<u32>()), 0..5);
        (spans, prop::collection::vec(any::<u64>(), 0..20)).prop_map(|(spans, counts)| Buckets {
            spans: spans.into_iter().map(|(offset, length)| Span { offset, length }).collect(),
            counts: counts.into_iter().map(f64::from_bits).collect(),
        })
    }

    proptest! {
        #[test]
        fn every_bit_comes_back(
            schema in any::<i8>(), is_integer in any::<bool>(), hint in 0usize..4, bits in any::<[u64; 4]>(),
            positive in some_buckets(), negative in some_buckets(), custom in prop::collection::vec(any::<u64>(), 0..9),
        ) {
            let [zero_threshold, zero_count, count, sum] = bits.map(f64::from_bits);
            let reset_hint = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NotReset, ResetHint::Gauge][hint];
            let custom_values = custom.into_iter().map(f64::from_bits).collect();
            let histogram = Histogram {
                schema, is_integer, reset_hint, zero_threshold, zero_count, count, sum, positive, negative, custom_values,
            };
            let mut bytes = Vec::new();
            encode(&histogram, &mut bytes);
            let decoded = decode(&bytes).expect("what was encoded decodes");
            prop_assert!(decoded.same_bits(&histogram));
            prop_assert!(decode(&bytes[..bytes.len() - 1]).is_none());
        }

        #[test]
        fn any_bytes_are_refused_or_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _decoded = decode(&bytes);
        }
    }
}
