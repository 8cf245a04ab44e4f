//! The newest samples of one series as a compressed, append-only stream.
//!
//! A run of samples with the interval and value of the one before takes a byte, a sample some two to
//! nine bytes when its value is new. The stream is cut into chunks of [`CHUNK_SAMPLES`], each
//! decodable on its own, so that finding one sample never decodes more than a chunk. Memory only:
//! sealing and the write-ahead log have formats of their own.

use super::blocks::{Blocks, Stream};
use crate::{
    bytes::{Malformed, Reader, put_field, zigzag},
    codec::histograms,
};
use model::{Samples, TimeRange, Value};
use std::sync::Arc;

/// Samples of a chunk.
const CHUNK_SAMPLES: u16 = 128;

/// The interval to the sample before differs from the last one; its change follows.
const NEW_INTERVAL: u8 = 1 << 0;
/// The start time differs; its change follows.
const NEW_START: u8 = 1 << 1;
/// A float with other bits than the last float; a control byte and the changed bytes follow.
const NEW_VALUE: u8 = 1 << 2;
/// A histogram follows.
const HISTOGRAM: u8 = 1 << 3;
/// Not a sample of its own: the low bits count further samples, less one, at the last interval with
/// the last float.
const RUN: u8 = 1 << 7;

/// See the module.
#[derive(Default)]
pub(super) struct Tail {
    last_ms: i64,
    bits: u64,
    /// What most series never need.
    rare: Option<Box<Rare>>,
    stream: Stream,
    /// Samples of the open chunk.
    count: u16,
    /// The stream's last byte is a run that may go on.
    is_run: bool,
    /// To the sample before; 0 when it is the first of its chunk or does not fit.
    interval_ms: i32,
}

#[derive(Default)]
struct Rare {
    /// Chunks that are full, in order of time.
    closed: Vec<Chunk>,
    start_ms: i64,
}

struct Chunk {
    range: TimeRange,
    count: u16,
    stream: Stream,
}

/// What the next sample of a chunk is coded against.
#[derive(Clone, Copy, Default)]
struct Last {
    timestamp_ms: i64,
    interval_ms: i32,
    start_ms: i64,
    bits: u64,
}

impl Tail {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn closed(&self) -> &[Chunk] {
        self.rare.as_ref().map_or(&[], |rare| rare.closed.as_slice())
    }

    /// Time of the newest sample; meaningless while empty.
    pub(super) fn newest_ms(&self) -> i64 {
        self.last_ms
    }

    pub(super) fn bounds(&self, blocks: &Blocks) -> Option<TimeRange> {
        if self.is_empty() {
            return None;
        }
        let oldest = match self.closed().first() {
            Some(chunk) => chunk.range.start,
            None => self.open_oldest_ms(blocks),
        };
        Some(TimeRange::new(oldest, self.last_ms))
    }

    /// Oldest sample of the open chunk: the first thing in it.
    fn open_oldest_ms(&self, blocks: &Blocks) -> i64 {
        let mut reader = Reader::new(blocks.beginning(&self.stream));
        let has_time = reader.byte().is_ok_and(|control| control & NEW_INTERVAL != 0);
        if has_time { reader.zigzag().unwrap_or_default() } else { 0 }
    }

    /// Appends a sample newer than all before and returns the bytes it took.
    pub(super) fn push(
        &mut self,
        blocks: &mut Blocks,
        timestamp_ms: i64,
        start_ms: i64,
        value: &Value,
    ) -> u64 {
        if self.count == CHUNK_SAMPLES {
            self.close(blocks);
        }
        let mut last = Last {
            timestamp_ms: self.last_ms,
            interval_ms: self.interval_ms,
            start_ms: self.rare.as_ref().map_or(0, |rare| rare.start_ms),
            bits: self.bits,
        };
        if self.count == 0 {
            last = Last::default();
        }
        let mut sample = SampleBytes::default();
        last.put(&mut sample, timestamp_ms, start_ms, value);
        let taken = self.store(blocks, &sample);
        (self.last_ms, self.interval_ms, self.bits) = (timestamp_ms, last.interval_ms, last.bits);
        if start_ms != 0 || self.rare.is_some() {
            self.rare.get_or_insert_default().start_ms = start_ms;
        }
        self.count += 1;
        taken
    }

    /// Stores one sample's bytes, or lengthens the run that it goes on with.
    fn store(&mut self, blocks: &mut Blocks, sample: &SampleBytes) -> u64 {
        let is_repeat = self.count > 0 && sample.is_repeat();
        if is_repeat && self.is_run {
            let run = blocks.last_byte(&self.stream);
            if *run < u8::MAX {
                *run += 1;
                return 0;
            }
        }
        self.is_run = is_repeat;
        if is_repeat {
            blocks.append(&mut self.stream, &[RUN]);
            return 1;
        }
        blocks.append(&mut self.stream, sample.fixed());
        blocks.append(&mut self.stream, &sample.histogram);
        (sample.length + sample.histogram.len()) as u64
    }

    fn close(&mut self, blocks: &Blocks) {
        let chunk = Chunk {
            range: TimeRange::new(self.open_oldest_ms(blocks), self.last_ms),
            count: self.count,
            stream: self.stream,
        };
        self.rare.get_or_insert_default().closed.push(chunk);
        self.stream = Stream::default();
        self.count = 0;
    }

    /// Appends the samples in the closed range.
    pub(super) fn samples(&self, blocks: &Blocks, range: TimeRange, into: &mut Samples) {
        if self.is_empty() {
            return;
        }
        let first = self.closed().partition_point(|chunk| chunk.range.end < range.start);
        let mut bytes = Vec::new();
        for chunk in self.closed()[first..].iter().take_while(|chunk| chunk.range.start <= range.end) {
            bytes.clear();
            blocks.read(&chunk.stream, &mut bytes);
            read_chunk(&bytes, chunk.count, range, into);
        }
        if self.last_ms >= range.start {
            bytes.clear();
            blocks.read(&self.stream, &mut bytes);
            read_chunk(&bytes, self.count, range, into);
        }
    }
}

/// A sample on its way into a stream, without allocating unless it is a histogram.
#[derive(Default)]
struct SampleBytes {
    /// A control byte, three varints at most, eight bytes of value.
    bytes: [u8; 32],
    length: usize,
    histogram: Vec<u8>,
}

impl SampleBytes {
    fn fixed(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn is_repeat(&self) -> bool {
        self.length == 1 && self.bytes[0] == 0
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.put(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.put(&[value as u8]);
    }
}

/// What stands at a place of a chunk.
enum Item {
    Float,
    Histogram(Value),
    /// So many more samples like the last float.
    Run(u16),
}

fn read_chunk(bytes: &[u8], count: u16, range: TimeRange, into: &mut Samples) {
    let mut reader = Reader::new(bytes);
    let mut last = Last::default();
    let mut left = count;
    while left > 0 {
        let taken = match last.take(&mut reader) {
            Ok(Item::Float) => {
                last.put_float(range, into);
                1
            }
            Ok(Item::Histogram(histogram)) => {
                if range.contains(last.timestamp_ms) {
                    into.push(last.timestamp_ms, last.start_ms, &histogram);
                }
                1
            }
            Ok(Item::Run(length)) => {
                for _ in 0..length {
                    last.timestamp_ms = last.timestamp_ms.wrapping_add(i64::from(last.interval_ms));
                    last.put_float(range, into);
                }
                length
            }
            Err(Malformed) => {
                debug_assert!(false, "a tail decodes what it encoded");
                return;
            }
        };
        if last.timestamp_ms >= range.end {
            return;
        }
        left = left.saturating_sub(taken);
    }
}

impl Last {
    fn put(&mut self, out: &mut SampleBytes, timestamp_ms: i64, start_ms: i64, value: &Value) {
        out.put(&[0]);
        let mut control = 0;
        let interval_ms = timestamp_ms.wrapping_sub(self.timestamp_ms);
        if interval_ms != i64::from(self.interval_ms) {
            control |= NEW_INTERVAL;
            out.put_varint(zigzag(interval_ms.wrapping_sub(i64::from(self.interval_ms))));
        }
        if start_ms != self.start_ms {
            control |= NEW_START;
            out.put_varint(zigzag(start_ms.wrapping_sub(self.start_ms)));
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
                put_field(&mut out.histogram, &bytes);
            }
        }
        out.bytes[0] = control;
        (self.timestamp_ms, self.start_ms) = (timestamp_ms, start_ms);
        self.interval_ms = i32::try_from(interval_ms).unwrap_or(0);
    }

    #[inline]
    fn take(&mut self, reader: &mut Reader<'_>) -> Result<Item, Malformed> {
        let control = reader.byte()?;
        if control & RUN != 0 {
            return Ok(Item::Run(u16::from(control & !RUN) + 1));
        }
        let mut interval_ms = i64::from(self.interval_ms);
        if control & NEW_INTERVAL != 0 {
            interval_ms = interval_ms.wrapping_add(reader.zigzag()?);
        }
        self.timestamp_ms = self.timestamp_ms.wrapping_add(interval_ms);
        self.interval_ms = i32::try_from(interval_ms).unwrap_or(0);
        if control & NEW_START != 0 {
            self.start_ms = self.start_ms.wrapping_add(reader.zigzag()?);
        }
        if control & HISTOGRAM != 0 {
            let histogram = histograms::take(&mut Reader::new(reader.field()?))?;
            return Ok(Item::Histogram(Value::Histogram(Arc::new(histogram))));
        }
        if control & NEW_VALUE != 0 {
            self.bits ^= take_change(reader)?;
        }
        Ok(Item::Float)
    }

    /// Appends the last float, if it is in the range.
    #[inline]
    fn put_float(&self, range: TimeRange, into: &mut Samples) {
        if range.contains(self.timestamp_ms) {
            into.push_float(self.timestamp_ms, self.start_ms, f64::from_bits(self.bits));
        }
    }
}

/// The changed bytes without zeros at either end. Integers change at the top, odd fractions at
/// the bottom, so a varint in either direction would serve only one of them.
fn put_change(out: &mut SampleBytes, change: u64) {
    let trailing = change.trailing_zeros() / 8;
    let length = 8 - change.leading_zeros() / 8 - trailing;
    out.put(&[(trailing << 4 | length) as u8]);
    out.put(&(change >> (trailing * 8)).to_le_bytes()[..length as usize]);
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
        let (mut blocks, mut tail) = (Blocks::default(), Tail::default());
        let mut expected = Samples::default();
        let odd = [f64::NAN, -0.0, model::STALE_NAN, f64::MIN_POSITIVE / 4.0, f64::INFINITY];
        for i in 0..1000i64 {
            let value = if i % 7 == 0 { odd[i as usize % 5] } else { (i / 90) as f64 / 8.0 };
            let timestamp_ms = i * 15_000 + i % 300 / 200 - 5_000_000;
            let start_ms = if i < 500 { 0 } else { i / 100 };
            tail.push(&mut blocks, timestamp_ms, start_ms, &Value::Float(value));
            expected.push(timestamp_ms, start_ms, &Value::Float(value));
        }
        let mut read = Samples::default();
        tail.samples(&blocks, TimeRange::ALL, &mut read);
        let bits = |samples: &Samples| samples.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&read), bits(&expected));
        assert_eq!((&read.timestamps_ms, &read.starts_ms), (&expected.timestamps_ms, &expected.starts_ms));

        let (from, to) = (expected.timestamps_ms[130], expected.timestamps_ms[300]);
        let mut middle = Samples::default();
        tail.samples(&blocks, TimeRange::new(from, to), &mut middle);
        assert_eq!(middle.timestamps_ms, &expected.timestamps_ms[130..=300]);
    }

    #[test]
    fn the_ends_of_time_fit() {
        let (mut blocks, mut tail) = (Blocks::default(), Tail::default());
        for timestamp_ms in [i64::MIN, -1, 0, i64::MAX] {
            tail.push(&mut blocks, timestamp_ms, 0, &Value::Float(1.0));
        }
        let mut read = Samples::default();
        tail.samples(&blocks, TimeRange::ALL, &mut read);
        assert_eq!(read.timestamps_ms, [i64::MIN, -1, 0, i64::MAX]);
        assert_eq!(tail.bounds(&blocks), Some(TimeRange::ALL));
    }

    #[test]
    fn a_constant_series_takes_next_to_nothing() {
        let (mut blocks, mut tail) = (Blocks::default(), Tail::default());
        let mut push = |i: i64| tail.push(&mut blocks, 1_700_000_000_000 + i * 15_000, 0, &Value::Float(1.0));
        let bytes: u64 = (0..127).map(&mut push).sum();
        assert!(bytes < 20, "{bytes}");
        let mut read = Samples::default();
        tail.samples(&blocks, TimeRange::ALL, &mut read);
        assert_eq!((read.len(), read.timestamps_ms[126]), (127, 1_700_000_000_000 + 126 * 15_000));
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

        #[test]
        fn runs_and_changes_in_any_order(steps in proptest::collection::vec((0i64..3, 0u64..3, 1usize..200), 1..40)) {
            let (mut blocks, mut tail) = (Blocks::default(), Tail::default());
            let mut expected = Samples::default();
            let mut timestamp_ms = 0;
            for (interval, value, count) in steps {
                for _ in 0..count {
                    timestamp_ms += [1, 15_000, 1 << 40][interval as usize];
                    let value = Value::Float([1.0, f64::NAN, 0.1][value as usize]);
                    tail.push(&mut blocks, timestamp_ms, 0, &value);
                    expected.push(timestamp_ms, 0, &value);
                }
            }
            let mut read = Samples::default();
            tail.samples(&blocks, TimeRange::ALL, &mut read);
            proptest::prop_assert_eq!(&read.timestamps_ms, &expected.timestamps_ms);
            let same = read.values.iter().zip(&expected.values).all(|(a, b)| a.to_bits() == b.to_bits());
            proptest::prop_assert!(same);
        }
    }
}
