//! The series that the head knows, numbered as they come, and which of them have which labels.
//!
//! A label set is kept as the numbers of its pairs: a fleet repeats few names and values over very
//! many series, so a series costs some 30 bytes however long its labels are, and a pair's number is
//! the key of its postings as well. Generations share a registry for as long as most of its series
//! go on; when many have ended the next generation begins with a copy of those that have not, so
//! series that ended leave memory.
//!
//! Only the writer adds series. Whoever else reads holds its guard briefly, and one at a time.

mod matching;
mod order;
mod pairs;

use crate::{
    bytes::Reader,
    listing::{Found, Listed},
    slabs::{Slabs, Slices},
    sort::sort_checked,
    toll::Toll,
};
use model::{LabelsRef, Matcher};
use pairs::Pairs;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::{QueryContext, StopReason, StoreError};

/// See the module.
#[derive(Default)]
pub(crate) struct Registry(RwLock<RegistryState>);

#[derive(Default)]
pub(crate) struct RegistryState {
    pairs: Pairs,
    /// For each series how many labels it has, then the numbers of its pairs in canonical order.
    sets: Slices<u32>,
    /// Where in `sets` each series is.
    series: Slabs<u32>,
}

impl Registry {
    pub(crate) fn new(state: RegistryState) -> Self {
        Registry(RwLock::new(state))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, RegistryState> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Registry::read`], where a wait is charged.
    pub(crate) fn read_charged(
        &self,
        toll: &Toll<'_>,
    ) -> Result<RwLockReadGuard<'_, RegistryState>, StopReason> {
        toll.read(&self.0)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, RegistryState> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// All series in the order of parts.
    pub(crate) fn in_order(&self) -> Vec<u32> {
        // Sorting takes a while: only copying what to sort by holds the writer up.
        let keys = self.read().order_keys();
        keys.sorted()
    }
}

impl RegistryState {
    pub(crate) fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether another batch may add series.
    pub(crate) fn has_room(&self) -> bool {
        self.sets.has_room() && self.pairs.has_room()
    }

    /// Adds a series that is not there yet; its number is the length before.
    pub(crate) fn add(&mut self, labels: LabelsRef<'_>) {
        let series = self.len() as u32;
        let mut set = vec![0];
        for pair in pairs_of(labels) {
            set.push(self.pairs.intern(pair, series));
        }
        set[0] = set.len() as u32 - 1;
        let place = self.sets.push(&set);
        self.series.push(place);
    }

    #[inline]
    fn set(&self, series: u32) -> &[u32] {
        let set = self.sets.from(self.series[series]);
        &set[1..=set[0] as usize]
    }

    /// Whether these are the labels of the series.
    #[inline]
    pub(crate) fn is_labels(&self, series: u32, labels: LabelsRef<'_>) -> bool {
        let mut rest = labels.as_bytes();
        for &pair in self.set(series) {
            match rest.strip_prefix(self.pairs.bytes(pair)) {
                Some(behind) => rest = behind,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// Replaces `out` with the canonical bytes of the series' labels.
    pub(crate) fn put_labels(&self, series: u32, out: &mut Vec<u8>) {
        out.clear();
        for &pair in self.set(series) {
            out.extend_from_slice(self.pairs.bytes(pair));
        }
    }

    /// Steps that it takes to find the series that any of `selectors` matches, or a few more.
    pub(crate) fn steps_to_match(&self, selectors: &[Vec<Matcher>]) -> usize {
        let of = |matchers: &Vec<Matcher>| matching::steps(self, matchers);
        if selectors.is_empty() { self.len() } else { selectors.iter().map(of).sum() }
    }

    /// Series that any of `selectors` matches, all when there is none; ascending.
    ///
    /// # Errors
    /// When the context stops the query.
    pub(crate) fn matching_any(
        &self,
        selectors: &[Vec<Matcher>],
        context: &QueryContext,
    ) -> Result<Vec<u32>, StopReason> {
        match selectors {
            [] => matching::matching(self, &[], context),
            [only] => matching::matching(self, only, context),
            many => {
                let mut series = Vec::new();
                for matchers in many {
                    series.extend(matching::matching(self, matchers, context)?);
                }
                sort_checked(&mut series, context, u32::cmp)?;
                series.dedup();
                Ok(series)
            }
        }
    }

    /// Adds names, or values of a name, that one of `series` has which passes `is_live`.
    pub(crate) fn list_of(
        &self,
        series: &[u32],
        listed: Listed<'_>,
        found: &mut Found<'_>,
        mut is_live: impl FnMut(u32) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let wanted = match listed {
            Listed::Names => None,
            Listed::Values(name) => match self.pairs.with_name(name) {
                None => return Ok(()),
                Some((number, _)) => Some(number),
            },
        };
        // Neighbours mostly have the same pair, which need not be looked up by its text again.
        let mut known = None;
        for &series in series {
            for &pair in self.set(series) {
                let text = match wanted {
                    None => self.pairs.name_text(pair),
                    Some(number) if self.pairs.name(pair) == number && known != Some(pair) => {
                        self.pairs.value(pair)
                    }
                    Some(_) => continue,
                };
                found.add(text, std::iter::once(series), &mut is_live)?;
                known = found.has(text).then_some(pair);
            }
        }
        Ok(())
    }

    /// Adds names, or values of a name, that a series has which passes `is_live`.
    pub(crate) fn list(
        &self,
        listed: Listed<'_>,
        found: &mut Found<'_>,
        mut is_live: impl FnMut(u32) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        let series_of = |pair: &u32| self.pairs.postings(*pair).iter();
        match listed {
            Listed::Names => {
                for (name, pairs) in self.pairs.names() {
                    found.add(name, pairs.iter().flat_map(series_of), &mut is_live)?;
                }
            }
            Listed::Values(name) => {
                for pair in self.pairs.with_name(name).unwrap_or_default().1 {
                    found.add(self.pairs.value(*pair), series_of(pair), &mut is_live)?;
                }
            }
        }
        Ok(())
    }

    /// The series with exactly these labels.
    pub(crate) fn find(&self, labels: LabelsRef<'_>) -> Option<u32> {
        let mut shortest = None;
        for pair in pairs_of(labels) {
            let postings = self.pairs.postings(self.pairs.find(pair.bytes)?);
            if shortest.is_none_or(|shortest: &crate::postings::Postings| postings.len() < shortest.len()) {
                shortest = Some(postings);
            }
        }
        shortest?.iter().find(|&series| self.is_labels(series, labels))
    }
}

/// A label as its canonical bytes, and its name.
#[derive(Clone, Copy)]
struct Pair<'a> {
    bytes: &'a [u8],
    name: &'a [u8],
}

fn pairs_of(labels: LabelsRef<'_>) -> impl Iterator<Item = Pair<'_>> {
    let mut rest = labels.as_bytes();
    std::iter::from_fn(move || {
        let mut reader = Reader::new(rest);
        let name = reader.field().ok()?;
        reader.field().ok()?;
        let bytes = &rest[..rest.len() - reader.rest().len()];
        rest = reader.rest();
        Some(Pair { bytes, name })
    })
}

#[cfg(test)]
mod tests;
