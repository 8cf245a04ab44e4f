//! `<ip> - <user> [<_>]`: literals with captures between them.

use super::{
    go_on,
    labels::{Hints, RowLabels},
};
use memchr::memmem;

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// The name, or `_`.
    Capture(String),
}

/// Splits a pattern; whatever is no `<name>` is literal.
fn parse(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((name, tail)) = capture(rest) {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Capture(name.to_owned()));
            rest = tail;
        } else {
            literal.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

fn capture(text: &str) -> Option<(&str, &str)> {
    let (name, tail) = text.strip_prefix('<')?.split_once('>')?;
    model::is_legacy_label_name(name).then_some((name, tail))
}

fn check_adjacent(parts: &[Part]) -> Result<(), String> {
    for pair in parts.windows(2) {
        if let [Part::Capture(a), Part::Capture(b)] = pair {
            return Err(format!("found consecutive capture '<{a}><{b}>': invalid expression"));
        }
    }
    Ok(())
}

/// The `pattern` parser.
pub(super) struct Extractor {
    parts: Vec<Part>,
}

impl Extractor {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            let reason = "syntax error: unexpected $end, expecting IDENTIFIER or LITERAL";
            return Err(format!("parse error at line 1, col 1: {reason}"));
        }
        let parts = parse(text);
        check_adjacent(&parts)?;
        let names: Vec<_> = parts
            .iter()
            .filter_map(|part| if let Part::Capture(name) = part { Some(name) } else { None })
            .collect();
        let named: Vec<_> = names.iter().filter(|name| name.as_str() != "_").collect();
        if named.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        for (i, name) in named.iter().enumerate() {
            if named[..i].contains(name) {
                return Err(format!("duplicate capture name ({name}): invalid expression"));
            }
        }
        Ok(Extractor { parts })
    }

    /// Captures as far as the line follows the pattern.
    pub(super) fn extract(&self, line: &str, labels: &mut RowLabels, hints: &Hints) {
        if hints.needs_none() {
            return;
        }
        let mut rest = line;
        let mut parts = self.parts.as_slice();
        if let Some((Part::Literal(literal), tail)) = parts.split_first() {
            let Some(found) = rest.find(literal.as_str()) else {
                return;
            };
            rest = &rest[found + literal.len()..];
            parts = tail;
        }
        while let Some((Part::Capture(name), tail)) = parts.split_first() {
            let (value, after, ends) = match tail.first() {
                Some(Part::Literal(literal)) => match rest.split_once(literal.as_str()) {
                    Some((value, after)) => (value, after, false),
                    None => (rest, "", true),
                },
                _ => (rest, "", true),
            };
            if name != "_" {
                labels.extract(name, value, hints);
            }
            if ends || go_on(labels, hints).is_break() {
                return;
            }
            rest = after;
            parts = &tail[1..];
        }
    }
}

/// The pattern of a `|>` filter, anchored at literal ends.
pub(super) struct Filter {
    parts: Vec<Part>,
}

impl Filter {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let parts = parse(text);
        check_adjacent(&parts)?;
        for part in &parts {
            if let Part::Capture(name) = part
                && name != "_"
            {
                return Err(format!("named captures are not allowed: found '<{name}>'"));
            }
        }
        Ok(Filter { parts })
    }

    pub(super) fn longest_literal(&self) -> Option<&str> {
        let literals = self.parts.iter().filter_map(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Capture(_) => None,
        });
        literals.max_by_key(|literal| literal.len())
    }

    /// Whether the whole line has the pattern's form; a `<_>` stands for at least one byte.
    pub(super) fn matches(&self, line: &str) -> bool {
        let mut rest = line.as_bytes();
        let mut after_capture = false;
        for (i, part) in self.parts.iter().enumerate() {
            let Part::Literal(literal) = part else {
                after_capture = true;
                continue;
            };
            let literal = literal.as_bytes();
            let last = i + 1 == self.parts.len();
            let at = match (after_capture, last) {
                (false, _) if rest.starts_with(literal) => 0,
                (false, _) => return false,
                (true, true) if rest.ends_with(literal) => rest.len() - literal.len(),
                (true, true) => return false,
                (true, false) => match memmem::find(rest.get(1..).unwrap_or(&[]), literal) {
                    Some(found) => found + 1,
                    None => return false,
                },
            };
            if after_capture && at == 0 {
                return false;
            }
            rest = &rest[at + literal.len()..];
            after_capture = false;
        }
        if after_capture { !rest.is_empty() } else { rest.is_empty() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_anchored_at_literal_ends() {
        for (pattern, line, expected) in [
            ("<_>panic<_>", "a panic b", true),
            ("<_>panic<_>", "panic b", false),
            ("panic<_>", "panic b", true),
            ("panic", "panic b", false),
            ("<_>", "x", true),
            ("<_>", "", false),
            ("a<_>b<_>c", "a1b2c", true),
            ("a<_>b", "ab", false),
            ("a<_>b", "a1b2b", true),
        ] {
            assert_eq!(Filter::new(pattern).unwrap().matches(line), expected, "{pattern} on {line}");
        }
        assert!(Filter::new("a<_>b<name>c").is_err() && Filter::new("<_><_>").is_err());
    }

    #[test]
    fn captures_go_as_far_as_the_line_follows() {
        let mut labels = RowLabels::default();
        labels.load_stream(&model::Labels::empty());
        let extractor = Extractor::new("<ip> - <user> [<_>] \"<request>\" <status>").unwrap();
        extractor.extract("1.2.3.4 - bob [today] \"GET /\" 200", &mut labels, &Hints::default());
        for (name, value) in [("ip", "1.2.3.4"), ("user", "bob"), ("request", "GET /"), ("status", "200")] {
            assert_eq!(labels.get(name), Some(value));
        }
    }
}
