//! Which rows of a frame may contain a text, as far as its templates and values tell.
//!
//! A text without digits lies in a template's literals, or reaches into a variable: then the
//! variable contains the text's first or its last run of letters, because what a variable shares
//! with its neighbourhood ends at its own delimiters. An id of a text lies within one variable.

use super::{
    EncodedLines, VARIABLE,
    column::{Column, Ends, NUMBER_DIGITS_MAX, put_hex},
    decode::{ReadyLines, Template},
};
use crate::tokens;
use memchr::memmem::Finder;
use std::ops::Range;

/// What is known of a row without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    No,
    Maybe,
    Yes,
}

/// A text that is searched for, as it is or in any case of its letters.
pub(crate) struct Wanted {
    finder: Finder<'static>,
    /// The text is folded, and so is what it is compared with.
    fold: bool,
    /// Its runs of letters at its begin and its end; each empty when there is none.
    edges: [Finder<'static>; 2],
    /// Its longest id; empty when it has none.
    id: Finder<'static>,
}

impl Wanted {
    pub(crate) fn new(text: &[u8], fold: bool) -> Wanted {
        let first = text.iter().take_while(|&&byte| tokens::is_letter(byte)).count();
        let last = text.iter().rev().take_while(|&&byte| tokens::is_letter(byte)).count();
        let finder = |text: &[u8]| Finder::new(text).into_owned();
        let mut id = 0..0;
        tokens::for_each_id(text, |start, end| {
            if end - start > id.len() {
                id = start..end;
            }
        });
        Wanted {
            finder: finder(text),
            fold,
            edges: [finder(&text[..first]), finder(&text[text.len() - last..])],
            id: finder(&text[id]),
        }
    }

    fn is_in(&self, finder: &Finder<'_>, text: &[u8], scratch: &mut Vec<u8>) -> bool {
        if !self.fold {
            return finder.find(text).is_some();
        }
        scratch.clear();
        tokens::fold(text, scratch);
        finder.find(scratch).is_some()
    }

    fn verdict(&self, lines: &EncodedLines, template: &Template, scratch: &mut Vec<u8>) -> Verdict {
        if self.finder.needle().contains(&VARIABLE) {
            return Verdict::Maybe;
        }
        let columns = &lines.columns[template.columns.clone()];
        if !self.id.needle().is_empty() {
            let may_contain = |column| self.may_contain_id(column, &lines.head, scratch);
            return if columns.iter().any(may_contain) { Verdict::Maybe } else { Verdict::No };
        }
        if let (Some(first), Some(last)) = (template.literals.first(), template.literals.last())
            && self.is_in(&self.finder, &lines.head[first.start..last.end], scratch)
        {
            return Verdict::Yes;
        }
        if columns.is_empty() {
            return Verdict::No;
        }
        let mut reaches_in = |edge: &Finder<'_>| {
            let mut has = |range: &Range<usize>| self.is_in(edge, &lines.head[range.clone()], scratch);
            !edge.needle().is_empty()
                && columns
                    .iter()
                    .any(|column| column.may_contain(edge.needle(), self.fold, &lines.head, &mut has))
        };
        let is_one = self.edges[0].needle().len() == self.finder.needle().len();
        if reaches_in(&self.edges[0]) || (!is_one && reaches_in(&self.edges[1])) {
            Verdict::Maybe
        } else {
            Verdict::No
        }
    }

    /// Whether some value of a column may contain the id, cut or whole.
    fn may_contain_id(&self, column: &Column, head: &[u8], scratch: &mut Vec<u8>) -> bool {
        let mut has = |range: &Range<usize>| self.is_in(&self.id, &head[range.clone()], scratch);
        match column {
            Column::Constant(value) => has(value),
            Column::Codes { values, .. } => values.iter().any(has),
            Column::Text { ends, all, .. } => !ends.is_bare() || has(all),
            Column::Hex { ends, digits, is_upper, .. } => {
                let is_hex = |byte: u8| {
                    let is_case = !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() == *is_upper;
                    byte.is_ascii_hexdigit() && (self.fold || is_case)
                };
                self.may_be_made_of(ends, head, *digits, is_hex)
            }
            Column::Numbers { ends, .. }
            | Column::NarrowNumbers { ends, .. }
            | Column::Differences { ends, .. } => {
                self.may_be_made_of(ends, head, NUMBER_DIGITS_MAX, |byte| byte.is_ascii_digit())
            }
        }
    }

    /// Whether the id may be a part of the ends around up to `digits` digits.
    fn may_be_made_of(&self, ends: &Ends, head: &[u8], digits: usize, is_digit: impl Fn(u8) -> bool) -> bool {
        let (id, prefix, suffix) = (self.id.needle(), &head[ends.prefix.clone()], &head[ends.suffix.clone()]);
        let is_known = |&byte: &u8| is_digit(byte) || prefix.contains(&byte) || suffix.contains(&byte);
        let is_foldable = self.fold && !ends.is_bare();
        is_foldable || (id.len() <= prefix.len() + digits + suffix.len() && id.iter().all(is_known))
    }

    /// If only whole values of hexadecimal columns can have the id: where those columns begin in the
    /// dense section, and the id as they keep it.
    fn packed(&self, lines: &EncodedLines, template: &Template) -> Option<(Vec<usize>, Vec<u8>)> {
        let id = self.id.needle();
        if id.is_empty() || self.fold {
            return None;
        }
        let (mut places, mut scratch) = (Vec::new(), Vec::new());
        for place in template.columns.clone() {
            let column = &lines.columns[place];
            if !self.may_contain_id(column, &lines.head, &mut scratch) {
                continue;
            }
            match column {
                Column::Hex { ends, digits, at, .. } if ends.is_bare() && *digits == id.len() => {
                    places.push(*at);
                }
                _ => return None,
            }
        }
        let mut packed = Vec::new();
        if !places.is_empty() {
            put_hex(id, &mut packed);
        }
        Some((places, packed))
    }
}

impl ReadyLines {
    /// Drops candidates that the packed values of their columns rule out.
    pub(crate) fn narrow(&self, texts: &[Wanted], found: &mut Vec<(usize, Verdict)>) {
        let [text] = texts else { return };
        let lines = &self.lines;
        let packed: Vec<_> = lines.templates.iter().map(|template| text.packed(lines, template)).collect();
        found.retain(|&(row, verdict)| {
            let code = usize::from(lines.row_codes[row]);
            if verdict == Verdict::Yes || code == 0 {
                return true;
            }
            let Some((places, id)) = &packed[code - 1] else { return true };
            let offset = lines.ordinal(row) * id.len();
            places.iter().any(|at| self.dense[at + offset..].starts_with(id))
        });
    }
}

impl EncodedLines {
    /// The rows of `rows` that may contain one of `texts`, ascending, and whether they surely do.
    pub(crate) fn candidates(&self, texts: &[Wanted], rows: Range<usize>) -> Vec<(usize, Verdict)> {
        let mut scratch = Vec::new();
        let each = |template| {
            let verdicts = texts.iter().map(|text| text.verdict(self, template, &mut scratch));
            verdicts.max().unwrap_or(Verdict::No)
        };
        let verdicts: Vec<Verdict> = self.templates.iter().map(each).collect();
        let mut found = Vec::new();
        let mut raw = self.row_codes[..rows.start].iter().filter(|code| **code == 0).count();
        for row in rows {
            let verdict = match usize::from(self.row_codes[row]) {
                0 => {
                    let line = self.raw_line(raw);
                    raw += 1;
                    let is_there = |text: &Wanted| text.is_in(&text.finder, line, &mut scratch);
                    if texts.iter().any(is_there) { Verdict::Yes } else { Verdict::No }
                }
                code => verdicts[code - 1],
            };
            if verdict != Verdict::No {
                found.push((row, verdict));
            }
        }
        found
    }
}

impl Column {
    /// Whether some value may contain `letters`, which have no digit; `has` tells whether a range
    /// of the head contains them, in any case if they are folded.
    fn may_contain(
        &self,
        letters: &[u8],
        fold: bool,
        head: &[u8],
        has: &mut impl FnMut(&Range<usize>) -> bool,
    ) -> bool {
        match self {
            Column::Constant(value) => has(value),
            Column::Codes { values, .. } => values.iter().any(has),
            // Folded letters could reach from a common end into what is between in many ways.
            Column::Text { ends, .. } | Column::Hex { ends, .. } if fold && !ends.is_bare() => true,
            Column::Text { ends, all, .. } => {
                has(all) || has(&ends.prefix) || has(&ends.suffix) || {
                    let (begins, ends_with) = (
                        |text: &[u8]| begins_a_value(&head[all.clone()], text),
                        |text: &[u8]| ends_a_value(&head[all.clone()], text),
                    );
                    ends.straddle(letters, head, begins, ends_with)
                }
            }
            Column::Hex { ends, .. } => {
                let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
                is_hex(letters)
                    || has(&ends.prefix)
                    || has(&ends.suffix)
                    || ends.straddle(letters, head, is_hex, is_hex)
            }
            Column::Numbers { ends, .. }
            | Column::NarrowNumbers { ends, .. }
            | Column::Differences { ends, .. } => has(&ends.prefix) || has(&ends.suffix),
        }
    }
}

impl Ends {
    /// Whether `letters` may reach from a common end into the values between: what is between has
    /// a digit, so they never reach through it. `begins` and `ends` tell whether some value may
    /// begin, or end, with a text.
    fn straddle(
        &self,
        letters: &[u8],
        head: &[u8],
        begins: impl Fn(&[u8]) -> bool,
        ends: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let (prefix, suffix) = (&head[self.prefix.clone()], &head[self.suffix.clone()]);
        (1..letters.len()).map(|cut| letters.split_at(cut)).any(|(left, right)| {
            (prefix.ends_with(left) && begins(right)) || (suffix.starts_with(right) && ends(left))
        })
    }
}

/// Whether one of `values`, each followed by a newline, begins with `text`.
fn begins_a_value(values: &[u8], text: &[u8]) -> bool {
    let line = [b"\n", text].concat();
    values.starts_with(text) || memchr::memmem::find(values, &line).is_some()
}

/// Whether one of `values`, each followed by a newline, ends with `text`.
fn ends_a_value(values: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(values, &[text, b"\n"].concat()).is_some()
}
