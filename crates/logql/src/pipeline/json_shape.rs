//! The `json` parser on lines of one shape: their texts are walked once, and then only the values of
//! the members that are needed are looked at in each line.
//!
//! Invariant: a line gets the labels that [`super::json`] would give it, or is handed back. What the
//! walk does not understand at once (escapes in what is wanted, nested objects, lists that vary) has
//! no plan, so such lines are parsed one by one.

use super::{
    json::{Raw, Scanner, Stop, is_label_name},
    labels::{Hints, RowLabels},
};
use std::ops::{ControlFlow, Range};
use store::ShapedRow;

/// Stands for a value while a shape's texts are walked: as good in a string as in a number.
const STAND_IN: &str = "0";

/// How to get the members that are needed out of the values of a shape.
#[derive(Debug)]
pub(crate) struct JsonPlan {
    /// Places of the values that are looked at, ascending.
    pub(crate) places: Vec<usize>,
    /// Which of these begin a number: a line where one does not is no JSON.
    numbers: Vec<usize>,
    members: Vec<Member>,
    /// The walk ended when it had everything; a line of which it has not is walked on.
    ends_early: bool,
}

#[derive(Debug)]
struct Member {
    name: String,
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    /// Which of the plan's values.
    Value(usize),
}

impl Piece {
    fn of<'a>(&'a self, row: &ShapedRow<'a>) -> &'a str {
        match self {
            Piece::Text(text) => text,
            Piece::Value(index) => row.value(*index),
        }
    }
}

impl JsonPlan {
    /// A plan for lines of these texts with values between them; `None` when each must be parsed.
    pub(super) fn of(texts: &[&str], hints: &Hints) -> Option<JsonPlan> {
        let required = hints.required.as_ref().filter(|required| !required.is_empty())?;
        let joined = texts.join(STAND_IN);
        let mut walk = Walk::new(texts, &joined);
        let mut is_plain = true;
        let walked = Scanner::new(&joined).object(&mut |key, value| {
            is_plain = walk.member(key, value, hints).is_some();
            let has = |name: &String| walk.plan.members.iter().any(|member| member.name == *name);
            if !is_plain || required.iter().all(has) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let mut plan = walk.plan;
        plan.ends_early = match walked {
            Ok(()) => false,
            Err(Stop::Enough) => true,
            Err(Stop::Bad(_)) => return None,
        };
        is_plain.then_some(plan)
    }

    /// Which member is extracted under this name.
    pub(crate) fn member(&self, name: &str) -> Option<usize> {
        self.members.iter().position(|member| member.name == name)
    }

    /// Appends a member's text.
    pub(crate) fn put(&self, member: usize, row: &ShapedRow<'_>, out: &mut String) {
        for piece in self.pieces(member) {
            out.push_str(piece.of(row));
        }
    }

    /// Whether what a member has in all lines is ASCII.
    pub(crate) fn is_ascii(&self, member: usize) -> bool {
        self.pieces(member).iter().all(|piece| match piece {
            Piece::Text(text) => text.is_ascii(),
            Piece::Value(_) => true,
        })
    }

    fn pieces(&self, member: usize) -> &[Piece] {
        self.members.get(member).map_or(&[], |member| &member.pieces)
    }

    /// Whether the values make a line that can be walked as the shape was.
    pub(crate) fn fits(&self, row: &ShapedRow<'_>) -> bool {
        let begins_a_number = |index: &usize| row.value(*index).starts_with(|c: char| c.is_ascii_digit());
        self.numbers.iter().all(begins_a_number)
    }

    /// Writes the labels of a line; `None` when the line must be parsed.
    pub(super) fn extract(
        &self,
        row: &ShapedRow<'_>,
        labels: &mut RowLabels,
        hints: &Hints,
        scratch: &mut String,
    ) -> Option<()> {
        if !self.fits(row) {
            return None;
        }
        for member in &self.members {
            if let [Piece::Value(index)] = member.pieces.as_slice() {
                labels.extract(&member.name, row.value(*index), hints);
                continue;
            }
            scratch.clear();
            member.pieces.iter().for_each(|piece| scratch.push_str(piece.of(row)));
            labels.extract(&member.name, scratch, hints);
        }
        (!self.ends_early || labels.has_all(hints)).then_some(())
    }
}

/// A walk through the texts of a shape.
struct Walk<'a> {
    joined: &'a str,
    /// Where each value stands in `joined`, ascending.
    holes: Vec<usize>,
    plan: JsonPlan,
}

impl<'a> Walk<'a> {
    fn new(texts: &[&str], joined: &'a str) -> Walk<'a> {
        let mut end = 0;
        let holes = texts.iter().take(texts.len().saturating_sub(1)).map(|text| {
            end += text.len() + STAND_IN.len();
            end - STAND_IN.len()
        });
        let plan =
            JsonPlan { places: Vec::new(), numbers: Vec::new(), members: Vec::new(), ends_early: false };
        Walk { joined, holes: holes.collect(), plan }
    }

    /// Where a part of `joined` begins.
    fn offset(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.joined.as_ptr() as usize
    }

    /// The values that stand in a part of `joined`.
    fn values_in(&self, part: &str) -> Range<usize> {
        let start = self.offset(part);
        let first = self.holes.partition_point(|&hole| hole < start);
        first..self.holes.partition_point(|&hole| hole < start + part.len())
    }

    /// Which of the plan's values the value at a place is.
    fn take(&mut self, place: usize) -> usize {
        if self.plan.places.last() != Some(&place) {
            self.plan.places.push(place);
        }
        self.plan.places.len() - 1
    }

    /// Takes the next member; `None` when it is not understood.
    fn member(&mut self, key: &str, value: Raw<'_>, hints: &Hints) -> Option<()> {
        if !self.values_in(key).is_empty() || !is_label_name(key) {
            return None;
        }
        let text = match value {
            Raw::String(text) => text,
            Raw::Word(text) => {
                let first = self.values_in(text).start;
                if self.holes.get(first) == Some(&self.offset(text)) {
                    let number = self.take(first);
                    self.plan.numbers.push(number);
                }
                text
            }
            Raw::Null => return Some(()),
            Raw::Array(text) => return self.values_in(text).is_empty().then_some(()),
            Raw::Object(_) => return None,
        };
        if !hints.may_want(key) {
            return Some(());
        }
        if text.contains('\\') {
            return None;
        }
        let pieces = self.pieces(text);
        self.plan.members.push(Member { name: key.to_owned(), pieces });
        Some(())
    }

    fn pieces(&mut self, text: &str) -> Vec<Piece> {
        let start = self.offset(text);
        let (mut pieces, mut at) = (Vec::new(), 0);
        for place in self.values_in(text) {
            let hole = self.holes[place] - start;
            if hole > at {
                pieces.push(Piece::Text(text[at..hole].to_owned()));
            }
            pieces.push(Piece::Value(self.take(place)));
            at = hole + STAND_IN.len();
        }
        if at < text.len() || pieces.is_empty() {
            pieces.push(Piece::Text(text[at..].to_owned()));
        }
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::{super::json::extract_all, *};
    use model::{Labels, LabelsRef};
    use proptest::prelude::*;
    use store::StreamId;

    /// Labels with their values, and the error.
    type Found = (Vec<(String, String)>, Option<&'static str>);

    fn found(labels: &RowLabels) -> Found {
        let mut pairs: Vec<_> =
            labels.iter().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect();
        pairs.sort();
        (pairs, labels.error())
    }

    fn loaded() -> RowLabels {
        let mut labels = RowLabels::default();
        labels.load_stream(&Labels::from_pairs([("app", "shop")]));
        labels.load_row(Labels::from_pairs([("level", "info")]).as_ref());
        labels
    }

    /// What the plan finds in the line, and what the parser does; the first is `None` when the line is
    /// handed back.
    fn both(texts: &[&str], values: &[&str], required: &[&str]) -> (Option<Found>, Found) {
        let required = required.iter().map(|&name| name.to_owned()).collect();
        let hints = Hints { required: Some(required) };
        let line: String =
            texts.iter().zip(values.iter().chain([&""])).flat_map(|(text, value)| [*text, *value]).collect();
        let mut parsed = loaded();
        extract_all(&line, &mut parsed, &hints);
        let by_plan = JsonPlan::of(texts, &hints).and_then(|plan| {
            let (mut text, mut ends) = (String::new(), Vec::new());
            for &place in &plan.places {
                text.push_str(values[place]);
                ends.push(text.len());
            }
            let stream = Labels::empty();
            let row = ShapedRow {
                stream: StreamId(0),
                labels: &stream,
                timestamp_ns: 0,
                metadata: LabelsRef::from_trusted_bytes(&[]),
                text: &text,
                ends: &ends,
            };
            let mut labels = loaded();
            plan.extract(&row, &mut labels, &hints, &mut String::new()).map(|()| found(&labels))
        });
        (by_plan, found(&parsed))
    }

    #[test]
    fn lines_of_a_shape_are_read_without_parsing() {
        let texts =
            [r#"{"level":"info","path":"/api/cart/"#, r#"","took":"#, ".", r#","ids":["a"],"n":"#, "}"];
        for required in [&["path"][..], &["took", "path"], &["n"], &["absent"], &["level_extracted", "n"]] {
            let (by_plan, parsed) = both(&texts, &["17", "3", "25", "9"], required);
            assert_eq!(by_plan, Some(parsed), "{required:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_handed_back() {
        for (texts, values, required) in [
            // A number that begins with a letter is none.
            (&[r#"{"a":"#, r#","b":"x"}"#][..], &["x1"][..], "b"),
            // The stream has the name, so the walk has not found what is needed, and there is a mistake.
            (&[r#"{"app":""#, r#"","b":?}"#], &["1"], "app"),
            (&[r#"{"k"#, r#"":"v","b":1}"#], &["1"], "b"),
            (&[r#"{"b":"\\u00"#, r#""}"#], &["e9"], "b"),
            (&[r#"{"o":{"b":"#, "}}"], &["1"], "o_b"),
            (&["no JSON ", ""], &["1"], "b"),
        ] {
            let (by_plan, _) = both(texts, values, &[required]);
            assert_eq!(by_plan, None, "{texts:?}");
        }
    }

    proptest! {
        #[test]
        fn a_plan_finds_what_the_parser_finds(
            pieces in prop::collection::vec(
                ("(\\{\"|\",\"|\":\"|\":|,\"|\"\\}|\\}|-|\\\\|null|\\[|\\]| |app|level|a|b|\\.|true|\\{)",
                 prop::option::of("([0-9]{1,3}|[a-z][0-9]|0x1f|é1|\u{fffd}9)")),
                1..14,
            ),
            required in prop::collection::vec("(a|b|app|app_extracted|level_extracted)", 1..3),
        ) {
            let (mut texts, mut values): (Vec<String>, Vec<String>) = (vec!["{\"".to_owned()], Vec::new());
            for (text, value) in pieces {
                let last = texts.len() - 1;
                texts[last].push_str(&text);
                if let Some(value) = value {
                    values.push(value);
                    texts.push(String::new());
                }
            }
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            // Tokens of texts and values never touch.
            let is_token = |c: char| c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii();
            let touches = |pair: &[&str]| {
                pair[0].ends_with(is_token) || pair[1].starts_with(is_token) || pair[0].is_empty()
            };
            if texts.windows(2).any(touches) {
                return Ok(());
            }
            let required: Vec<&str> = required.iter().map(String::as_str).collect();
            let (by_plan, parsed) = both(&texts, &values, &required);
            if let Some(by_plan) = by_plan {
                prop_assert_eq!(by_plan, parsed);
            }
        }
    }
}
