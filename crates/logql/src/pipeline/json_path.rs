//! `json a="b.c[0]"`: members by path.

use super::{
    json::{JSON_ERROR, Raw, Scanner, text_of, unescape},
    labels::{Hints, RowLabels},
};
use crate::ast::Extraction;
use std::{borrow::Cow, ops::ControlFlow};

/// One path and the label it fills.
pub(super) struct Wanted {
    label: String,
    path: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
}

pub(super) fn compile(extractions: &[Extraction]) -> Result<Vec<Wanted>, String> {
    extractions
        .iter()
        .map(|extraction| Ok(Wanted { label: extraction.label.clone(), path: parse(&extraction.path)? }))
        .collect()
}

/// Reads `a.b["c d"][0]`.
fn parse(text: &str) -> Result<Vec<Step>, String> {
    let failed = |reason: &str| format!("cannot parse expression [{text}]: syntax error: {reason}");
    let mut path = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (step, tail) =
                bracket(inner).ok_or_else(|| failed("unexpected FIELD, expecting STRING or INDEX"))?;
            path.push(step);
            rest = tail;
            continue;
        }
        let after_dot = if path.is_empty() { rest.strip_prefix('.').unwrap_or(rest) } else { rest };
        let after_dot = if path.is_empty() {
            after_dot
        } else {
            after_dot.strip_prefix('.').ok_or_else(|| failed("unexpected FIELD"))?
        };
        let length = after_dot.find(|c: char| !is_field(c)).unwrap_or(after_dot.len());
        if length == 0 {
            let reason = if after_dot.is_empty() {
                "unexpected $end"
            } else {
                "unexpected DOT, expecting LSB or FIELD"
            };
            return Err(failed(reason));
        }
        path.push(Step::Field(after_dot[..length].to_owned()));
        rest = &after_dot[length..];
    }
    if path.is_empty() {
        return Err(failed("unexpected $end, expecting LSB or FIELD"));
    }
    Ok(path)
}

fn is_field(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn bracket(inner: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = inner.strip_prefix('"') {
        let end = quoted.find("\"]")?;
        return Some((Step::Field(quoted[..end].replace("\\\"", "\"")), &quoted[end + 2..]));
    }
    let (index, tail) = inner.split_once(']')?;
    Some((Step::Index(index.parse().ok()?), tail))
}

/// Fills the labels; a path that leads nowhere gives "" where no label has the name.
pub(super) fn extract(wanted: &[Wanted], line: &str, labels: &mut RowLabels, hints: &Hints) {
    if line.is_empty() || hints.needs_none() {
        return;
    }
    if !line.trim_start().starts_with(['{', '[', '"']) {
        labels.set_error(JSON_ERROR, "");
        return;
    }
    for wanted in wanted {
        match find(line, &wanted.path) {
            Some(value) => labels.extract_again(&wanted.label, &value, hints),
            None => labels.set_if_absent(&wanted.label, ""),
        }
    }
}

fn find<'a>(text: &'a str, path: &[Step]) -> Option<Cow<'a, str>> {
    let mut value = Raw::Object(text);
    for step in path {
        value = match (step, value) {
            (Step::Field(name), Raw::Object(inner)) => member(inner, name)?,
            (Step::Index(index), Raw::Array(inner)) => Scanner::new(inner).element(*index).ok()??,
            _ => return None,
        };
    }
    match value {
        Raw::String(raw) => Some(text_of(raw)),
        Raw::Word(text) | Raw::Object(text) | Raw::Array(text) => Some(Cow::Borrowed(text)),
        Raw::Null => None,
    }
}

fn member<'a>(object: &'a str, name: &str) -> Option<Raw<'a>> {
    let mut found = None;
    // A mistake behind the member does not matter, one before it means that it is not found.
    let walked = Scanner::new(object).object(&mut |key, value| {
        if unescape(key) == name {
            found = Some(value);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found.or_else(|| {
        drop(walked);
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let line = r#"{"a":{"b":[{"c":1},2]},"k.d":"x","s":"y","n":null,"t":[1,"z"]}"#;
        for (path, expected) in [
            ("a.b[0].c", Some("1")),
            ("a.b[1]", Some("2")),
            ("a.b", Some(r#"[{"c":1},2]"#)),
            (r#"["k.d"]"#, Some("x")),
            ("t[1]", Some("z")),
            ("t[9]", None),
            ("n", None),
            ("s.x", None),
        ] {
            let found = find(line, &parse(path).unwrap());
            assert_eq!(found.as_deref(), expected, "{path}");
        }
        assert!(parse("b[x]").is_err() && parse("..").is_err() && parse("").is_err());
    }
}
