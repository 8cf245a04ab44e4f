//! A metric store that also writes what it takes to the journal of remote write.
//!
//! First the store, then the journal; the sender is answered when both are durable. A sender that
//! was not answered sends again, and the store takes a repeat as success, so the journal may hold a
//! batch twice but never misses one that was acknowledged. A batch of which the store refused a
//! part is sent on as it came: receivers judge by their own rules.

use super::journal::Journal;
use model::{BatchId, Labels, Matcher, Metadata, MetricBatch, TimeRange};
use std::sync::Arc;
use store::{
    Aggregate, ExemplarSeries, MetricStats, MetricStore, QueryContext, Receipt, Selection, SeriesSet,
    StoreError, Texts,
};

/// See the module.
pub(super) struct ForwardingStore {
    pub(super) inner: Arc<dyn MetricStore>,
    pub(super) journal: Arc<Journal>,
}

impl MetricStore for ForwardingStore {
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError> {
        let receipt = self.inner.append(batch, id, now_ms)?;
        let is_refused = receipt.stored == 0 && !receipt.duplicate && batch.metadata().is_empty();
        if is_refused || batch.is_empty() {
            return Ok(receipt);
        }
        let commit = self.journal.append(batch, now_ms)?;
        Ok(Receipt { commit: receipt.commit.and(commit), ..receipt })
    }

    fn select(
        &self,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        self.inner.select(selection, context)
    }

    fn resolution_ms(&self, range: TimeRange, step_ms: i64) -> i64 {
        self.inner.resolution_ms(range, step_ms)
    }

    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        self.inner.select_aggregate(selection, aggregate, context)
    }

    fn snapshot(&self, name: &str) -> Result<(), StoreError> {
        self.inner.snapshot(name)
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        self.inner.series(selectors, range, limit, context)
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        self.inner.label_names(selectors, range, context)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        self.inner.label_values(name, selectors, range, context)
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.inner.metadata(family)
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError> {
        self.inner.exemplars(selectors, range, context)
    }

    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError> {
        self.inner.delete(selectors, range)
    }

    fn maintain(&self, now_ms: i64) -> Result<(), StoreError> {
        self.inner.maintain(now_ms)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }

    fn stats(&self) -> MetricStats {
        self.inner.stats()
    }
}
