//! Go's regular expressions (RE2 syntax, Go package `regexp/syntax`) on Rust's `regex`.
//!
//! [`parse`] reads all of Go's syntax, as of Go 1.25, and writes it in Rust's: what Go refuses is
//! refused in its words, what it takes means what it means there.
//! Compiled programs are held to a fixed size so that a pattern costs a bounded amount.

mod class;
mod parse;
#[cfg(test)]
mod tests;

use regex::{Captures, Regex, RegexBuilder};
use std::collections::HashSet;

/// Longest pattern: what is read of it takes a hundred times as much. Compiled, few that are half as long
/// would be small enough.
const PATTERN_BYTES_MAX: usize = 512 << 10;
/// What is shown of a pattern that is too large.
const SHOWN_BYTES_MAX: usize = 200;
/// Compiled programs above this many bytes are refused.
const PROGRAM_BYTES_MAX: usize = 10 << 20;
/// What an ordinary pattern stays below.
pub const SMALL_PROGRAM_BYTES_MAX: usize = 256 << 10;

/// What `.` matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dot {
    /// Any character, as Prometheus (since 3.0) and Loki match labels.
    Any,
    /// Any but a newline, as Alertmanager matches them.
    NotNewline,
}

/// Compiles a pattern that must match the whole text.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile_anchored(pattern: &str, dot: Dot) -> Result<Regex, String> {
    build(pattern, dot, if dot == Dot::Any { "^(?s:" } else { "^(?:" }, ")$")
}

/// Compiles a pattern that may match anywhere, as line filters and `regexReplaceAll` do.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(pattern, Dot::NotNewline, "", "")
}

/// The regular expressions of one request, which together must not take more than a few hundred
/// megabytes: one of a few bytes may take ten.
#[derive(Clone, Copy, Debug, Default)]
pub struct PatternCount(usize);

impl PatternCount {
    /// Regular expressions of one request.
    const MAX: usize = 1000;
    /// So many of them, the first ones, may take more than [`SMALL_PROGRAM_BYTES_MAX`].
    const LARGE_MAX: usize = 16;

    /// Counts one more.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        self.0 += 1;
        if self.0 > Self::MAX {
            return Err(format!("more than {} regular expressions", Self::MAX));
        }
        if self.0 > Self::LARGE_MAX && is_large(pattern) {
            let message = "regular expressions, of which this one is large; simplify it";
            return Err(format!("more than {} {message}", Self::LARGE_MAX));
        }
        Ok(())
    }
}

/// Longest text that [`expand`] makes.
pub const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// `replacement` with groups in the place of `$1`, `${name}` and their like; `None` where that could
/// have more than [`EXPANDED_BYTES_MAX`]: replacements of replacements grow without end.
pub fn expand(captures: &Captures<'_>, replacement: &str) -> Option<String> {
    let groups = replacement.bytes().filter(|byte| *byte == b'$').count();
    let longest = captures.get(0).map_or(0, |whole| whole.len());
    let bytes_max = replacement.len().saturating_add(groups.saturating_mul(longest));
    if bytes_max > EXPANDED_BYTES_MAX {
        return None;
    }
    let mut expanded = String::new();
    captures.expand(replacement, &mut expanded);
    Some(expanded)
}

/// Whether the compiled pattern takes more than [`SMALL_PROGRAM_BYTES_MAX`]. Whoever takes many
/// patterns from one caller bounds how many of them may be large.
pub fn is_large(pattern: &str) -> bool {
    let Ok(text) = translate(pattern) else {
        return false;
    };
    let built = RegexBuilder::new(&text).size_limit(SMALL_PROGRAM_BYTES_MAX).build();
    matches!(built, Err(regex::Error::CompiledTooBig(_)))
}

/// An expression in Rust's dialect, of which [`regex::Regex`] makes what Go would.
///
/// # Errors
/// The reason, in Go's words.
pub fn translate(pattern: &str) -> Result<String, String> {
    check_length(pattern)?;
    let translation = parse::translate(pattern, Dot::NotNewline);
    translation.map(|translation| translation.text).map_err(|refusal| worded(refusal, pattern))
}

/// As [`translate`], one that matches what any of `patterns` does. Each of them is an expression by
/// itself: what one leaves open, such as `\Q`, ends with it.
///
/// # Errors
/// As [`translate`].
pub fn translate_any<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<String, String> {
    let (mut names, mut alternatives) = (HashSet::new(), Vec::new());
    for pattern in patterns {
        check_length(pattern)?;
        let translated = parse::translate_beside(&mut names, pattern, Dot::NotNewline);
        let text = translated.map_err(|refusal| worded(refusal, pattern))?.text;
        alternatives.push(format!("(?:{text})"));
    }
    Ok(alternatives.join("|"))
}

/// A name that several groups of the pattern have.
pub fn repeated_name(pattern: &str) -> Option<String> {
    parse::translate(pattern, Dot::NotNewline).ok()?.repeated_name
}

fn check_length(pattern: &str) -> Result<(), String> {
    let bytes = pattern.len();
    if bytes > PATTERN_BYTES_MAX {
        return Err(format!("regular expression of {bytes} bytes; the longest may have {PATTERN_BYTES_MAX}"));
    }
    Ok(())
}

fn worded(refusal: parse::Refusal, whole: &str) -> String {
    let piece = refusal.piece.as_deref().unwrap_or(whole);
    format!("error parsing regexp: {}: `{piece}`", refusal.reason)
}

/// Compiles a pattern between two texts, which the errors about all of it show as well.
fn build(pattern: &str, dot: Dot, before: &str, after: &str) -> Result<Regex, String> {
    check_length(pattern)?;
    let wrapped = |text: &str| format!("{before}{text}{after}");
    let text = match parse::translate(pattern, dot) {
        Ok(translation) => wrapped(&translation.text),
        Err(refusal) => return Err(worded(refusal, &wrapped(pattern))),
    };
    RegexBuilder::new(&text).size_limit(PROGRAM_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            let shown = &pattern[..pattern.floor_char_boundary(SHOWN_BYTES_MAX)];
            let more = if shown.len() < pattern.len() { "…" } else { "" };
            format!("regular expression `{shown}{more}` needs more than {limit} bytes when compiled")
        }
        other => {
            let text = other.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or(&text).trim().to_owned();
            let reason = if reason.contains("nested") { "expression nests too deeply" } else { &reason };
            format!("error parsing regexp: {reason}: `{}`", wrapped(pattern))
        }
    })
}
