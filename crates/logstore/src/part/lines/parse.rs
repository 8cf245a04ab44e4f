//! Takes the lines of a chunk apart, once, for its frames and its index.

use super::{VARIABLE, VARIABLES_MAX};
use crate::tokens;
use hashbrown::HashTable;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// The template of a row that has none.
pub(crate) const NO_TEMPLATE: u32 = u32::MAX;

/// A template of a chunk: its text, and what it was found by.
#[derive(Clone, Copy)]
struct Template {
    start: u32,
    end: u32,
    variables: u32,
    hash: u64,
}

/// The lines of a chunk, taken apart; reused from chunk to chunk.
#[derive(Default)]
pub(crate) struct Parsed {
    templates: Vec<Template>,
    template_text: Vec<u8>,
    by_text: HashTable<u32>,
    row_templates: Vec<u32>,
    /// Where every row's line ends in the chunk's text.
    line_ends: Vec<u32>,
    /// Where every row's variables end in `variables`.
    variable_ends: Vec<u32>,
    /// Where the variables lie in the chunk's text.
    variables: Vec<(u32, u32)>,
}

impl Parsed {
    /// Takes apart lines of these `lengths` that follow each other in `text`.
    pub(crate) fn parse(&mut self, text: &[u8], lengths: &[u32]) {
        self.templates.clear();
        self.template_text.clear();
        self.by_text.clear();
        self.row_templates.clear();
        self.line_ends.clear();
        self.variable_ends.clear();
        self.variables.clear();
        let mut start = 0;
        for &length in lengths {
            let end = start + length as usize;
            let template = self.line(&text[start..end], start as u32);
            self.row_templates.push(template);
            self.line_ends.push(end as u32);
            self.variable_ends.push(self.variables.len() as u32);
            start = end;
        }
    }

    /// Notes the variables of one line, which begins at `offset`, and finds its template. The
    /// template's text is written behind those that are known and taken back when it is one.
    fn line(&mut self, line: &[u8], offset: u32) -> u32 {
        let (first_byte, first_variable) = (self.template_text.len(), self.variables.len());
        let mut literal = 0;
        tokens::for_each_id(line, |start, end| {
            self.template_text.extend_from_slice(&line[literal..start]);
            self.template_text.push(VARIABLE);
            self.variables.push((offset + start as u32, offset + end as u32));
            literal = end;
        });
        let variables = self.variables.len() - first_variable;
        if variables > VARIABLES_MAX {
            self.template_text.truncate(first_byte);
            self.variables.truncate(first_variable);
            return NO_TEMPLATE;
        }
        self.template_text.extend_from_slice(&line[literal..]);
        let text = &self.template_text[first_byte..];
        let hash = xxh3_64(text);
        let (templates, all_text) = (&self.templates, &self.template_text);
        let is_same = |&number: &u32| {
            let known = templates[number as usize];
            known.hash == hash && all_text[known.start as usize..known.end as usize] == *text
        };
        if let Some(&number) = self.by_text.find(hash, is_same) {
            self.template_text.truncate(first_byte);
            return number;
        }
        let number = self.templates.len() as u32;
        self.templates.push(Template {
            start: first_byte as u32,
            end: self.template_text.len() as u32,
            variables: variables as u32,
            hash,
        });
        let templates = &self.templates;
        self.by_text.insert_unique(hash, number, |&number| templates[number as usize].hash);
        number
    }

    /// Templates of the chunk.
    pub(crate) fn templates(&self) -> usize {
        self.templates.len()
    }

    pub(super) fn variable_count(&self, template: u32) -> usize {
        self.templates[template as usize].variables as usize
    }

    pub(crate) fn template_text(&self, template: usize) -> &[u8] {
        let template = &self.templates[template];
        &self.template_text[template.start as usize..template.end as usize]
    }

    /// The row's template, or [`NO_TEMPLATE`].
    pub(crate) fn template_of(&self, row: usize) -> u32 {
        self.row_templates[row]
    }

    /// Where the row's line lies in the chunk's text.
    pub(crate) fn line_range(&self, row: usize) -> Range<usize> {
        let start = if row == 0 { 0 } else { self.line_ends[row - 1] as usize };
        start..self.line_ends[row] as usize
    }

    pub(crate) fn rows(&self) -> usize {
        self.row_templates.len()
    }

    /// Where all variables lie in the chunk's text, row by row.
    pub(crate) fn variables(&self) -> &[(u32, u32)] {
        &self.variables
    }

    /// Where variable `position` of a row lies in the chunk's text.
    pub(super) fn variable(&self, row: usize, position: usize) -> Range<usize> {
        let first = if row == 0 { 0 } else { self.variable_ends[row - 1] as usize };
        let (start, end) = self.variables[first + position];
        start as usize..end as usize
    }
}
