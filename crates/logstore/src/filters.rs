//! Line filters made ready for many lines.
//!
//! A frame of lines is searched as one text for what every match must contain (a needle, or the
//! literals of a regular expression), which costs a fraction of one search per line; what is found
//! is then held to every filter.

use crate::{condition::Condition, literals, part::reader::Frame};
use memchr::memmem::Finder;
use regex::bytes::Regex;
use std::ops::Range;
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
    anchors: Vec<Finder<'static>>,
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
        let anchors = filters
            .iter()
            .filter_map(anchors)
            .max_by_key(|texts| texts.iter().map(Vec::len).min().unwrap_or(0));
        let is_needle = matches!(filters, [LineFilter::ContainsAny(_)]);
        Filters {
            ready: ready.collect(),
            anchors_decide: anchors.is_some() && is_needle,
            anchors: finders(&anchors.unwrap_or_default()),
        }
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

    /// Appends those of `rows` (indexes into the frame) whose lines pass, ascending.
    pub(crate) fn select(&self, frame: &Frame, rows: Range<usize>, out: &mut Vec<usize>) {
        if self.ready.is_empty() {
            out.extend(rows);
        } else if self.anchors.is_empty() {
            out.extend(rows.filter(|&row| self.pass(frame.line(row))));
        } else {
            let first = out.len();
            for anchor in &self.anchors {
                find_rows(frame, rows.clone(), anchor, out);
            }
            if self.anchors.len() > 1 {
                out[first..].sort_unstable();
                out.dedup();
            }
            if !self.anchors_decide {
                let mut kept = first;
                for at in first..out.len() {
                    if self.pass(frame.line(out[at])) {
                        out[kept] = out[at];
                        kept += 1;
                    }
                }
                out.truncate(kept);
            }
        }
    }
}

/// Texts of which every passing line contains one.
fn anchors(filter: &LineFilter) -> Option<Vec<Vec<u8>>> {
    let texts = match filter {
        LineFilter::ContainsAny(needles) => needles.clone(),
        LineFilter::Matches { pattern, .. } => anchors_of(&literals::required(pattern))?,
        LineFilter::ContainsNone(_) | LineFilter::MatchesNot { .. } => return None,
    };
    let is_useful = (1..=ANCHORS_MAX).contains(&texts.len()) && texts.iter().all(|text| !text.is_empty());
    is_useful.then_some(texts)
}

fn anchors_of(condition: &Condition) -> Option<Vec<Vec<u8>>> {
    match condition {
        Condition::Has(needle) => (!needle.fold).then(|| vec![needle.text.clone()]),
        Condition::And(parts) => parts
            .iter()
            .filter_map(anchors_of)
            .max_by_key(|texts| texts.iter().map(Vec::len).min().unwrap_or(0)),
        Condition::Or(parts) => {
            let texts: Option<Vec<_>> = parts.iter().map(anchors_of).collect();
            texts.map(|texts| texts.concat())
        }
        Condition::True | Condition::Pair(_) => None,
    }
}

/// Appends the rows whose line contains the anchor. A hit that reaches over the end of its line
/// is none.
fn find_rows(frame: &Frame, rows: Range<usize>, anchor: &Finder<'_>, out: &mut Vec<usize>) {
    if rows.is_empty() {
        return;
    }
    let mut at = if rows.start == 0 { 0 } else { frame.ends[rows.start - 1] as usize };
    let end = frame.ends[rows.end - 1] as usize;
    let mut row = rows.start;
    while let Some(hit) = anchor.find(&frame.text[at..end]) {
        let hit = at + hit;
        row += frame.ends[row..rows.end].partition_point(|&line_end| line_end as usize <= hit);
        let line_end = frame.ends[row] as usize;
        if hit + anchor.needle().len() <= line_end {
            out.push(row);
            at = line_end;
        } else {
            at = hit + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(lines: &[&str]) -> Frame {
        let mut end = 0;
        let ends = lines.iter().map(|line| {
            end += line.len() as u32;
            end
        });
        let ends = ends.collect();
        Frame { text: lines.concat().into_bytes(), ends, first_row: 0 }
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
        let lines = ["", "foo bar", "fo", "o", "", "barfoo", "o\nfoo", "é foo", ""];
        let frame = frame(&lines);
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
            vec![regex("$", false), LineFilter::ContainsNone(vec![b"bar".to_vec()])],
        ] {
            let ready = Filters::new(&filters);
            for rows in [0..lines.len(), 1..3, 2..4, 4..5, 3..3] {
                let mut found = Vec::new();
                ready.select(&frame, rows.clone(), &mut found);
                let passes = |row: &usize| filters.iter().all(|filter| filter.passes(lines[*row].as_bytes()));
                assert_eq!(found, rows.filter(passes).collect::<Vec<_>>(), "{filters:?}");
            }
        }
    }
}
