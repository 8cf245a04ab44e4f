//! What all log protocols share: writing into the batch, and the two labels that Loki adds at the
//! door and Grafana relies on, `service_name` (stream) and `detected_level` (structured metadata).

mod document;
mod keeper;
mod level;
mod service_name;
mod time;
mod writer;

pub use document::DocumentOptions;
pub(crate) use document::{Origin, write_document};
pub(crate) use keeper::StreamKeeper;
pub use level::detect_level;
pub(crate) use time::parse_time;
pub(crate) use writer::LogWriter;

/// How a log request is decoded.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Time of entries that come without one, nanoseconds since the epoch.
    pub now_ns: i64,
    /// Add `service_name` and `detected_level` where they are missing.
    pub enrich: bool,
}
