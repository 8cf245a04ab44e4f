//! Which rows of a frame may contain a text, as far as its templates and values tell.
//!
//! A text without digits lies in a template's literals, or reaches into a variable: then the
//! variable contains the text's first or its last run of letters, because what a variable shares
//! with its neighbourhood ends at its own delimiters.

use super::{
    EncodedLines, VARIABLE,
    column::{Column, Ends},
    decode::Template,
};
use crate::tokens;
use memchr::memmem::{self, Finder};
use std::ops::Range;

/// What is known of a row without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    No,
    Maybe,
    Yes,
}

impl EncodedLines {
    /// The rows of `rows` that may contain one of `texts`, ascending, and whether they surely do.
    pub(crate) fn candidates(&self, texts: &[Finder<'_>], rows: Range<usize>) -> Vec<(usize, Verdict)> {
        let verdicts: Vec<Verdict> =
            self.templates.iter().map(|template| self.verdict(template, texts)).collect();
        let mut found = Vec::new();
        for row in rows {
            let verdict = match usize::from(self.row_codes[row]) {
                0 if texts.iter().any(|text| text.find(self.raw_line(row)).is_some()) => Verdict::Yes,
                0 => Verdict::No,
                code => verdicts[code - 1],
            };
            if verdict != Verdict::No {
                found.push((row, verdict));
            }
        }
        found
    }

    fn verdict(&self, template: &Template, texts: &[Finder<'_>]) -> Verdict {
        let each = texts.iter().map(|text| self.verdict_on(template, text));
        each.max().unwrap_or(Verdict::No)
    }

    fn verdict_on(&self, template: &Template, text: &Finder<'_>) -> Verdict {
        let needle = text.needle();
        if needle.contains(&VARIABLE) {
            return Verdict::Maybe;
        }
        if let (Some(first), Some(last)) = (template.literals.first(), template.literals.last())
            && text.find(&self.head[first.start..last.end]).is_some()
        {
            return Verdict::Yes;
        }
        let columns = &self.columns[template.columns.clone()];
        if columns.is_empty() {
            return Verdict::No;
        }
        if needle.iter().any(u8::is_ascii_digit) {
            return Verdict::Maybe;
        }
        let first = needle.iter().take_while(|&&byte| tokens::is_letter(byte)).count();
        let last = needle.iter().rev().take_while(|&&byte| tokens::is_letter(byte)).count();
        let edges = [&needle[..first], &needle[needle.len() - last..]];
        let reaches_in = |edge: &&[u8]| {
            !edge.is_empty() && columns.iter().any(|column| column.may_contain(edge, &self.head))
        };
        if edges.iter().any(reaches_in) { Verdict::Maybe } else { Verdict::No }
    }
}

impl Column {
    /// Whether some value may contain `letters`, which have no digit.
    fn may_contain(&self, letters: &[u8], head: &[u8]) -> bool {
        let has = |range: &Range<usize>| memmem::find(&head[range.clone()], letters).is_some();
        let in_ends = |ends: &Ends| has(&ends.prefix) || has(&ends.suffix);
        let is_bare = |ends: &Ends| ends.prefix.is_empty() && ends.suffix.is_empty();
        match self {
            Column::Constant(value) => has(value),
            Column::Codes { values, .. } => values.iter().any(has),
            // Letters may reach from a common end into what is between.
            Column::Text { ends, all, .. } => !is_bare(ends) || has(all),
            Column::Hex { ends, .. } => !is_bare(ends) || letters.iter().all(u8::is_ascii_hexdigit),
            Column::Numbers { ends, .. }
            | Column::NarrowNumbers { ends, .. }
            | Column::Differences { ends, .. } => in_ends(ends),
        }
    }
}
