//! Points of gauges and sums.
//!
//! ```text
//! NumberDataPoint { fixed64 start_time_unix_nano = 2; fixed64 time_unix_nano = 3; double as_double = 4;
//!                   repeated Exemplar exemplars = 5; sfixed64 as_int = 6;
//!                   repeated KeyValue attributes = 7; uint32 flags = 8; }
//! ```

use super::{Decoder, PointTime, exemplar::read_exemplar, labels::PointLabels, nanos_to_ms};
use crate::{WireError, protobuf::Reader};

impl Decoder<'_> {
    pub(super) fn number_point(
        &mut self,
        mut point: Reader<'_>,
        is_monotonic: bool,
    ) -> Result<(), WireError> {
        let (mut labels, mut time, mut value) = (PointLabels::default(), PointTime::default(), 0.0);
        let mut exemplars = Vec::new();
        while let Some((number, field)) = point.next()? {
            match number {
                2 => time.start_ms = nanos_to_ms(field.fixed64(&point)?),
                3 => time.timestamp_ms = nanos_to_ms(field.fixed64(&point)?),
                4 => value = field.double(&point)?,
                5 => exemplars.push(read_exemplar(field.message(&point)?, &mut self.expansion)?),
                6 => value = field.fixed64(&point)? as i64 as f64,
                7 => labels.push(field.message(&point)?)?,
                8 => time.set_flags(field.varint(&point)?),
                _ => {}
            }
        }
        labels.finish();
        if !self.begin_series(&labels, "", None)? {
            return Ok(());
        }
        self.sample(time, value);
        if is_monotonic {
            self.exemplars(exemplars);
        }
        Ok(())
    }
}
