//! Points of summaries.
//!
//! ```text
//! SummaryDataPoint { fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; fixed64 count = 4;
//!                    double sum = 5; repeated ValueAtQuantile quantile_values = 6;
//!                    repeated KeyValue attributes = 7; uint32 flags = 8; }
//! ValueAtQuantile  { double quantile = 1; double value = 2; }
//! ```

use super::{Decoder, PointTime, labels::PointLabels, nanos_to_ms};
use crate::{WireError, protobuf::Reader};

impl Decoder<'_> {
    pub(super) fn summary_point(&mut self, point: Reader<'_>) -> Result<(), WireError> {
        let (mut labels, mut time) = (PointLabels::default(), PointTime::default());
        let (mut count, mut sum) = (0, 0.0);
        let mut reader = point;
        while let Some((number, field)) = reader.next()? {
            match number {
                2 => time.start_ms = nanos_to_ms(field.fixed64(&reader)?),
                3 => time.timestamp_ms = nanos_to_ms(field.fixed64(&reader)?),
                4 => count = field.fixed64(&reader)?,
                5 => sum = field.double(&reader)?,
                7 => labels.push(field.message(&reader)?)?,
                8 => time.set_flags(field.varint(&reader)?),
                _ => {}
            }
        }
        labels.finish();
        if self.begin_series(&labels, "_sum", None)? {
            self.sample(time, sum);
        }
        if self.begin_series(&labels, "_count", None)? {
            self.sample(time, count as f64);
        }
        // The labels are known only now, hence the second walk for the quantiles.
        let mut reader = point;
        while let Some((number, field)) = reader.next()? {
            if number == 6 {
                let (quantile, value) = value_at_quantile(field.message(&reader)?)?;
                if self.begin_series(&labels, "", Some(("quantile", &quantile.to_string())))? {
                    self.sample(time, value);
                }
            }
        }
        Ok(())
    }
}

fn value_at_quantile(mut message: Reader<'_>) -> Result<(f64, f64), WireError> {
    let (mut quantile, mut value) = (0.0, 0.0);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => quantile = field.double(&message)?,
            2 => value = field.double(&message)?,
            _ => {}
        }
    }
    Ok((quantile, value))
}
