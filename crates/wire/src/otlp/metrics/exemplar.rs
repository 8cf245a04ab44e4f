//! Exemplars of points.
//!
//! ```text
//! Exemplar { fixed64 time_unix_nano = 2; double as_double = 3; bytes span_id = 4; bytes trace_id = 5;
//!            sfixed64 as_int = 6; repeated KeyValue filtered_attributes = 7; }
//! ```

use super::{
    super::{any_value::key_value, decode_logs::hex_into, names::label_name},
    Decoder, nanos_to_ms,
};
use crate::{Refusal, WireError, expansion::Expansion, protobuf::Reader};
use model::{Exemplar, LABEL_BYTES_MAX, LABELS_MAX, LabelsBuilder};

/// `None` when its labels are broken.
pub(super) fn read_exemplar(
    mut message: Reader<'_>,
    expansion: &mut Expansion,
) -> Result<Option<Exemplar>, WireError> {
    expansion.charge(size_of::<Exemplar>() + 64)?;
    let (mut timestamp_ms, mut value) = (0, 0.0);
    let (mut labels, mut count, mut sound) = (LabelsBuilder::default(), 0, true);
    let mut set = |name: &[u8], value: &[u8]| {
        count += 1;
        let short = name.len().max(value.len()) <= LABEL_BYTES_MAX && count <= LABELS_MAX;
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) if short && !name.is_empty() => {
                labels.set(name, value);
            }
            _ => sound = false,
        }
    };
    let mut scratch = Vec::new();
    while let Some((number, field)) = message.next()? {
        match number {
            2 => timestamp_ms = nanos_to_ms(field.fixed64(&message)?),
            3 => value = field.double(&message)?,
            4 | 5 => {
                scratch.clear();
                hex_into(field.bytes(&message)?, &mut scratch);
                set(if number == 4 { b"span_id" } else { b"trace_id" }, &scratch);
            }
            6 => value = field.fixed64(&message)? as i64 as f64,
            7 => {
                let (key, attribute) = key_value(field.message(&message)?)?;
                let mut name = Vec::new();
                label_name(key, &mut name);
                attribute.text(&mut scratch)?;
                set(&name, &scratch);
            }
            _ => {}
        }
    }
    let exemplar = Exemplar { labels: labels.build(), timestamp_ms, value };
    Ok(sound.then_some(exemplar))
}

impl Decoder<'_> {
    /// Adds exemplars to the current series.
    pub(super) fn exemplars(&mut self, exemplars: impl IntoIterator<Item = Option<Exemplar>>) {
        for exemplar in exemplars {
            match exemplar {
                Some(exemplar) => {
                    self.batch.exemplar(exemplar);
                    self.report.exemplars += 1;
                }
                None => {
                    let family = &self.family.name;
                    self.report.reject(Refusal::InvalidExemplar, 1, || format!("exemplar of `{family}`"));
                }
            }
        }
    }
}
