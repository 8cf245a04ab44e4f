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

/// The texts of which a line must contain one, and nothing else is asked, for `pattern` to match:
/// each with whether any case of its letters will do. `None` when there is more to the pattern.
pub(crate) fn texts(pattern: &str) -> Option<Vec<(Vec<u8>, bool)>> {
    let hir = ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
    match hir.kind() {
        HirKind::Alternation(parts) => parts.iter().map(whole_text).collect(),
        _ => whole_text(&hir).map(|text| vec![text]),
    }
}

/// The one text that an expression matches, give or take the case of all of its letters.
fn whole_text(hir: &Hir) -> Option<(Vec<u8>, bool)> {
    let mut text = Text::default();
    let mut has_exact_letters = false;
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    for part in parts {
        match part.kind() {
            HirKind::Literal(literal) => {
                let mut folded = Vec::new();
                tokens::fold(&literal.0, &mut folded);
                has_exact_letters |= folded != *literal.0 || folded.iter().any(u8::is_ascii_alphabetic);
            }
            HirKind::Class(class) if has_all_cases(class) => {}
            _ => return None,
        }
        if !text.take(part) {
            return None;
        }
    }
    let is_text = !text.bytes.is_empty() && (!text.fold || !has_exact_letters);
    is_text.then_some((text.bytes, text.fold))
}

/// Whether a class of one letter in either case has every character that folds onto it.
fn has_all_cases(class: &Class) -> bool {
    let Class::Unicode(class) = class else { return false };
    let members = class.iter().flat_map(|range| range.start()..=range.end()).take(5).count();
    let has = |letter: char| class.iter().any(|range| (range.start()..=range.end()).contains(&letter));
    members == if has('s') || has('k') { 3 } else { 2 }
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
    fn plain_texts_are_told_from_patterns() {
        for (pattern, expected) in [
            ("foo", Some(&[("foo", false)][..])),
            ("foo|bar 1", Some(&[("foo", false), ("bar 1", false)])),
            ("(?i)Foo 1", Some(&[("foo 1", true)])),
            ("(?i)risk", Some(&[("risk", true)])),
            ("(?i:fo)o", None),
            ("[eE]rr", None),
            ("[sS]1", None),
            ("[eE]1", Some(&[("e1", true)])),
            ("^foo", None),
            ("fo+", None),
            ("foo|", None),
            ("", None),
            ("[ab]", None),
            ("(", None),
        ] {
            let found = texts(pattern);
            let found: Option<Vec<(&str, bool)>> = found.as_ref().map(|texts| {
                texts.iter().map(|(text, fold)| (std::str::from_utf8(text).unwrap(), *fold)).collect()
            });
            assert_eq!(found.as_deref(), expected, "{pattern}");
        }
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
