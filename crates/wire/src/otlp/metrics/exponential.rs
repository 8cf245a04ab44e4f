//! Points of exponential histograms, as native histograms.
//!
//! ```text
//! ExponentialHistogramDataPoint { repeated KeyValue attributes = 1; fixed64 start_time_unix_nano = 2;
//!     fixed64 time_unix_nano = 3; fixed64 count = 4; optional double sum = 5; sint32 scale = 6;
//!     fixed64 zero_count = 7; Buckets positive = 8; Buckets negative = 9; uint32 flags = 10;
//!     repeated Exemplar exemplars = 11; double zero_threshold = 14; }
//! Buckets { sint32 offset = 1; repeated uint64 bucket_counts = 2; }
//! ```

use super::{Decoder, PointTime, exemplar::read_exemplar, labels::PointLabels, nanos_to_ms};
use crate::{
    Refusal, WireError,
    native_histogram::{check_and_reduce, from_indexed},
    protobuf::Reader,
};
use model::{Buckets, Histogram, STALE_NAN};

/// Width of the zero bucket where the sender does not tell it.
const DEFAULT_ZERO_THRESHOLD: f64 = 1e-128;
/// Finest scale that native histograms have; finer ones are merged.
const SCALE_MAX: i64 = 8;

#[derive(Default)]
struct RawBuckets {
    offset: i64,
    counts: Vec<u64>,
}

impl RawBuckets {
    fn read(mut message: Reader<'_>) -> Result<Self, WireError> {
        let mut buckets = RawBuckets::default();
        while let Some((number, field)) = message.next()? {
            match number {
                1 => buckets.offset = field.sint64(&message)?,
                2 => field.each_varint(&message, |count| buckets.counts.push(count))?,
                _ => {}
            }
        }
        Ok(buckets)
    }

    /// OpenTelemetry's bucket i is Prometheus' bucket i + 1; 2^`by` neighbours become one.
    fn decode(&self, by: u32) -> Result<Buckets, String> {
        let last = self.offset.saturating_add(self.counts.len() as i64).saturating_add(1);
        if i32::try_from(self.offset).is_err() || i32::try_from(last).is_err() {
            return Err(format!("bucket index {last} out of range"));
        }
        let indexes = (self.offset..).map(|index| (index >> by.min(62)) as i32 + 1);
        Ok(from_indexed(indexes.zip(self.counts.iter().map(|count| *count as f64))))
    }
}

impl Decoder<'_> {
    pub(super) fn exponential_point(&mut self, mut message: Reader<'_>) -> Result<(), WireError> {
        let (mut labels, mut time) = (PointLabels::default(), PointTime::default());
        let (mut positive, mut negative) = (RawBuckets::default(), RawBuckets::default());
        let mut histogram = Histogram { is_integer: true, ..Histogram::default() };
        let (mut scale, mut exemplars) = (0i64, Vec::new());
        while let Some((number, field)) = message.next()? {
            match number {
                1 => labels.push(field.message(&message)?)?,
                2 => time.start_ms = nanos_to_ms(field.fixed64(&message)?),
                3 => time.timestamp_ms = nanos_to_ms(field.fixed64(&message)?),
                4 => histogram.count = field.fixed64(&message)? as f64,
                5 => histogram.sum = field.double(&message)?,
                6 => scale = field.sint64(&message)?,
                7 => histogram.zero_count = field.fixed64(&message)? as f64,
                8 => positive = RawBuckets::read(field.message(&message)?)?,
                9 => negative = RawBuckets::read(field.message(&message)?)?,
                10 => time.set_flags(field.varint(&message)?),
                11 => exemplars.push(read_exemplar(field.message(&message)?, &mut self.expansion)?),
                14 => histogram.zero_threshold = field.double(&message)?,
                _ => {}
            }
        }
        labels.finish();
        let histogram = match time.is_stale {
            true => Ok(Histogram { is_integer: true, sum: STALE_NAN, ..Histogram::default() }),
            false => native(histogram, scale, &positive, &negative),
        };
        if self.native_series(&labels, time, histogram)? {
            self.exemplars(exemplars);
        }
        Ok(())
    }

    /// Whether the series was taken.
    fn native_series(
        &mut self,
        labels: &PointLabels,
        time: PointTime,
        histogram: Result<Histogram, String>,
    ) -> Result<bool, WireError> {
        let histogram = match histogram {
            Ok(histogram) => histogram,
            Err(problem) => {
                let family = &self.family.name;
                self.report.reject(Refusal::InvalidHistogram, 1, || format!("{problem} in `{family}`"));
                return Ok(false);
            }
        };
        self.expansion.charge(size_of::<Histogram>())?;
        if !self.begin_series(labels, "", None)? {
            return Ok(false);
        }
        self.resource.saw(time.timestamp_ms);
        self.batch.histogram(time.timestamp_ms, time.start_ms, histogram);
        self.report.histograms += 1;
        Ok(true)
    }
}

fn native(
    mut histogram: Histogram,
    scale: i64,
    positive: &RawBuckets,
    negative: &RawBuckets,
) -> Result<Histogram, String> {
    let by = u32::try_from((scale - SCALE_MAX).max(0)).unwrap_or(u32::MAX);
    histogram.schema =
        i8::try_from(scale.min(SCALE_MAX)).map_err(|_| format!("scale {scale} is too coarse"))?;
    histogram.positive = positive.decode(by)?;
    histogram.negative = negative.decode(by)?;
    if histogram.zero_threshold == 0.0 {
        histogram.zero_threshold = DEFAULT_ZERO_THRESHOLD;
    }
    check_and_reduce(&mut histogram)?;
    Ok(histogram)
}
