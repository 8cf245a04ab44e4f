//! Looking at many series of a part in order: what neighbours share, their page and timestamps, is
//! fetched once.

use super::{Page, Part, PartError, index::PartIndex};
use crate::codec::values::Scratch;
use model::{Samples, TimeRange};
use std::{ops::Range, sync::Arc};
use store::QueryContext;

/// Timestamp columns that a reader keeps, shared between its parts as long as each has enough: those of
/// some hundred targets, as they come again with each metric. A column is at most 16 KiB.
const COLUMNS_KEPT: usize = 256;
/// Those of one part at least, and of one that is merged, which must not take more memory than need be.
const COLUMNS_KEPT_MIN: usize = 8;

/// See the module.
pub(crate) struct Listing<'p> {
    part: &'p Part,
    index: Arc<PartIndex>,
    page: Option<(usize, Arc<Page>)>,
    recent: Recent,
    /// Who is charged for pages and columns that are read to tell which series there are.
    payer: Option<&'p QueryContext>,
}

/// What was used last while blocks were read.
pub(super) struct Recent {
    /// By number, each at its place modulo the length.
    columns: Vec<Option<(u32, TimeRange, Stretch)>>,
    /// Of the page with this number.
    values: Option<(usize, Arc<Vec<u8>>)>,
    /// Columns that are kept.
    columns_max: usize,
    /// Everything is read once: values are not put into the cache.
    is_passing: bool,
    /// Decoded values are put into the cache.
    pub(super) keeps_floats: bool,
    pub(super) scratch: Scratch,
}

/// The timestamps of a block, and which of them are wanted.
#[derive(Clone)]
pub(super) struct Stretch {
    pub(super) times: Arc<[i64]>,
    pub(super) wanted: Range<usize>,
}

impl Recent {
    /// For who reads everything once.
    pub(super) fn in_passing() -> Self {
        Recent { is_passing: true, ..Recent::keeping(COLUMNS_KEPT_MIN) }
    }

    fn keeping(columns_max: usize) -> Self {
        Recent {
            columns: Vec::new(),
            values: None,
            columns_max,
            is_passing: false,
            keeps_floats: false,
            scratch: Scratch::default(),
        }
    }

    /// The values of a page.
    pub(super) fn values(&mut self, part: &Part, page: &Page) -> Result<Arc<Vec<u8>>, PartError> {
        if let Some((number, values)) = &self.values
            && *number == page.number()
        {
            return Ok(values.clone());
        }
        let values = part.values(page, self.is_passing)?;
        self.values = Some((page.number(), values.clone()));
        Ok(values)
    }

    /// The timestamps of a column, of which those in the closed range are wanted.
    pub(super) fn column(
        &mut self,
        part: &Part,
        index: &PartIndex,
        number: u32,
        range: TimeRange,
        payer: Option<&QueryContext>,
    ) -> Result<Stretch, PartError> {
        if self.columns.is_empty() {
            self.columns.resize(self.columns_max.min(index.columns.len().max(1)), None);
        }
        let place = number as usize % self.columns.len();
        if let Some((known, of_range, stretch)) = &self.columns[place]
            && (*known, *of_range) == (number, range)
        {
            return Ok(stretch.clone());
        }
        let times = part.column(index, number, payer)?;
        let first = times.partition_point(|&at| at < range.start);
        let end = times.partition_point(|&at| at <= range.end);
        let stretch = Stretch { times, wanted: first..end.max(first) };
        self.columns[place] = Some((number, range, stretch.clone()));
        Ok(stretch)
    }
}

impl Part {
    /// Looks at series one after the other.
    pub(crate) fn listing(&self) -> Result<Listing<'_>, PartError> {
        self.listing_among(1, false)
    }

    /// As [`Part::listing`], where so many parts are looked into at once; decoded values that are worth it
    /// are kept in the cache or not.
    pub(crate) fn listing_among(&self, parts: usize, keeps_floats: bool) -> Result<Listing<'_>, PartError> {
        let columns_max = (COLUMNS_KEPT / parts.max(1)).max(COLUMNS_KEPT_MIN);
        let recent = Recent { keeps_floats, ..Recent::keeping(columns_max) };
        Ok(Listing { part: self, index: self.index()?, page: None, recent, payer: None })
    }
}

impl<'p> Listing<'p> {
    /// With what is read for it charged.
    pub(crate) fn charged_to(self, payer: Option<&'p QueryContext>) -> Self {
        Listing { payer, ..self }
    }

    /// Turns to the page of a series and returns its place there.
    fn turn_to(&mut self, ordinal: u32) -> Result<(&Arc<Page>, usize), PartError> {
        let is_there = self.page.as_ref().is_some_and(|(number, _)| {
            let entry = &self.index.pages[*number];
            ordinal >= entry.first_ordinal && ordinal - entry.first_ordinal < entry.series
        });
        if !is_there {
            let number = self.index.page_of(ordinal);
            self.page = Some((number, self.part.page_at(&self.index, number, self.payer)?));
        }
        let Some((number, page)) = &self.page else { unreachable!("a page was turned to") };
        let place = (ordinal - self.index.pages[*number].first_ordinal) as usize;
        if place >= page.len() {
            return Err(self.part.damage("page", *number, crate::bytes::Malformed));
        }
        Ok((page, place))
    }

    /// The page of a series and its place there, if any of its blocks overlaps the closed range.
    pub(crate) fn find(
        &mut self,
        ordinal: u32,
        range: TimeRange,
    ) -> Result<Option<(&Arc<Page>, usize)>, PartError> {
        let index = self.index.clone();
        let (page, place) = self.turn_to(ordinal)?;
        let overlaps = |block: &super::page::Block| {
            let column = index.columns.get(block.column as usize);
            column.is_none_or(|column| column.range.overlaps(&range))
        };
        Ok(page.blocks(place).iter().any(overlaps).then_some((page, place)))
    }

    /// Whether the series has a sample in the closed range.
    pub(crate) fn has_samples(&mut self, ordinal: u32, range: TimeRange) -> Result<bool, PartError> {
        let (page, place) = self.turn_to(ordinal)?;
        let page = page.clone();
        self.has_samples_placed(&page, place, range)
    }

    /// Appends the samples of a series in the closed range, ascending.
    pub(crate) fn read(
        &mut self,
        ordinal: u32,
        range: TimeRange,
        into: &mut Samples,
    ) -> Result<(), PartError> {
        let (page, place) = self.turn_to(ordinal)?;
        let page = page.clone();
        self.read_placed(&page, place, range, into)?;
        Ok(())
    }

    /// As [`Part::read_placed`].
    pub(crate) fn read_placed(
        &mut self,
        page: &Page,
        place: usize,
        range: TimeRange,
        into: &mut Samples,
    ) -> Result<u64, PartError> {
        self.part.read_placed(&self.index, (page, place), range, &mut self.recent, into)
    }

    /// As [`Listing::has_samples`], of the series at a place of a page.
    pub(crate) fn has_samples_placed(
        &mut self,
        page: &Page,
        place: usize,
        range: TimeRange,
    ) -> Result<bool, PartError> {
        let deleted = self.part.deletions.of(page.ordinal(place));
        for block in page.blocks(place) {
            let Some(entry) = self.index.columns.get(block.column as usize) else { continue };
            if !entry.range.overlaps(&range) {
                continue;
            }
            let touches_end = range.contains(entry.range.start) || range.contains(entry.range.end);
            if touches_end && deleted.is_empty() {
                return Ok(true);
            }
            let Stretch { times, wanted } =
                self.recent.column(self.part, &self.index, block.column, range, self.payer)?;
            if times[wanted].iter().any(|at| !deleted.iter().any(|range| range.contains(*at))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
