//! Text into tokens with positions.

use crate::{ParseError, units};

/// A token's kind with what it carries.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Identifier(String),
    String(String),
    /// As written; the value is read where it is used.
    Number(String),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
    /// `[5m]`, nanoseconds.
    Range(i64),
    /// An operator or punctuation.
    Sign(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Byte offset.
    pub(crate) start: usize,
    /// Line and column, from 1.
    pub(crate) position: (usize, usize),
}

/// Longest first, so that `==` is not read as `=`.
const SIGNS: [&str; 35] = [
    "|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=", "--", "{", "}", "(", ")", "[", "]", ",", "|",
    "=", ">", "<", "+", "-", "*", "/", "%", "^", ".", ":", ";", "@", "&", "$", "?",
];

/// Splits a query; the last token is always [`Kind::End`].
pub(crate) fn lex(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), place: Place { at: 0, line: 1, column: 1 } };
    while lexer.skip_blank() {
        lexer.token()?;
    }
    lexer.push(Kind::End, 0);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// Line and column of the place asked for last, so that each character is counted once.
    place: Place,
}

#[derive(Clone, Copy)]
struct Place {
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn position(&mut self) -> (usize, usize) {
        for c in self.text[self.place.at..self.at].chars() {
            let (line, column) = (self.place.line, self.place.column);
            (self.place.line, self.place.column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        self.place.at = self.at;
        (self.place.line, self.place.column)
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let position = self.position();
        let token = Token { kind, start: self.at, position };
        self.tokens.push(token);
        self.at += length;
    }

    fn fail<T>(&mut self, message: impl Into<String>) -> Result<T, ParseError> {
        Err(ParseError::at(self.position(), message))
    }

    /// Passes white space and comments; returns whether anything is left.
    fn skip_blank(&mut self) -> bool {
        loop {
            let blank = self.rest().len() - self.rest().trim_start().len();
            self.at += blank;
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn token(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let first = rest.chars().next().unwrap_or(' ');
        match first {
            '"' => self.quoted(),
            '`' => self.raw(),
            '[' => self.range(),
            c if c.is_ascii_digit() => self.number(),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            c if c.is_alphabetic() || c == '_' => {
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let word = rest[..length].to_owned();
                self.push(Kind::Identifier(word), length);
                Ok(())
            }
            _ => match SIGNS.iter().find(|sign| **sign != "--" && rest.starts_with(**sign)) {
                Some(sign) => {
                    self.push(Kind::Sign(sign), sign.len());
                    Ok(())
                }
                None => self.fail(format!("syntax error: unexpected {first:?}")),
            },
        }
    }

    fn quoted(&mut self) -> Result<(), ParseError> {
        let mut escaped = false;
        let end = self.rest().char_indices().skip(1).find_map(|(i, c)| match c {
            '\n' => Some(None),
            _ if escaped => {
                escaped = false;
                None
            }
            '\\' => {
                escaped = true;
                None
            }
            '"' => Some(Some(i)),
            _ => None,
        });
        let Some(end) = end.flatten() else {
            return self.fail("literal not terminated");
        };
        match unescape(&self.rest()[1..end]) {
            Some(text) => {
                self.push(Kind::String(text), end + 1);
                Ok(())
            }
            None => self.fail("invalid char escape"),
        }
    }

    fn raw(&mut self) -> Result<(), ParseError> {
        let Some(end) = self.rest()[1..].find('`') else {
            return self.fail("literal not terminated");
        };
        let text = self.rest()[1..=end].to_owned();
        self.push(Kind::String(text), end + 2);
        Ok(())
    }

    fn range(&mut self) -> Result<(), ParseError> {
        let Some(end) = self.rest().find(']') else {
            return self.fail("missing closing ']' in duration");
        };
        match units::parse_query_duration(self.rest()[1..end].trim()) {
            Ok(nanoseconds) => {
                self.push(Kind::Range(nanoseconds), end + 1);
                Ok(())
            }
            Err(message) => self.fail(message),
        }
    }

    /// Reads a number, a duration or a size: the longest that makes sense.
    fn number(&mut self) -> Result<(), ParseError> {
        let rest = self.rest();
        let run = rest.find(|c: char| !(c.is_alphanumeric() || c == '.' || c == '_')).unwrap_or(rest.len());
        let word = &rest[..run];
        let decimal = decimal_length(rest);
        let hexadecimal = word.starts_with("0x") || word.starts_with("0X");
        if decimal >= run || hexadecimal {
            let length = decimal.max(if hexadecimal { run } else { 0 });
            let text = rest[..length].to_owned();
            self.push(Kind::Number(text), length);
        } else if let Ok(nanoseconds) = units::parse_query_duration(word) {
            self.push(Kind::Duration(nanoseconds), run);
        } else if let Ok(bytes) = units::parse_bytes(word) {
            self.push(Kind::Bytes(bytes), run);
        } else {
            let text = rest[..decimal].to_owned();
            self.push(Kind::Number(text), decimal);
        }
        Ok(())
    }
}

/// Length of the decimal number, exponent included, at the start of `text`.
fn decimal_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') {
        length += 1 + digits(length + 1);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = digits((length + 1 + sign).min(bytes.len()));
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

/// Resolves Go's escapes.
pub(crate) fn unescape(inner: &str) -> Option<String> {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = chars.next()?;
        out.push(match escape {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '"' | '\'' => escape,
            'x' => code(&mut chars, 2, 16)?,
            'u' => code(&mut chars, 4, 16)?,
            'U' => code(&mut chars, 8, 16)?,
            '0'..='7' => {
                let rest = u32::from(code(&mut chars, 2, 8)?);
                char::from_u32(escape.to_digit(8)? * 64 + rest).filter(|c| u32::from(*c) < 256)?
            }
            _ => return None,
        });
    }
    Some(out)
}

fn code(chars: &mut std::str::Chars<'_>, digits: usize, radix: u32) -> Option<char> {
    let text = chars.as_str().get(..digits).filter(|text| text.chars().all(|c| c.is_digit(radix)))?;
    let value = u32::from_str_radix(text, radix).ok()?;
    *chars = chars.as_str()[digits..].chars();
    char::from_u32(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        lex(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn numbers_durations_and_sizes() {
        for (text, expected) in [
            ("5", Kind::Number("5".into())),
            ("1.25e1", Kind::Number("1.25e1".into())),
            ("1e-3", Kind::Number("1e-3".into())),
            ("5m", Kind::Duration(300_000_000_000)),
            ("47750us", Kind::Duration(47_750_000)),
            ("1KiB", Kind::Bytes(1024)),
            ("[5m]", Kind::Range(300_000_000_000)),
            (r#""a\"\u00e9""#, Kind::String("a\"é".into())),
            ("`a\\b`", Kind::String("a\\b".into())),
        ] {
            assert_eq!(kinds(text), [expected, Kind::End], "{text}");
        }
        assert_eq!(kinds("1KiX")[..2], [Kind::Number("1".into()), Kind::Identifier("KiX".into())]);
    }

    #[test]
    fn mistakes_have_positions() {
        for (text, expected) in [
            (r#"{app="x"} |= "unclosed"#, "parse error at line 1, col 14: literal not terminated"),
            (r#"{app="\z"}"#, "parse error at line 1, col 6: invalid char escape"),
            ("rate({a=\"b\"}[])", "parse error at line 1, col 13: empty duration string"),
        ] {
            assert_eq!(lex(text).unwrap_err().to_string(), expected);
        }
    }
}
