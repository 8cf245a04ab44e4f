//! Reads a frame as far as it is asked for: its head, which row is which, its lines.

use super::{
    VARIABLE,
    bits::PADDING_BYTES,
    values::{Bytes, Column, Sections, Span, Values, append},
};
use crate::{
    bytes::{Damaged, Reader, recycle},
    part::section::SectionBytes,
};
use std::{cell::OnceCell, ops::Range};

/// One template of a frame.
pub(super) struct Template {
    /// Its texts between variables, and the variables, each one byte.
    pub(super) text: Span,
    /// Its columns, one for each variable.
    columns: (u32, u32),
}

impl Template {
    pub(super) fn columns(&self) -> Range<usize> {
        self.columns.0 as usize..self.columns.1 as usize
    }
}

/// The first section of a frame. It tells which templates and which of the rows without one may
/// have a text, not which rows these are.
pub(crate) struct FrameHead {
    pub(super) bytes: SectionBytes,
    pub(super) templates: Vec<Template>,
    pub(super) columns: Vec<Column>,
    /// Where columns say what they are and have in common.
    pub(super) columns_meta: Range<usize>,
    /// Where columns keep text.
    pub(super) columns_text: Range<usize>,
    /// Rows without template.
    pub(super) raw: Vec<Span>,
}

/// A frame without its dense section, which a search may not need.
pub(crate) struct EncodedLines {
    pub(super) head: FrameHead,
    codes: SectionBytes,
    /// Where columns begin in `codes`.
    columns_at: usize,
    dense_bytes: usize,
    /// For every row: 0, or its template's place and one.
    pub(super) row_codes: Vec<u16>,
    /// For every row: how many rows before it have the same code; counted when first asked for.
    ordinals: OnceCell<Vec<u32>>,
    /// Rows without template, ascending; listed when first asked for.
    raw_rows: OnceCell<Vec<u32>>,
}

/// A frame all of whose lines can be read.
pub(crate) struct ReadyLines {
    pub(super) lines: EncodedLines,
    pub(super) dense: Vec<u8>,
    /// Rows of every template.
    counts: Vec<u32>,
    /// Where every column begins in its section.
    pub(super) places: Vec<u32>,
    /// Every template's texts between its variables, once they were asked for.
    literals: Vec<OnceCell<Box<[Span]>>>,
    /// What every column needs, once a value of it was asked for.
    values: Vec<OnceCell<Values>>,
}

impl FrameHead {
    /// Takes the head of a frame apart.
    pub(crate) fn open(bytes: SectionBytes) -> Result<FrameHead, Damaged> {
        let mut reader = Reader::new(&bytes);
        let meta = Reader::new(reader.bytes()?);
        let text = Reader::new(reader.rest());
        let mut sections = Sections { head: &bytes, meta, text };
        let count = sections.meta.count()?;
        let mut templates = Vec::with_capacity(count);
        let mut columns_end = 0;
        for _ in 0..count {
            let text = sections.bytes()?;
            let first = columns_end;
            columns_end += memchr::memchr_iter(VARIABLE, text.of(&bytes)).count() as u32;
            templates.push(Template { text, columns: (first, columns_end) });
        }
        let (meta_start, text_start) = (sections.meta_at(), bytes.len() - sections.text.rest().len());
        let mut columns = Vec::with_capacity(columns_end as usize);
        for _ in 0..columns_end {
            columns.push(sections.column()?);
        }
        let columns_meta = meta_start..sections.meta_at();
        let columns_text = text_start..bytes.len() - sections.text.rest().len();
        let mut raw = Vec::new();
        while !sections.meta.is_empty() {
            let length = sections.meta.varint()? as usize;
            raw.push(sections.take_text(length)?);
        }
        Ok(FrameHead { templates, columns, columns_meta, columns_text, raw, bytes })
    }

    /// Adds the codes of a frame of `rows` lines; `dense_bytes` is the length of its dense section.
    pub(crate) fn coded(
        self,
        codes: SectionBytes,
        rows: usize,
        dense_bytes: usize,
    ) -> Result<EncodedLines, Damaged> {
        let mut columns_at = 0;
        let row_codes = row_codes(&codes, rows, self.templates.len(), &mut columns_at)?;
        let (ordinals, raw_rows) = (OnceCell::new(), OnceCell::new());
        Ok(EncodedLines { head: self, codes, columns_at, dense_bytes, row_codes, ordinals, raw_rows })
    }
}

/// Reads every row's code from the begin of a frame's codes.
fn row_codes(codes: &[u8], rows: usize, templates: usize, at: &mut usize) -> Result<Vec<u16>, Damaged> {
    if templates == 0 {
        return Ok(vec![0; rows]);
    }
    let mut take = || -> Result<&[u8], Damaged> {
        let taken = codes.get(*at..).and_then(|rest| rest.get(..rows));
        *at += rows;
        taken.ok_or_else(|| Damaged::new("codes are longer than their frame"))
    };
    let mut row_codes: Vec<u16> = take()?.iter().map(|&code| u16::from(code)).collect();
    if templates > usize::from(u8::MAX) {
        row_codes.iter_mut().zip(take()?).for_each(|(code, &high)| *code |= u16::from(high) << 8);
    }
    // A maximum is found many codes at a time.
    if usize::from(row_codes.iter().copied().fold(0, u16::max)) > templates {
        return Err(Damaged::new("row of an unknown template"));
    }
    Ok(row_codes)
}

impl EncodedLines {
    /// Adds the dense section.
    pub(crate) fn ready(self, mut dense: Vec<u8>) -> Result<ReadyLines, Damaged> {
        dense.resize(dense.len() + PADDING_BYTES, 0);
        let (head, codes) = (&self.head, &*self.codes);
        let mut counts = vec![0u32; head.templates.len() + 1];
        self.row_codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
        if counts.remove(0) as usize != head.raw.len() {
            return Err(Damaged::new("another number of rows without template"));
        }
        let mut places = Vec::with_capacity(head.columns.len());
        let (mut codes_at, mut dense_at) = (self.columns_at, 0usize);
        for (template, &rows) in head.templates.iter().zip(&counts) {
            for column in &head.columns[template.columns()] {
                let rows = rows as usize;
                let in_codes = column.codes_bytes(rows);
                let at = if in_codes > 0 { codes_at } else { dense_at };
                codes_at = codes_at.saturating_add(in_codes);
                dense_at = dense_at.saturating_add(column.dense_bytes(rows));
                if codes_at > codes.len() || dense_at > self.dense_bytes {
                    return Err(Damaged::new("column is longer than its frame"));
                }
                column.check(rows, at, &head.bytes, codes)?;
                places.push(at as u32);
            }
        }
        let literals = head.templates.iter().map(|_| OnceCell::new()).collect();
        let values = head.columns.iter().map(|_| OnceCell::new()).collect();
        Ok(ReadyLines { lines: self, dense, counts, places, literals, values })
    }

    pub(crate) fn rows(&self) -> usize {
        self.row_codes.len()
    }

    /// How many rows before `row` have no template.
    pub(super) fn raw_before(&self, row: usize) -> usize {
        if self.head.raw.is_empty() || row == 0 {
            return 0;
        }
        let is_raw = |(row, code): (usize, &u16)| (*code == 0).then_some(row as u32);
        let rows =
            self.raw_rows.get_or_init(|| self.row_codes.iter().enumerate().filter_map(is_raw).collect());
        rows.partition_point(|&raw| (raw as usize) < row)
    }

    /// How many rows before this one have the same code.
    pub(super) fn ordinal(&self, row: usize) -> usize {
        self.ordinals.get_or_init(|| ordinals(&self.row_codes, self.head.templates.len()))[row] as usize
    }
}

impl ReadyLines {
    /// Appends the line of a row of the frame.
    pub(crate) fn put(&self, row: usize, out: &mut Vec<u8>) {
        let lines = &self.lines;
        let head = &*lines.head.bytes;
        let ordinal = lines.ordinal(row);
        let Some(template) = self.template_of(row) else {
            return out.extend_from_slice(lines.head.raw[ordinal].of(head));
        };
        let mut literals = self.literals(template).iter();
        if let Some(literal) = literals.next() {
            append(literal.of(head), out);
        }
        for (place, literal) in lines.head.templates[template].columns().zip(literals) {
            self.put_value(template, place, ordinal, out);
            append(literal.of(head), out);
        }
    }

    /// The template of a row, by its place, if the row has one.
    pub(crate) fn template_of(&self, row: usize) -> Option<usize> {
        usize::from(self.lines.row_codes[row]).checked_sub(1)
    }

    /// Templates of the frame.
    pub(crate) fn templates(&self) -> usize {
        self.lines.head.templates.len()
    }

    /// A template's texts between its variables, one more than it has variables; `None` when some are
    /// no UTF-8, which no line leads to.
    pub(crate) fn texts(&self, template: usize) -> Option<Vec<&str>> {
        let head = &*self.lines.head.bytes;
        self.literals(template).iter().map(|literal| std::str::from_utf8(literal.of(head)).ok()).collect()
    }

    /// Appends the variables at `places` of a row that has this template, and notes where each ends.
    pub(crate) fn put_variables(
        &self,
        row: usize,
        template: usize,
        places: &[usize],
        out: &mut Vec<u8>,
        ends: &mut Vec<usize>,
    ) {
        let ordinal = self.lines.ordinal(row);
        let columns = self.lines.head.templates[template].columns();
        for place in places.iter().map(|place| columns.start + place).filter(|place| columns.contains(place))
        {
            self.put_value(template, place, ordinal, out);
            ends.push(out.len());
        }
    }

    fn literals(&self, template: usize) -> &[Span] {
        let head = &self.lines.head;
        self.literals[template].get_or_init(|| literals(head.templates[template].text, &head.bytes))
    }

    /// Appends a value of the column at `place`, which belongs to a template.
    #[inline]
    fn put_value(&self, template: usize, place: usize, ordinal: usize, out: &mut Vec<u8>) {
        let lines = &self.lines;
        let bytes = Bytes { head: &lines.head.bytes, codes: &lines.codes, dense: &self.dense };
        let (column, at) = (&lines.head.columns[place], self.places[place] as usize);
        let rows = self.counts[template] as usize;
        let values = self.values[place].get_or_init(|| column.values(rows, at, &bytes));
        column.put(ordinal, at, values, &bytes, out);
    }

    pub(crate) fn rows(&self) -> usize {
        self.lines.rows()
    }
}

/// What was read goes back to where the next section takes it from.
impl Drop for ReadyLines {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.dense));
    }
}

/// Every row's place among those of its code.
fn ordinals(row_codes: &[u16], templates: usize) -> Vec<u32> {
    let mut counts = vec![0u32; templates + 1];
    row_codes
        .iter()
        .map(|&code| {
            let count = &mut counts[usize::from(code)];
            *count += 1;
            *count - 1
        })
        .collect()
}

fn literals(text: Span, head: &[u8]) -> Box<[Span]> {
    let mut start = text.range().start;
    let variables = memchr::memchr_iter(VARIABLE, text.of(head)).map(|at| text.range().start + at);
    variables
        .chain([text.range().end])
        .map(|end| Span::new(std::mem::replace(&mut start, end + 1), end))
        .collect()
}
