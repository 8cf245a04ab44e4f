//! The `json` parser, and the scanner that `json` with paths and `unpack` use too.
//!
//! The scanner reads no more than it must: it hands out members as they come, so what stands
//! before a mistake is found, and a caller that has enough stops it.

use super::{
    go_on,
    labels::{Hints, RowLabels},
    sanitized,
};
use std::{borrow::Cow, ops::ControlFlow};

/// The `__error__` of a line that is no JSON object.
pub(super) const JSON_ERROR: &str = "JSONParserErr";
/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 64;

/// A JSON value as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    /// Without its quotes, escapes unresolved.
    String(&'a str),
    /// A number, `true` or `false`.
    Word(&'a str),
    Null,
    /// With its braces.
    Object(&'a str),
    /// With its brackets.
    Array(&'a str),
}

/// Why a walk ended early.
pub(super) enum Stop {
    /// The caller has enough.
    Enough,
    /// The text is no JSON.
    Bad(String),
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

type Walk<T = ()> = Result<T, Stop>;

fn bad<T>(message: impl Into<String>) -> Walk<T> {
    Err(Stop::Bad(message.into()))
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Walk {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        bad(format!("expected '{}' at byte {}", char::from(byte), self.at))
    }

    /// Calls `member` with the key and value of each member of the object here.
    pub(super) fn object(&mut self, member: &mut dyn FnMut(&'a str, Raw<'a>) -> ControlFlow<()>) -> Walk {
        if self.peek() != Some(b'{') {
            return bad("Value looks like object, but can't find closing '}' symbol");
        }
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            let value = self.value(0)?;
            if member(key, value).is_break() {
                return Err(Stop::Enough);
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                _ => return bad(format!("unexpected text at byte {} of an object", self.at)),
            }
            // A comma in front of the closing brace does no harm.
            if self.peek() == Some(b'}') {
                self.at += 1;
                return Ok(());
            }
        }
    }

    /// The element at `index` of the array here.
    pub(super) fn element(&mut self, index: usize) -> Walk<Option<Raw<'a>>> {
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            return Ok(None);
        }
        for i in 0.. {
            let value = self.value(0)?;
            if i == index {
                return Ok(Some(value));
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => break,
            }
        }
        Ok(None)
    }

    fn string(&mut self) -> Walk<&'a str> {
        self.expect(b'"')?;
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(found) = bytes.get(self.at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
            self.at += found + 1;
            if bytes[self.at - 1] == b'"' {
                return Ok(&self.text[start..self.at - 1]);
            }
            // Whatever is escaped ends nothing.
            self.at += 1;
        }
        self.at = self.text.len();
        bad("Value is string, but can't find closing '\"' symbol")
    }

    pub(super) fn value(&mut self, depth: usize) -> Walk<Raw<'a>> {
        if depth > DEPTH_MAX {
            return bad("value nests too deeply");
        }
        let first = self.peek();
        let start = self.at;
        match first {
            Some(b'"') => self.string().map(Raw::String),
            Some(b'{') => {
                self.skip_nested(b'}', depth, "Value looks like object, but can't find closing '}' symbol")?;
                Ok(Raw::Object(&self.text[start..self.at]))
            }
            Some(b'[') => {
                self.skip_nested(b']', depth, "Value is array, but can't find closing ']' symbol")?;
                Ok(Raw::Array(&self.text[start..self.at]))
            }
            Some(_) => self.word(),
            None => bad("value is missing"),
        }
    }

    fn word(&mut self) -> Walk<Raw<'a>> {
        let start = self.at;
        let length = self.text.as_bytes()[start..]
            .iter()
            .take_while(|byte| !matches!(byte, b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        let word = &self.text[start..start + length];
        self.at += length;
        match word {
            "null" => Ok(Raw::Null),
            "true" | "false" => Ok(Raw::Word(word)),
            _ if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => Ok(Raw::Word(word)),
            _ => bad("Unknown value type"),
        }
    }

    /// Passes an object or array, minding strings.
    fn skip_nested(&mut self, close: u8, depth: usize, unclosed: &str) -> Walk {
        self.at += 1;
        loop {
            match self.peek() {
                None => return bad(unclosed),
                Some(byte) if byte == close => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b',' | b':') => self.at += 1,
                Some(b'}' | b']') => return bad(unclosed),
                Some(_) => {
                    self.value(depth + 1)?;
                }
            }
        }
    }
}

/// A string's text with its escapes resolved.
pub(super) fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('u') => out.push(unicode(&mut chars)),
            Some(other) => out.push(other),
            None => {}
        }
    }
    Cow::Owned(out)
}

/// A member's text; "" where an escape is none of JSON's, as Loki's parser has it.
pub(super) fn text_of(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let text = unescape(raw);
    let half_pair = text.contains(char::REPLACEMENT_CHARACTER) && !raw.contains(char::REPLACEMENT_CHARACTER);
    if half_pair || !escapes_are_among(raw, b"\"\\/bfnrtu") { Cow::Borrowed("") } else { text }
}

/// Whether every backslash starts one of these escapes.
pub(super) fn escapes_are_among(raw: &str, known: &[u8]) -> bool {
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !bytes.next().is_some_and(|escape| known.contains(&escape)) {
            return false;
        }
    }
    true
}

/// The character behind `\u`, which may be one half of a pair.
fn unicode(chars: &mut std::str::Chars<'_>) -> char {
    let Some(high) = hex4(chars.as_str()) else {
        return char::REPLACEMENT_CHARACTER;
    };
    *chars = chars.as_str()[4..].chars();
    if !(0xd800..0xdc00).contains(&high) {
        return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    let low = chars.as_str().strip_prefix("\\u").and_then(hex4).filter(|low| (0xdc00..0xe000).contains(low));
    match low {
        Some(low) => {
            *chars = chars.as_str()[6..].chars();
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        None => char::REPLACEMENT_CHARACTER,
    }
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u32::from_str_radix(digits, 16).ok()
}

/// Every scalar member with the keys that lead to it, in order; `None` when the text is no object.
pub(super) fn scalars(text: &str) -> Option<Vec<(Vec<String>, String)>> {
    let mut found = Vec::new();
    scalars_within(text, &mut Vec::new(), &mut found)?;
    Some(found)
}

fn scalars_within(text: &str, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) -> Option<()> {
    let mut nested = Some(());
    let walked = Scanner::new(text).object(&mut |key, value| {
        path.push(unescape(key).into_owned());
        match value {
            Raw::String(raw) => found.push((path.clone(), text_of(raw).into_owned())),
            Raw::Word(word) => found.push((path.clone(), word.to_owned())),
            Raw::Object(inner) if path.len() < DEPTH_MAX => nested = scalars_within(inner, path, found),
            Raw::Null | Raw::Array(_) | Raw::Object(_) => {}
        }
        path.pop();
        if nested.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    walked.ok().and(nested)
}

/// Extracts every scalar member, nested keys joined with `_`.
pub(super) fn extract_all(line: &str, labels: &mut RowLabels, hints: &Hints) {
    if hints.needs_none() {
        return;
    }
    let mut prefix = String::new();
    if let Err(Stop::Bad(details)) = members(line, &mut prefix, labels, hints, 0) {
        labels.set_error(JSON_ERROR, &details);
    }
}

/// Whether a key is a label's name as it is.
pub(super) fn is_label_name(key: &str) -> bool {
    !key.starts_with(|c: char| c.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn members(text: &str, prefix: &mut String, labels: &mut RowLabels, hints: &Hints, depth: usize) -> Walk {
    let mut nested = Ok(());
    let length = prefix.len();
    // Members that nobody needs change nothing of this.
    let has_all = labels.has_all(hints);
    let walked = Scanner::new(text).object(&mut |key, value| {
        let is_object = matches!(value, Raw::Object(_));
        if length == 0 && !is_object && is_label_name(key) && !hints.may_want(key) {
            return if has_all { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        }
        prefix.truncate(length);
        if length > 0 {
            prefix.push('_');
        }
        let key = unescape(key);
        if length > 0 {
            // Inside a name a leading digit is as good as any other character.
            prefix.extend(key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
        } else if is_label_name(&key) {
            prefix.push_str(&key);
        } else {
            sanitized(key.trim(), prefix);
        }
        match value {
            Raw::String(raw) => labels.extract(prefix, &text_of(raw), hints),
            Raw::Word(word) => labels.extract(prefix, word, hints),
            Raw::Object(inner) if depth < DEPTH_MAX => {
                nested = members(inner, prefix, labels, hints, depth + 1);
            }
            Raw::Null | Raw::Array(_) | Raw::Object(_) => {}
        }
        if nested.is_err() {
            return ControlFlow::Break(());
        }
        go_on(labels, hints)
    });
    prefix.truncate(length);
    nested.and(walked)
}
