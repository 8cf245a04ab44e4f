//! Line filters made ready for many lines.
//!
//! The templates of a frame are searched for what every match must contain (a needle, or the
//! literals of a regular expression), which costs a fraction of one search per line; the rows that
//! are left are then held to every filter, unless their template has decided already.

use crate::{
    condition::Condition,
    literals,
    part::lines::{FrameHead, Judgement, ReadyLines, Verdict, Wanted},
};
use memchr::memmem::Finder;
use regex::bytes::Regex;
use store::LineFilter;

/// Most texts searched for as anchors; with more, lines are tried one by one.
const ANCHORS_MAX: usize = 4;

enum Ready {
    ContainsAny(Vec<Finder<'static>>),
    ContainsNone(Vec<Finder<'static>>),
    Matches(Regex),
    MatchesNot(Regex),
}

/// See the module.
pub(crate) struct Filters {
    ready: Vec<Ready>,
    /// Every line that passes contains one of these, when there are any.
    anchors: Vec<Wanted>,
    /// Whether containing an anchor is all that is asked.
    anchors_decide: bool,
}

impl Filters {
    pub(crate) fn new(filters: &[LineFilter]) -> Filters {
        let finders = |needles: &[Vec<u8>]| -> Vec<Finder<'static>> {
            needles.iter().map(|needle| Finder::new(needle).into_owned()).collect()
        };
        let ready = filters.iter().map(|filter| match filter {
            LineFilter::ContainsAny(needles) => Ready::ContainsAny(finders(needles)),
            LineFilter::ContainsNone(needles) => Ready::ContainsNone(finders(needles)),
            LineFilter::Matches { regex, .. } => Ready::Matches(regex.clone()),
            LineFilter::MatchesNot { regex, .. } => Ready::MatchesNot(regex.clone()),
        });
        let anchors = filters.iter().filter_map(anchors).max_by_key(|texts| shortest(texts));
        let is_needle = match filters {
            [LineFilter::ContainsAny(_)] => true,
            [LineFilter::Matches { pattern, .. }] => literals::texts(pattern).is_some(),
            _ => false,
        };
        Filters {
            ready: ready.collect(),
            anchors_decide: anchors.is_some() && is_needle,
            anchors: anchors
                .unwrap_or_default()
                .iter()
                .map(|(text, fold)| Wanted::new(text, *fold))
                .collect(),
        }
    }

    /// Whether every line passes.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether a line passes all filters.
    pub(crate) fn pass(&self, line: &[u8]) -> bool {
        let has = |finder: &Finder<'_>| finder.find(line).is_some();
        self.ready.iter().all(|filter| match filter {
            Ready::ContainsAny(needles) => needles.iter().any(has),
            Ready::ContainsNone(needles) => !needles.iter().any(has),
            Ready::Matches(regex) => regex.is_match(line),
            Ready::MatchesNot(regex) => !regex.is_match(line),
        })
    }

    /// What a frame's head tells of its rows.
    pub(crate) fn judge(&self, head: &FrameHead) -> Judgement {
        if self.ready.is_empty() {
            return Judgement::same(head, Verdict::Yes);
        }
        if self.anchors.is_empty() {
            return Judgement::same(head, Verdict::Maybe);
        }
        let mut judgement = head.judge(&self.anchors);
        if !self.anchors_decide {
            judgement.doubt();
        }
        judgement
    }

    /// Drops candidates that are ruled out by what the head does not have.
    pub(crate) fn narrow(&self, lines: &ReadyLines, found: &mut Vec<(u32, Verdict)>) {
        lines.narrow(&self.anchors, found);
    }
}

/// A text, and whether it is folded.
type Anchor = (Vec<u8>, bool);

/// Texts of which every passing line contains one.
fn anchors(filter: &LineFilter) -> Option<Vec<Anchor>> {
    let texts = match filter {
        LineFilter::ContainsAny(needles) => needles.iter().map(|needle| (needle.clone(), false)).collect(),
        LineFilter::Matches { pattern, .. } => match literals::texts(pattern) {
            Some(texts) => texts,
            None => anchors_of(&literals::required(pattern))?,
        },
        LineFilter::ContainsNone(_) | LineFilter::MatchesNot { .. } => return None,
    };
    let is_useful =
        (1..=ANCHORS_MAX).contains(&texts.len()) && texts.iter().all(|(text, _)| !text.is_empty());
    is_useful.then_some(texts)
}

fn shortest(texts: &[Anchor]) -> usize {
    texts.iter().map(|(text, _)| text.len()).min().unwrap_or(0)
}

fn anchors_of(condition: &Condition) -> Option<Vec<Anchor>> {
    match condition {
        Condition::Has(needle) => Some(vec![(needle.text.clone(), needle.fold)]),
        Condition::And(parts) => parts.iter().filter_map(anchors_of).max_by_key(|texts| shortest(texts)),
        Condition::Or(parts) => {
            let texts: Option<Vec<_>> = parts.iter().map(anchors_of).collect();
            texts.map(|texts| texts.concat())
        }
        Condition::True | Condition::Pair(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::part::{
        lines::{EncodedLines, Parsed, encode},
        section::SectionBytes,
    };

    fn frame(lines: &[&str]) -> (FrameHead, EncodedLines) {
        let lengths: Vec<u32> = lines.iter().map(|line| line.len() as u32).collect();
        let (text, mut parsed) = (lines.concat().into_bytes(), Parsed::default());
        parsed.parse(&text, &lengths);
        let frame = encode(&parsed, &text, 0..lines.len());
        let head = || FrameHead::open(SectionBytes::Own(frame.head())).unwrap();
        (
            head(),
            head().coded(SectionBytes::Own(frame.codes.clone()), lines.len(), frame.dense.len()).unwrap(),
        )
    }

    fn regex(pattern: &str, negate: bool) -> LineFilter {
        let (pattern, regex) = (pattern.to_owned(), Regex::new(pattern).unwrap());
        if negate {
            LineFilter::MatchesNot { pattern, regex }
        } else {
            LineFilter::Matches { pattern, regex }
        }
    }

    #[test]
    fn a_frame_is_searched_as_its_lines_are() {
        let mut lines = vec!["", "foo bar", "fo", "o", "", "barfoo", "o\nfoo", "é foo", ""];
        lines.extend(["foo 1 bar", "foo 2 bar", "foo 5 bar", "x7foo", "x8f", "x9oo", "a1o", "b2r", "foo"]);
        let (head, encoded) = frame(&lines);
        let any = |needles: &[&str]| {
            LineFilter::ContainsAny(needles.iter().map(|needle| needle.as_bytes().to_vec()).collect())
        };
        for filters in [
            vec![],
            vec![any(&["foo"])],
            vec![any(&["foo", "bar"])],
            vec![any(&[""])],
            vec![any(&[])],
            vec![any(&["o"]), regex("^f", false)],
            vec![regex("foo|bar", false), regex("é", true)],
            vec![regex("(?i)FOO", false)],
            vec![regex("foo", false)],
            vec![regex("(?i)o 1|X9", false)],
            vec![regex("$", false), LineFilter::ContainsNone(vec![b"bar".to_vec()])],
        ] {
            let ready = Filters::new(&filters);
            for rows in [0..lines.len(), 1..3, 2..4, 4..5, 3..3, 8..14] {
                let passes = |row: &usize| filters.iter().all(|filter| filter.passes(lines[*row].as_bytes()));
                let judgement = ready.judge(&head);
                let mut found = judgement.rows(&encoded, rows.clone());
                let line = |row: u32| lines[row as usize].as_bytes();
                found.retain(|(row, verdict)| *verdict == Verdict::Yes || ready.pass(line(*row)));
                let found: Vec<usize> = found.into_iter().map(|(row, _)| row as usize).collect();
                if judgement.is_certain() {
                    assert_eq!(judgement.count(&encoded, rows.clone()), found.len() as u64, "{filters:?}");
                }
                assert!(!judgement.is_hopeless() || found.is_empty(), "{filters:?}");
                assert_eq!(found, rows.filter(passes).collect::<Vec<_>>(), "{filters:?}");
            }
        }
    }
}
