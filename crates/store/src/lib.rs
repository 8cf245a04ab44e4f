//! The seam between engines and storage.
//!
//! [`MetricStore`] and [`LogStore`] are all that query engines, receivers and rules know of
//! storage. [`MemMetricStore`] and [`MemLogStore`] implement them in memory, plainly, as the
//! reference that every backend is compared with; [`conformance`] is the suite that all of them pass.
//!
//! Contract shared by both traits:
//! * Calls are synchronous and may take long; run them on a CPU pool.
//! * `append` hands the batch to the write-ahead log and makes it readable; the returned
//!   [`Receipt`]'s [`Commit`] completes once the batch is durable. Acknowledge only after that.
//! * A batch with a [`model::BatchId`] that the store has already taken changes nothing and
//!   answers with [`Receipt::duplicate`] set (and a commit to wait for all the same).
//! * Reads charge a [`QueryContext`] and stop with [`StoreError::Stopped`] when it says so.

mod age;
mod aggregate;
mod budget;
mod commit;
pub mod conformance;
mod error;
mod ledger;
mod log_store;
mod mem;
mod metric_store;
mod retention_clock;
mod row_groups;
mod shapes;
mod texts;

pub use age::{AgeLimits, FUTURE_MAX};
pub use aggregate::{Aggregate, select_undivided};
pub use budget::{Limits, QueryContext, QueryUsage, StopReason};
pub use commit::{Commit, CommitHandle};
pub use error::StoreError;
pub use ledger::BatchLedger;
pub use log_store::{
    CountBucket, CountRequest, Direction, LineFilter, LogRequest, LogScan, LogStats, LogStore, Row, RowSink,
    ScanUnit, StreamId,
};
pub use mem::{MemLogStore, MemMetricStore};
pub use metric_store::{
    ExemplarSeries, MetricStats, MetricStore, PlainReader, Selection, SeriesReader, SeriesSet,
};
pub use retention_clock::RetentionClock;
pub use row_groups::{GroupRequest, GroupRows, RowGroup};
pub use shapes::{Shape, ShapeSink, Shaped, ShapedRow, WantedValues};
pub use texts::Texts;

use model::shorten_example;

/// What became of an appended batch.
#[derive(Debug)]
pub struct Receipt {
    /// Samples or entries stored. Identical repeats count as stored.
    pub stored: u64,
    /// The batch had been taken before; nothing was stored again.
    pub duplicate: bool,
    /// What was refused, by reason. The rest of the batch is stored.
    pub rejected: Vec<Rejection>,
    /// Completes when everything stored is durable.
    pub commit: Commit,
}

/// A part of a batch that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectReason,
    /// How many samples or entries.
    pub count: u64,
    /// One example, readable in an error message; at most some [`model::EXAMPLE_BYTES_MAX`].
    pub example: String,
}

/// Why samples or entries are refused. `as_str` is the `reason` label of the loss counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Older than the retention.
    TooOld,
    /// Further in the future than clocks may differ.
    TooFarInFuture,
    /// Another value is stored for this series and time.
    DuplicateTimestamp,
    /// A label set, name or value breaks the data model.
    InvalidLabels,
    /// A histogram breaks its own invariants.
    InvalidHistogram,
    /// A line is longer than the limit.
    LineTooLong,
    /// A limit on series or streams is reached.
    TooManySeries,
}

impl RejectReason {
    /// snake_case name.
    pub fn as_str(self) -> &'static str {
        match self {
            RejectReason::TooOld => "too_old",
            RejectReason::TooFarInFuture => "too_far_in_future",
            RejectReason::DuplicateTimestamp => "duplicate_timestamp",
            RejectReason::InvalidLabels => "invalid_labels",
            RejectReason::InvalidHistogram => "invalid_histogram",
            RejectReason::LineTooLong => "line_too_long",
            RejectReason::TooManySeries => "too_many_series",
        }
    }
}

/// Adds `count` refused items to `rejections`, keeping the first example of each reason, shortened.
pub fn reject(
    rejections: &mut Vec<Rejection>,
    reason: RejectReason,
    count: u64,
    example: impl FnOnce() -> String,
) {
    match rejections.iter_mut().find(|existing| existing.reason == reason) {
        Some(existing) => existing.count += count,
        None => {
            let mut example = example();
            shorten_example(&mut example);
            rejections.push(Rejection { reason, count, example });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_with_one_short_example_each() {
        let mut rejections = Vec::new();
        let long = "x".repeat(1 << 18);
        for (reason, example) in [
            (RejectReason::TooOld, long.as_str()),
            (RejectReason::TooOld, "second"),
            (RejectReason::LineTooLong, "short"),
        ] {
            reject(&mut rejections, reason, 2, || example.to_owned());
        }
        let found: Vec<_> = rejections.iter().map(|one| (one.reason, one.count)).collect();
        assert_eq!(found, [(RejectReason::TooOld, 4), (RejectReason::LineTooLong, 2)]);
        assert!(rejections[0].example.starts_with('x') && rejections[0].example.len() < 9 << 10);
        assert_eq!(rejections[1].example, "short");
    }
}
