//! The log half of the seam.

use crate::{
    GroupRequest, GroupRows, QueryContext, Receipt, RowGroup, ShapeSink, StoreError, shapes::ByLine,
};
use model::{BatchId, Labels, LabelsRef, LogBatch, Matcher, TimeRange};
use regex::bytes::Regex;
use std::ops::ControlFlow;

/// A condition on the raw line that the store itself decides, exactly, by index and scan.
#[derive(Clone, Debug)]
pub enum LineFilter {
    /// The line has at least one of these byte strings (`|= "a" or "b"`).
    ContainsAny(Vec<Vec<u8>>),
    /// The line has none of these byte strings.
    ContainsNone(Vec<Vec<u8>>),
    /// The regular expression matches somewhere in the line. The pattern is the expression in
    /// Rust's dialect, kept beside the program so that a store can derive literals from it.
    Matches {
        /// In Rust's dialect.
        pattern: String,
        /// Compiled.
        regex: Regex,
    },
    /// The regular expression matches nowhere in the line.
    MatchesNot {
        /// In Rust's dialect.
        pattern: String,
        /// Compiled.
        regex: Regex,
    },
}

impl LineFilter {
    /// Whether the line passes; the definition that every index must agree with.
    pub fn passes(&self, line: &[u8]) -> bool {
        let has = |needle: &Vec<u8>| memchr::memmem::find(line, needle).is_some();
        match self {
            LineFilter::ContainsAny(needles) => needles.iter().any(has),
            LineFilter::ContainsNone(needles) => !needles.iter().any(has),
            LineFilter::Matches { regex, .. } => regex.is_match(line),
            LineFilter::MatchesNot { regex, .. } => !regex.is_match(line),
        }
    }
}

/// Order in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// Which lines a query wants.
#[derive(Clone, Debug)]
pub struct LogRequest {
    /// On stream labels; all must match.
    pub matchers: Vec<Matcher>,
    /// Nanoseconds, `start` inclusive, `end` exclusive.
    pub range: TimeRange,
    /// On the raw line; all must pass.
    pub filters: Vec<LineFilter>,
    /// On structured metadata: the rows wanted have `name` with exactly `value`, as a hint for
    /// pruning. A store may ignore it; the engine decides again.
    pub metadata_hints: Vec<(String, String)>,
    /// In which order the scan's units come.
    pub direction: Direction,
}

/// A stream within one scan or one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// One row of a scan, borrowed from the unit being read.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// Equal for rows of the same stream within one scan.
    pub stream: StreamId,
    /// The stream's labels.
    pub labels: &'a Labels,
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line.
    pub line: &'a str,
    /// Structured metadata.
    pub metadata: LabelsRef<'a>,
    /// Makes the line's stable id: the same for as long as the line is stored (for permalinks). Most
    /// readers never ask for it.
    pub id: &'a dyn Fn() -> u128,
}

/// Receives the rows of a unit.
pub trait RowSink {
    /// Takes a row; `Break` ends the unit early.
    fn row(&mut self, row: Row<'_>) -> ControlFlow<()>;
}

impl<F: FnMut(Row<'_>) -> ControlFlow<()>> RowSink for F {
    fn row(&mut self, row: Row<'_>) -> ControlFlow<()> {
        self(row)
    }
}

/// Bounds of one unit of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanUnit {
    /// Oldest and newest row it may yield, nanoseconds, closed.
    pub range: TimeRange,
    /// Most rows it may yield.
    pub rows_max: u64,
    /// Uncompressed bytes that reading it may touch.
    pub bytes: u64,
    /// Whether all of its rows come in the request's direction, not only those of one stream.
    pub is_ordered: bool,
}

/// The pieces of storage that may hold what a request wants, pruned by the index.
///
/// Units may overlap in time. With [`Direction::Forward`] they come in ascending order of their
/// first instant, with [`Direction::Backward`] in descending order of their last, so an engine
/// with a limit stops when no later unit can better what it has. Units may be read by several
/// threads at once, each once.
///
/// No exact copies: a row (stream, timestamp, line, metadata) is yielded once by the whole scan.
pub trait LogScan: Send + Sync {
    /// The units in the request's direction.
    fn units(&self) -> &[ScanUnit];

    /// Yields the rows of unit `index` that match the request. Rows of one stream come in the
    /// request's direction; rows of different streams in any order. Equal timestamps of a stream
    /// keep their order of arrival (reversed when backward).
    ///
    /// # Errors
    /// When storage fails or `context` stops the query.
    fn read(&self, index: usize, context: &QueryContext, sink: &mut dyn RowSink) -> Result<(), StoreError>;

    /// As [`LogScan::read`] for a caller that has no use for rows outside the closed `within`; a
    /// store may yield them all the same.
    ///
    /// # Errors
    /// As [`LogScan::read`].
    fn read_within(
        &self,
        index: usize,
        within: TimeRange,
        context: &QueryContext,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        let _a_store_may_ignore_it = within;
        self.read(index, context, sink)
    }

    /// As [`LogScan::read`]; a store that keeps lines by their shape need not make them where the sink
    /// can do with their values.
    ///
    /// # Errors
    /// As [`LogScan::read`].
    fn read_shaped(
        &self,
        index: usize,
        context: &QueryContext,
        sink: &mut dyn ShapeSink,
    ) -> Result<(), StoreError> {
        self.read(index, context, &mut ByLine(sink))
    }

    /// How many rows [`LogScan::read`] would yield of each group. A store that need not make the
    /// lines for it does not.
    ///
    /// # Errors
    /// As [`LogScan::read`].
    fn count(
        &self,
        index: usize,
        request: &GroupRequest<'_>,
        context: &QueryContext,
        sink: &mut dyn FnMut(RowGroup<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let wants_bytes = request.with_bytes;
        self.read(index, context, &mut |row: Row<'_>| {
            let line_bytes = [row.line.len() as u32];
            sink(RowGroup {
                stream: row.stream,
                labels: row.labels,
                metadata: row.metadata,
                rows: GroupRows::Each {
                    times_ns: &[row.timestamp_ns],
                    line_bytes: if wants_bytes { &line_bytes } else { &[] },
                },
            })
        })
    }
}

/// A histogram or volume request, answered without touching lines where the chunk table suffices.
#[derive(Clone, Debug)]
pub struct CountRequest {
    /// On stream labels.
    pub matchers: Vec<Matcher>,
    /// Nanoseconds, `start` inclusive, `end` exclusive.
    pub range: TimeRange,
    /// Width of a bucket, nanoseconds. Bucket k covers `[start + k·step, start + (k+1)·step)`.
    pub step_ns: i64,
    /// Labels to group by: the stream's own, else the line's structured metadata (such as
    /// `detected_level`); empty for a single group.
    pub by: Vec<String>,
}

/// Rows and bytes of one group in one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountBucket {
    /// The labels asked for, as far as the rows have them.
    pub group: Labels,
    /// Index of the bucket.
    pub bucket: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes of their lines.
    pub bytes: u64,
}

/// Figures about the lines of a selection, or of a whole store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogStats {
    /// Streams.
    pub streams: u64,
    /// Chunks, the in-memory ones included.
    pub chunks: u64,
    /// Rows.
    pub entries: u64,
    /// Bytes of lines, uncompressed.
    pub bytes: u64,
    /// Bytes on disk (whole store only), write-ahead log and index included.
    pub disk_bytes: u64,
    /// Bytes of the index on disk (whole store only).
    pub index_bytes: u64,
    /// Bytes of the write-ahead log (whole store only).
    pub wal_bytes: u64,
    /// Immutable parts (whole store only).
    pub parts: u64,
    /// Time of the newest row, nanoseconds (whole store only, where the store knows it at once).
    pub newest_ns: Option<i64>,
    /// What was set aside as damaged since the process started, one line each.
    pub damage: Vec<String>,
}

/// Stores and finds log lines of streams.
///
/// Rules every backend keeps (see [`crate::conformance`]):
/// * Entries are taken in any order of time inside retention.
/// * An exact repeat (stream, timestamp, line and metadata equal) is success and is stored once.
/// * Lines keep every byte. A line is valid UTF-8; whoever reads bytes replaces what is not.
/// * `scan` with any filters yields exactly the rows that a scan without filters yields and that
///   pass [`LineFilter::passes`].
pub trait LogStore: Send + Sync {
    /// Appends a batch; see the crate's contract. `now_ns` judges the age of entries.
    ///
    /// # Errors
    /// When nothing of the batch could be stored: full, busy, poisoned.
    fn append(&self, batch: &LogBatch, id: Option<&BatchId>, now_ns: i64) -> Result<Receipt, StoreError>;

    /// Finds where matching rows may be; reads no lines yet. A snapshot: rows appended later do
    /// not show.
    ///
    /// # Errors
    /// When storage fails or `context` stops the query.
    fn scan(&self, request: &LogRequest, context: &QueryContext) -> Result<Box<dyn LogScan>, StoreError>;

    /// Counts rows and bytes by group and bucket; groups ascending by labels, then bucket. Empty
    /// buckets are left out.
    ///
    /// # Errors
    /// As [`LogStore::scan`].
    fn counts(&self, request: &CountRequest, context: &QueryContext) -> Result<Vec<CountBucket>, StoreError>;

    /// Label sets of streams that match any of `selectors` (all when empty) and may have entries
    /// in `range` (nanoseconds, half-open), ascending, without repeats.
    ///
    /// # Errors
    /// As [`LogStore::scan`].
    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError>;

    /// Figures about a selection's streams in `range` (nanoseconds, half-open). Chunks that lie
    /// partly in the range may be counted by their share.
    ///
    /// # Errors
    /// As [`LogStore::scan`].
    fn selection_stats(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, StoreError>;

    /// Deletes rows of matching streams in `range` (nanoseconds, half-open) that pass `filters`.
    /// Durable on return.
    ///
    /// # Errors
    /// When storage fails.
    fn delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Result<(), StoreError>;

    /// As [`crate::MetricStore::maintain`]. By `believed_ns` it is judged which lines are too old: a
    /// clock that has jumped ahead makes flushes and merges due, but drops nothing
    /// ([`crate::RetentionClock`]).
    ///
    /// # Errors
    /// When storage fails; the next call tries again.
    fn maintain(&self, now_ns: i64, believed_ns: i64) -> Result<(), StoreError>;

    /// As [`crate::MetricStore::flush`].
    ///
    /// # Errors
    /// When storage fails.
    fn flush(&self) -> Result<(), StoreError>;

    /// Figures about the whole store.
    fn stats(&self) -> LogStats;
}
