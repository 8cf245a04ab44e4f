//! How a log store is kept.

use crate::StreamRetention;
use store::AgeLimits;

/// See each field; [`Default`] suits one machine.
#[derive(Clone, Debug)]
pub struct LogstoreOptions {
    /// How old lines may be when they arrive, and how long they are kept.
    pub limits: AgeLimits,
    /// Streams that are kept for another time than `limits` says; the first that matches counts.
    pub stream_retention: Vec<StreamRetention>,
    /// Bytes on disk above which the oldest days are dropped; `None` for no bound.
    pub size_bytes_max: Option<u64>,
    /// Memory for recent rows. Half of it is written to disk while the other half fills.
    pub memory_bytes_max: usize,
    /// Memory for dictionaries and filters of the index and for what queries have read lately.
    pub cache_bytes_max: usize,
    /// Rows older than this are written to disk even when there are few.
    pub flush_age_ns: i64,
    /// Longest line, in bytes.
    pub line_bytes_max: usize,
    /// Most streams.
    pub streams_max: usize,
    /// Bytes of lines in the largest merged part.
    pub part_bytes_max: u64,
}

impl Default for LogstoreOptions {
    fn default() -> Self {
        LogstoreOptions {
            limits: AgeLimits::default(),
            stream_retention: Vec::new(),
            size_bytes_max: None,
            memory_bytes_max: 64 << 20,
            cache_bytes_max: 160 << 20,
            flush_age_ns: 300_000_000_000,
            line_bytes_max: 1 << 20,
            streams_max: 1_000_000,
            part_bytes_max: 256 << 20,
        }
    }
}
