//! A JSON object as a log line, the way shippers of the Elasticsearch world write them: one field
//! is the line, one is the time, a few name the stream, the rest are structured metadata.
//!
//! An object without a message, or with more fields than a line may have, stays whole as the line.

use super::{LogWriter, StreamKeeper, time::parse_time};
use crate::WireError;
use serde_json::Value;
use std::borrow::Cow;

/// Fields that become metadata at most; an object with more stays whole.
const FIELDS_MAX: usize = 100;
/// Objects in objects, deeper ones stay JSON.
const DEPTH_MAX: usize = 8;
/// A longer value stays out of the metadata, and its object whole.
const VALUE_BYTES_MAX: usize = 8 << 10;

const TIMES: &[&str] = &["@timestamp", "timestamp", "time", "ts", "_time", "date"];
const MESSAGES: &[&str] = &["message", "msg", "log", "_msg", "event.original"];
const HOSTS: &[&str] = &["host.name", "host.hostname", "host", "hostname", "agent.hostname", "_HOSTNAME"];
const APPS: &[&str] = &[
    "service.name",
    "service",
    "app",
    "application",
    "kubernetes.labels.app",
    "kubernetes.container.name",
    "kubernetes.container_name",
    "container.name",
    "container_name",
    "syslog.appname",
    "appname",
    "program",
];
const NAMESPACES: &[&str] = &["kubernetes.namespace", "kubernetes.namespace_name"];

/// Which fields mean what, when the sender says so.
#[derive(Clone, Debug, Default)]
pub struct DocumentOptions {
    /// The field with the time; found by its name when `None`.
    pub time_field: Option<String>,
    /// The field with the line; found by its name when `None`.
    pub message_field: Option<String>,
    /// The fields that name the stream; found by their names when empty.
    pub stream_fields: Vec<String>,
}

/// Where a document comes from.
pub(crate) struct Origin<'a> {
    /// The `job` label.
    pub(crate) job: &'a str,
    /// Metadata that every line of this origin has.
    pub(crate) metadata: &'a [(&'a str, &'a str)],
}

/// Writes the object in `text`; `Err(Ok(…))` says why it is no such object.
pub(crate) fn write_document(
    text: &str,
    options: &DocumentOptions,
    origin: &Origin<'_>,
    keeper: &mut StreamKeeper,
    writer: &mut LogWriter<'_>,
) -> Result<Result<(), String>, WireError> {
    let object = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(object)) => Value::Object(object),
        Ok(_) => return Ok(Err("not a JSON object".to_owned())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let mut fields = Fields::default();
    fields.flatten(&object, String::new(), 0);
    let timestamp_ns = fields
        .take(options.time_field.as_deref(), TIMES)
        .and_then(|text| parse_time(&text))
        .unwrap_or_else(|| writer.now_ns());
    let labels = stream_labels(options, origin, &mut fields);
    let message = fields.take(options.message_field.as_deref(), MESSAGES);
    let line = match message {
        Some(message) if !fields.is_too_much => Cow::Owned(message),
        _ => Cow::Borrowed(text.trim()),
    };
    keeper.stream(writer, labels.iter().map(|(name, value)| (*name, value.as_str())))?;
    writer.begin_entry();
    for (name, value) in origin.metadata {
        writer.metadata(name.as_bytes(), value.as_bytes());
    }
    if !fields.is_too_much {
        for (name, value) in &fields.pairs {
            writer.metadata(name.as_bytes(), value.as_bytes());
        }
    }
    writer.end_entry(timestamp_ns, line.as_bytes())?;
    Ok(Ok(()))
}

fn stream_labels<'o>(
    options: &'o DocumentOptions,
    origin: &'o Origin<'_>,
    fields: &mut Fields,
) -> Vec<(&'o str, String)> {
    let mut labels = vec![("job", origin.job.to_owned())];
    if options.stream_fields.is_empty() {
        for (name, candidates) in [("host", HOSTS), ("app", APPS), ("namespace", NAMESPACES)] {
            labels.extend(fields.take(None, candidates).map(|value| (name, value)));
        }
    }
    for name in &options.stream_fields {
        labels.extend(fields.take(Some(name), &[]).map(|value| (name.as_str(), value)));
    }
    labels
}

/// An object's fields under dotted names.
#[derive(Default)]
struct Fields {
    pairs: Vec<(String, String)>,
    is_too_much: bool,
}

impl Fields {
    fn flatten(&mut self, value: &Value, name: String, depth: usize) {
        let text = match value {
            Value::Null => return,
            Value::Object(members) if depth < DEPTH_MAX => {
                for (member, value) in members {
                    let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                    self.flatten(value, name, depth + 1);
                }
                return;
            }
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let is_message = MESSAGES.contains(&name.as_str());
        if self.pairs.len() > FIELDS_MAX || (text.len() > VALUE_BYTES_MAX && !is_message) {
            self.is_too_much = true;
        }
        // What stays whole is still looked at for its time, message and stream.
        if !text.is_empty() && !name.is_empty() && self.pairs.len() < 4 * FIELDS_MAX {
            self.pairs.push((name, text));
        }
    }

    /// The value of the field called `name`, else of the first of `candidates` that is there.
    fn take(&mut self, name: Option<&str>, candidates: &[&str]) -> Option<String> {
        let position = |wanted: &str| self.pairs.iter().position(|(name, _)| name == wanted);
        let found = match name {
            Some(name) => position(name),
            None => candidates.iter().find_map(|candidate| position(candidate)),
        };
        found.map(|position| self.pairs.swap_remove(position).1)
    }
}
