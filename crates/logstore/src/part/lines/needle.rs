//! Which rows of a frame may contain a text, as far as its templates and values tell.
//!
//! A text without digits lies in a template's literals, or reaches into a variable: then the
//! variable contains the text's first or its last run of letters, because what a variable shares
//! with its neighbourhood ends at its own delimiters. An id of a text lies within one variable.
//!
//! The literals of all templates lie side by side in the frame's head, and so do the texts of all
//! columns: each is searched once, and only what has a hit is looked at piece by piece.

use super::{
    EncodedLines, FrameHead, VARIABLE,
    column::{NUMBER_DIGITS_MAX, put_hex},
    decode::ReadyLines,
    values::{Column, Ends, Span},
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

/// A piece of a text: letters at one of its ends, or an id.
struct Part {
    finder: Finder<'static>,
    /// Whether it could be a stretch of digits, or of hexadecimal ones in this case of letters.
    is_decimal: bool,
    is_lower_hex: bool,
    is_upper_hex: bool,
}

impl Part {
    fn new(text: &[u8]) -> Part {
        let is_all = |class: fn(&u8) -> bool| text.iter().all(class);
        Part {
            finder: Finder::new(text).into_owned(),
            is_decimal: is_all(u8::is_ascii_digit),
            is_lower_hex: is_all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte)),
            is_upper_hex: is_all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte)),
        }
    }

    fn text(&self) -> &[u8] {
        self.finder.needle()
    }
}

/// A text that is searched for, as it is or in any case of its letters.
pub(crate) struct Wanted {
    finder: Finder<'static>,
    /// The text is folded, and so is what it is compared with.
    fold: bool,
    /// Its runs of letters at its begin and its end, as far as there are any; once when it is one.
    edges: Vec<Part>,
    /// Its longest id.
    id: Option<Part>,
}

/// What is known of the rows of a frame.
pub(crate) struct Judgement {
    /// By the code of a row; rows of code 0 are in `raw`.
    by_code: Vec<Verdict>,
    /// Of the rows without template, one after the other.
    raw: Vec<Verdict>,
}

impl Judgement {
    /// The same of all rows.
    pub(crate) fn same(head: &FrameHead, verdict: Verdict) -> Judgement {
        Judgement { by_code: vec![verdict; head.templates.len() + 1], raw: vec![verdict; head.raw.len()] }
    }

    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.by_code[1..].iter().chain(&self.raw).copied()
    }

    /// Whether no row passes.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.verdicts().all(|verdict| verdict == Verdict::No)
    }

    /// Whether every row is decided.
    pub(crate) fn is_certain(&self) -> bool {
        self.verdicts().all(|verdict| verdict != Verdict::Maybe)
    }

    /// Lets nothing be sure.
    pub(crate) fn doubt(&mut self) {
        for verdict in self.by_code.iter_mut().chain(&mut self.raw) {
            *verdict = (*verdict).min(Verdict::Maybe);
        }
    }

    /// The rows of `rows` that may pass, ascending.
    pub(crate) fn rows(&self, lines: &EncodedLines, rows: Range<usize>) -> Vec<(u32, Verdict)> {
        let mut found = Vec::new();
        let mut raw = self.raw.iter().skip(lines.raw_before(rows.start));
        for (row, &code) in rows.clone().zip(&lines.row_codes[rows]) {
            let verdict = match code {
                0 => raw.next().copied().unwrap_or(Verdict::No),
                code => self.by_code[usize::from(code)],
            };
            if verdict != Verdict::No {
                found.push((row as u32, verdict));
            }
        }
        found
    }

    /// How many rows of `rows` pass; every row is decided.
    pub(crate) fn count(&self, lines: &EncodedLines, rows: Range<usize>) -> u64 {
        let is_yes = |verdict: &&Verdict| **verdict == Verdict::Yes;
        let mut raw = 0;
        if self.raw.iter().any(|verdict| is_yes(&verdict)) {
            let first = lines.raw_before(rows.start);
            let wanted = lines.raw_before(rows.end).saturating_sub(first);
            raw = self.raw.iter().skip(first).take(wanted).filter(is_yes).count();
        }
        let mut passes: Vec<u8> =
            self.by_code.iter().map(|verdict| u8::from(*verdict == Verdict::Yes)).collect();
        passes[0] = 0;
        let with_template = lines.row_codes[rows].iter().map(|&code| u64::from(passes[usize::from(code)]));
        raw as u64 + with_template.sum::<u64>()
    }
}

impl FrameHead {
    /// What is known of the rows' having one of `texts`.
    pub(crate) fn judge(&self, texts: &[Wanted]) -> Judgement {
        let mut judgement = Judgement::same(self, Verdict::No);
        texts.iter().for_each(|text| text.judge(self, &mut judgement));
        judgement
    }
}

/// Where in a frame's columns a piece of a text occurs at all.
struct Places<'a> {
    part: &'a Part,
    head: &'a [u8],
    fold: bool,
    in_meta: bool,
    in_text: bool,
}

impl<'a> Places<'a> {
    fn of(part: &'a Part, head: &'a FrameHead, fold: bool) -> Places<'a> {
        let has = |range: &Range<usize>| part.finder.find(&head.bytes[range.clone()]).is_some();
        Places {
            part,
            head: &head.bytes,
            fold,
            // Folded text is looked for in each place by itself.
            in_meta: fold || has(&head.columns_meta),
            in_text: fold || has(&head.columns_text),
        }
    }

    fn is_in(&self, span: Span, scratch: &mut Vec<u8>) -> bool {
        let text = span.of(self.head);
        if !self.fold {
            return text.len() >= self.part.text().len() && self.part.finder.find(text).is_some();
        }
        scratch.clear();
        tokens::fold(text, scratch);
        self.part.finder.find(scratch).is_some()
    }

    fn is_in_ends(&self, ends: &Ends, scratch: &mut Vec<u8>) -> bool {
        self.in_meta
            && !ends.is_bare()
            && (self.is_in(ends.prefix, scratch) || self.is_in(ends.suffix, scratch))
    }

    /// Whether some value of a column may contain the piece, which has no digit.
    fn letters_in(&self, column: &Column, scratch: &mut Vec<u8>) -> bool {
        let (letters, head) = (self.part.text(), self.head);
        match column {
            Column::Constant(value) => self.in_meta && self.is_in(*value, scratch),
            Column::Codes { list, .. } => self.in_meta && self.is_in(*list, scratch),
            // Folded letters could reach from a common end into what is between in many ways.
            Column::Text { ends, .. } | Column::Hex { ends, .. } if self.fold && !ends.is_bare() => true,
            Column::Text { ends, all } => {
                (self.in_text && self.is_in(*all, scratch)) || self.is_in_ends(ends, scratch) || {
                    let (begins, ends_with) = (
                        |text: &[u8]| begins_a_value(all.of(head), text),
                        |text: &[u8]| ends_a_value(all.of(head), text),
                    );
                    ends.straddle(letters, head, begins, ends_with)
                }
            }
            Column::Hex { ends, .. } => {
                let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
                self.part.is_lower_hex
                    || self.part.is_upper_hex
                    || self.is_in_ends(ends, scratch)
                    || ends.straddle(letters, head, is_hex, is_hex)
            }
            Column::Numbers { ends, .. }
            | Column::NarrowNumbers { ends, .. }
            | Column::Differences { ends, .. } => self.is_in_ends(ends, scratch),
        }
    }

    /// Whether some value of a column may contain the piece, which is an id, cut or whole.
    fn id_in(&self, column: &Column, scratch: &mut Vec<u8>) -> bool {
        let id = self.part;
        match column {
            Column::Constant(value) => self.in_meta && self.is_in(*value, scratch),
            Column::Codes { list, .. } => self.in_meta && self.is_in(*list, scratch),
            Column::Text { ends, all } => {
                (self.in_text && self.is_in(*all, scratch)) || self.reaches_into(ends, scratch)
            }
            Column::Hex { ends, digits, is_upper } => {
                if ends.is_bare() && !self.fold {
                    let is_hex = if *is_upper { id.is_upper_hex } else { id.is_lower_hex };
                    return is_hex && id.text().len() <= *digits as usize;
                }
                let is_hex = |byte: u8| {
                    let is_case = !byte.is_ascii_alphabetic() || byte.is_ascii_uppercase() == *is_upper;
                    byte.is_ascii_hexdigit() && (self.fold || is_case)
                };
                self.is_made_of(ends, *digits as usize, is_hex)
            }
            Column::Numbers { ends, .. }
            | Column::NarrowNumbers { ends, .. }
            | Column::Differences { ends, .. } => {
                if ends.is_bare() {
                    return id.is_decimal && id.text().len() <= NUMBER_DIGITS_MAX;
                }
                self.is_made_of(ends, NUMBER_DIGITS_MAX, |byte| byte.is_ascii_digit())
            }
        }
    }

    /// Whether the id may lie in the ends of a column, or reach from one into what is between.
    fn reaches_into(&self, ends: &Ends, scratch: &mut Vec<u8>) -> bool {
        if ends.is_bare() || self.fold {
            return !ends.is_bare();
        }
        let (id, prefix, suffix) = (self.part.text(), ends.prefix.of(self.head), ends.suffix.of(self.head));
        let mut cuts = 1..=id.len();
        self.is_in_ends(ends, scratch)
            || cuts.any(|cut| prefix.ends_with(&id[..cut]) || suffix.starts_with(&id[id.len() - cut..]))
    }

    /// Whether the id may be a part of the ends around up to `digits` digits.
    fn is_made_of(&self, ends: &Ends, digits: usize, is_digit: impl Fn(u8) -> bool) -> bool {
        let (id, prefix, suffix) = (self.part.text(), ends.prefix.of(self.head), ends.suffix.of(self.head));
        let is_known = |&byte: &u8| is_digit(byte) || prefix.contains(&byte) || suffix.contains(&byte);
        let is_foldable = self.fold && !ends.is_bare();
        is_foldable || (id.len() <= prefix.len() + digits + suffix.len() && id.iter().all(is_known))
    }
}

impl Wanted {
    pub(crate) fn new(text: &[u8], fold: bool) -> Wanted {
        let first = text.iter().take_while(|&&byte| tokens::is_letter(byte)).count();
        let last = text.iter().rev().take_while(|&&byte| tokens::is_letter(byte)).count();
        let mut edges = Vec::new();
        if first > 0 {
            edges.push(Part::new(&text[..first]));
        }
        if last > 0 && first < text.len() {
            edges.push(Part::new(&text[text.len() - last..]));
        }
        let mut id = 0..0;
        tokens::for_each_id(text, |start, end| {
            if end - start > id.len() {
                id = start..end;
            }
        });
        Wanted {
            finder: Finder::new(text).into_owned(),
            fold,
            edges,
            id: (!id.is_empty()).then(|| Part::new(&text[id])),
        }
    }

    fn judge(&self, head: &FrameHead, judgement: &mut Judgement) {
        let Judgement { by_code, raw } = judgement;
        self.mark(&head.bytes, &head.raw, raw);
        let by_template = &mut by_code[1..];
        // No line has this byte, but that of a template stands for any text.
        if self.finder.needle().contains(&VARIABLE) {
            return by_template.iter_mut().for_each(|verdict| *verdict = (*verdict).max(Verdict::Maybe));
        }
        if let Some(id) = &self.id {
            let places = Places::of(id, head, self.fold);
            return self.doubt(head, by_template, |column, scratch| places.id_in(column, scratch));
        }
        let texts: Vec<Span> = head.templates.iter().map(|template| template.text).collect();
        self.mark(&head.bytes, &texts, by_template);
        for edge in &self.edges {
            let places = Places::of(edge, head, self.fold);
            self.doubt(head, by_template, |column, scratch| places.letters_in(column, scratch));
        }
    }

    /// Marks those of `texts`, which ascend, that contain the text.
    fn mark(&self, head: &[u8], texts: &[Span], verdicts: &mut [Verdict]) {
        let (Some(first), Some(last)) = (texts.first(), texts.last()) else { return };
        if self.finder.needle().is_empty() {
            return verdicts.fill(Verdict::Yes);
        }
        if self.fold {
            let mut scratch = Vec::new();
            for (text, verdict) in texts.iter().zip(verdicts) {
                scratch.clear();
                tokens::fold(text.of(head), &mut scratch);
                if self.finder.find(&scratch).is_some() {
                    *verdict = Verdict::Yes;
                }
            }
            return;
        }
        let (mut at, end) = (first.range().start, last.range().end);
        while let Some(hit) = self.finder.find(&head[at..end]) {
            let hit = at + hit;
            let index = texts.partition_point(|text| text.range().end < hit + self.finder.needle().len());
            let Some(text) = texts.get(index) else { return };
            if text.range().start <= hit {
                verdicts[index] = Verdict::Yes;
                at = text.range().end;
            } else {
                // The hit reaches across what is between two texts.
                at = hit + 1;
            }
        }
    }

    /// Puts those templates in doubt of which a column may have a piece of the text.
    fn doubt(
        &self,
        head: &FrameHead,
        by_template: &mut [Verdict],
        may_have: impl Fn(&Column, &mut Vec<u8>) -> bool,
    ) {
        let mut scratch = Vec::new();
        for (template, verdict) in head.templates.iter().zip(by_template) {
            let columns = &head.columns[template.columns()];
            if *verdict == Verdict::No && columns.iter().any(|column| may_have(column, &mut scratch)) {
                *verdict = Verdict::Maybe;
            }
        }
    }

    /// If only whole values of hexadecimal columns of a template can have the id: where those columns
    /// begin in the dense section.
    fn packed(&self, ready: &ReadyLines, template: usize) -> Option<Vec<usize>> {
        let id = self.id.as_ref().filter(|_| !self.fold)?;
        let head = &ready.lines.head;
        let places = Places { part: id, head: &head.bytes, fold: false, in_meta: true, in_text: true };
        let (mut found, mut scratch) = (Vec::new(), Vec::new());
        for place in head.templates[template].columns() {
            let column = &head.columns[place];
            if !places.id_in(column, &mut scratch) {
                continue;
            }
            match column {
                Column::Hex { ends, digits, .. } if ends.is_bare() && *digits as usize == id.text().len() => {
                    found.push(ready.places[place] as usize);
                }
                _ => return None,
            }
        }
        Some(found)
    }
}

impl ReadyLines {
    /// Drops candidates that the packed values of their columns rule out.
    pub(crate) fn narrow(&self, texts: &[Wanted], found: &mut Vec<(u32, Verdict)>) {
        let [text] = texts else { return };
        let Some(id) = &text.id else { return };
        let lines = &self.lines;
        let mut packed_id = Vec::new();
        put_hex(id.text(), &mut packed_id);
        // One search of all packed values is faster than a look at each, and mostly there is none.
        let is_packed = memchr::memmem::find(&self.dense, &packed_id).is_some();
        // By template, for those that candidates have.
        let mut packed: Vec<Option<Option<Vec<usize>>>> = vec![None; lines.head.templates.len()];
        found.retain(|&(row, verdict)| {
            let row = row as usize;
            let Some(template) = usize::from(lines.row_codes[row]).checked_sub(1) else { return true };
            if verdict == Verdict::Yes {
                return true;
            }
            let places = packed[template].get_or_insert_with(|| text.packed(self, template));
            let Some(places) = places else { return true };
            if !is_packed {
                return false;
            }
            let offset = lines.ordinal(row) * packed_id.len();
            places.iter().any(|at| self.dense[at + offset..].starts_with(&packed_id))
        });
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
        if self.is_bare() {
            return false;
        }
        let (prefix, suffix) = (self.prefix.of(head), self.suffix.of(head));
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
