//! Frames of lines, kept as templates and columns of variables. Drawn in
//! `docs/formats/logstore.md`.
//!
//! A line's ids (tokens with a digit, as [`crate::tokens`] cuts them) are its variables, the rest
//! is its template. A frame lists its templates once, says for every row which template it has,
//! and keeps the variables by template and position, where they are alike: numbers, hexadecimal,
//! few values. Rows whose template is rare in the frame are kept as they are, so text without
//! structure costs what plain compression does.
//!
//! Invariants: every line comes back byte for byte; nothing that is read from disk is trusted to
//! be consistent. Bounds: [`VARIABLES_MAX`] variables of a line, [`TEMPLATES_MAX`] templates of a
//! frame; what is beyond is kept as it is.

mod bits;
mod column;
mod decode;
mod encode;
mod needle;
mod parse;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use decode::{EncodedLines, FrameHead, ReadyLines};
pub(crate) use encode::{EncodedFrame, encode};
pub(crate) use needle::{Judgement, Verdict, Wanted};
pub(crate) use parse::{NO_TEMPLATE, Parsed};

/// Stands for a variable in a template's text: a byte that UTF-8 never has.
pub(crate) const VARIABLE: u8 = 0xff;
/// A line with more variables has no template.
const VARIABLES_MAX: usize = 128;
/// Templates of fewer rows in a frame are not worth their columns.
const TEMPLATE_ROWS_MIN: u32 = 3;
/// Most templates of a frame: codes have two bytes, and 0 is the row kept as it is.
const TEMPLATES_MAX: usize = u16::MAX as usize;
