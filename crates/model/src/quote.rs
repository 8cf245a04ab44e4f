//! Text in double quotes as Go's `strconv.Quote` writes it: what Prometheus and Alertmanager print
//! of label values, and the keys of alert groups.

use regex::Regex;
use std::{
    fmt::{self, Write},
    sync::LazyLock,
};

/// The text between double quotes.
pub fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// As [`quote`], for bytes that may not be UTF-8: those appear as `\xNN`.
pub fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    write_quoted(&mut out, bytes, '"').expect("a string takes everything");
    out
}

/// A character between single quotes, as Go prints a rune with `%q`.
pub fn quote_char(c: char) -> String {
    let mut out = String::new();
    write_quoted(&mut out, c.encode_utf8(&mut [0; 4]).as_bytes(), '\'').expect("a string takes everything");
    out
}

/// A text that is shown quoted, without a copy of it.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_quoted(f, self.0.as_bytes(), '"')
    }
}

fn write_quoted(out: &mut impl Write, bytes: &[u8], delimiter: char) -> fmt::Result {
    out.write_char(delimiter)?;
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        let mut written = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| *c == delimiter || needs_escape(*c)) {
            out.write_str(&text[written..at])?;
            write_escaped(out, c)?;
            written = at + c.len_utf8();
        }
        out.write_str(&text[written..])?;
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    out.write_char(delimiter)
}

fn needs_escape(c: char) -> bool {
    match c {
        '\\' => true,
        ' '..='~' => false,
        _ => !is_printable(c),
    }
}

/// What Go prints as it is: letters, marks, numbers, punctuation and symbols of any script; of
/// spaces only the common one, which [`needs_escape`] knows.
fn is_printable(c: char) -> bool {
    static PRINTABLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]").expect("the expression is tested"));
    !c.is_ascii() && PRINTABLE.is_match(c.encode_utf8(&mut [0; 4]))
}

fn write_escaped(out: &mut impl Write, c: char) -> fmt::Result {
    let short = match c {
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        '\u{b}' => 'v',
        '\\' | '"' | '\'' => c,
        '\0'..='\u{7f}' => return write!(out, "\\x{:02x}", c as u32),
        '\u{80}'..='\u{ffff}' => return write!(out, "\\u{:04x}", c as u32),
        _ => return write!(out, "\\U{:08x}", c as u32),
    };
    write!(out, "\\{short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_go_quotes_them() {
        for (text, expected) in [
            ("a\"b\\c'é", r#""a\"b\\c'é""#),
            ("\u{7}\u{8}\u{c}\n\r\t\u{b}", r#""\a\b\f\n\r\t\v""#),
            ("\0\u{1b}\u{7f}", r#""\x00\x1b\x7f""#),
            (
                "\u{85}\u{a0}\u{ad}\u{2028}\u{3000}\u{feff}\u{e000}",
                r#""\u0085\u00a0\u00ad\u2028\u3000\ufeff\ue000""#,
            ),
            ("\u{e0001}\u{10ffff}", r#""\U000e0001\U0010ffff""#),
            ("❤\u{fe0f} e\u{301} \u{fffd} 日本 😀", "\"❤\u{fe0f} e\u{301} \u{fffd} 日本 😀\""),
        ] {
            assert_eq!(quote(text), expected);
            assert_eq!(Quoted(text).to_string(), expected);
        }
        assert_eq!(quote_bytes(b"a\xc5z\xe2\x28"), r#""a\xc5z\xe2(""#);
        assert_eq!((quote_char('\''), quote_char('"')), (r"'\''".to_owned(), "'\"'".to_owned()));
    }
}
