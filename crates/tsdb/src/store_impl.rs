//! The store: what it is made of, and the seam's trait on it.

use crate::{
    TsdbOptions,
    extras::Extras,
    head::Head,
    maintain::Maintenance,
    part::{Cache, Part, PartError},
    query::TsdbSeriesSet,
    writer::Writer,
};
use disk::{Dir, DirLock, Log, LogError};
use model::{BatchId, Labels, Matcher, Metadata, MetricBatch, TimeRange};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};
use store::{
    ExemplarSeries, MetricStats, MetricStore, QueryContext, Receipt, Selection, SeriesSet, StoreError,
};

/// Most lines of damage kept; what is beyond is only logged.
const DAMAGE_MAX: usize = 200;

/// Metrics on local disk; see the crate.
pub struct Tsdb {
    pub(crate) options: TsdbOptions,
    pub(crate) parts_dir: Dir,
    /// Held so that no other process opens the folder.
    pub(crate) _lock: DirLock,
    pub(crate) log: Log,
    /// Taken before the view changes and before `extras`.
    pub(crate) writer: Mutex<Writer>,
    pub(crate) view: RwLock<Arc<View>>,
    pub(crate) extras: Mutex<Extras>,
    pub(crate) cache: Arc<Cache>,
    /// Sealing, merging, dropping and deleting happen one at a time. Taken before `writer`.
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) appended: AtomicU64,
    /// Samples before this are too old to be shown, whether or not they are gone already.
    pub(crate) oldest_ms: AtomicI64,
    pub(crate) damage: Mutex<Vec<String>>,
}

/// What a query sees: replaced as a whole when the head is sealed or parts change.
#[derive(Clone)]
pub(crate) struct View {
    pub(crate) head: Arc<Head>,
    /// The generation before, while it is being written to parts.
    pub(crate) sealing: Option<Arc<Head>>,
    /// Newest sample of `sealing`.
    pub(crate) sealing_newest_ms: i64,
    /// In order of id.
    pub(crate) parts: Arc<[Part]>,
}

impl View {
    /// No sample after this is sealed.
    pub(crate) fn sealed_ms(&self) -> i64 {
        let parts = self.parts.iter().map(|part| part.time_range().end);
        parts.max().unwrap_or(i64::MIN).max(self.sealing_newest_ms)
    }
}

impl Tsdb {
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn change_view(&self, change: impl FnOnce(&mut View)) {
        let mut slot = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let mut view = View::clone(&slot);
        change(&mut view);
        *slot = Arc::new(view);
    }

    /// Size of the head at which it is sealed.
    pub(crate) fn seal_at_bytes(&self, series: usize) -> u64 {
        let by_series = (series as u64).saturating_mul(self.options.head_bytes_per_series);
        by_series.max(self.options.head_bytes_min)
    }

    /// Reports damage once.
    pub(crate) fn note_damage(&self, line: &str) {
        let mut damage = lock(&self.damage);
        if damage.iter().any(|known| known == line) {
            return;
        }
        tracing::error!(line, "damaged data was set aside");
        if damage.len() < DAMAGE_MAX {
            damage.push(line.to_owned());
        }
    }

    /// `range` without what is too old to be shown.
    pub(crate) fn visible(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.oldest_ms.load(Relaxed)), range.end)
    }
}

impl MetricStore for Tsdb {
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError> {
        self.append_batch(batch, id, now_ms)
    }

    fn select(
        &self,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        Ok(Box::new(TsdbSeriesSet::find(self, selection, context)?))
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        let mut series = self.series_with_samples(selectors, range, context)?;
        series.truncate(limit);
        Ok(series)
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<String>, StoreError> {
        let series = self.series_with_samples(selectors, range, context)?;
        let mut names: Vec<&str> = Vec::new();
        for labels in &series {
            names.extend(labels.iter().map(|(name, _)| name));
            // Few names repeat over many series: keep the list as short as they are.
            if names.len() > 4096 {
                names.sort_unstable();
                names.dedup();
            }
        }
        names.sort_unstable();
        names.dedup();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<String>, StoreError> {
        let series = self.series_with_samples(selectors, range, context)?;
        let mut values: Vec<&str> = series.iter().filter_map(|labels| labels.get(name)).collect();
        values.sort_unstable();
        values.dedup();
        Ok(values.into_iter().map(str::to_owned).collect())
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        lock(&self.extras).metadata(family)
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError> {
        context.check()?;
        let range = self.visible(range);
        let is_selected = |labels: &Labels| {
            let matches = |matchers: &Vec<Matcher>| {
                matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
            };
            selectors.is_empty() || selectors.iter().any(matches)
        };
        let mut found = Vec::new();
        for (labels, exemplars) in lock(&self.extras).exemplars().filter(|(labels, _)| is_selected(labels)) {
            let exemplars: Vec<_> =
                exemplars.iter().filter(|exemplar| range.contains(exemplar.timestamp_ms)).cloned().collect();
            if !exemplars.is_empty() {
                found.push(ExemplarSeries { labels: labels.clone(), exemplars });
            }
        }
        found.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(found)
    }

    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError> {
        self.delete_samples(selectors, range)
    }

    fn maintain(&self, now_ms: i64) -> Result<(), StoreError> {
        self.maintain_all(now_ms)
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut maintenance = lock(&self.maintenance);
        self.seal(&mut maintenance)?;
        self.log.sync().map_err(log_error)
    }

    fn stats(&self) -> MetricStats {
        let view = self.view();
        let heads = view.sealing.iter().chain([&view.head]);
        let head_ranges = heads.filter_map(|head| head.read().time_range());
        let part_ranges = view.parts.iter().map(Part::time_range);
        let union = |a: TimeRange, b: TimeRange| TimeRange::new(a.start.min(b.start), a.end.max(b.end));
        let oldest_ms = self.oldest_ms.load(Relaxed);
        let wal_bytes = self.log.bytes();
        MetricStats {
            active_series: view.head.read().active(),
            appended_samples: self.appended.load(Relaxed),
            disk_bytes: wal_bytes + view.parts.iter().map(|part| part.meta().bytes()).sum::<u64>(),
            wal_bytes,
            parts: view.parts.len() as u64,
            time_range: head_ranges
                .chain(part_ranges)
                .reduce(union)
                .map(|range| TimeRange::new(range.start.max(oldest_ms), range.end))
                .filter(|range| range.start <= range.end),
            damage: lock(&self.damage).clone(),
        }
    }
}

impl From<PartError> for StoreError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Io(error) => StoreError::Io(error),
            other => StoreError::Damaged(other.to_string()),
        }
    }
}

pub(crate) fn log_error(error: LogError) -> StoreError {
    match error {
        LogError::Full(reason) => StoreError::Full(reason),
        LogError::Poisoned(reason) => StoreError::Poisoned(reason),
        LogError::Io(error) => StoreError::Io(error),
        LogError::RecordSize(_) | LogError::NewerVersion { .. } => StoreError::Invalid(error.to_string()),
    }
}

/// Locks; a panic elsewhere leaves nothing half-done behind these locks that a reader could see.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
