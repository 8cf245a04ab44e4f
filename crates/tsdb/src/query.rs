//! Finding and reading series over the heads and the parts.

use crate::{
    head::Head,
    part::{Page, Part, PartError},
    store_impl::{Tsdb, View},
};
use model::{Labels, LabelsRef, Matcher, Samples, TimeRange};
use roaring::RoaringBitmap;
use std::{cell::RefCell, sync::Arc};
use store::{QueryContext, Selection, SeriesSet, StoreError};

/// The context is asked whether to go on once in this many series.
const CHECK_EVERY: usize = 1024;
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

/// The series that a selection matched; holds the heads and parts as they were.
pub(crate) struct TsdbSeriesSet {
    view: Arc<View>,
    range: TimeRange,
    labels: Vec<Labels>,
    /// Sources of series i: `ends[i - 1]..ends[i]`.
    ends: Vec<u32>,
    sources: Vec<Source>,
}

impl TsdbSeriesSet {
    pub(crate) fn find(
        tsdb: &Tsdb,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Self, StoreError> {
        Self::find_any(tsdb, std::slice::from_ref(&selection.matchers), selection.range, context)
    }

    /// Series that any of `selectors` matches (all when empty) and that have blocks in the range.
    fn find_any(
        tsdb: &Tsdb,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Self, StoreError> {
        context.check()?;
        let view = tsdb.view();
        let range = tsdb.visible(range);
        let mut finder = Finder { tsdb, selectors, range, context, pages: Vec::new(), found: Vec::new() };
        if range.start <= range.end {
            for (number, part) in view.parts.iter().enumerate() {
                if part.time_range().overlaps(&range) {
                    finder.in_part(part, number as u32)?;
                }
            }
            if let Some(sealing) = &view.sealing {
                finder.in_head(sealing, Source::Sealing);
            }
            finder.in_head(&view.head, Source::Head);
        }
        context.check()?;
        finder.sort();
        let mut set =
            TsdbSeriesSet { view, range, labels: Vec::new(), ends: Vec::new(), sources: Vec::new() };
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
                    self.view.parts[part as usize].has_samples(ordinal, self.range)?
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
                return self.view.parts[part as usize].read(ordinal, self.range, into);
            }
            Source::Sealing(series) => {
                if let Some(head) = &self.view.sealing {
                    head.read().samples(series, self.range, into);
                }
            }
            Source::Head(series) => self.view.head.read().samples(series, self.range, into),
        }
        Ok(into.len() as u64 * SAMPLE_BYTES)
    }
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
    range: TimeRange,
    context: &'a QueryContext,
    pages: Vec<Arc<Page>>,
    found: Vec<(Named, Source)>,
}

impl Finder<'_> {
    fn in_head(&mut self, head: &Head, source: impl Fn(u32) -> Source) {
        let (head, range) = (head.read(), self.range);
        let mut series = match self.selectors {
            [] => head.matching(&[]),
            [only] => head.matching(only),
            many => many.iter().flat_map(|matchers| head.matching(matchers)).collect(),
        };
        if self.selectors.len() > 1 {
            series.sort_unstable();
            series.dedup();
        }
        let overlaps = |&series: &u32| head.bounds(series).is_some_and(|bounds| bounds.overlaps(&range));
        let series = series.into_iter().filter(overlaps);
        self.found.extend(series.map(|series| (Named::InHead(head.labels(series).clone()), source(series))));
    }

    fn in_part(&mut self, part: &Part, number: u32) -> Result<(), StoreError> {
        let matched = matching_any(part, self.selectors).and_then(|ordinals| Ok((ordinals, part.listing()?)));
        let (ordinals, mut listing) = match matched {
            Ok(matched) => matched,
            Err(error) => return set_aside(self.tsdb, error),
        };
        for (i, ordinal) in ordinals.into_iter().enumerate() {
            if i % CHECK_EVERY == 0 {
                self.context.check()?;
            }
            match listing.find(ordinal, self.range) {
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
fn set_aside(tsdb: &Tsdb, error: PartError) -> Result<(), StoreError> {
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
        let set = TsdbSeriesSet::find_any(self, selectors, range, context)?;
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
