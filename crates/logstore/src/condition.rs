//! What a chunk must have for a request to find something in it.
//!
//! A [`Condition`] is necessary, never sufficient: a chunk that does not meet it has no row that
//! passes; in one that does the scan decides. Negative filters make no condition.
//!
//! Line filters are byte substrings, so the first and the last token of a needle may be cut: a
//! [`Piece`] knows on which sides the needle shows a delimiter.

use crate::{literals, tokens};
use store::{LineFilter, LogRequest};

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// Any chunk may match.
    True,
    And(Vec<Condition>),
    Or(Vec<Condition>),
    /// A line contains this text.
    Has(Needle),
    /// A row's structured metadata has this `name=value` pair.
    Pair(Vec<u8>),
}

/// A text that a line must contain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Needle {
    pub(crate) text: Vec<u8>,
    /// In any case of its letters.
    pub(crate) fold: bool,
    pub(crate) pieces: Vec<Piece>,
}

/// A run or an id within a needle.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Folded when the needle is.
    pub(crate) text: Vec<u8>,
    pub(crate) is_id: bool,
    /// Whether the needle shows that the piece begins, or ends, here.
    pub(crate) left: bool,
    pub(crate) right: bool,
}

impl Condition {
    /// What a chunk must have for `request`.
    pub(crate) fn of_request(request: &LogRequest) -> Condition {
        let filters = request.filters.iter().map(Condition::of_filter);
        let hints = request.metadata_hints.iter().filter(|(_, value)| !value.is_empty());
        let pairs = hints.map(|(name, value)| Condition::Pair(format!("{name}={value}").into_bytes()));
        Condition::and(filters.chain(pairs))
    }

    fn of_filter(filter: &LineFilter) -> Condition {
        match filter {
            LineFilter::ContainsAny(needles) => {
                Condition::or(needles.iter().map(|needle| Condition::contains(needle, false)))
            }
            LineFilter::Matches { pattern, .. } => literals::required(pattern),
            LineFilter::ContainsNone(_) | LineFilter::MatchesNot { .. } => Condition::True,
        }
    }

    /// A line contains `text`.
    pub(crate) fn contains(text: &[u8], fold: bool) -> Condition {
        let needle = Needle::new(text, fold);
        if needle.pieces.is_empty() { Condition::True } else { Condition::Has(needle) }
    }

    pub(crate) fn and(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut all: Vec<Condition> = parts.into_iter().filter(|part| *part != Condition::True).collect();
        match all.len() {
            0 => Condition::True,
            1 => all.remove(0),
            _ => Condition::And(all),
        }
    }

    pub(crate) fn or(parts: impl IntoIterator<Item = Condition>) -> Condition {
        let mut any: Vec<Condition> = parts.into_iter().collect();
        if any.contains(&Condition::True) {
            return Condition::True;
        }
        if any.len() == 1 { any.remove(0) } else { Condition::Or(any) }
    }
}

impl Needle {
    fn new(text: &[u8], fold: bool) -> Needle {
        let mut folded = Vec::new();
        let text = if fold {
            tokens::fold(text, &mut folded);
            folded
        } else {
            text.to_vec()
        };
        let pieces = pieces(&text);
        Needle { text, fold, pieces }
    }
}

/// Cuts a needle as lines are cut, and notes which ends are certain.
fn pieces(text: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for_each_stretch(text, tokens::is_letter, |piece| pieces.push(piece));
    for_each_stretch(text, tokens::is_token_byte, |piece| {
        if piece.text.iter().any(u8::is_ascii_digit) {
            pieces.push(Piece { is_id: true, ..piece });
        }
    });
    pieces
}

fn for_each_stretch(text: &[u8], belongs: impl Fn(u8) -> bool, mut visit: impl FnMut(Piece)) {
    let mut start = 0;
    while start < text.len() {
        if !belongs(text[start]) {
            start += 1;
            continue;
        }
        let length = text[start..].iter().take_while(|&&byte| belongs(byte)).count();
        let end = start + length;
        visit(Piece {
            text: text[start..end].to_vec(),
            is_id: false,
            left: start > 0,
            right: end < text.len(),
        });
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_know_their_certain_ends() {
        let show = |text: &str| -> Vec<String> {
            Needle::new(text.as_bytes(), false)
                .pieces
                .iter()
                .map(|piece| {
                    let end = |certain| if certain { "|" } else { "" };
                    let kind = if piece.is_id { "#" } else { "" };
                    let text = String::from_utf8(piece.text.clone()).unwrap();
                    format!("{kind}{}{text}{}", end(piece.left), end(piece.right))
                })
                .collect()
        };
        assert_eq!(show("error"), ["error"]);
        assert_eq!(show(" error "), ["|error|"]);
        assert_eq!(show("blk_-16 x"), ["blk_|", "|x", "#|16|"]);
        assert_eq!(show("a1b"), ["a|", "|b", "#a1b"]);
        assert_eq!(show("- ."), [""; 0]);
    }

    #[test]
    fn an_alternative_without_a_condition_lifts_the_whole() {
        let has = |text: &str| Condition::contains(text.as_bytes(), false);
        assert_eq!(Condition::or([has("a"), has("--")]), Condition::True);
        assert_eq!(Condition::and([has("a"), has("--")]), has("a"));
        assert_eq!(Condition::or([]), Condition::Or(Vec::new()), "no needle can match");
    }
}
