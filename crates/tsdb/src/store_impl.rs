//! The store: what it is made of, and the seam's trait on it.

use crate::{
    TsdbOptions,
    extras::Extras,
    head::Head,
    listing::Listed,
    maintain::Maintenance,
    part::{Cache, Part, PartError},
    query::{Reading, TsdbSeriesSet},
    tiers::{Place, RESOLUTIONS, TierDirs, TierParts, resolution_of},
    toll::Toll,
    writer::Writer,
};
use disk::{Dir, DirLock, Log, LogError};
use model::{BatchId, Labels, Matcher, Metadata, MetricBatch, TimeRange};
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};
use store::{
    Aggregate, ExemplarSeries, MetricStats, MetricStore, QueryContext, Receipt, Selection, SeriesSet,
    StoreError, Texts,
};

/// Most lines of damage kept; what is beyond is only logged.
const DAMAGE_MAX: usize = 200;

/// Metrics on local disk; see the crate.
pub struct Tsdb {
    pub(crate) options: TsdbOptions,
    pub(crate) dir: Dir,
    pub(crate) parts_dir: Dir,
    /// There when tiers are wanted or have been before.
    pub(crate) tier_dirs: Option<TierDirs>,
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
    pub(crate) done: Done,
    /// Samples before this are too old to be shown, whether or not they are gone already.
    pub(crate) oldest_ms: AtomicI64,
    /// Buckets before these are too old to be shown, by tier.
    pub(crate) tier_oldest_ms: [AtomicI64; RESOLUTIONS.len()],
    pub(crate) damage: Mutex<Vec<String>>,
}

/// How often upkeep did what.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) seals: AtomicU64,
    pub(crate) merges: AtomicU64,
    pub(crate) folds: AtomicU64,
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
    pub(crate) tiers: TierParts,
}

impl View {
    pub(crate) fn list(&self, place: Place) -> &Arc<[Part]> {
        match place {
            Place::Raw => &self.parts,
            Place::Tier(tier, aggregate) => self.tiers.of(tier, aggregate),
        }
    }

    pub(crate) fn list_mut(&mut self, place: Place) -> &mut Arc<[Part]> {
        match place {
            Place::Raw => &mut self.parts,
            Place::Tier(tier, aggregate) => self.tiers.of_mut(tier, aggregate),
        }
    }

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

    /// Time of the newest sample that was not folded.
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        let view = self.view();
        let heads = view.sealing.iter().chain([&view.head]).filter_map(|head| head.time_range());
        heads.chain(view.parts.iter().map(Part::time_range)).map(|range| range.end).max()
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

    /// `range` without what is too old to be shown raw.
    pub(crate) fn visible(&self, range: TimeRange) -> TimeRange {
        TimeRange::new(range.start.max(self.oldest_ms.load(Relaxed)), range.end)
    }

    /// Says what is shown when the clock is at `now_ms`. With tiers raw samples are shown until they
    /// are folded, so that there is no gap between them and their buckets.
    pub(crate) fn show_at(&self, now_ms: i64) {
        let is_tiered = self.options.tiers.is_wanted();
        let oldest_ms = if is_tiered { i64::MIN } else { self.options.limits.oldest_ms(now_ms) };
        self.oldest_ms.store(oldest_ms, Relaxed);
        for (tier, oldest_ms) in self.tier_oldest_ms.iter().enumerate() {
            let wanted = self.options.tiers.oldest_ms(tier, now_ms);
            oldest_ms.store(wanted.unwrap_or(i64::MIN), Relaxed);
        }
    }

    pub(crate) fn tier_oldest_ms(&self) -> [i64; RESOLUTIONS.len()] {
        std::array::from_fn(|tier| self.tier_oldest_ms[tier].load(Relaxed))
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
        self.select_aggregate(selection, Aggregate::Last, context)
    }

    fn resolution_ms(&self, range: TimeRange, step_ms: i64) -> i64 {
        resolution_of(&self.view(), range, self.tier_oldest_ms(), step_ms)
    }

    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        let reading = Reading { range: selection.range, step_ms: selection.step_ms, aggregate };
        let selectors = std::slice::from_ref(&selection.matchers);
        Ok(Box::new(TsdbSeriesSet::find(self, selectors, reading, &mut Toll::of_selection(context))?))
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
    ) -> Result<Arc<Texts>, StoreError> {
        self.listed(Listed::Names, selectors, range, context)
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        self.listed(Listed::Values(name), selectors, range, context)
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

    fn snapshot(&self, name: &str) -> Result<(), StoreError> {
        self.make_snapshot(name)
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
        let heads = || view.sealing.iter().chain([&view.head]);
        let head_bytes = heads().map(|head| head.sample_bytes()).sum();
        let head_ranges = heads().filter_map(|head| head.time_range());
        let part_ranges = view.parts.iter().chain(view.tiers.iter()).map(Part::time_range);
        let union = |a: TimeRange, b: TimeRange| TimeRange::new(a.start.min(b.start), a.end.max(b.end));
        let of_tiers = view.tiers.iter().next().map(|_| self.tier_oldest_ms()).into_iter().flatten();
        let oldest_ms = of_tiers.fold(self.oldest_ms.load(Relaxed), i64::min);
        let wal_bytes = self.log.bytes();
        let bytes = |part: &Part| part.meta().bytes();
        let tier_bytes = view.tiers.iter().map(bytes).sum::<u64>();
        let (dropped_descriptions, dropped_exemplars) = lock(&self.extras).dropped();
        MetricStats {
            active_series: view.head.read().active(),
            appended_samples: self.appended.load(Relaxed),
            disk_bytes: wal_bytes + tier_bytes + view.parts.iter().map(bytes).sum::<u64>(),
            head_bytes,
            seals: self.done.seals.load(Relaxed),
            merges: self.done.merges.load(Relaxed),
            folds: self.done.folds.load(Relaxed),
            dropped_descriptions,
            dropped_exemplars,
            wal_bytes,
            parts: view.parts.len() as u64 + view.tiers.iter().count() as u64,
            tier_bytes,
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
            PartError::Stopped(reason) => StoreError::Stopped(reason),
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
