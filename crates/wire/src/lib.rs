//! The bytes in and out: remote write 1.0 and 2.0, OTLP, Loki push, exposition text, line
//! protocol, Elasticsearch bulk, syslog, JSON lines, journald's export format, Splunk's collector.
//!
//! Every decoder reads untrusted bytes into a [`model`] batch in one pass and keeps three rules:
//! * It never panics, and what it allocates is bounded by the size of the body or by
//!   [`EXPANDED_BYTES_MAX`], whatever the body claims.
//! * A request that cannot be read is refused as a whole with a [`WireError`] that says where. A
//!   part that breaks the data model is skipped and counted in the [`DecodeReport`], with one
//!   example for each reason.
//! * Text is UTF-8. Broken bytes in a log line or a metadata value are replaced by U+FFFD and
//!   counted, because losing the line would be worse; broken bytes in labels refuse the series.
//!
//! Sync code without clocks; `now` is a parameter where a format needs it.

pub mod compression;
pub mod elastic;
mod error;
mod expansion;
pub mod exposition;
pub mod influx;
pub mod journal;
pub mod json_lines;
mod label_set;
mod logs;
pub mod loki;
mod native_histogram;
pub mod otlp;
mod protobuf;
pub mod remote_write;
mod report;
pub mod splunk;
pub mod syslog;

pub use error::WireError;
pub use expansion::EXPANDED_BYTES_MAX;
pub use logs::{DocumentOptions, LogOptions, detect_level};
pub use report::{DecodeReport, Refusal, Rejected};
