//! Names of labels, or values of one, ascending, in one buffer: most parts of a store have the same,
//! which is then told by one comparison.

use std::ops::Range;

/// See the module.
#[derive(Default)]
pub(crate) struct TextList {
    texts: String,
    /// Where each ends, and where its series are: of a name, those of its first value.
    places: Vec<(u32, u64)>,
}

impl TextList {
    /// With its texts ascending, if they were pushed in another order, as names come from keys
    /// that sort by name and value together: `ab` may be before `a`.
    pub(crate) fn in_order(self) -> TextList {
        let mut texts: Vec<(&str, u64)> = self.iter().collect();
        if texts.is_sorted() {
            return self;
        }
        texts.sort_unstable();
        let mut sorted = TextList::default();
        texts.iter().for_each(|(text, series_at)| sorted.push(text, *series_at));
        sorted
    }

    /// Gives back memory that is not used.
    pub(crate) fn shrink(&mut self) {
        self.texts.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    /// Adds a text that is not less than the last one, unless it is that again.
    pub(crate) fn push(&mut self, text: &str, series_at: u64) {
        if self.len() > 0 && self.text(self.len() - 1) == text {
            return;
        }
        self.texts.push_str(text);
        self.places.push((self.texts.len() as u32, series_at));
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.texts.len() + size_of_val(self.places.as_slice())
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
        let first = (0..shorter).take_while(|at| self.text(*at) == other.text(*at)).count();
        let same_end = |back: &usize| self.text(self.len() - back) == other.text(other.len() - back);
        let last = (1..=shorter - first).take_while(same_end).count();
        (self.range(first..self.len() - last), other.range(first..other.len() - last))
    }

    fn range(&self, places: Range<usize>) -> impl Iterator<Item = (&str, u64)> {
        places.map(|at| (self.text(at), self.places[at].1))
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        let (mut first, mut end) = (0, self.len());
        while first < end {
            let middle = first + (end - first) / 2;
            if self.text(middle) < text { first = middle + 1 } else { end = middle }
        }
        first < self.len() && self.text(first) == text
    }

    /// Whether the texts are the same, wherever their series are.
    pub(crate) fn is_same(&self, other: &TextList) -> bool {
        let mut places = self.places.iter().zip(&other.places);
        self.len() == other.len() && self.texts == other.texts && places.all(|(a, b)| a.0 == b.0)
    }

    /// With those of `more`, which are ascending and not here.
    pub(crate) fn merged(&self, more: &[(&str, u64)]) -> TextList {
        let mut merged = TextList::default();
        let mut more = more.iter().copied().peekable();
        for (text, series_at) in self.iter() {
            while let Some((text, series_at)) = more.next_if(|(other, _)| *other < text) {
                merged.push(text, series_at);
            }
            merged.push(text, series_at);
        }
        more.for_each(|(text, series_at)| merged.push(text, series_at));
        merged
    }

    fn text(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.places[place - 1].0 };
        &self.texts[start as usize..self.places[place].0 as usize]
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
    fn only_lists_of_the_same_texts_are_the_same() {
        let mut elsewhere = TextList::default();
        [("a", 1), ("bc", 2)].iter().for_each(|(text, series_at)| elsewhere.push(text, *series_at));
        assert!(list(&["a", "bc"]).is_same(&elsewhere));
        assert!(!list(&["ab", "c"]).is_same(&elsewhere));
        assert!(!list(&["a"]).is_same(&elsewhere) && !list(&["", "a", "bc"]).is_same(&elsewhere));
    }
}
