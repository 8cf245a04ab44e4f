//! The `logfmt` parser: `key=value key="quoted value" key`.

use super::{
    go_on,
    json::{escapes_are_among, unescape},
    labels::{Hints, RowLabels},
    sanitized,
};
use crate::ast::Extraction;
use std::{borrow::Cow, ops::ControlFlow};

/// The `__error__` of a malformed line in strict mode.
const LOGFMT_ERROR: &str = "LogfmtParserErr";

/// Escapes of a quoted value.
const KNOWN_ESCAPES: &[u8] = b"\"\\/'bfnrtu";

pub(super) struct Logfmt {
    strict: bool,
    keep_empty: bool,
    /// Label and key of each extraction; empty for all keys.
    wanted: Vec<(String, String)>,
}

impl Logfmt {
    pub(super) fn new(strict: bool, keep_empty: bool, extractions: &[Extraction]) -> Result<Self, String> {
        let mut wanted = Vec::with_capacity(extractions.len());
        for Extraction { label, path } in extractions {
            let is_key = !path.is_empty() && !path.contains(|c: char| c <= ' ' || c == '=' || c == '"');
            if !is_key {
                return Err(format!("cannot parse expression [{path}]: syntax error: unexpected KEY"));
            }
            wanted.push((label.clone(), path.clone()));
        }
        Ok(Logfmt { strict, keep_empty, wanted })
    }

    pub(super) fn extract(&self, line: &str, labels: &mut RowLabels, hints: &Hints) {
        if hints.needs_none() {
            return;
        }
        let mut found = vec![false; self.wanted.len()];
        let mut name = String::new();
        let result = scan(line, self.strict, &mut |key, value| {
            if self.wanted.is_empty() {
                self.all(key, value, &mut name, labels, hints);
                return go_on(labels, hints);
            }
            for (i, (label, wanted)) in self.wanted.iter().enumerate() {
                if wanted == key {
                    found[i] = true;
                    labels.extract_again(label, &value, hints);
                }
            }
            ControlFlow::Continue(())
        });
        for (i, (label, _)) in self.wanted.iter().enumerate() {
            if !found[i] {
                labels.set_if_absent(label, "");
            }
        }
        if let Err(details) = result {
            labels.set_error(LOGFMT_ERROR, &details);
        }
    }

    fn all(&self, key: &str, value: Cow<'_, str>, name: &mut String, labels: &mut RowLabels, hints: &Hints) {
        if value.is_empty() && !self.keep_empty {
            return;
        }
        name.clear();
        sanitized(key, name);
        labels.extract(name, &value, hints);
    }
}

/// Calls `pair` for each key. In strict mode a mistake ends the walk, else the word is passed over.
fn scan(
    line: &str,
    strict: bool,
    pair: &mut dyn FnMut(&str, Cow<'_, str>) -> ControlFlow<()>,
) -> Result<(), String> {
    let bytes = line.as_bytes();
    let mut at = 0;
    loop {
        at += bytes[at..].iter().take_while(|byte| **byte <= b' ').count();
        if at >= bytes.len() {
            return Ok(());
        }
        match read_pair(line, at) {
            Ok((key, value, next)) => {
                at = next;
                if pair(key, value).is_break() {
                    return Ok(());
                }
            }
            Err((position, message)) if strict => {
                return Err(format!("logfmt syntax error at pos {} : {message}", position + 1));
            }
            Err((position, _)) => {
                at = position + bytes[position..].iter().take_while(|byte| **byte > b' ').count();
            }
        }
    }
}

/// Keys and values of a line that has any.
pub(super) fn pairs(line: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    scan(line, false, &mut |key, value| {
        if !value.is_empty() {
            let mut name = String::new();
            sanitized(key, &mut name);
            found.push((name, value.into_owned()));
        }
        ControlFlow::Continue(())
    })
    .ok()?;
    (!found.is_empty()).then_some(found)
}

type Pair<'a> = (&'a str, Cow<'a, str>, usize);

/// Reads the pair at `start`: key, value, and where it ends; or where it goes wrong and why.
fn read_pair(line: &str, start: usize) -> Result<Pair<'_>, (usize, String)> {
    let bytes = line.as_bytes();
    let unexpected = |at: usize| (at, format!("unexpected '{}'", char::from(bytes[at])));
    let stops = |byte: &u8| *byte <= b' ' || matches!(byte, b'=' | b'"');
    let key_end = bytes[start..].iter().position(stops).map_or(bytes.len(), |length| start + length);
    let key = &line[start..key_end];
    match bytes.get(key_end) {
        Some(b'=') if key_end > start => {}
        Some(b'=' | b'"') => return Err(unexpected(key_end)),
        _ => return Ok((key, Cow::Borrowed(""), key_end)),
    }
    let value_start = key_end + 1;
    if bytes.get(value_start) == Some(&b'"') {
        let (value, end) = quoted(line, value_start)?;
        return Ok((key, value, end));
    }
    let value_end =
        bytes[value_start..].iter().position(stops).map_or(bytes.len(), |length| value_start + length);
    match bytes.get(value_end) {
        Some(b'=' | b'"') => Err(unexpected(value_end)),
        _ => Ok((key, Cow::Borrowed(&line[value_start..value_end]), value_end)),
    }
}

fn quoted(line: &str, start: usize) -> Result<(Cow<'_, str>, usize), (usize, String)> {
    let mut escaped = false;
    for (i, byte) in line.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' if escapes_are_among(&line[start + 1..i], KNOWN_ESCAPES) => {
                return Ok((unescape(&line[start + 1..i]), i + 1));
            }
            b'"' => return Err((i + 1, "invalid quoted value".to_owned())),
            _ => {}
        }
    }
    Err((line.len(), "unterminated quoted value".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str, strict: bool) -> (Vec<String>, Result<(), String>) {
        let mut found = Vec::new();
        let result = scan(line, strict, &mut |key, value| {
            found.push(format!("{key}:{value}"));
            ControlFlow::Continue(())
        });
        (found, result)
    }

    #[test]
    fn words_and_quotes() {
        let (found, result) = pairs(r#"a=1 b="two words" c d= e="x\"y""#, true);
        assert_eq!(found, ["a:1", "b:two words", "c:", "d:", "e:x\"y"]);
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn mistakes_are_passed_over_unless_strict() {
        assert_eq!(pairs("=x a=1", false).0, ["a:1"]);
        assert_eq!(pairs("=x a=1", true).1, Err("logfmt syntax error at pos 1 : unexpected '='".to_owned()));
        assert_eq!(pairs("a=b=c d=2", false).0, ["d:2"]);
        assert_eq!(pairs("a=\"open d=2", false).0, Vec::<String>::new());
    }
}
