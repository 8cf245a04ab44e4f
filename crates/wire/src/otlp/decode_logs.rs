//! Logs in.
//!
//! ```text
//! ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
//! ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; }
//! Resource     { repeated KeyValue attributes = 1; }
//! ScopeLogs    { Scope scope = 1; repeated LogRecord log_records = 2; }
//! Scope        { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
//! LogRecord    { fixed64 time_unix_nano = 1; enum severity_number = 2; string severity_text = 3;
//!                AnyValue body = 5; repeated KeyValue attributes = 6; fixed32 flags = 8;
//!                bytes trace_id = 9; bytes span_id = 10; fixed64 observed_time_unix_nano = 11; }
//! ```
//!
//! A resource is a stream; see [`LabelRule`] for its labels. All else that is known of a record is
//! structured metadata, in names with underscores; maps are flattened (`http.request` of `{method}`
//! becomes `http_request_method`). The observed time serves only where a record has no time.

use super::{
    DEPTH_MAX,
    any_value::{AnyValue, key_value, next_pair},
    json, names, schema,
};
use crate::{DecodeReport, LogOptions, Refusal, WireError, logs::LogWriter, protobuf::Reader};
use model::{LABEL_BYTES_MAX, LABELS_MAX, LogBatch};
use std::ops::Range;

/// Which resource attributes become stream labels; the others become structured metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LabelRule {
    /// The ones that Loki takes by default: names of service, place and workload.
    #[default]
    Indexed,
    /// All of them, in their own names: a sender that keeps its resources few and small says so.
    AllResourceAttributes,
}

/// Loki's default stream labels, sorted.
const INDEXED: [&str; 18] = [
    "cloud.availability_zone",
    "cloud.region",
    "container.name",
    "deployment.environment",
    "deployment.environment.name",
    "k8s.cluster.name",
    "k8s.container.name",
    "k8s.cronjob.name",
    "k8s.daemonset.name",
    "k8s.deployment.name",
    "k8s.job.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.replicaset.name",
    "k8s.statefulset.name",
    "service.instance.id",
    "service.name",
    "service.namespace",
];

/// Replaces `batch` with the request in `body`.
///
/// # Errors
/// When `body` is not an `ExportLogsServiceRequest`; the batch is then empty.
pub fn decode_logs(
    body: &[u8],
    rule: LabelRule,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    let mut decoder = Decoder {
        writer: LogWriter::new(batch, options),
        rule,
        resource: Pairs::default(),
        scope: Pairs::default(),
        name: Vec::new(),
        value: Vec::new(),
    };
    let result = decoder.request(Reader::new(body));
    decoder.writer.finish(result)
}

/// [`decode_logs`] for a JSON body.
///
/// # Errors
/// When `body` is not the JSON form of an `ExportLogsServiceRequest`; the batch is then empty.
pub fn decode_logs_json(
    body: &[u8],
    rule: LabelRule,
    options: LogOptions,
    batch: &mut LogBatch,
) -> Result<DecodeReport, WireError> {
    batch.clear();
    decode_logs(&json::to_protobuf(body, &schema::LOGS_REQUEST)?, rule, options, batch)
}

/// Names and values that every record of a resource or scope repeats.
#[derive(Default)]
struct Pairs {
    text: Vec<u8>,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl Pairs {
    fn clear(&mut self) {
        self.text.clear();
        self.pairs.clear();
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        self.text.extend_from_slice(name);
        let middle = self.text.len();
        self.text.extend_from_slice(value);
        self.pairs.push((start..middle, middle..self.text.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }
}

struct Decoder<'b> {
    writer: LogWriter<'b>,
    rule: LabelRule,
    resource: Pairs,
    scope: Pairs,
    /// Scratch for one attribute.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder<'_> {
    fn request(&mut self, mut request: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = request.next()? {
            if number == 1 {
                self.resource_logs(field.message(&request)?)?;
            }
        }
        Ok(())
    }

    fn resource_logs(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        self.resource.clear();
        self.writer.begin_stream();
        if let Some(resource) = last_message(message, 1)? {
            self.resource_attributes(resource)?;
        }
        self.writer.end_stream_or_unknown()?;
        let mut reader = message;
        while let Some((number, field)) = reader.next()? {
            if number == 2 {
                self.scope_logs(field.message(&reader)?)?;
            }
        }
        Ok(())
    }

    fn resource_attributes(&mut self, mut resource: Reader<'_>) -> Result<(), WireError> {
        while let Some((key, value)) = next_pair(&mut resource, 1)? {
            let is_label = match self.rule {
                LabelRule::AllResourceAttributes => true,
                LabelRule::Indexed => {
                    std::str::from_utf8(key).is_ok_and(|key| INDEXED.binary_search(&key).is_ok())
                }
            };
            self.name.clear();
            match self.rule {
                LabelRule::AllResourceAttributes => names::escape_into(key, &mut self.name),
                LabelRule::Indexed => names::label_name(key, &mut self.name),
            }
            if is_label {
                value.text(&mut self.value)?;
                self.writer.label(&self.name, &self.value);
                continue;
            }
            let rest = &mut self.resource;
            flatten(&mut self.name, &mut self.value, value, 0, &mut |name, value| {
                if rest.pairs.len() <= LABELS_MAX {
                    rest.push(name, value);
                }
            })?;
        }
        Ok(())
    }

    fn scope_logs(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        self.scope.clear();
        if let Some(scope) = last_message(message, 1)? {
            self.scope(scope)?;
        }
        let mut reader = message;
        while let Some((number, field)) = reader.next()? {
            if number == 2 {
                self.record(field.message(&reader)?)?;
            }
        }
        Ok(())
    }

    fn scope(&mut self, mut message: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = message.next()? {
            match number {
                1 => self.scope.push(b"scope_name", field.bytes(&message)?),
                2 => self.scope.push(b"scope_version", field.bytes(&message)?),
                3 => {
                    let (key, value) = key_value(field.message(&message)?)?;
                    self.name.clear();
                    names::label_name(key, &mut self.name);
                    let scope = &mut self.scope;
                    flatten(&mut self.name, &mut self.value, value, 0, &mut |name, value| {
                        if scope.pairs.len() <= LABELS_MAX {
                            scope.push(name, value);
                        }
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn record(&mut self, mut record: Reader<'_>) -> Result<(), WireError> {
        let (mut time, mut observed, mut body) = (0, 0, AnyValue::Empty);
        self.writer.begin_entry();
        for (name, value) in self.resource.iter().chain(self.scope.iter()) {
            self.writer.metadata(name, value);
        }
        while let Some((number, field)) = record.next()? {
            match number {
                1 => time = field.fixed64(&record)?,
                2 => self.severity(field.varint(&record)?),
                3 => self.writer.metadata(b"severity_text", field.bytes(&record)?),
                5 => body = AnyValue::read(field.message(&record)?)?,
                6 => self.attribute(field.message(&record)?)?,
                8 => self.flags(field.fixed32(&record)?),
                9 => self.hex_id(b"trace_id", field.bytes(&record)?),
                10 => self.hex_id(b"span_id", field.bytes(&record)?),
                11 => observed = field.fixed64(&record)?,
                _ => {}
            }
        }
        let nanos = if time != 0 { time } else { observed };
        let Ok(timestamp_ns) = i64::try_from(nanos) else {
            self.writer.reject_entry(Refusal::InvalidTimestamp, || format!("{nanos} ns since the epoch"));
            return Ok(());
        };
        let timestamp_ns = if timestamp_ns == 0 { self.writer.now_ns() } else { timestamp_ns };
        if let AnyValue::Text(line) = body {
            return self.writer.end_entry(timestamp_ns, line);
        }
        body.text(&mut self.value)?;
        self.writer.end_entry(timestamp_ns, &self.value)
    }

    fn severity(&mut self, number: u64) {
        if number != 0 {
            self.writer.metadata(b"severity_number", number.to_string().as_bytes());
        }
        self.writer.severity(number);
    }

    fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.writer.metadata(b"flags", flags.to_string().as_bytes());
        }
    }

    fn hex_id(&mut self, name: &[u8], id: &[u8]) {
        self.value.clear();
        hex_into(id, &mut self.value);
        self.writer.metadata(name, &self.value);
    }

    fn attribute(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        let (key, value) = key_value(message)?;
        self.name.clear();
        match self.rule {
            LabelRule::AllResourceAttributes => names::escape_into(key, &mut self.name),
            LabelRule::Indexed => names::label_name(key, &mut self.name),
        }
        if let AnyValue::Text(text) = value {
            self.writer.metadata(&self.name, text);
            return Ok(());
        }
        let writer = &mut self.writer;
        flatten(&mut self.name, &mut self.value, value, 0, &mut |name, value| writer.metadata(name, value))
    }
}

/// Hands a value to `take` under the name in `name`, and the values of a map each under
/// `name_key`. `name` is as it was afterwards.
fn flatten(
    name: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    value: AnyValue<'_>,
    depth: usize,
    take: &mut dyn FnMut(&[u8], &[u8]),
) -> Result<(), WireError> {
    let AnyValue::Map(mut map) = value else {
        value.text(scratch)?;
        take(name, scratch);
        return Ok(());
    };
    if depth >= DEPTH_MAX {
        return Err(map.error("attribute value nested too deep"));
    }
    let length = name.len();
    while let Some((key, value)) = next_pair(&mut map, 1)? {
        name.push(b'_');
        names::escape_into(key, name);
        if name.len() > LABEL_BYTES_MAX {
            return Err(map.error("attribute name too long"));
        }
        flatten(name, scratch, value, depth + 1, take)?;
        name.truncate(length);
    }
    Ok(())
}

/// The last message in field `number`, as protobuf reads a singular field that comes twice.
pub(super) fn last_message<'a>(
    mut message: Reader<'a>,
    number: u32,
) -> Result<Option<Reader<'a>>, WireError> {
    let mut last = None;
    while let Some((found, field)) = message.next()? {
        if found == number {
            last = Some(field.message(&message)?);
        }
    }
    Ok(last)
}

/// Lower-case hexadecimal digits; nothing for an id of zeros, which means that there is none.
pub(super) fn hex_into(id: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if id.iter().all(|byte| *byte == 0) {
        return;
    }
    for byte in id {
        out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexed_attributes_are_sorted_for_the_search() {
        assert!(INDEXED.is_sorted());
    }
}
