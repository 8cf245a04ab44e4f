//! A column of 64-bit integers: timestamps, mantissas, start times.
//!
//! All arithmetic wraps, so that any input round-trips, `i64::MIN` to `i64::MAX` included.

use super::{
    Effort,
    bits::{UNPACK_MAX, pack, packed_bytes, unpack, width_of},
    paged,
};
use crate::bytes::{Malformed, Reader, put_varint, put_zigzag, zigzag};
use pco::{ChunkConfig, DeltaSpec, ModeSpec};
use std::ops::Range;

/// Values that share one width.
const GROUP: usize = UNPACK_MAX;
/// Columns shorter than this never win by `pco`'s own header.
const PCO_MIN: usize = 100;
/// Packed columns below this are left alone: little is to be gained.
const PCO_BYTES_MIN: usize = 60;

const CONSTANT: u8 = 0;
const CONSTANT_DELTA: u8 = 1;
/// `PACKED + k`: differences of order k.
const PACKED: u8 = 2;
/// Written before there were pages.
const PCO: u8 = 5;
const PAGED: u8 = 6;

/// Highest order of differences.
const ORDER_MAX: usize = 2;

/// Appends the column; its length is kept by the caller.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[i64], effort: Effort) {
    let Some(&first) = values.first() else { return };
    if values.iter().all(|&value| value == first) {
        out.push(CONSTANT);
        put_zigzag(out, first);
        return;
    }
    let delta = values[1].wrapping_sub(first);
    if values.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == delta) {
        out.push(CONSTANT_DELTA);
        put_zigzag(out, first);
        put_zigzag(out, delta);
        return;
    }
    let best = (0..=ORDER_MAX.min(values.len() - 1))
        .map(|order| Packing::new(values, order))
        .min_by_key(|packing| packing.bytes);
    let Some(best) = best else { return };
    let worth_more = effort == Effort::Thorough && values.len() >= PCO_MIN && best.bytes >= PCO_BYTES_MIN;
    if worth_more
        && let Some(compressed) = compress(values, best.order)
        && compressed.len() + 1 < best.bytes
    {
        out.push(PAGED);
        out.extend_from_slice(&compressed);
        return;
    }
    best.write(out);
}

fn compress(values: &[i64], order: usize) -> Option<Vec<u8>> {
    let config = ChunkConfig::default()
        .with_mode_spec(ModeSpec::Classic)
        .with_delta_spec(DeltaSpec::TryConsecutive(order));
    paged::encode(values, &config)
}

/// Reads `count` values, appending to `into`.
pub(crate) fn decode(reader: &mut Reader<'_>, count: usize, into: &mut Vec<i64>) -> Result<(), Malformed> {
    decode_last(reader, count, 0..count, &mut None, into)
}

/// Reads what `wanted` names of `count` values, appending to `into`. The column is the last thing that
/// `reader` is asked for.
pub(crate) fn decode_last(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Range<usize>,
    scratch: &mut paged::Scratch,
    into: &mut Vec<i64>,
) -> Result<(), Malformed> {
    if wanted.is_empty() {
        return Ok(());
    }
    match reader.byte()? {
        CONSTANT => {
            let value = reader.zigzag()?;
            into.resize(into.len() + wanted.len(), value);
        }
        CONSTANT_DELTA => {
            let (first, delta) = (reader.zigzag()?, reader.zigzag()?);
            into.extend(wanted.map(|i| first.wrapping_add(delta.wrapping_mul(i as i64))));
        }
        PAGED => paged::decode(reader.rest(), count, wanted, scratch, into)?,
        PCO => keep(into, &wanted, |into| decode_unpaged(reader.rest(), wanted.end, into))?,
        tag => {
            let order = usize::from(tag.wrapping_sub(PACKED));
            if order > ORDER_MAX || order >= count {
                return Err(Malformed);
            }
            unpack_column(reader, count, wanted, order, into)?;
        }
    }
    Ok(())
}

/// Appends what `decode` appends, but of it only what is wanted.
fn keep(
    into: &mut Vec<i64>,
    wanted: &Range<usize>,
    decode: impl FnOnce(&mut Vec<i64>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let start = into.len();
    decode(into)?;
    into.truncate(start + wanted.end);
    into.drain(start..start + wanted.start);
    Ok(())
}

fn decode_unpaged(bytes: &[u8], count: usize, into: &mut Vec<i64>) -> Result<(), Malformed> {
    let start = into.len();
    into.resize(start + count, 0);
    let progress =
        pco::standalone::simple_decompress_into(bytes, &mut into[start..]).map_err(|_| Malformed)?;
    if progress.n_processed == count { Ok(()) } else { Err(Malformed) }
}

/// A column as differences of one order, less their minimum, each group in its own width.
struct Packing {
    order: usize,
    /// The first value of each order below.
    heads: [i64; ORDER_MAX],
    minimum: i64,
    differences: Vec<i64>,
    bytes: usize,
}

impl Packing {
    fn new(values: &[i64], order: usize) -> Self {
        let mut differences = values.to_vec();
        let mut heads = [0; ORDER_MAX];
        for head in heads.iter_mut().take(order) {
            *head = differences[0];
            for i in 1..differences.len() {
                differences[i - 1] = differences[i].wrapping_sub(differences[i - 1]);
            }
            differences.pop();
        }
        let minimum = differences.iter().copied().min().unwrap_or(0);
        let groups =
            differences.chunks(GROUP).map(|group| 1 + packed_bytes(group.len(), width(group, minimum)));
        let mut bytes = 1 + varint_bytes(minimum) + groups.sum::<usize>();
        bytes += heads[..order].iter().map(|&head| varint_bytes(head)).sum::<usize>();
        Packing { order, heads, minimum, differences, bytes }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.push(PACKED + self.order as u8);
        for &head in &self.heads[..self.order] {
            put_zigzag(out, head);
        }
        put_zigzag(out, self.minimum);
        for group in self.differences.chunks(GROUP) {
            let width = width(group, self.minimum);
            out.push(width as u8);
            pack(out, group.iter().map(|&value| value.wrapping_sub(self.minimum) as u64), width);
        }
    }
}

fn width(group: &[i64], minimum: i64) -> u32 {
    width_of(group.iter().fold(0, |all, &value| all | value.wrapping_sub(minimum) as u64))
}

fn varint_bytes(value: i64) -> usize {
    (width_of(zigzag(value)).max(1) as usize).div_ceil(7)
}

fn unpack_column(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: Range<usize>,
    order: usize,
    into: &mut Vec<i64>,
) -> Result<(), Malformed> {
    let mut heads = [0i64; ORDER_MAX];
    for head in heads.iter_mut().take(order) {
        *head = reader.zigzag()?;
    }
    let heads = &mut heads[..order];
    let minimum = reader.zigzag()?;
    let skipped = wanted.start.min(count - order) / GROUP * GROUP;
    for _ in 0..skipped / GROUP {
        skip_group(reader, minimum, heads, into)?;
    }
    let wanted = wanted.start - skipped..wanted.end - skipped;
    keep(into, &wanted, |into| {
        let start = into.len();
        let mut left = wanted.end.saturating_sub(order);
        while left > 0 {
            let group = left.min(GROUP);
            let width = u32::from(reader.byte()?);
            unpack(reader, group, width, minimum, into)?;
            left -= group;
        }
        heads.iter().rev().for_each(|&head| integrate(into, start, head));
        Ok(())
    })
}

/// Moves the heads behind a whole group of differences. `room` is left as it was.
fn skip_group(
    reader: &mut Reader<'_>,
    minimum: i64,
    heads: &mut [i64],
    room: &mut Vec<i64>,
) -> Result<(), Malformed> {
    let width = u32::from(reader.byte()?);
    let start = room.len();
    match heads {
        [] => {
            reader.take(packed_bytes(GROUP, width))?;
        }
        [head] => {
            unpack(reader, GROUP, width, minimum, room)?;
            *head = room[start..].iter().fold(*head, |sum, &difference| sum.wrapping_add(difference));
        }
        [head, slope, ..] => {
            unpack(reader, GROUP, width, minimum, room)?;
            for &difference in &room[start..] {
                *head = head.wrapping_add(*slope);
                *slope = slope.wrapping_add(difference);
            }
        }
    }
    room.truncate(start);
    Ok(())
}

/// Turns the differences from `start` on into the values they are differences of.
fn integrate(column: &mut Vec<i64>, start: usize, head: i64) {
    let mut value = head;
    for slot in &mut column[start..] {
        let next = value.wrapping_add(*slot);
        *slot = value;
        value = next;
    }
    column.push(value);
}

/// Appends a column with its encoded length before it, so that others may follow.
pub(crate) fn encode_field(out: &mut Vec<u8>, values: &[i64], effort: Effort) {
    let mut column = Vec::new();
    encode(&mut column, values, effort);
    put_varint(out, column.len() as u64);
    out.extend_from_slice(&column);
}

/// Reads [`encode_field`]'s bytes.
pub(crate) fn decode_field(
    reader: &mut Reader<'_>,
    count: usize,
    into: &mut Vec<i64>,
) -> Result<(), Malformed> {
    decode(&mut Reader::new(reader.field()?), count, into)
}
