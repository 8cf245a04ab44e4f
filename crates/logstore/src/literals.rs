//! The texts that every match of a regular expression must contain.
//!
//! The expression is walked to a tree of AND (concatenation), OR (alternation) and literals; what
//! cannot be told becomes [`Condition::True`]. Letters that match in either case (`(?i)`) make a
//! folded literal. Bounds: [`LITERALS_MAX`] literals, else the whole is `True`.

use crate::{condition::Condition, tokens};
use regex_syntax::{
    ParserBuilder,
    hir::{Class, Hir, HirKind},
};

const LITERALS_MAX: usize = 64;

/// What a line must contain for `pattern` to match somewhere in it.
pub(crate) fn required(pattern: &str) -> Condition {
    let Ok(hir) = ParserBuilder::new().utf8(false).build().parse(pattern) else {
        return Condition::True;
    };
    let condition = walk(&hir);
    if count(&condition) > LITERALS_MAX { Condition::True } else { condition }
}

fn count(condition: &Condition) -> usize {
    match condition {
        Condition::True => 0,
        Condition::And(parts) | Condition::Or(parts) => parts.iter().map(count).sum(),
        Condition::Has(_) | Condition::Pair(_) => 1,
    }
}

fn walk(hir: &Hir) -> Condition {
    match hir.kind() {
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => Condition::or(parts.iter().map(walk)),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min >= 1 => walk(&repetition.sub),
        HirKind::Repetition(_) | HirKind::Empty | HirKind::Look(_) => Condition::True,
        HirKind::Literal(_) | HirKind::Class(_) => concat(std::slice::from_ref(hir)),
    }
}

/// Joins neighbouring literals and letters of either case to one text, and takes everything else
/// for itself.
fn concat(parts: &[Hir]) -> Condition {
    let mut found = Vec::new();
    let mut text = Text::default();
    for part in parts {
        if !text.take(part) {
            found.push(text.finish());
            if !matches!(part.kind(), HirKind::Class(_)) {
                found.push(walk(part));
            }
        }
    }
    found.push(text.finish());
    Condition::and(found)
}

#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
    fold: bool,
}

impl Text {
    /// Appends what `part` matches when that is one text, give or take the case of its letters.
    fn take(&mut self, part: &Hir) -> bool {
        match part.kind() {
            HirKind::Literal(literal) => {
                self.bytes.extend_from_slice(&literal.0);
                true
            }
            HirKind::Class(class) => match either_case(class) {
                Some(letter) => {
                    self.bytes.push(letter);
                    self.fold = true;
                    true
                }
                None => false,
            },
            HirKind::Capture(capture) => {
                // A capture joins only as a whole.
                matches!(capture.sub.kind(), HirKind::Literal(_)) && self.take(&capture.sub)
            }
            _ => false,
        }
    }

    fn finish(&mut self) -> Condition {
        let text = std::mem::take(self);
        if text.bytes.is_empty() { Condition::True } else { Condition::contains(&text.bytes, text.fold) }
    }
}

/// The lower-case ASCII letter that all members of the class fold onto.
fn either_case(class: &Class) -> Option<u8> {
    let mut folded = Vec::new();
    match class {
        Class::Unicode(class) => {
            let members = class.iter().flat_map(|range| range.start()..=range.end());
            for member in members.take(5) {
                tokens::fold(member.encode_utf8(&mut [0; 4]).as_bytes(), &mut folded);
            }
        }
        Class::Bytes(class) => {
            for member in class.iter().flat_map(|range| range.start()..=range.end()).take(5) {
                folded.push(member.to_ascii_lowercase());
            }
        }
    }
    let first = *folded.first()?;
    let is_letter = first.is_ascii_lowercase() && folded.iter().all(|&letter| letter == first);
    is_letter.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(text: &str) -> Condition {
        Condition::contains(text.as_bytes(), false)
    }

    fn folded(text: &str) -> Condition {
        Condition::contains(text.as_bytes(), true)
    }

    #[test]
    fn literals_are_found_in_every_construct() {
        for (pattern, expected) in [
            ("foo", has("foo")),
            ("foo.*bar", Condition::and([has("foo"), has("bar")])),
            ("timeout|refused", Condition::or([has("timeout"), has("refused")])),
            ("(?i)timeout", folded("timeout")),
            ("(?i)risk", folded("risk")),
            ("(a+b)?c", has("c")),
            ("^(GET|PUT) /x", Condition::and([Condition::or([has("GET"), has("PUT")]), has(" /x")])),
            ("(foo){2,}", has("foo")),
            ("foo|.*", Condition::True),
            (r"\d+", Condition::True),
            ("", Condition::True),
            ("(", Condition::True),
        ] {
            assert_eq!(required(pattern), expected, "{pattern}");
        }
    }
}
