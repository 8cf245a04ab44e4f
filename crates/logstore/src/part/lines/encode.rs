//! Writes a frame from a stretch of a chunk's rows.

use super::{Parsed, TEMPLATE_ROWS_MIN, TEMPLATES_MAX, column, parse::NO_TEMPLATE};
use crate::bytes::{put_bytes, put_varint};
use std::ops::Range;

/// A frame's bytes, to be compressed section by section.
#[derive(Default)]
pub(crate) struct EncodedFrame {
    /// Templates and columns: what is where.
    pub(super) meta: Vec<u8>,
    /// Values and lines that are kept as text.
    pub(super) text: Vec<u8>,
    /// A byte for each thing.
    pub(crate) codes: Vec<u8>,
    /// Bits without structure.
    pub(crate) dense: Vec<u8>,
}

impl EncodedFrame {
    /// The first section: `meta` behind its length, and `text`.
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(self.meta.len() + self.text.len() + 4);
        put_bytes(&mut head, &self.meta);
        head.extend_from_slice(&self.text);
        head
    }
}

/// The templates that a frame keeps, and which of its rows have them.
struct Kept {
    /// Templates of the chunk, those of most rows first.
    templates: Vec<u32>,
    /// Where each template's rows end in `rows`.
    ends: Vec<usize>,
    /// Rows of the chunk, template by template.
    rows: Vec<usize>,
    /// For every row of the frame: 0, or the template's place and one.
    codes: Vec<u16>,
}

impl Kept {
    fn of(parsed: &Parsed, rows: Range<usize>) -> Kept {
        let mut counts = vec![0u32; parsed.templates()];
        let with_template = || rows.clone().filter(|&row| parsed.template_of(row) != NO_TEMPLATE);
        with_template().for_each(|row| counts[parsed.template_of(row) as usize] += 1);
        let mut templates: Vec<u32> =
            (0..counts.len() as u32).filter(|&t| counts[t as usize] >= TEMPLATE_ROWS_MIN).collect();
        templates.sort_by_key(|&template| std::cmp::Reverse(counts[template as usize]));
        templates.truncate(TEMPLATES_MAX);
        let mut places = vec![0u16; counts.len()];
        let (mut ends, mut next, mut total) = (Vec::new(), Vec::new(), 0);
        for (place, &template) in templates.iter().enumerate() {
            places[template as usize] = place as u16 + 1;
            next.push(total);
            total += counts[template as usize] as usize;
            ends.push(total);
        }
        let mut by_template = vec![0; total];
        let mut codes = Vec::with_capacity(rows.len());
        for row in rows.clone() {
            let template = parsed.template_of(row);
            let code = if template == NO_TEMPLATE { 0 } else { places[template as usize] };
            codes.push(code);
            if code > 0 {
                let next = &mut next[usize::from(code) - 1];
                by_template[*next] = row;
                *next += 1;
            }
        }
        Kept { templates, ends, rows: by_template, codes }
    }
}

/// Encodes the lines of `rows`, which lie in the chunk's `text`.
pub(crate) fn encode(parsed: &Parsed, text: &[u8], rows: Range<usize>) -> EncodedFrame {
    let mut out = EncodedFrame::default();
    let kept = Kept::of(parsed, rows.clone());
    put_varint(&mut out.meta, kept.templates.len() as u64);
    if !kept.templates.is_empty() {
        out.codes.extend(kept.codes.iter().map(|code| *code as u8));
        if kept.templates.len() > usize::from(u8::MAX) {
            out.codes.extend(kept.codes.iter().map(|code| (code >> 8) as u8));
        }
    }
    for &template in &kept.templates {
        put_bytes(&mut out.meta, parsed.template_text(template as usize));
    }
    let mut start = 0;
    let mut values = Vec::new();
    for (&template, &end) in kept.templates.iter().zip(&kept.ends) {
        for position in 0..parsed.variable_count(template) {
            values.clear();
            values.extend(kept.rows[start..end].iter().map(|&row| &text[parsed.variable(row, position)]));
            column::encode(&values, &mut out);
        }
        start = end;
    }
    for row in rows.zip(&kept.codes).filter(|(_, code)| **code == 0).map(|(row, _)| row) {
        let line = &text[parsed.line_range(row)];
        put_varint(&mut out.meta, line.len() as u64);
        out.text.extend_from_slice(line);
    }
    out
}
