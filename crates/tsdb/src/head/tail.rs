//! The newest samples of one series as a compressed, append-only stream.
//!
//! A sample takes one byte when its interval and value are those of the sample before, some eight
//! when its value is new. The stream is cut into chunks of [`CHUNK_SAMPLES`], each decodable on its
//! own, so that finding one sample never decodes more than a chunk. Memory only: sealing and the
//! write-ahead log have formats of their own.

use crate::{
    bytes::{Malformed, Reader, put_field, put_varint, put_zigzag},
    codec::histograms,
};
use model::{Samples, TimeRange, Value};
use std::sync::Arc;

/// Samples of a chunk.
const CHUNK_SAMPLES: u32 = 128;

/// The interval to the sample before differs from the last one; its change follows.
const NEW_INTERVAL: u8 = 1 << 0;
/// The start time differs; its change follows.
const NEW_START: u8 = 1 << 1;
/// A float with other bits than the last float; a control byte and the changed bytes follow.
const NEW_VALUE: u8 = 1 << 2;
/// A histogram follows.
const HISTOGRAM: u8 = 1 << 3;

/// See the module.
#[derive(Default)]
pub(super) struct Tail {
    /// Boxed because most series have none before they are sealed.
    closed: Option<Box<Closed>>,
    open: Vec<u8>,
    open_count: u32,
    open_oldest_ms: i64,
    last: Last,
}

/// Chunks that are full, in order of time.
type Closed = Vec<Chunk>;

struct Chunk {
    range: TimeRange,
    count: u32,
    bytes: Box<[u8]>,
}

/// What the next sample of a chunk is coded against.
#[derive(Clone, Copy, Default)]
struct Last {
    timestamp_ms: i64,
    interval_ms: i64,
    start_ms: i64,
    bits: u64,
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.open_count == 0 && self.closed.is_none()
    }

    fn closed(&self) -> &[Chunk] {
        self.closed.as_ref().map_or(&[], |closed| closed.as_slice())
    }

    /// Time of the newest sample; meaningless while empty.
    pub(super) fn newest_ms(&self) -> i64 {
        self.last.timestamp_ms
    }

    pub(super) fn bounds(&self) -> Option<TimeRange> {
        let oldest = self.closed().first().map_or(self.open_oldest_ms, |chunk| chunk.range.start);
        (!self.is_empty()).then(|| TimeRange::new(oldest, self.last.timestamp_ms))
    }

    /// Appends a sample newer than all before and returns the bytes it took.
    pub(super) fn push(&mut self, timestamp_ms: i64, start_ms: i64, value: &Value) -> u64 {
        if self.open_count == CHUNK_SAMPLES {
            self.close();
        }
        if self.open_count == 0 {
            self.open_oldest_ms = timestamp_ms;
            self.last = Last::default();
        }
        let before = self.open.len();
        if self.open.capacity() - before < 12 {
            // Growing by half keeps what a hundred thousand series do not use small.
            self.open.reserve_exact(before / 2 + 24);
        }
        self.last.put(&mut self.open, timestamp_ms, start_ms, value);
        self.open_count += 1;
        (self.open.len() - before) as u64
    }

    fn close(&mut self) {
        self.closed.get_or_insert_default().push(Chunk {
            range: TimeRange::new(self.open_oldest_ms, self.last.timestamp_ms),
            count: self.open_count,
            bytes: self.open.as_slice().into(),
        });
        self.open.clear();
        self.open_count = 0;
    }

    /// Appends the samples in the closed range.
    pub(super) fn samples(&self, range: TimeRange, into: &mut Samples) {
        let first = self.closed().partition_point(|chunk| chunk.range.end < range.start);
        for chunk in self.closed()[first..].iter().take_while(|chunk| chunk.range.start <= range.end) {
            read_chunk(&chunk.bytes, chunk.count, range, into);
        }
        let open = TimeRange::new(self.open_oldest_ms, self.last.timestamp_ms);
        if self.open_count > 0 && open.overlaps(&range) {
            read_chunk(&self.open, self.open_count, range, into);
        }
    }
}

fn read_chunk(bytes: &[u8], count: u32, range: TimeRange, into: &mut Samples) {
    let mut reader = Reader::new(bytes);
    let mut last = Last::default();
    for _ in 0..count {
        let Ok(value) = last.take(&mut reader) else {
            debug_assert!(false, "a tail decodes what it encoded");
            return;
        };
        if last.timestamp_ms > range.end {
            return;
        }
        if last.timestamp_ms >= range.start {
            into.push(last.timestamp_ms, last.start_ms, &value);
        }
    }
}

impl Last {
    fn put(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, start_ms: i64, value: &Value) {
        let control_at = out.len();
        out.push(0);
        let mut control = 0;
        let interval_ms = timestamp_ms.wrapping_sub(self.timestamp_ms);
        if interval_ms != self.interval_ms {
            control |= NEW_INTERVAL;
            put_zigzag(out, interval_ms.wrapping_sub(self.interval_ms));
        }
        if start_ms != self.start_ms {
            control |= NEW_START;
            put_zigzag(out, start_ms.wrapping_sub(self.start_ms));
        }
        match value {
            Value::Float(value) => {
                let change = value.to_bits() ^ self.bits;
                if change != 0 {
                    control |= NEW_VALUE;
                    put_change(out, change);
                    self.bits ^= change;
                }
            }
            Value::Histogram(histogram) => {
                control |= HISTOGRAM;
                let mut bytes = Vec::new();
                histograms::put(&mut bytes, histogram);
                put_field(out, &bytes);
            }
        }
        out[control_at] = control;
        (self.timestamp_ms, self.interval_ms, self.start_ms) = (timestamp_ms, interval_ms, start_ms);
    }

    #[inline]
    fn take(&mut self, reader: &mut Reader<'_>) -> Result<Value, Malformed> {
        let control = reader.byte()?;
        if control & NEW_INTERVAL != 0 {
            self.interval_ms = self.interval_ms.wrapping_add(reader.zigzag()?);
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(self.interval_ms);
        if control & NEW_START != 0 {
            self.start_ms = self.start_ms.wrapping_add(reader.zigzag()?);
        }
        if control & HISTOGRAM != 0 {
            let histogram = histograms::take(&mut Reader::new(reader.field()?))?;
            return Ok(Value::Histogram(Arc::new(histogram)));
        }
        if control & NEW_VALUE != 0 {
            self.bits ^= take_change(reader)?;
        }
        Ok(Value::Float(f64::from_bits(self.bits)))
    }
}

/// The changed bytes without zeros at either end. Integers change at the top, odd fractions at
/// the bottom, so a varint in either direction would serve only one of them.
fn put_change(out: &mut Vec<u8>, change: u64) {
    let trailing = change.trailing_zeros() / 8;
    let length = 8 - change.leading_zeros() / 8 - trailing;
    put_varint(out, u64::from(trailing << 4 | length));
    out.extend_from_slice(&(change >> (trailing * 8)).to_le_bytes()[..length as usize]);
}

fn take_change(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let control = reader.byte()?;
    Ok(reader.short_u64(usize::from(control & 0xf))? << (u32::from(control >> 4) * 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_in_comes_out_over_chunks() {
        let mut tail = Tail::default();
        let mut expected = Samples::default();
        let odd = [f64::NAN, -0.0, model::STALE_NAN, f64::MIN_POSITIVE / 4.0, f64::INFINITY];
        for i in 0..1000i64 {
            let value = if i % 7 == 0 { odd[i as usize % 5] } else { i as f64 / 8.0 };
            let timestamp_ms = i * 15_000 + i % 3 - 5_000_000;
            let start_ms = if i < 500 { 0 } else { i / 100 };
            tail.push(timestamp_ms, start_ms, &Value::Float(value));
            expected.push(timestamp_ms, start_ms, &Value::Float(value));
        }
        let mut read = Samples::default();
        tail.samples(TimeRange::ALL, &mut read);
        let bits = |samples: &Samples| samples.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&expected));
        assert_eq!((&read.timestamps_ms, &read.starts_ms), (&expected.timestamps_ms, &expected.starts_ms));

        let (from, to) = (expected.timestamps_ms[130], expected.timestamps_ms[300]);
        let mut middle = Samples::default();
        tail.samples(TimeRange::new(from, to), &mut middle);
        assert_eq!(middle.timestamps_ms, &expected.timestamps_ms[130..=300]);
    }

    #[test]
    fn the_ends_of_time_fit() {
        let mut tail = Tail::default();
        for timestamp_ms in [i64::MIN, -1, 0, i64::MAX] {
            tail.push(timestamp_ms, 0, &Value::Float(1.0));
        }
        let mut read = Samples::default();
        tail.samples(TimeRange::ALL, &mut read);
        assert_eq!(read.timestamps_ms, [i64::MIN, -1, 0, i64::MAX]);
        assert_eq!(tail.bounds(), Some(TimeRange::ALL));
    }

    #[test]
    fn a_constant_series_takes_a_byte_a_sample() {
        let mut tail = Tail::default();
        let bytes: u64 =
            (0..120).map(|i| tail.push(1_700_000_000_000 + i * 15_000, 0, &Value::Float(1.0))).sum();
        assert!(bytes < 150, "{bytes}");
    }
}
