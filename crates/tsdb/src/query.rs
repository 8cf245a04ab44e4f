//! Finding and reading series over the heads and the parts.

use crate::{
    columns::{append_run, split_off},
    head::Head,
    part::{FLOATS_GENERATION_BYTES, Listing, Page, Part, PartError},
    sort::sort_checked,
    store_impl::{Tsdb, View},
    tiers::{PlannedPart, plan},
    toll::Toll,
};
use model::{Labels, LabelsRef, Matcher, Samples, TimeRange, Value};
use roaring::RoaringBitmap;
use std::sync::Arc;
use store::{Aggregate, QueryContext, SeriesReader, SeriesSet, StopReason, StoreError};

/// The context is asked whether to go on once in this many series.
pub(crate) const CHECK_EVERY: usize = 1024;
/// Samples that are decoded beside those that are wanted of a series, about.
const DECODED_BESIDE: f64 = 128.0;
/// Known series that the next one of a source is compared with: it mostly is that which comes next.
const LOOK_AHEAD: usize = 4;
/// Steps of a [`Toll`] to find a series in a part, and the bytes of labels that are copied in one.
const STEPS_TO_FIND: usize = 2;
const LABEL_BYTES: usize = 64;
/// Memory charged for a sample that is read.
const SAMPLE_BYTES: u64 = 16;

/// Where samples of a series are. The order is that in which they were taken: earlier sources win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Part { part: u32, page: u32, place: u32 },
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
    /// Parts that were looked into, and the pages of what was found there.
    parts: Vec<PlannedPart>,
    pages: Vec<Arc<Page>>,
    /// Of what is in memory.
    range: TimeRange,
    /// Samples that were not folded stand for how many they are: one.
    is_count: bool,
    /// Decoded values are put into the cache: all of them have room there.
    keeps_floats: bool,
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
        toll: &mut Toll<'_>,
    ) -> Result<Self, StoreError> {
        let context = toll.context();
        context.check()?;
        let view = tsdb.view();
        let range = tsdb.visible(reading.range);
        let parts =
            plan(&view, (range, reading.range), tsdb.tier_oldest_ms(), reading.step_ms, reading.aggregate);
        let mut finder = Finder::new(tsdb, selectors, toll);
        for (number, planned) in parts.iter().enumerate() {
            finder.in_part(&planned.part, planned.range, number as u32)?;
        }
        if range.start <= range.end {
            if let Some(sealing) = &view.sealing {
                finder.in_head(sealing, range, Source::Sealing)?;
            }
            finder.in_head(&view.head, range, Source::Head)?;
        }
        let order = finder.order()?;
        let (starts, sources) = finder.sources();
        let mut set = TsdbSeriesSet {
            view,
            parts: Vec::new(),
            pages: Vec::new(),
            range,
            is_count: reading.aggregate == Aggregate::Count,
            keeps_floats: false,
            labels: Vec::new(),
            ends: Vec::new(),
            sources: Vec::new(),
        };
        for series in order {
            let series = series as usize;
            let label_bytes = finder.labels(&finder.series[series]).as_bytes().len();
            finder.toll.walk(1 + label_bytes / LABEL_BYTES)?;
            set.sources.extend(&sources[starts[series] as usize..starts[series + 1] as usize]);
            let labels = finder.labels(&finder.series[series]);
            if set.labels.last().is_some_and(|last: &Labels| last.as_ref() == labels) {
                set.ends.pop();
                let start = set.ends.last().map_or(0, |end| *end as usize);
                set.sources[start..].sort_unstable();
            } else {
                set.labels.push(finder.series[series].1.clone().unwrap_or_else(|| labels.to_owned()));
            }
            set.ends.push(set.sources.len() as u32);
        }
        set.pages = finder.pages;
        set.parts = parts;
        set.keeps_floats = set.has_room_to_keep();
        Ok(set)
    }

    /// Whether the samples of parts, and those that are decoded with them, fit into a generation of the
    /// cache: of more, none would be there when they are asked for again.
    fn has_room_to_keep(&self) -> bool {
        let of_part = |planned: &PlannedPart| planned.part.samples_in(planned.range) + DECODED_BESIDE;
        let samples: f64 = self.parts.iter().map(of_part).sum();
        samples * self.len() as f64 * size_of::<f64>() as f64 <= FLOATS_GENERATION_BYTES as f64
    }

    fn sources(&self, index: usize) -> &[Source] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.sources[start as usize..self.ends[index] as usize]
    }
}

/// Reads the series of a set for one thread.
struct Reader<'s> {
    set: &'s TsdbSeriesSet,
    /// By number of the part, once it was looked into.
    listings: Vec<Option<Listing<'s>>>,
    /// Who is charged for what is read to tell which series there are.
    payer: Option<&'s QueryContext>,
}

impl<'s> Reader<'s> {
    fn new(set: &'s TsdbSeriesSet, payer: Option<&'s QueryContext>) -> Self {
        Reader { set, listings: set.parts.iter().map(|_| None).collect(), payer }
    }

    /// A part that is looked into, and what of it is wanted.
    fn listing(&mut self, number: u32) -> Result<(&'s PlannedPart, &mut Listing<'s>), PartError> {
        let planned = &self.set.parts[number as usize];
        let slot = &mut self.listings[number as usize];
        let listing = match slot {
            Some(listing) => listing,
            None => {
                let listing = planned.part.listing_among(self.set.parts.len(), self.set.keeps_floats)?;
                slot.insert(listing.charged_to(self.payer))
            }
        };
        Ok((planned, listing))
    }

    /// Whether the series has a sample in the range.
    fn has_samples(&mut self, index: usize, toll: &mut Toll<'_>) -> Result<bool, PartError> {
        let set = self.set;
        let asked = |head: &Head, series, toll: &mut Toll<'_>| {
            toll.walk(head.steps_to_decode(set.range))?;
            Ok::<_, StopReason>(head.read_charged(toll)?.has_samples(series, set.range))
        };
        for &source in set.sources(index) {
            let has_samples = match source {
                Source::Part { part, page, place } => {
                    let (planned, listing) = self.listing(part)?;
                    listing.has_samples_placed(&set.pages[page as usize], place as usize, planned.range)?
                }
                Source::Sealing(series) => {
                    let Some(head) = &set.view.sealing else { continue };
                    asked(head, series, toll)?
                }
                Source::Head(series) => asked(&set.view.head, series, toll)?,
            };
            if has_samples {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Joins what all sources have in `into`, which is empty, and returns the bytes decoded.
    fn read_all(&mut self, index: usize, into: &mut Samples) -> Result<u64, PartError> {
        let mut bytes = 0;
        for &source in self.set.sources(index) {
            let before = into.len();
            match self.read_source(source, into) {
                Ok(read) => bytes += read,
                // The part has marked itself damaged, and maintenance reports it; the rest is served.
                Err(error @ PartError::Damaged { .. }) => {
                    tracing::error!(%error, "a series is served without a block that cannot be read");
                    split_off(into, before);
                }
                Err(error) => return Err(error),
            }
            let is_ascending = before == 0
                || into.timestamps_ms.get(before).is_none_or(|at| *at > into.timestamps_ms[before - 1]);
            if !is_ascending {
                let mut run = split_off(into, before);
                append_run(into, &mut run);
            }
        }
        Ok(bytes)
    }

    /// Appends what one source has and returns the bytes decoded.
    fn read_source(&mut self, source: Source, into: &mut Samples) -> Result<u64, PartError> {
        let (set, before) = (self.set, into.len());
        let mut bytes = 0;
        let mut is_raw = true;
        match source {
            Source::Part { part, page, place } => {
                let (planned, listing) = self.listing(part)?;
                bytes =
                    listing.read_placed(&set.pages[page as usize], place as usize, planned.range, into)?;
                is_raw = planned.is_raw;
            }
            Source::Sealing(series) => {
                if let Some(head) = &set.view.sealing {
                    head.read().samples(series, set.range, into);
                }
            }
            Source::Head(series) => set.view.head.read().samples(series, set.range, into),
        }
        if !matches!(source, Source::Part { .. }) {
            bytes = (into.len() - before) as u64 * SAMPLE_BYTES + into.histogram_bytes(before) as u64;
        }
        if set.is_count && is_raw {
            count_each(into, before);
        }
        Ok(bytes)
    }
}

impl SeriesReader for Reader<'_> {
    fn read(&mut self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        context.check()?;
        into.clear();
        let bytes = self.read_all(index, into)?;
        context.charge_read(into.len() as u64, bytes)?;
        Ok(())
    }
}

/// Puts 1 in place of every sample after the first `before` but staleness markers.
fn count_each(samples: &mut Samples, before: usize) {
    let counted = split_off(samples, before);
    for i in 0..counted.len() {
        let value = if counted.is_stale(i) { counted.value(i) } else { Value::Float(1.0) };
        samples.push(counted.timestamps_ms[i], 0, &value);
    }
}

/// Collects what selectors match.
struct Finder<'a, 'q> {
    tsdb: &'a Tsdb,
    selectors: &'a [Vec<Matcher>],
    toll: &'a mut Toll<'q>,
    pages: Vec<Arc<Page>>,
    /// In order of sources, with the number of the series.
    found: Vec<(Source, u32)>,
    /// Where each series was found first, with its labels, where they are not in a page: those are copied
    /// once for all sources. What was found out of order may be here twice.
    series: Vec<(Source, Option<Labels>)>,
    /// The series that is expected next.
    next: usize,
}

impl<'a, 'q> Finder<'a, 'q> {
    fn new(tsdb: &'a Tsdb, selectors: &'a [Vec<Matcher>], toll: &'a mut Toll<'q>) -> Self {
        let (pages, found, series) = (Vec::new(), Vec::new(), Vec::new());
        Finder { tsdb, selectors, toll, pages, found, series, next: 0 }
    }

    /// Adds what was found in a source. All sources have mostly the same series in the same order.
    fn add(&mut self, source: Source, labels: Option<Labels>) {
        let found = (source, labels);
        let ahead = self.next..self.series.len().min(self.next + LOOK_AHEAD);
        let known = ahead.clone().find(|&i| self.labels(&self.series[i]) == self.labels(&found));
        let number = known.unwrap_or(self.series.len());
        match known {
            Some(number) => self.next = number + 1,
            None => self.series.push(found),
        }
        self.found.push((source, number as u32));
    }

    fn in_head(
        &mut self,
        head: &Head,
        range: TimeRange,
        source: impl Fn(u32) -> Source,
    ) -> Result<(), StopReason> {
        self.next = 0;
        for (labels, series) in head.matching(self.selectors, range, self.toll)? {
            self.add(source(series), Some(labels));
        }
        Ok(())
    }

    fn in_part(&mut self, part: &Part, range: TimeRange, number: u32) -> Result<(), StoreError> {
        let payer = self.toll.payer();
        part.pay_for_index(payer)?;
        self.toll.walk(part.steps_to_match(self.selectors))?;
        let matched = matching_any(part, self.selectors, self.toll.context())
            .and_then(|ordinals| Ok((ordinals, part.listing()?.charged_to(payer))));
        let (ordinals, mut listing) = match matched {
            Ok(matched) => matched,
            Err(error) => return set_aside(self.tsdb, error),
        };
        self.next = 0;
        for ordinal in ordinals {
            self.toll.walk(STEPS_TO_FIND)?;
            match listing.find(ordinal, range) {
                Ok(Some((page, place))) => {
                    if self.pages.last().is_none_or(|last| !Arc::ptr_eq(last, page)) {
                        self.pages.push(page.clone());
                    }
                    let (page, place) = (self.pages.len() as u32 - 1, place as u32);
                    self.add(Source::Part { part: number, page, place }, None);
                }
                Ok(None) => {}
                Err(error) => set_aside(self.tsdb, error)?,
            }
        }
        Ok(())
    }

    fn labels<'l>(&'l self, found: &'l (Source, Option<Labels>)) -> LabelsRef<'l> {
        match found {
            (_, Some(labels)) => labels.as_ref(),
            (Source::Part { page, place, .. }, None) => self.pages[*page as usize].labels(*place as usize),
            (Source::Sealing(_) | Source::Head(_), None) => unreachable!("heads tell their labels"),
        }
    }

    /// Numbers of series by labels. Heads come in order and parts nearly so, which the sort makes use of.
    fn order(&self) -> Result<Vec<u32>, StopReason> {
        let mut order: Vec<u32> = (0..self.series.len() as u32).collect();
        let labels = |number: u32| self.labels(&self.series[number as usize]);
        sort_checked(&mut order, self.toll.context(), |&a, &b| labels(a).cmp(&labels(b)))?;
        Ok(order)
    }

    /// Sources by series: those of number i at `starts[i]..starts[i + 1]`, each in their order.
    fn sources(&self) -> (Vec<u32>, Vec<Source>) {
        let mut starts = vec![0; self.series.len() + 2];
        self.found.iter().for_each(|(_, number)| starts[*number as usize + 2] += 1);
        for i in 2..starts.len() {
            starts[i] += starts[i - 1];
        }
        let mut sources: Vec<Source> = self.found.iter().map(|(source, _)| *source).collect();
        for (source, number) in &self.found {
            let place = &mut starts[*number as usize + 1];
            sources[*place as usize] = *source;
            *place += 1;
        }
        starts.pop();
        (starts, sources)
    }
}

/// Series of a part that any of `selectors` matches, all when there is none.
pub(crate) fn matching_any(
    part: &Part,
    selectors: &[Vec<Matcher>],
    context: &QueryContext,
) -> Result<RoaringBitmap, PartError> {
    if selectors.is_empty() {
        return part.matching(&[], context);
    }
    let mut union = RoaringBitmap::new();
    for matchers in selectors {
        union |= part.matching(matchers, context)?;
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
        self.reader().read(index, context, into)
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(Reader::new(self, None))
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
        let mut toll = Toll::of_listing(context);
        let set = TsdbSeriesSet::find(self, selectors, reading, &mut toll)?;
        let mut kept = Vec::with_capacity(set.len());
        let mut reader = Reader::new(&set, toll.payer());
        for index in 0..set.len() {
            toll.walk(1)?;
            match reader.has_samples(index, &mut toll) {
                Ok(true) => kept.push(set.labels[index].clone()),
                Ok(false) => {}
                Err(error) => set_aside(self, error)?,
            }
        }
        Ok(kept)
    }
}
