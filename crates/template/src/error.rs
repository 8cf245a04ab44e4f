//! What can go wrong, in the words of Go's `text/template`.

/// A template that does not parse. Prints as `template: NAME:LINE: what is wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}: {message}")]
pub struct ParseError {
    /// The template's name.
    pub name: String,
    /// The line of the offending token, from 1.
    pub line: usize,
    /// Its byte within the line, from 0. Go leaves it out of the message.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A template that failed while it ran.
/// Prints as `template: NAME:LINE:BYTE: executing "NAME" at <NODE>: what went wrong`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {name}:{line}:{column}: executing {executing:?} at <{node}>: {message}")]
pub struct ExecError {
    /// The name of the text that was parsed.
    pub name: String,
    /// Line, from 1.
    pub line: usize,
    /// Byte within the line, from 0.
    pub column: usize,
    /// The template or `define` that was being executed.
    pub executing: String,
    /// The piece of the template at fault.
    pub node: String,
    /// What went wrong.
    pub message: String,
}

/// A bound of [`crate::Limits`] that was reached, in words.
pub(crate) const RUNS_TOO_LONG: &str = "template runs for too long";
pub(crate) const WRITES_TOO_MUCH: &str = "template writes too much";

impl ExecError {
    /// Whether less data might have been within the bounds of steps and bytes.
    pub fn is_limit(&self) -> bool {
        [RUNS_TOO_LONG, WRITES_TOO_MUCH].contains(&self.message.as_str())
    }
}

/// Line (from 1) and byte within the line (from 0) of a byte position.
pub(crate) fn line_and_column(text: &str, position: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..position.min(text.len())];
    let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count();
    (line, column)
}
