//! OTLP over HTTP: logs both ways, metrics in, in protobuf and JSON, and the responses.
//!
//! Protobuf is walked in place. JSON is turned into protobuf first, field by field while it is
//! parsed ([`json`]), so that one piece of code decides what a message means.

mod any_value;
mod decode_logs;
mod encode_logs;
mod json;
mod metrics;
mod names;
mod response;
mod schema;
#[cfg(test)]
mod tests;

pub use decode_logs::{LabelRule, decode_logs, decode_logs_json};
pub use encode_logs::encode_logs;
pub use metrics::{decode_metrics, decode_metrics_json};
pub use response::{Format, Signal, error_body, success_body};

/// Deepest nesting of attribute values.
const DEPTH_MAX: usize = 16;

/// Text as proto3 JSON, or protobuf, from the value of `Content-Type`.
impl Format {
    /// `None` for a content type that OTLP does not know (answer 415).
    pub fn from_content_type(value: &str) -> Option<Format> {
        let media_type = value.split(';').next().unwrap_or("").trim();
        let known = [("application/x-protobuf", Format::Protobuf), ("application/json", Format::Json)];
        known.iter().find(|(name, _)| media_type.eq_ignore_ascii_case(name)).map(|(_, format)| *format)
    }

    /// The value of `Content-Type` to answer with.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Protobuf => "application/x-protobuf",
            Format::Json => "application/json",
        }
    }
}
