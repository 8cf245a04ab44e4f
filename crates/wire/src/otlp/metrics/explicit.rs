//! Points of histograms with explicit bounds, as classic histograms.
//!
//! ```text
//! HistogramDataPoint { fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
//!                      optional double sum = 5; repeated fixed64 bucket_counts = 6;
//!                      repeated double explicit_bounds = 7; repeated Exemplar exemplars = 8;
//!                      repeated KeyValue attributes = 9; uint32 flags = 10; }
//! ```

use super::{Decoder, PointTime, exemplar::read_exemplar, labels::PointLabels, nanos_to_ms};
use crate::{WireError, protobuf::Reader};
use model::Exemplar;

#[derive(Default)]
struct Point {
    time: PointTime,
    count: u64,
    sum: Option<f64>,
    counts: Vec<u64>,
    bounds: Vec<f64>,
    exemplars: Vec<Option<Exemplar>>,
}

impl Decoder<'_> {
    pub(super) fn explicit_point(&mut self, mut message: Reader<'_>) -> Result<(), WireError> {
        let (mut labels, mut point) = (PointLabels::default(), Point::default());
        while let Some((number, field)) = message.next()? {
            match number {
                2 => point.time.start_ms = nanos_to_ms(field.fixed64(&message)?),
                3 => point.time.timestamp_ms = nanos_to_ms(field.fixed64(&message)?),
                4 => point.count = field.fixed64(&message)?,
                5 => point.sum = Some(field.double(&message)?),
                6 => field.each_fixed64(&message, |count| point.counts.push(count))?,
                7 => field.each_fixed64(&message, |bits| point.bounds.push(f64::from_bits(bits)))?,
                8 => point.exemplars.push(read_exemplar(field.message(&message)?, &mut self.expansion)?),
                9 => labels.push(field.message(&message)?)?,
                10 => point.time.set_flags(field.varint(&message)?),
                _ => {}
            }
        }
        labels.finish();
        self.classic_series(&labels, point)
    }

    fn classic_series(&mut self, labels: &PointLabels, mut point: Point) -> Result<(), WireError> {
        let mut cumulative = 0u64;
        let finite = point.bounds.iter().zip(&point.counts);
        for (bound, count) in finite {
            cumulative = cumulative.saturating_add(*count);
            let covered = point.exemplars.extract_if(.., |e| e.as_ref().is_none_or(|e| e.value <= *bound));
            let covered: Vec<_> = covered.collect();
            if self.begin_series(labels, "_bucket", Some(("le", &bound_text(*bound))))? {
                self.sample(point.time, cumulative as f64);
                self.exemplars(covered);
            }
        }
        if self.begin_series(labels, "_bucket", Some(("le", "+Inf")))? {
            self.sample(point.time, point.count as f64);
            self.exemplars(point.exemplars);
        }
        if let Some(sum) = point.sum
            && self.begin_series(labels, "_sum", None)?
        {
            self.sample(point.time, sum);
        }
        if self.begin_series(labels, "_count", None)? {
            self.sample(point.time, point.count as f64);
        }
        Ok(())
    }
}

/// Decimal without exponent, as Prometheus writes bounds from OTLP.
fn bound_text(bound: f64) -> String {
    match bound.is_infinite() {
        true => model::format_float(bound),
        false => bound.to_string(),
    }
}
