//! Names of labels, or values of one, ascending: most parts of a store have the same, and then share them.

use model::TimeRange;
use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};
use store::Texts;

/// Texts of one list that are remembered as lacking samples.
const LACKING_MAX: usize = 64;

/// See the module.
#[derive(Default)]
pub(crate) struct TextList {
    texts: Arc<Texts>,
    /// Where the series of each are: of a name, those of its first value.
    series_at: Vec<u64>,
    /// Where the series are that were found to have no sample in a range. A part does not get samples, so
    /// that remains true.
    lacking: Mutex<Vec<(u64, TimeRange)>>,
}

impl TextList {
    /// Ascending by text, each once.
    fn sorted(mut found: Vec<(&str, u64)>) -> TextList {
        found.sort();
        let mut sorted = TextList::default();
        found.iter().for_each(|(text, series_at)| sorted.push(text, *series_at));
        sorted
    }

    /// Adds a text after the last one, unless it is that again.
    pub(crate) fn push(&mut self, text: &str, series_at: u64) {
        if self.len() > 0 && self.texts.get(self.len() - 1) == text {
            return;
        }
        // Nobody shares them yet.
        Arc::make_mut(&mut self.texts).push(text);
        self.series_at.push(series_at);
    }

    /// With its texts ascending, if they were pushed in another order, as names come from keys
    /// that sort by name and value together: `ab` may be before `a`.
    pub(crate) fn in_order(self) -> TextList {
        if self.texts.iter().is_sorted() { self } else { TextList::sorted(self.iter().collect()) }
    }

    /// Gives back memory that is not used.
    pub(crate) fn shrink(&mut self) {
        Arc::make_mut(&mut self.texts).shrink_to_fit();
        self.series_at.shrink_to_fit();
    }

    /// Takes the texts of another list for its own where they are the same: who compares the two
    /// is then soon done.
    pub(crate) fn share(&mut self, other: &TextList) {
        if self.is_same(other) {
            self.texts = other.texts.clone();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.series_at.len()
    }

    pub(crate) fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.bytes() + size_of_val(self.series_at.as_slice())
    }

    /// Each with where its series are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.range(0..self.len())
    }

    /// What stands between the texts that both lists begin and those that both end with, in this list and
    /// in the other: of lists that differ in few texts that is little.
    pub(crate) fn differing<'a, 'b>(
        &'a self,
        other: &'b TextList,
    ) -> (impl Iterator<Item = (&'a str, u64)>, impl Iterator<Item = (&'b str, u64)>) {
        let shorter = self.len().min(other.len());
        let (own, others) = (&self.texts, &other.texts);
        let first = (0..shorter).take_while(|at| own.get(*at) == others.get(*at)).count();
        let same_end = |back: &usize| own.get(self.len() - back) == others.get(other.len() - back);
        let last = (1..=shorter - first).take_while(same_end).count();
        (self.range(first..self.len() - last), other.range(first..other.len() - last))
    }

    fn range(&self, places: Range<usize>) -> impl Iterator<Item = (&str, u64)> {
        places.map(|at| (self.texts.get(at), self.series_at[at]))
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.texts.contains(text)
    }

    /// Whether the texts are the same, wherever their series are.
    pub(crate) fn is_same(&self, other: &TextList) -> bool {
        Arc::ptr_eq(&self.texts, &other.texts) || self.texts == other.texts
    }

    /// With those of `more`, which are ascending and not here.
    pub(crate) fn merged(&self, more: &[(&str, u64)]) -> TextList {
        TextList::sorted(self.iter().chain(more.iter().copied()).collect())
    }

    /// Whether it is known that the series at this place have no sample in the closed range.
    pub(crate) fn is_lacking(&self, series_at: u64, range: TimeRange) -> bool {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = lacking.iter().filter(|(at, _)| *at == series_at);
        known.any(|(_, known)| known.contains(range.start) && known.contains(range.end))
    }

    /// Remembers that the series at this place have no sample in the closed range, of each the last.
    pub(crate) fn note_lacking(&self, series_at: u64, range: TimeRange) {
        let mut lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        lacking.retain(|(at, _)| *at != series_at);
        if lacking.len() < LACKING_MAX {
            lacking.push((series_at, range));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> TextList {
        let mut list = TextList::default();
        texts.iter().for_each(|text| list.push(text, 0));
        list
    }

    #[test]
    fn lists_are_merged_and_searched() {
        let texts = list(&["", "", "b", "bc"]);
        assert_eq!(texts.len(), 3);
        let merged = texts.merged(&[("a", 7), ("bb", 8), ("d", 9)]);
        let expected = [("", 0), ("a", 7), ("b", 0), ("bb", 8), ("bc", 0), ("d", 9)];
        assert_eq!(merged.iter().collect::<Vec<_>>(), expected);
        assert!(expected.iter().all(|(text, _)| merged.contains(text)));
        assert!(!["A", "ba", "e"].iter().any(|text| merged.contains(text)));
    }

    #[test]
    fn names_come_in_their_own_order() {
        let names = list(&["__name__", "host_id", "host", "job"]).in_order();
        let found: Vec<_> = names.iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["__name__", "host", "host_id", "job"]);
        assert!(found.iter().all(|name| names.contains(name)));
    }

    #[test]
    fn what_differs_stands_between_what_both_begin_and_end_with() {
        let differing = |one: &[&str], other: &[&str]| {
            let (one, other) = (list(one), list(other));
            let texts = |(text, _): (&str, u64)| text.to_owned();
            let (own, others) = one.differing(&other);
            (own.map(texts).collect::<Vec<_>>().join(" "), others.map(texts).collect::<Vec<_>>().join(" "))
        };
        let expect = |own: &str, others: &str| (own.to_owned(), others.to_owned());
        assert_eq!(differing(&["a", "b", "c"], &["a", "b", "c"]), expect("", ""));
        assert_eq!(differing(&["a", "b", "c"], &["a", "c"]), expect("b", ""));
        assert_eq!(differing(&["a", "c"], &["a", "b", "c", "d"]), expect("c", "b c d"));
        assert_eq!(differing(&["a", "b", "d"], &["a", "c", "d"]), expect("b", "c"));
        assert_eq!(differing(&["a"], &[]), expect("a", ""));
        assert_eq!(differing(&["a", "aa"], &["aa"]), expect("a", ""));
        assert_eq!(differing(&["b"], &["a", "b"]), expect("", "a"));
    }

    #[test]
    fn only_lists_of_the_same_texts_are_the_same_and_share_them() {
        let mut elsewhere = TextList::default();
        [("a", 1), ("bc", 2)].iter().for_each(|(text, series_at)| elsewhere.push(text, *series_at));
        assert!(list(&["a", "bc"]).is_same(&elsewhere));
        let (same, other) = (list(&["a", "bc"]), list(&["ab", "c"]));
        elsewhere.share(&other);
        assert!(!Arc::ptr_eq(elsewhere.texts(), other.texts()));
        elsewhere.share(&same);
        assert!(Arc::ptr_eq(elsewhere.texts(), same.texts()));
        assert_eq!(elsewhere.iter().collect::<Vec<_>>(), [("a", 1), ("bc", 2)]);
        assert!(!list(&["ab", "c"]).is_same(&elsewhere));
        assert!(!list(&["a"]).is_same(&elsewhere) && !list(&["", "a", "bc"]).is_same(&elsewhere));
    }

    #[test]
    fn what_lacks_samples_in_a_range_does_so_within_it() {
        let list = list(&["a", "b"]);
        list.note_lacking(7, TimeRange::new(0, 10));
        assert!(list.is_lacking(7, TimeRange::new(0, 10)) && list.is_lacking(7, TimeRange::new(3, 3)));
        assert!(!list.is_lacking(7, TimeRange::new(0, 11)) && !list.is_lacking(7, TimeRange::new(-1, 5)));
        assert!(!list.is_lacking(8, TimeRange::new(0, 10)));
        list.note_lacking(7, TimeRange::new(20, 30));
        assert!(list.is_lacking(7, TimeRange::new(20, 30)), "the last that was asked about");
        (0..1000).for_each(|at| list.note_lacking(at, TimeRange::new(0, 0)));
        assert!(list.lacking.lock().unwrap().len() <= LACKING_MAX);
    }
}
