//! Reads a frame: whole, or line by line.

use super::{
    VARIABLE,
    bits::PADDING_BYTES,
    column::{Bytes, Column, Sections, append},
};
use crate::bytes::{Damaged, Reader};
use std::{cell::OnceCell, ops::Range};

/// One template of a frame.
pub(super) struct Template {
    /// Its texts between variables, in `head`: one more than it has variables.
    pub(super) literals: Vec<Range<usize>>,
    /// Its columns, one for each variable.
    pub(super) columns: Range<usize>,
    rows: usize,
}

/// A frame without its dense section, which a search may not need.
pub(crate) struct EncodedLines {
    pub(super) head: Vec<u8>,
    codes: Vec<u8>,
    pub(super) templates: Vec<Template>,
    pub(super) columns: Vec<Column>,
    /// For every row: 0, or its template's place and one.
    pub(super) row_codes: Vec<u16>,
    /// For every row: how many rows before it have the same code; counted when first asked for.
    ordinals: OnceCell<Vec<u32>>,
    /// Rows without template, in `head`.
    raw: Vec<Range<usize>>,
}

/// A frame all of whose lines can be read.
pub(crate) struct ReadyLines {
    pub(super) lines: EncodedLines,
    pub(super) dense: Vec<u8>,
}

impl EncodedLines {
    /// Reads a frame of `rows` lines; `dense_bytes` is the length of its dense section.
    pub(crate) fn open(
        head: Vec<u8>,
        codes: Vec<u8>,
        rows: usize,
        dense_bytes: usize,
    ) -> Result<EncodedLines, Damaged> {
        let mut reader = Reader::new(&head);
        let meta = Reader::new(reader.bytes()?);
        let text = Reader::new(reader.rest());
        let mut sections =
            Sections { head: &head, meta, text, codes_at: 0, codes: &codes, dense_at: 0, dense_bytes };
        let count = sections.meta.count()?;
        let row_codes = row_codes(&mut sections, rows, count)?;
        let mut counts = vec![0u32; count + 1];
        row_codes.iter().for_each(|&code| counts[usize::from(code)] += 1);
        let mut templates = Vec::with_capacity(count);
        let mut first_column = 0;
        for rows in &counts[1..] {
            let text = sections.meta.bytes()?;
            let literals = literals(sections.place(text), text);
            let columns = first_column..first_column + literals.len() - 1;
            first_column = columns.end;
            templates.push(Template { literals, columns, rows: *rows as usize });
        }
        let mut columns = Vec::with_capacity(first_column);
        for template in &templates {
            for _ in template.columns.clone() {
                columns.push(sections.column(template.rows)?);
            }
        }
        let mut raw = Vec::with_capacity(counts[0] as usize);
        for _ in 0..counts[0] {
            let length = sections.meta.varint()? as usize;
            let line = sections.text.take(length)?;
            raw.push(sections.place(line));
        }
        Ok(EncodedLines { templates, columns, row_codes, ordinals: OnceCell::new(), raw, head, codes })
    }

    /// Adds the dense section.
    pub(crate) fn ready(mut self, mut dense: Vec<u8>) -> ReadyLines {
        dense.resize(dense.len() + PADDING_BYTES, 0);
        for template in &self.templates {
            for column in &mut self.columns[template.columns.clone()] {
                column.unpack(template.rows, &self.head, &dense);
            }
        }
        ReadyLines { lines: self, dense }
    }

    pub(crate) fn rows(&self) -> usize {
        self.row_codes.len()
    }

    /// How many rows before this one have the same code.
    pub(super) fn ordinal(&self, row: usize) -> usize {
        self.ordinals.get_or_init(|| ordinals(&self.row_codes, self.templates.len()))[row] as usize
    }

    /// The text of the row without template that has `number` such rows before it.
    pub(super) fn raw_line(&self, number: usize) -> &[u8] {
        &self.head[self.raw[number].clone()]
    }
}

impl ReadyLines {
    /// Appends the line of a row of the frame.
    pub(crate) fn put(&self, row: usize, out: &mut Vec<u8>) {
        let lines = &self.lines;
        let code = usize::from(lines.row_codes[row]);
        if code == 0 {
            out.extend_from_slice(lines.raw_line(lines.ordinal(row)));
            return;
        }
        let template = &lines.templates[code - 1];
        let bytes = Bytes { head: &lines.head, codes: &lines.codes, dense: &self.dense };
        let ordinal = lines.ordinal(row);
        let mut literals = template.literals.iter();
        if let Some(literal) = literals.next() {
            append(&lines.head[literal.clone()], out);
        }
        for (column, literal) in lines.columns[template.columns.clone()].iter().zip(literals) {
            column.put(ordinal, &bytes, out);
            append(&lines.head[literal.clone()], out);
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.lines.rows()
    }
}

fn row_codes(sections: &mut Sections<'_>, rows: usize, templates: usize) -> Result<Vec<u16>, Damaged> {
    if templates == 0 {
        return Ok(vec![0; rows]);
    }
    let low = sections.take_codes(rows)?;
    let mut row_codes: Vec<u16> =
        sections.codes[low..low + rows].iter().map(|&code| u16::from(code)).collect();
    if templates > usize::from(u8::MAX) {
        let high = sections.take_codes(rows)?;
        let high = &sections.codes[high..high + rows];
        row_codes.iter_mut().zip(high).for_each(|(code, &high)| *code |= u16::from(high) << 8);
    }
    if row_codes.iter().any(|&code| usize::from(code) > templates) {
        return Err(Damaged::new("row of an unknown template"));
    }
    Ok(row_codes)
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

fn literals(place: Range<usize>, text: &[u8]) -> Vec<Range<usize>> {
    let mut start = place.start;
    let mut literals = Vec::new();
    for variable in memchr::memchr_iter(VARIABLE, text) {
        literals.push(start..place.start + variable);
        start = place.start + variable + 1;
    }
    literals.push(start..place.end);
    literals
}
