//! Logs on local disk: columnar chunks and a tantivy index.
//!
//! * Appends go to a write-ahead log and to memory, where they are searched at once
//!   ([`LogstoreOptions::memory_bytes_max`] bounds it).
//! * A flush writes memory to immutable parts, a merge joins parts; both take effect with one
//!   atomic write of the manifest, so a crash at any moment leaves the store before or after it.
//! * A scan asks the index for chunks that may hold what is wanted and decides row by row; the
//!   index never rules out a chunk that has a matching row.
//!
//! The bytes are drawn in `docs/formats/logstore.md`.

mod append;
mod bytes;
mod condition;
mod counts;
mod damage;
mod filters;
mod flush;
mod groups;
mod literals;
mod logstore;
mod maintain;
mod manifest;
mod memory;
mod merge;
mod options;
mod part;
mod probe;
mod quiet;
mod record;
mod recover;
mod retention;
mod scan;
mod selector;
mod stream;
mod streams;
#[cfg(test)]
mod tests;
mod tokens;
mod tombstone;

pub use logstore::Logstore;
pub use options::LogstoreOptions;
pub use retention::StreamRetention;

use model::{BatchId, Labels, LogBatch, Matcher, TimeRange};
use store::{
    CountBucket, CountRequest, LineFilter, LogRequest, LogScan, LogStats, LogStore, QueryContext, Receipt,
    StoreError,
};

impl LogStore for Logstore {
    fn append(&self, batch: &LogBatch, id: Option<&BatchId>, now_ns: i64) -> Result<Receipt, StoreError> {
        self.append_batch(batch, id, now_ns)
    }

    fn scan(&self, request: &LogRequest, context: &QueryContext) -> Result<Box<dyn LogScan>, StoreError> {
        Ok(Box::new(self.scan_request(request, context)?))
    }

    fn counts(&self, request: &CountRequest, context: &QueryContext) -> Result<Vec<CountBucket>, StoreError> {
        self.count_rows(request, context)
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        self.find_streams(selectors, range, context)
    }

    fn selection_stats(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, StoreError> {
        self.selection_figures(matchers, range, context)
    }

    fn delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Result<(), StoreError> {
        self.delete_rows(matchers, range, filters)
    }

    fn maintain(&self, now_ns: i64, believed_ns: i64) -> Result<(), StoreError> {
        self.maintain_at(now_ns, believed_ns)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.flush_memory()
    }

    fn stats(&self) -> LogStats {
        self.figures()
    }
}
