//! Finding and reading series over the heads and the parts.

use crate::{
    head::Head,
    part::{Part, PartError},
    store_impl::{Tsdb, View},
};
use model::{Labels, Matcher, Samples, TimeRange};
use roaring::RoaringBitmap;
use std::sync::Arc;
use store::{QueryContext, Selection, SeriesSet, StoreError};

/// The context is asked whether to go on once in this many series.
const CHECK_EVERY: usize = 1024;
/// Memory charged for a sample that is read.
const SAMPLE_BYTES: u64 = 16;

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
        let mut found: Vec<(Labels, Source)> = Vec::new();
        if range.start <= range.end {
            for (number, part) in view.parts.iter().enumerate() {
                if part.time_range().overlaps(&range) {
                    find_in_part(tsdb, part, number as u32, selectors, range, context, &mut found)?;
                }
            }
            if let Some(sealing) = &view.sealing {
                find_in_head(sealing, selectors, range, Source::Sealing, &mut found);
            }
            find_in_head(&view.head, selectors, range, Source::Head, &mut found);
        }
        context.check()?;
        found.sort_unstable();
        let mut set =
            TsdbSeriesSet { view, range, labels: Vec::new(), ends: Vec::new(), sources: Vec::new() };
        for (labels, source) in found {
            set.sources.push(source);
            let end = set.sources.len() as u32;
            if set.labels.last() == Some(&labels) {
                set.ends.pop();
            } else {
                set.labels.push(labels);
            }
            set.ends.push(end);
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

fn find_in_head(
    head: &Head,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    source: impl Fn(u32) -> Source,
    found: &mut Vec<(Labels, Source)>,
) {
    let head = head.read();
    let mut series = match selectors {
        [] => head.matching(&[]),
        [only] => head.matching(only),
        many => many.iter().flat_map(|matchers| head.matching(matchers)).collect(),
    };
    if selectors.len() > 1 {
        series.sort_unstable();
        series.dedup();
    }
    let overlaps = |&series: &u32| head.bounds(series).is_some_and(|bounds| bounds.overlaps(&range));
    let series = series.into_iter().filter(overlaps);
    found.extend(series.map(|series| (head.labels(series).clone(), source(series))));
}

fn find_in_part(
    tsdb: &Tsdb,
    part: &Part,
    number: u32,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    context: &QueryContext,
    found: &mut Vec<(Labels, Source)>,
) -> Result<(), StoreError> {
    let ordinals = match matching_any(part, selectors) {
        Ok(ordinals) => ordinals,
        Err(error) => return set_aside(tsdb, error),
    };
    for (i, ordinal) in ordinals.into_iter().enumerate() {
        if i % CHECK_EVERY == 0 {
            context.check()?;
        }
        match part.labels_if_overlapping(ordinal, range) {
            Ok(Some(labels)) => found.push((labels, Source::Part { part: number, ordinal })),
            Ok(None) => {}
            Err(error) => set_aside(tsdb, error)?,
        }
    }
    Ok(())
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
        let mut bytes = 0;
        let mut run = Samples::default();
        for &source in self.sources(index) {
            run.clear();
            match self.read_source(source, &mut run) {
                Ok(read) => bytes += read,
                // The part has marked itself damaged, and maintenance reports it; the rest is served.
                Err(error @ PartError::Damaged { .. }) => {
                    tracing::error!(%error, "a series is served without a block that cannot be read");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            crate::columns::append_run(into, &mut run);
        }
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
