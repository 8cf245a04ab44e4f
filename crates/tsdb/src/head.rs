//! Recent samples in memory: one generation between two seals.
//!
//! Only the writer changes a head, and only while it is the newest; queries share it. When it is
//! sealed a fresh one takes its place, and the old one stays readable, unchanged, until its parts
//! are published and the last query has let go of it. So a head never needs a list of what has
//! been sealed, and series that ended leave memory with their generation.

mod index;
mod matching;
mod tail;

use crate::columns::reserve_one;
use index::LabelIndex;
use model::{Labels, Matcher, Samples, TimeRange, Value};
use std::{
    collections::BTreeMap,
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tail::Tail;

/// Memory of one sample outside the compressed tail, for the bound on the head's size.
const LATE_SAMPLE_BYTES: u64 = 96;

/// See the module.
pub(crate) struct Head {
    state: RwLock<HeadState>,
    /// Bytes of compressed tails and late samples.
    sample_bytes: AtomicU64,
    /// The clock when its first sample came, milliseconds; `i64::MAX` before.
    begun_ms: std::sync::atomic::AtomicI64,
}

#[derive(Default)]
pub(crate) struct HeadState {
    series: Vec<Series>,
    index: LabelIndex,
}

struct Series {
    labels: Labels,
    tail: Tail,
    /// Samples that came out of order; none of their times is in the tail.
    late: BTreeMap<i64, LateSample>,
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

impl Default for Head {
    fn default() -> Self {
        Head {
            state: RwLock::default(),
            sample_bytes: AtomicU64::new(0),
            begun_ms: std::sync::atomic::AtomicI64::new(i64::MAX),
        }
    }
}

impl Head {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HeadState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HeadState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds series and samples. Indexes of new series follow those that exist, in order. No sample
    /// may have the time of another one of its series.
    pub(crate) fn apply(&self, new_series: impl Iterator<Item = Labels>, samples: &[NewSample], now_ms: i64) {
        let mut grown = 0;
        let mut state = self.write();
        for labels in new_series {
            state.add_series(labels);
        }
        for sample in samples {
            grown += state.series[sample.series as usize].push(sample);
        }
        drop(state);
        self.sample_bytes.fetch_add(grown, Relaxed);
        if !samples.is_empty() {
            self.begun_ms.fetch_min(now_ms, Relaxed);
        }
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
}

impl HeadState {
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    pub(crate) fn labels(&self, series: u32) -> &Labels {
        &self.series[series as usize].labels
    }

    /// Appends the series' samples in the closed range, ascending.
    pub(crate) fn samples(&self, series: u32, range: TimeRange, into: &mut Samples) {
        self.series[series as usize].samples(range, into);
    }

    /// The value at exactly this time.
    pub(crate) fn value_at(&self, series: u32, timestamp_ms: i64) -> Option<Value> {
        self.series[series as usize].value_at(timestamp_ms)
    }

    /// Newest sample of the series, `i64::MIN` when it has none.
    pub(crate) fn newest_ms(&self, series: u32) -> i64 {
        self.series[series as usize].bounds().map_or(i64::MIN, |range| range.end)
    }

    /// Oldest and newest sample of the series.
    pub(crate) fn bounds(&self, series: u32) -> Option<TimeRange> {
        self.series[series as usize].bounds()
    }

    /// Whether the series has a sample in the closed range.
    pub(crate) fn has_samples(&self, series: u32, range: TimeRange) -> bool {
        let Some(bounds) = self.bounds(series) else { return false };
        if range.contains(bounds.start) || range.contains(bounds.end) {
            return true;
        }
        let mut found = Samples::default();
        self.samples(series, range, &mut found);
        !found.is_empty()
    }

    /// Number of series with samples.
    pub(crate) fn active(&self) -> u64 {
        self.series.iter().filter(|series| series.bounds().is_some()).count() as u64
    }

    /// Oldest and newest sample of all.
    pub(crate) fn time_range(&self) -> Option<TimeRange> {
        self.series
            .iter()
            .filter_map(Series::bounds)
            .reduce(|a, b| TimeRange::new(a.start.min(b.start), a.end.max(b.end)))
    }

    /// Series that all of `matchers` match, ascending.
    pub(crate) fn matching(&self, matchers: &[Matcher]) -> Vec<u32> {
        matching::matching(self, matchers)
    }

    /// The series with exactly these labels.
    pub(crate) fn find(&self, labels: &Labels) -> Option<u32> {
        matching::find(self, labels)
    }

    fn add_series(&mut self, labels: Labels) {
        self.index.add(self.series.len() as u32, labels.as_ref());
        reserve_one(&mut self.series);
        self.series.push(Series { labels, tail: Tail::default(), late: BTreeMap::new() });
    }
}

impl Series {
    /// Stores a sample and returns the bytes it took.
    fn push(&mut self, sample: &NewSample) -> u64 {
        if sample.timestamp_ms > self.tail.newest_ms() || self.tail.is_empty() {
            return self.tail.push(sample.timestamp_ms, sample.start_ms, &sample.value);
        }
        let late = LateSample { start_ms: sample.start_ms, value: sample.value.clone() };
        self.late.insert(sample.timestamp_ms, late);
        LATE_SAMPLE_BYTES
    }

    fn value_at(&self, timestamp_ms: i64) -> Option<Value> {
        if let Some(late) = self.late.get(&timestamp_ms) {
            return Some(late.value.clone());
        }
        let mut found = Samples::default();
        self.tail.samples(TimeRange::new(timestamp_ms, timestamp_ms), &mut found);
        (!found.is_empty()).then(|| found.value(0))
    }

    fn bounds(&self) -> Option<TimeRange> {
        let tail = self.tail.bounds();
        let ends = self.late.first_key_value().zip(self.late.last_key_value());
        let late = ends.map(|(first, last)| TimeRange::new(*first.0, *last.0));
        match (tail, late) {
            (Some(a), Some(b)) => Some(TimeRange::new(a.start.min(b.start), a.end.max(b.end))),
            (one, other) => one.or(other),
        }
    }

    fn samples(&self, range: TimeRange, into: &mut Samples) {
        if range.start > range.end {
            return;
        }
        if self.late.is_empty() {
            return self.tail.samples(range, into);
        }
        let mut ordered = Samples::default();
        self.tail.samples(range, &mut ordered);
        let mut late = self.late.range(range.start..=range.end).peekable();
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
