//! Go's string syntax: quoting as `%q` prints it ([`model::quote`]), and reading the three kinds of
//! literals.

pub(crate) use model::{quote, quote_bytes, quote_char};

/// Reads a literal with its quotes. The bytes need not be UTF-8, because of `\xNN`.
///
/// # Errors
/// The reason, readable as the message of a parse error.
pub(crate) fn unquote(literal: &str) -> Result<Vec<u8>, String> {
    let invalid = || "invalid syntax".to_owned();
    let mut chars = literal.chars();
    let delimiter = chars.next().ok_or_else(invalid)?;
    if chars.next_back() != Some(delimiter) {
        return Err(invalid());
    }
    let body = chars.as_str();
    match delimiter {
        '`' => Ok(body.replace('\r', "").into_bytes()),
        '"' | '\'' => unescape(body),
        _ => Err(invalid()),
    }
}

fn unescape(body: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(start) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..start]);
        rest = escape(&rest[start + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Reads what follows a backslash and returns the rest.
fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = rest.chars();
    let Some(c) = chars.next() else { return Err("escape sequence not terminated".to_owned()) };
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' => c as u8,
        '0'..='7' => return numeric(rest, 3, 8, false, out),
        'x' => return numeric(chars.as_str(), 2, 16, false, out),
        'u' => return numeric(chars.as_str(), 4, 16, true, out),
        'U' => return numeric(chars.as_str(), 8, 16, true, out),
        _ => return Err(format!("unknown escape sequence U+{:04X} {}", c as u32, quote_char(c))),
    };
    out.push(simple);
    Ok(chars.as_str())
}

fn numeric<'a>(
    rest: &'a str,
    digits: usize,
    radix: u32,
    is_char: bool,
    out: &mut Vec<u8>,
) -> Result<&'a str, String> {
    let text = rest.get(..digits).ok_or_else(|| "escape sequence not terminated".to_owned())?;
    let number =
        u32::from_str_radix(text, radix).map_err(|_| format!("unknown escape sequence {}", quote(text)))?;
    if is_char {
        let c = char::from_u32(number)
            .ok_or_else(|| "escape sequence is an invalid Unicode code point".to_owned())?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let byte = u8::try_from(number)
            .map_err(|_| "escape sequence is an invalid Unicode code point".to_owned())?;
        out.push(byte);
    }
    Ok(&rest[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_go_reads_them() {
        for (literal, expected) in [
            (r#""a\nb""#, &b"a\nb"[..]),
            (r"'it\'s'", b"it's"),
            (r"`a\nb`", br"a\nb"),
            (r#""\x41\101\u00e9""#, "AAé".as_bytes()),
            (r#""a\xc5z""#, b"a\xc5z"),
        ] {
            assert_eq!(unquote(literal).unwrap(), expected, "{literal}");
        }
        for bad in [r#""\q""#, r#""\x4""#, r#""\ud800""#] {
            assert!(unquote(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quoting_is_reversible_and_marks_broken_bytes() {
        assert_eq!(quote("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\x01é""#);
        assert_eq!(quote_bytes(b"a\xc5z"), r#""a\xc5z""#);
        let text = "tab\t\u{7f}\"'`\u{a0}\u{e0001}";
        assert_eq!(unquote(&quote(text)).unwrap(), text.as_bytes());
    }
}
