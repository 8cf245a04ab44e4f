//! One line of line protocol.
//!
//! Outside quotes a backslash makes the next comma, equals sign or space a plain byte, and is
//! itself plain before anything else; inside quotes it does so for a quote and a backslash.

use std::borrow::Cow;

/// A part of a line, borrowed unless it had escapes.
pub(super) type Text<'a> = Cow<'a, [u8]>;

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FieldValue {
    /// A float, an integer or a boolean.
    Number(f64),
    /// Text, whatever it says.
    Text,
}

/// The parts of a line, escapes resolved.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) measurement: Text<'a>,
    pub(super) tags: Vec<(Text<'a>, Text<'a>)>,
    pub(super) fields: Vec<(Text<'a>, FieldValue)>,
    pub(super) timestamp: Option<i64>,
}

/// The offset of the newline that ends the first line of `body`, or its length. A newline inside a
/// quoted value does not end a line, unless the quote is never closed: then only that line is lost.
pub(super) fn end(body: &[u8]) -> usize {
    let (mut in_fields, mut in_quotes) = (false, false);
    let mut first_newline = None;
    let mut at = 0;
    while at < body.len() {
        match body[at] {
            b'\\' => at += usize::from(body.get(at + 1).is_some_and(|next| *next != b'\n')),
            b' ' => in_fields = true,
            b'"' if in_fields => in_quotes = !in_quotes,
            b'\n' if !in_quotes => return at,
            b'\n' => first_newline = first_newline.or(Some(at)),
            _ => {}
        }
        at += 1;
    }
    first_newline.filter(|_| in_quotes).unwrap_or(body.len())
}

impl<'a> Line<'a> {
    /// The error says what is wrong, in words for the sender.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, String> {
        let mut cursor = Cursor { text, at: 0 };
        let measurement = cursor.name(b", ");
        if measurement.is_empty() {
            return Err("missing measurement".to_owned());
        }
        let mut tags = Vec::new();
        while cursor.take(b',') {
            tags.push(cursor.tag()?);
        }
        if !cursor.skip_spaces() {
            return Err("missing fields".to_owned());
        }
        let mut fields = vec![cursor.field()?];
        while cursor.take(b',') {
            fields.push(cursor.field()?);
        }
        cursor.skip_spaces();
        let timestamp = cursor.timestamp()?;
        Ok(Line { measurement, tags, fields, timestamp })
    }
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) -> bool {
        let start = self.at;
        while self.take(b' ') {}
        self.at > start
    }

    /// Everything up to one of `stops` that is not escaped.
    fn name(&mut self, stops: &[u8]) -> Text<'a> {
        let start = self.at;
        let mut has_escapes = false;
        while let Some(byte) = self.peek().filter(|byte| !stops.contains(byte)) {
            let escapes = byte == b'\\' && self.text.get(self.at + 1).is_some_and(is_escapable);
            has_escapes |= escapes;
            self.at += 1 + usize::from(escapes);
        }
        let raw = &self.text[start..self.at];
        if has_escapes { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }

    fn tag(&mut self) -> Result<(Text<'a>, Text<'a>), String> {
        let name = self.name(b",= ");
        if name.is_empty() {
            return Err("missing tag name".to_owned());
        }
        if !self.take(b'=') {
            return Err(format!("missing value of tag `{}`", lossy(&name)));
        }
        let value = self.name(b",= ");
        match self.peek() {
            Some(b'=') => Err(format!("unescaped `=` in the value of tag `{}`", lossy(&name))),
            _ if value.is_empty() => Err(format!("missing value of tag `{}`", lossy(&name))),
            _ => Ok((name, value)),
        }
    }

    fn field(&mut self) -> Result<(Text<'a>, FieldValue), String> {
        let name = self.name(b",= ");
        if name.is_empty() {
            return Err("missing field name".to_owned());
        }
        if !self.take(b'=') {
            return Err(format!("missing value of field `{}`", lossy(&name)));
        }
        if self.take(b'"') {
            self.skip_string().ok_or_else(|| format!("unclosed quote in field `{}`", lossy(&name)))?;
            return Ok((name, FieldValue::Text));
        }
        let start = self.at;
        while self.peek().is_some_and(|byte| !b", ".contains(&byte)) {
            self.at += 1;
        }
        let raw = &self.text[start..self.at];
        let value = number(raw)
            .ok_or_else(|| format!("invalid value `{}` of field `{}`", lossy(raw), lossy(&name)))?;
        Ok((name, FieldValue::Number(value)))
    }

    /// Skips to behind the closing quote.
    fn skip_string(&mut self) -> Option<()> {
        while !self.take(b'"') {
            let is_escape = self.peek()? == b'\\';
            self.at += 1 + usize::from(is_escape);
        }
        Some(())
    }

    fn timestamp(&mut self) -> Result<Option<i64>, String> {
        let raw = &self.text[self.at..];
        if raw.is_empty() {
            return Ok(None);
        }
        let parsed = std::str::from_utf8(raw).ok().and_then(|text| text.parse().ok());
        parsed.map(Some).ok_or_else(|| format!("invalid timestamp `{}`", lossy(raw)))
    }
}

fn is_escapable(byte: &u8) -> bool {
    b",= ".contains(byte)
}

fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while at < raw.len() {
        at += usize::from(raw[at] == b'\\' && raw.get(at + 1).is_some_and(is_escapable));
        out.push(raw[at]);
        at += 1;
    }
    out
}

/// `1`, `1.5e3`, `1i`, `1u`, `t`, `false`; `None` for anything else, NaN and infinities included.
fn number(raw: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(raw).ok()?;
    match text {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(1.0),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(0.0),
        _ => {}
    }
    if let Some(digits) = text.strip_suffix('i') {
        return digits.parse::<i64>().ok().map(|value| value as f64);
    }
    if let Some(digits) = text.strip_suffix('u') {
        return digits.parse::<u64>().ok().map(|value| value as f64);
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// Text for a message.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    const SHOWN: usize = 40;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)])
}
