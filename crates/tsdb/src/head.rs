//! Recent samples in memory: one generation between two seals.
//!
//! Only the writer changes a head, and only while it is the newest; queries share it. When it is
//! sealed a fresh one takes its place, and the old one stays readable, unchanged, until its parts
//! are published and the last query has let go of it. So a head never needs a list of what has
//! been sealed. Its series are those of a [`Registry`], which most often is that of the generation
//! before as well.

mod blocks;
mod tail;

use crate::{query::CHECK_EVERY, registry::Registry, slabs::Slabs, toll::Toll};
use blocks::Blocks;
use hashbrown::HashMap;
use model::{Labels, LabelsRef, Matcher, Samples, TimeRange, Value};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};
use store::StopReason;
use tail::Tail;

/// Memory of one sample outside the compressed tail, for the bound on the head's size; that of a
/// histogram's buckets comes on top.
const LATE_SAMPLE_BYTES: u64 = 96;

/// Steps of a [`Toll`] to find a series, and to decode its samples.
const STEPS_TO_FIND: usize = 4;
const STEPS_TO_DECODE: usize = 64;

/// See the module.
pub(crate) struct Head {
    registry: Arc<Registry>,
    tails: RwLock<Tails>,
    /// Bytes of compressed tails and late samples.
    sample_bytes: AtomicU64,
    /// The clock when its first sample came, milliseconds; `i64::MAX` before.
    begun_ms: AtomicI64,
    /// Times of its oldest and newest sample; the ends of time, crossed, before there is one.
    oldest_ms: AtomicI64,
    newest_ms: AtomicI64,
}

/// The samples of a head, by number of series.
#[derive(Default)]
pub(crate) struct Tails {
    /// Up to the last series with samples in this generation.
    tails: Slabs<Tail>,
    blocks: Blocks,
    /// Tails with samples.
    active: u64,
    /// Samples that came out of order; none of their times is in the series' tail.
    late: HashMap<u32, BTreeMap<i64, LateSample>>,
}

struct LateSample {
    start_ms: i64,
    value: Value,
}

/// A sample on its way into the head.
pub(crate) struct NewSample {
    pub(crate) series: u32,
    pub(crate) timestamp_ms: i64,
    pub(crate) start_ms: i64,
    pub(crate) value: Value,
}

impl Head {
    /// An empty head of the series of `registry`.
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        Head {
            registry,
            tails: RwLock::default(),
            sample_bytes: AtomicU64::new(0),
            begun_ms: AtomicI64::new(i64::MAX),
            oldest_ms: AtomicI64::new(i64::MAX),
            newest_ms: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Whether at least half of the known series have samples.
    pub(crate) fn is_mostly_active(&self, toll: &Toll<'_>) -> Result<bool, StopReason> {
        let known = self.registry.read_charged(toll)?.len() as u64;
        Ok(self.read_charged(toll)?.active() * 2 >= known)
    }

    /// Steps that it may take to decode the samples of a series before it is known to have some in the
    /// closed range. Its ends tell, but where the range begins and ends between them.
    pub(crate) fn steps_to_decode(&self, range: TimeRange) -> usize {
        let is_told =
            range.start <= self.oldest_ms.load(Relaxed) || self.newest_ms.load(Relaxed) <= range.end;
        if is_told { 0 } else { STEPS_TO_DECODE }
    }

    /// Its samples. Only the writer waits for whoever holds this.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tails> {
        self.tails.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Head::read`], where a wait is charged.
    pub(crate) fn read_charged(&self, toll: &Toll<'_>) -> Result<RwLockReadGuard<'_, Tails>, StopReason> {
        toll.read(&self.tails)
    }

    /// Adds samples, whose series the registry has. No sample may have the time of another one of
    /// its series.
    pub(crate) fn apply(&self, samples: &[NewSample], now_ms: i64) {
        let Some(first) = samples.first() else { return };
        let (mut oldest_ms, mut newest_ms, mut grown) = (first.timestamp_ms, first.timestamp_ms, 0);
        let mut tails = self.tails.write().unwrap_or_else(PoisonError::into_inner);
        for sample in samples {
            oldest_ms = oldest_ms.min(sample.timestamp_ms);
            newest_ms = newest_ms.max(sample.timestamp_ms);
            grown += tails.push(sample);
        }
        drop(tails);
        self.sample_bytes.fetch_add(grown, Relaxed);
        self.oldest_ms.fetch_min(oldest_ms, Relaxed);
        self.newest_ms.fetch_max(newest_ms, Relaxed);
        self.begun_ms.fetch_min(now_ms, Relaxed);
    }

    /// Bytes that samples take.
    pub(crate) fn sample_bytes(&self) -> u64 {
        self.sample_bytes.load(Relaxed)
    }

    /// When the first sample was applied; `None` while there is none.
    pub(crate) fn begun_ms(&self) -> Option<i64> {
        let begun = self.begun_ms.load(Relaxed);
        (begun != i64::MAX).then_some(begun)
    }

    /// Oldest and newest sample of all.
    pub(crate) fn time_range(&self) -> Option<TimeRange> {
        let range = TimeRange::new(self.oldest_ms.load(Relaxed), self.newest_ms.load(Relaxed));
        (range.start <= range.end).then_some(range)
    }

    /// Labels and numbers of the series that any of `selectors` matches (all when empty) and whose
    /// samples' ends enclose a part of `range`, in order of labels.
    ///
    /// # Errors
    /// When the context stops the query.
    pub(crate) fn matching(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        toll: &mut Toll<'_>,
    ) -> Result<Vec<(Labels, u32)>, StopReason> {
        let context = toll.context();
        let registry = self.registry.read_charged(toll)?;
        toll.walk(registry.steps_to_match(selectors) * STEPS_TO_FIND)?;
        let mut series = Vec::new();
        for some in registry.matching_any(selectors, context)?.chunks(CHECK_EVERY) {
            context.check()?;
            let tails = self.read_charged(toll)?;
            let overlaps = |&series: &u32| tails.bounds(series).is_some_and(|bounds| bounds.overlaps(&range));
            series.extend(some.iter().copied().filter(overlaps));
        }
        registry.sort_by_labels(&mut series, context)?;
        let (mut found, mut bytes) = (Vec::with_capacity(series.len()), Vec::new());
        for some in series.chunks(CHECK_EVERY) {
            context.check()?;
            for &series in some {
                registry.put_labels(series, &mut bytes);
                found.push((LabelsRef::from_trusted_bytes(&bytes).to_owned(), series));
            }
        }
        Ok(found)
    }

    /// The series with exactly these labels.
    pub(crate) fn find(&self, labels: LabelsRef<'_>) -> Option<u32> {
        self.registry.read().find(labels)
    }
}

impl Tails {
    /// Series from this number on have no samples.
    pub(crate) fn len(&self) -> u32 {
        self.tails.len() as u32
    }

    fn push(&mut self, sample: &NewSample) -> u64 {
        while self.len() <= sample.series {
            self.tails.push(Tail::default());
        }
        let tail = &mut self.tails[sample.series];
        self.active += u64::from(tail.is_empty());
        if sample.timestamp_ms > tail.newest_ms() || tail.is_empty() {
            return tail.push(&mut self.blocks, sample.timestamp_ms, sample.start_ms, &sample.value);
        }
        let late = LateSample { start_ms: sample.start_ms, value: sample.value.clone() };
        let histogram_bytes = match &late.value {
            Value::Float(_) => 0,
            Value::Histogram(histogram) => histogram.memory_bytes() as u64,
        };
        self.late.entry(sample.series).or_default().insert(sample.timestamp_ms, late);
        LATE_SAMPLE_BYTES + histogram_bytes
    }

    /// The value at exactly this time.
    pub(crate) fn value_at(&self, series: u32, timestamp_ms: i64) -> Option<Value> {
        if let Some(late) = self.late.get(&series).and_then(|late| late.get(&timestamp_ms)) {
            return Some(late.value.clone());
        }
        let tail = self.tails.get(series as usize)?;
        let mut found = Samples::default();
        tail.samples(&self.blocks, TimeRange::new(timestamp_ms, timestamp_ms), &mut found);
        (!found.is_empty()).then(|| found.value(0))
    }

    /// Newest sample of the series, `i64::MIN` when it has none.
    pub(crate) fn newest_ms(&self, series: u32) -> i64 {
        self.bounds(series).map_or(i64::MIN, |range| range.end)
    }

    /// Oldest and newest sample of the series. A late sample never is its only one.
    pub(crate) fn bounds(&self, series: u32) -> Option<TimeRange> {
        let bounds = self.tails.get(series as usize)?.bounds(&self.blocks)?;
        let late = self.late.get(&series).and_then(|late| late.first_key_value());
        let start = late.map_or(bounds.start, |(&oldest, _)| oldest.min(bounds.start));
        Some(TimeRange::new(start, bounds.end))
    }

    /// Whether the series has a sample in the closed range.
    pub(crate) fn has_samples(&self, series: u32, range: TimeRange) -> bool {
        let Some(bounds) = self.bounds(series) else { return false };
        if range.contains(bounds.start) || range.contains(bounds.end) {
            return true;
        }
        if !bounds.overlaps(&range) {
            return false;
        }
        let mut found = Samples::default();
        self.samples(series, range, &mut found);
        !found.is_empty()
    }

    /// Number of series with samples.
    pub(crate) fn active(&self) -> u64 {
        self.active
    }

    /// Appends the series' samples in the closed range, ascending.
    pub(crate) fn samples(&self, series: u32, range: TimeRange, into: &mut Samples) {
        let Some(tail) = self.tails.get(series as usize) else { return };
        if range.start > range.end {
            return;
        }
        let Some(late) = self.late.get(&series) else {
            return tail.samples(&self.blocks, range, into);
        };
        let mut ordered = Samples::default();
        tail.samples(&self.blocks, range, &mut ordered);
        let mut late = late.range(range.start..=range.end).peekable();
        for i in 0..ordered.len() {
            let timestamp_ms = ordered.timestamps_ms[i];
            while let Some((at, sample)) = late.next_if(|(at, _)| **at < timestamp_ms) {
                into.push(*at, sample.start_ms, &sample.value);
            }
            into.push(timestamp_ms, ordered.start_ms(i), &ordered.value(i));
        }
        for (at, sample) in late {
            into.push(*at, sample.start_ms, &sample.value);
        }
    }
}
