//! Names and values of labels over all series.
//!
//! One series with a sample in the range is enough for a name or a value to be listed. Without a
//! selector, names and values are walked and of most only their first series is looked at, and none in
//! a part that lies within the range; with a selector, the series that it matches are walked, and those
//! with something new are looked at.

use crate::{
    head::Head,
    part::{self, Part, TextList},
    query::{matching_any, set_aside},
    store_impl::Tsdb,
    tiers::{PlannedPart, plan},
    toll::Toll,
};
use model::{LabelsRef, Matcher, TimeRange};
use std::{collections::BTreeSet, sync::Arc};
use store::{Aggregate, QueryContext, StoreError, Texts};

/// Steps of a [`Toll`] to ask about a series, and the bytes of a list that are compared in one.
const STEPS_TO_ASK: usize = 4;
pub(crate) const BYTES_COMPARED: usize = 1024;

/// What is listed.
#[derive(Clone, Copy)]
pub(crate) enum Listed<'a> {
    /// Names of labels.
    Names,
    /// Values of the label of this name.
    Values(&'a str),
}

impl<'a> Listed<'a> {
    /// What is listed of one series.
    fn of<'l>(self, labels: LabelsRef<'l>) -> impl Iterator<Item = &'l str>
    where
        'a: 'l,
    {
        labels.iter().filter_map(move |(name, value)| match self {
            Listed::Names => Some(name),
            Listed::Values(wanted) => (name == wanted).then_some(value),
        })
    }
}

/// What has been found so far, and the question that is put to series.
pub(crate) struct Found<'q> {
    /// What came as lists, of which parts mostly have the same.
    lists: Arc<TextList>,
    /// What came alone, and is in no list.
    alone: BTreeSet<String>,
    /// What asking about a series takes.
    steps_to_ask: usize,
    pub(crate) toll: Toll<'q>,
}

impl<'q> Found<'q> {
    fn new(context: &'q QueryContext) -> Self {
        let (lists, alone, toll) = (Arc::default(), BTreeSet::new(), Toll::of_listing(context));
        Found { lists, alone, steps_to_ask: STEPS_TO_ASK, toll }
    }

    /// Adds `text`, if it is new and one of `series` passes `is_live`; whether it is known now.
    pub(crate) fn add(
        &mut self,
        text: &str,
        series: impl Iterator<Item = u32>,
        mut is_live: impl FnMut(u32) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        self.toll.walk(1 + text.len() / BYTES_COMPARED)?;
        if self.has(text) {
            return Ok(true);
        }
        for series in series {
            self.toll.walk(self.steps_to_ask)?;
            if is_live(series)? {
                self.alone.insert(text.into());
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds `text`, which a series with samples has.
    pub(crate) fn add_live(&mut self, text: &str) -> Result<(), StoreError> {
        self.toll.walk(1)?;
        if !self.has(text) {
            self.alone.insert(text.into());
        }
        Ok(())
    }

    /// Those of a list that are not known.
    pub(crate) fn missing<'t>(&mut self, texts: &'t TextList) -> Result<Vec<(&'t str, u64)>, StoreError> {
        self.toll.walk(1 + texts.bytes() / BYTES_COMPARED)?;
        if self.lists.is_same(texts) {
            return Ok(Vec::new());
        }
        self.toll.walk(texts.len() + self.lists.len())?;
        let (texts, known) = texts.differing(&self.lists);
        let mut known = known.map(|(text, _)| text).peekable();
        let is_missing = |(text, _): &(&str, u64)| {
            while known.next_if(|known| known < text).is_some() {}
            known.peek() != Some(text) && !self.alone.contains(*text)
        };
        Ok(texts.filter(is_missing).collect())
    }

    fn is_empty(&self) -> bool {
        self.lists.len() == 0 && self.alone.is_empty()
    }

    /// Whether it is known already.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.alone.contains(text) || self.lists.contains(text)
    }

    /// All that was found, ascending.
    fn into_texts(mut self) -> Result<Arc<Texts>, StoreError> {
        self.toll.walk(self.lists.len())?;
        let texts = self.lists.texts();
        if self.alone.is_empty() {
            return Ok(texts.clone());
        }
        Ok(Arc::new(texts.merged(&self.alone.iter().collect())))
    }
}

impl Tsdb {
    /// Names or values of the series that any of `selectors` matches (all when empty) and that have
    /// samples in the range, ascending.
    pub(crate) fn listed(
        &self,
        listed: Listed<'_>,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        context.check()?;
        let view = self.view();
        let visible = self.visible(range);
        let mut found = Found::new(context);
        let is_touched = |head: &&Arc<Head>| {
            visible.start <= visible.end && head.time_range().is_some_and(|times| times.overlaps(&visible))
        };
        let heads = view.sealing.iter().chain([&view.head]).filter(is_touched);
        // A head of which few series have samples, as just after it was sealed, is asked about nearly all
        // of them for each text: what parts know needs no asking.
        let (mut full, mut sparse) = (Vec::new(), Vec::new());
        for head in heads {
            let list = if head.is_mostly_active(&found.toll)? { &mut full } else { &mut sparse };
            list.push(head);
        }
        let planned = plan(&view, (visible, range), self.tier_oldest_ms(), 0, Aggregate::Last);
        // What parts that lie within the range have needs no asking, unless it is to be matched, and all
        // else mostly has nothing more.
        let (whole, mut cut): (Vec<_>, Vec<_>) =
            planned.into_iter().partition(|planned| planned.part.is_within(planned.range));
        if selectors.is_empty() {
            self.list_parts(&whole, listed, selectors, &mut found)?;
        } else {
            cut.splice(..0, whole);
        }
        for head in full {
            list_head(head, listed, selectors, visible, &mut found)?;
        }
        self.list_parts(&cut, listed, selectors, &mut found)?;
        for head in sparse {
            list_head(head, listed, selectors, visible, &mut found)?;
        }
        found.into_texts()
    }

    fn list_parts(
        &self,
        parts: &[PlannedPart],
        listed: Listed<'_>,
        selectors: &[Vec<Matcher>],
        found: &mut Found<'_>,
    ) -> Result<(), StoreError> {
        for PlannedPart { part, range, .. } in parts {
            let done = if selectors.is_empty() {
                self.list_part(part, listed, *range, found)
            } else {
                self.list_matched(part, listed, selectors, *range, found)
            };
            match done {
                Err(StoreError::Damaged(what)) => self.note_damage(&what),
                other => other?,
            }
        }
        Ok(())
    }

    fn list_part(
        &self,
        part: &Part,
        listed: Listed<'_>,
        range: TimeRange,
        found: &mut Found<'_>,
    ) -> Result<(), StoreError> {
        let kept = part.texts(listed, found)?;
        if let Some(texts) = kept.as_ref().filter(|_| part.is_within(range) && found.is_empty()) {
            found.lists = texts.clone();
            return Ok(());
        }
        let missing = kept.as_deref().map(|texts| found.missing(texts)).transpose()?;
        match (&kept, missing) {
            (_, Some(missing)) if missing.is_empty() => return Ok(()),
            (_, Some(missing)) if part.is_within(range) => {
                found.lists = Arc::new(found.lists.merged(&missing));
                return Ok(());
            }
            (Some(texts), Some(missing)) if matches!(listed, Listed::Values(_)) => {
                return self.list_missing(part, (texts, missing), range, found);
            }
            (_, None) if part.is_within(range) => return part.list_all(listed, found),
            _ => {}
        }
        let payer = found.toll.payer();
        part.pay_for_index(payer)?;
        let mut listing = part.listing()?.charged_to(payer);
        let mut is_live = |ordinal| self.is_live(&mut listing, ordinal, range);
        part.list(listed, None, found, &mut is_live).map(drop)
    }

    /// Adds those of the `missing` values of a part, out of all that it has, of which a series has samples
    /// in the range. Mostly none is: a server's own instance where the range has ended before it began. So
    /// what is found to be lacking is remembered.
    fn list_missing(
        &self,
        part: &Part,
        (texts, mut missing): (&TextList, Vec<(&str, u64)>),
        range: TimeRange,
        found: &mut Found<'_>,
    ) -> Result<(), StoreError> {
        let own = part.time_range();
        let range = TimeRange::new(range.start.max(own.start), range.end.min(own.end));
        found.toll.walk(missing.len())?;
        missing.retain(|(_, series_at)| !texts.is_lacking(*series_at, range));
        if missing.is_empty() {
            return Ok(());
        }
        let payer = found.toll.payer();
        part.pay_for_index(payer)?;
        let mut listing = part.listing()?.charged_to(payer);
        for value in missing {
            let mut is_known = true;
            let mut is_live = |ordinal| {
                listing.has_samples(ordinal, range).or_else(|error| {
                    is_known = false;
                    set_aside(self, error).map(|()| false)
                })
            };
            if !part.list_value(value, found, &mut is_live)? && is_known {
                texts.note_lacking(value.1, range);
            }
        }
        Ok(())
    }

    fn list_matched(
        &self,
        part: &Part,
        listed: Listed<'_>,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        found: &mut Found<'_>,
    ) -> Result<(), StoreError> {
        let payer = found.toll.payer();
        part.pay_for_index(payer)?;
        found.toll.walk(part.steps_to_match(selectors))?;
        let matched = matching_any(part, selectors, found.toll.context())?;
        let mut listing = part.listing()?.charged_to(payer);
        // Most labels have few values, whose series are soon compared with those that match.
        let mut is_live = |ordinal| self.is_live(&mut listing, ordinal, range);
        if part.list(listed, Some(&matched), found, &mut is_live)? {
            return Ok(());
        }
        for ordinal in matched {
            found.toll.walk(STEPS_TO_ASK)?;
            let page = match listing.find(ordinal, range) {
                Ok(Some((page, place))) => (page.clone(), place),
                Ok(None) => continue,
                Err(error) => {
                    set_aside(self, error)?;
                    continue;
                }
            };
            for text in listed.of(page.0.labels(page.1)) {
                found.add(text, std::iter::once(ordinal), |ordinal| {
                    self.is_live(&mut listing, ordinal, range)
                })?;
            }
        }
        Ok(())
    }

    /// Whether a series of a part has samples in the range, as far as can be read.
    fn is_live(
        &self,
        listing: &mut part::Listing<'_>,
        ordinal: u32,
        range: TimeRange,
    ) -> Result<bool, StoreError> {
        listing.has_samples(ordinal, range).or_else(|error| set_aside(self, error).map(|()| false))
    }
}

fn list_head(
    head: &Head,
    listed: Listed<'_>,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    found: &mut Found<'_>,
) -> Result<(), StoreError> {
    found.steps_to_ask = STEPS_TO_ASK + head.steps_to_decode(range);
    let listed = list_series(head, listed, selectors, range, found);
    found.steps_to_ask = STEPS_TO_ASK;
    listed
}

fn list_series(
    head: &Head,
    listed: Listed<'_>,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    found: &mut Found<'_>,
) -> Result<(), StoreError> {
    let registry = head.registry().read_charged(&found.toll)?;
    let tails = head.read_charged(&found.toll)?;
    let is_live = |series| Ok(tails.has_samples(series, range));
    if selectors.is_empty() {
        return registry.list(listed, found, is_live);
    }
    found.toll.walk(registry.steps_to_match(selectors) * STEPS_TO_ASK)?;
    let matching = registry.matching_any(selectors, found.toll.context())?;
    registry.list_of(&matching, listed, found, is_live)
}
