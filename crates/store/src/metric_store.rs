//! The metric half of the seam.

use crate::{Aggregate, QueryContext, Receipt, StoreError, Texts};
use model::{BatchId, Exemplar, Labels, Matcher, Metadata, MetricBatch, Samples, TimeRange};
use std::sync::Arc;

/// Which samples a query wants.
#[derive(Clone, Debug)]
pub struct Selection {
    /// All must match. At least one should refuse the empty value, or every series is selected.
    pub matchers: Vec<Matcher>,
    /// Milliseconds, closed at both ends.
    pub range: TimeRange,
    /// The query's step, 0 for an instant; less where windows are shorter than steps. A store with
    /// downsampled tiers chooses by it: what it reads is no coarser where it has anything finer.
    pub step_ms: i64,
}

/// The series that a selection matched, in ascending order of labels, not yet read.
///
/// Several threads may read different indexes at once. A backend that streams (ClickHouse) is
/// fastest when each thread reads a contiguous, ascending run of indexes.
pub trait SeriesSet: Send + Sync {
    /// Number of series. Series without samples in the range may be among them.
    fn len(&self) -> usize;

    /// Whether nothing matched.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of the series at `index`.
    fn labels(&self, index: usize) -> &Labels;

    /// Decodes the samples of one series that lie in the selection's range into `into`, replacing
    /// what it held. Exactly one sample per timestamp, ascending; staleness markers are included.
    ///
    /// # Errors
    /// When storage fails or `context` stops the query.
    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError>;

    /// What one thread reads many series with.
    fn reader(&self) -> Box<dyn SeriesReader + '_>;
}

/// Reads series of a set one after the other, for one thread: what neighbours share, it keeps.
pub trait SeriesReader {
    /// As [`SeriesSet::read`].
    ///
    /// # Errors
    /// As [`SeriesSet::read`].
    fn read(&mut self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError>;
}

/// The reader of a set whose series share nothing.
pub struct PlainReader<'s>(pub &'s dyn SeriesSet);

impl SeriesReader for PlainReader<'_> {
    fn read(&mut self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        self.0.read(index, context, into)
    }
}

/// Exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarSeries {
    /// The series' labels.
    pub labels: Labels,
    /// In ascending order of time.
    pub exemplars: Vec<Exemplar>,
}

/// Figures about a metric store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricStats {
    /// Series with samples in memory.
    pub active_series: u64,
    /// Samples stored since the process started.
    pub appended_samples: u64,
    /// Bytes on disk, write-ahead log included.
    pub disk_bytes: u64,
    /// Bytes of compressed samples in memory.
    pub head_bytes: u64,
    /// How often samples in memory were written to parts since the process started.
    pub seals: u64,
    /// How often parts were merged since then.
    pub merges: u64,
    /// How often parts were folded into tiers since then.
    pub folds: u64,
    /// Descriptions of families that found no room since then.
    pub dropped_descriptions: u64,
    /// Exemplars that gave way to newer ones since then.
    pub dropped_exemplars: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Immutable parts, those of tiers included.
    pub parts: u64,
    /// Bytes of downsampled tiers.
    pub tier_bytes: u64,
    /// Oldest and newest sample, milliseconds; `None` when empty.
    pub time_range: Option<TimeRange>,
    /// What was set aside as damaged since the process started, one line each.
    pub damage: Vec<String>,
}

/// Stores and finds samples of series.
///
/// Rules every backend keeps (see [`crate::conformance`]):
/// * Samples of any age inside retention are taken in any order; timestamp 0 and before is legal.
/// * The same sample again (equal bits) is success; another value for the same series and time is
///   refused as [`crate::RejectReason::DuplicateTimestamp`], and the first one stays.
/// * Floats keep every bit: NaN payloads, −0, staleness markers, denormals.
/// * A selection never returns a sample whose append was refused.
/// * A series without labels is refused; one without a metric name is legal.
/// * [`crate::AgeLimits`] say which ages are taken and kept.
pub trait MetricStore: Send + Sync {
    /// Appends a batch; see the crate's contract. `now_ms` judges the age of samples.
    ///
    /// # Errors
    /// When nothing of the batch could be stored: full, busy, poisoned.
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError>;

    /// Finds series; nothing is decoded yet.
    ///
    /// # Errors
    /// When storage fails or `context` stops the query.
    fn select(&self, selection: &Selection, context: &QueryContext)
    -> Result<Box<dyn SeriesSet>, StoreError>;

    /// The coarsest resolution, in milliseconds, of the samples that a selection of this range and
    /// step may read, 0 when all are as they were written.
    fn resolution_ms(&self, range: TimeRange, step_ms: i64) -> i64;

    /// As [`MetricStore::select`], but where samples were downsampled, with this value of each bucket
    /// at the time of the bucket's last sample. Samples that were not are as they were written, but
    /// for [`Aggregate::Count`]: there each of them is 1.
    ///
    /// # Errors
    /// As [`MetricStore::select`].
    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError>;

    /// Label sets of series that match any of `selectors` (all series when empty) and may have
    /// samples in `range` (milliseconds, closed), ascending, without repeats, at most `limit`.
    ///
    /// # Errors
    /// As [`MetricStore::select`].
    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError>;

    /// Names of labels of those series, ascending.
    ///
    /// # Errors
    /// As [`MetricStore::select`].
    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError>;

    /// Values of one label of those series, ascending.
    ///
    /// # Errors
    /// As [`MetricStore::select`].
    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError>;

    /// Descriptions of metric families, in order of the family's name; only `family` when given.
    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)>;

    /// Exemplars of series that match any of `selectors`, in `range` (milliseconds, closed).
    ///
    /// # Errors
    /// As [`MetricStore::select`].
    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError>;

    /// Deletes the samples in `range` (milliseconds, closed) of series that match any of
    /// `selectors` (none when empty); they may be written again. Durable on return.
    ///
    /// # Errors
    /// When storage fails.
    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError>;

    /// Makes a folder under the store's own with a copy of everything that was acknowledged before,
    /// which a store can be opened from. `name` must be new and plain.
    ///
    /// # Errors
    /// When storage fails, or the store cannot.
    fn snapshot(&self, name: &str) -> Result<(), StoreError>;

    /// Seals, merges and drops what retention says, as far as is due at `now_ms`. Called every few
    /// seconds from one thread; returns soon when nothing is due.
    ///
    /// # Errors
    /// When storage fails; the next call tries again.
    fn maintain(&self, now_ms: i64) -> Result<(), StoreError>;

    /// Makes everything appended so far durable and ready for a fast start. Called at shutdown.
    ///
    /// # Errors
    /// When storage fails.
    fn flush(&self) -> Result<(), StoreError>;

    /// Figures about the store.
    fn stats(&self) -> MetricStats;
}
