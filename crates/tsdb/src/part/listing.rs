//! Looking at many series of a part in order: neighbours share a page, which is fetched once.

use super::{Page, Part, PartError, index::PartIndex};
use model::TimeRange;
use std::sync::Arc;

/// See the module.
pub(crate) struct Listing<'p> {
    part: &'p Part,
    index: Arc<PartIndex>,
    page: Option<(usize, Arc<Page>)>,
}

impl Part {
    /// Looks at series one after the other.
    pub(crate) fn listing(&self) -> Result<Listing<'_>, PartError> {
        Ok(Listing { part: self, index: self.index()?, page: None })
    }
}

impl Listing<'_> {
    /// The page of a series and its place there, if any of its blocks overlaps the closed range.
    pub(crate) fn find(
        &mut self,
        ordinal: u32,
        range: TimeRange,
    ) -> Result<Option<(&Arc<Page>, usize)>, PartError> {
        let number = self.index.page_of(ordinal);
        if self.page.as_ref().is_none_or(|(current, _)| *current != number) {
            self.page = Some((number, self.part.page_at(&self.index, number)?));
        }
        let Some((_, page)) = &self.page else { return Ok(None) };
        let place = (ordinal - self.index.pages[number].first_ordinal) as usize;
        if place >= page.len() {
            return Err(self.part.damage("page", number, crate::bytes::Malformed));
        }
        let overlaps = |block: &super::page::Block| {
            let column = self.index.columns.get(block.column as usize);
            column.is_none_or(|column| column.range.overlaps(&range))
        };
        Ok(page.blocks(place).iter().any(overlaps).then_some((page, place)))
    }
}
