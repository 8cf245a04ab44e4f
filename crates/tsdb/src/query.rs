//! Finding and reading series over the heads and the parts.

use crate::{
    head::Head,
    part::{Page, Part, PartError},
    store_impl::{Tsdb, View},
    tiers::{PlannedPart, plan},
};
use model::{Labels, LabelsRef, Matcher, Samples, TimeRange, Value};
use roaring::RoaringBitmap;
use std::{cell::RefCell, sync::Arc};
use store::{Aggregate, QueryContext, SeriesSet, StoreError};

/// The context is asked whether to go on once in this many series.
pub(crate) const CHECK_EVERY: usize = 1024;
/// Memory charged for a sample that is read.
const SAMPLE_BYTES: u64 = 16;

thread_local! {
    /// Holds a second source of a series while it is joined to the first.
    static RUN: RefCell<Samples> = RefCell::default();
}

/// Where samples of a series are. The order is that in which they were taken: earlier sources win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Part { part: u32, ordinal: u32 },
    Sealing(u32),
    Head(u32),
}

/// What of the matched series is wanted.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) range: TimeRange,
    pub(crate) step_ms: i64,
    pub(crate) aggregate: Aggregate,
}

/// The series that a selection matched; holds the heads and parts as they were.
pub(crate) struct TsdbSeriesSet {
    view: Arc<View>,
    /// Parts that were looked into.
    parts: Vec<PlannedPart>,
    /// Of what is in memory.
    range: TimeRange,
    /// Samples that were not folded stand for how many they are: one.
    is_count: bool,
    labels: Vec<Labels>,
    /// Sources of series i: `ends[i - 1]..ends[i]`.
    ends: Vec<u32>,
    sources: Vec<Source>,
}

impl TsdbSeriesSet {
    /// Series that any of `selectors` matches (all when empty) and that have blocks in the range.
    pub(crate) fn find(
        tsdb: &Tsdb,
        selectors: &[Vec<Matcher>],
        reading: Reading,
        context: &QueryContext,
    ) -> Result<Self, StoreError> {
        context.check()?;
        let view = tsdb.view();
        let range = tsdb.visible(reading.range);
        let parts =
            plan(&view, (range, reading.range), tsdb.tier_oldest_ms(), reading.step_ms, reading.aggregate);
        let mut finder = Finder { tsdb, selectors, context, pages: Vec::new(), found: Vec::new() };
        for (number, planned) in parts.iter().enumerate() {
            finder.in_part(&planned.part, planned.range, number as u32)?;
        }
        if range.start <= range.end {
            if let Some(sealing) = &view.sealing {
                finder.in_head(sealing, range, Source::Sealing);
            }
            finder.in_head(&view.head, range, Source::Head);
        }
        context.check()?;
        finder.sort();
        let mut set = TsdbSeriesSet {
            view,
            parts: Vec::new(),
            range,
            is_count: reading.aggregate == Aggregate::Count,
            labels: Vec::new(),
            ends: Vec::new(),
            sources: Vec::new(),
        };
        for (named, source) in &finder.found {
            let labels = finder.labels(named);
            set.sources.push(*source);
            if set.labels.last().is_some_and(|last: &Labels| last.as_ref() == labels) {
                set.ends.pop();
            } else {
                set.labels.push(match named {
                    Named::InHead(labels) => labels.clone(),
                    Named::InPage { .. } => labels.to_owned(),
                });
            }
            set.ends.push(set.sources.len() as u32);
        }
        set.parts = parts;
        Ok(set)
    }

    fn sources(&self, index: usize) -> &[Source] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.sources[start as usize..self.ends[index] as usize]
    }

    /// Whether the series has a sample in the range.
    fn has_samples(&self, index: usize) -> Result<bool, PartError> {
        for &source in self.sources(index) {
            let has_samples = match source {
                Source::Part { part, ordinal } => {
                    let planned = &self.parts[part as usize];
                    planned.part.has_samples(ordinal, planned.range)?
                }
                Source::Sealing(series) => {
                    self.view.sealing.as_ref().is_some_and(|head| head.read().has_samples(series, self.range))
                }
                Source::Head(series) => self.view.head.read().has_samples(series, self.range),
            };
            if has_samples {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Joins what all sources have in `into`, which is empty, and returns the bytes decoded.
    fn read_all(&self, index: usize, run: &mut Samples, into: &mut Samples) -> Result<u64, PartError> {
        let mut bytes = 0;
        for &source in self.sources(index) {
            // Most series have one source: it needs no second buffer.
            let is_first = into.is_empty();
            run.clear();
            match self.read_source(source, if is_first { &mut *into } else { &mut *run }) {
                Ok(read) => bytes += read,
                // The part has marked itself damaged, and maintenance reports it; the rest is served.
                Err(error @ PartError::Damaged { .. }) => {
                    tracing::error!(%error, "a series is served without a block that cannot be read");
                    if is_first {
                        into.clear();
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
            if !is_first {
                crate::columns::append_run(into, run);
            }
        }
        Ok(bytes)
    }

    /// Appends what one source has and returns the bytes decoded.
    fn read_source(&self, source: Source, into: &mut Samples) -> Result<u64, PartError> {
        match source {
            Source::Part { part, ordinal } => {
                let planned = &self.parts[part as usize];
                let bytes = planned.part.read(ordinal, planned.range, into)?;
                if self.is_count && planned.is_raw {
                    count_each(into);
                }
                return Ok(bytes);
            }
            Source::Sealing(series) => {
                if let Some(head) = &self.view.sealing {
                    head.read().samples(series, self.range, into);
                }
            }
            Source::Head(series) => self.view.head.read().samples(series, self.range, into),
        }
        if self.is_count {
            count_each(into);
        }
        Ok(into.len() as u64 * SAMPLE_BYTES)
    }
}

/// Puts 1 in place of every sample but staleness markers.
fn count_each(samples: &mut Samples) {
    let mut counts = Samples::default();
    for i in 0..samples.len() {
        let value = if samples.is_stale(i) { samples.value(i) } else { Value::Float(1.0) };
        counts.push(samples.timestamps_ms[i], 0, &value);
    }
    *samples = counts;
}

/// Where the labels of a series that was found are: they are copied once for all its sources.
enum Named {
    InPage { page: u32, place: u32 },
    InHead(Labels),
}

/// Collects what selectors match.
struct Finder<'a> {
    tsdb: &'a Tsdb,
    selectors: &'a [Vec<Matcher>],
    context: &'a QueryContext,
    pages: Vec<Arc<Page>>,
    found: Vec<(Named, Source)>,
}

impl Finder<'_> {
    fn in_head(&mut self, head: &Head, range: TimeRange, source: impl Fn(u32) -> Source) {
        let matching = head.matching(self.selectors, range).into_iter();
        self.found.extend(matching.map(|(labels, series)| (Named::InHead(labels), source(series))));
    }

    fn in_part(&mut self, part: &Part, range: TimeRange, number: u32) -> Result<(), StoreError> {
        let matched = matching_any(part, self.selectors).and_then(|ordinals| Ok((ordinals, part.listing()?)));
        let (ordinals, mut listing) = match matched {
            Ok(matched) => matched,
            Err(error) => return set_aside(self.tsdb, error),
        };
        for (i, ordinal) in ordinals.into_iter().enumerate() {
            if i % CHECK_EVERY == 0 {
                self.context.check()?;
            }
            match listing.find(ordinal, range) {
                Ok(Some((page, place))) => {
                    if self.pages.last().is_none_or(|last| !Arc::ptr_eq(last, page)) {
                        self.pages.push(page.clone());
                    }
                    let named = Named::InPage { page: self.pages.len() as u32 - 1, place: place as u32 };
                    self.found.push((named, Source::Part { part: number, ordinal }));
                }
                Ok(None) => {}
                Err(error) => set_aside(self.tsdb, error)?,
            }
        }
        Ok(())
    }

    fn labels<'f>(&'f self, named: &'f Named) -> LabelsRef<'f> {
        match named {
            Named::InPage { page, place } => self.pages[*page as usize].labels(*place as usize),
            Named::InHead(labels) => labels.as_ref(),
        }
    }

    /// By labels, then by source. Parts come nearly in order, which a stable sort makes use of.
    fn sort(&mut self) {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|(a, a_source), (b, b_source)| {
            self.labels(a).cmp(&self.labels(b)).then_with(|| a_source.cmp(b_source))
        });
        self.found = found;
    }
}

/// Series of a part that any of `selectors` matches, all when there is none.
pub(crate) fn matching_any(part: &Part, selectors: &[Vec<Matcher>]) -> Result<RoaringBitmap, PartError> {
    if selectors.is_empty() {
        return part.matching(&[]);
    }
    let mut union = RoaringBitmap::new();
    for matchers in selectors {
        union |= part.matching(matchers)?;
    }
    Ok(union)
}

/// Reports damage, so that the query goes on with the rest; passes on other failures.
pub(crate) fn set_aside(tsdb: &Tsdb, error: PartError) -> Result<(), StoreError> {
    match error {
        PartError::Damaged { .. } => {
            tsdb.note_damage(&error.to_string());
            Ok(())
        }
        other => Err(other.into()),
    }
}

impl SeriesSet for TsdbSeriesSet {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.labels[index]
    }

    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        context.check()?;
        into.clear();
        let bytes = RUN.with_borrow_mut(|run| self.read_all(index, run, into))?;
        context.charge_read(into.len() as u64, bytes)?;
        Ok(())
    }
}

impl Tsdb {
    /// Labels of series that any of `selectors` matches and that have samples in the range,
    /// ascending.
    pub(crate) fn series_with_samples(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        let reading = Reading { range, step_ms: 0, aggregate: Aggregate::Last };
        let set = TsdbSeriesSet::find(self, selectors, reading, context)?;
        let mut kept = Vec::with_capacity(set.len());
        for index in 0..set.len() {
            if index % CHECK_EVERY == 0 {
                context.check()?;
            }
            match set.has_samples(index) {
                Ok(true) => kept.push(set.labels[index].clone()),
                Ok(false) => {}
                Err(error) => set_aside(self, error)?,
            }
        }
        Ok(kept)
    }
}
