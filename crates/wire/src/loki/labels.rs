//! Stream labels as text, `{a="b", c="d"}`: Prometheus' notation with Go's string escapes.

/// Why labels do not parse, with the column (from 1) where the offending token starts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse labels: 1:{column}: parse error: {problem}")]
pub(super) struct LabelsError {
    pub(super) column: usize,
    pub(super) problem: String,
}

/// Hands each label to `take`.
pub(super) fn parse_labels(text: &[u8], mut take: impl FnMut(&[u8], &[u8])) -> Result<(), LabelsError> {
    let mut lexer = Lexer { text, at: 0 };
    lexer.expect(b'{', "\"{\"")?;
    loop {
        let (start, token) = lexer.next()?;
        let name = match token {
            Token::Symbol(b'}') => break,
            Token::Identifier(name) => name.to_vec(),
            Token::Text(name) => name,
            other => return Err(unexpected(start, &other, "identifier or \"}\"")),
        };
        lexer.expect(b'=', "\"=\"")?;
        match lexer.next()? {
            (_, Token::Text(value)) => take(&name, &value),
            (start, other) => return Err(unexpected(start, &other, "string")),
        }
        match lexer.next()? {
            (_, Token::Symbol(b',')) => {}
            (_, Token::Symbol(b'}')) => break,
            (start, other) => return Err(unexpected(start, &other, "\",\" or \"}\"")),
        }
    }
    match lexer.next()? {
        (_, Token::End) => Ok(()),
        (start, other) => Err(unexpected(start, &other, "end of input")),
    }
}

#[derive(Debug)]
enum Token<'a> {
    Identifier(&'a [u8]),
    Text(Vec<u8>),
    Symbol(u8),
    End,
}

fn unexpected(start: usize, token: &Token<'_>, expected: &str) -> LabelsError {
    let found = match token {
        Token::Identifier(name) => format!("identifier {:?}", String::from_utf8_lossy(name)),
        Token::Text(text) => format!("string {:?}", String::from_utf8_lossy(text)),
        Token::Symbol(symbol) => format!("{:?}", char::from(*symbol).to_string()),
        Token::End => "end of input".to_owned(),
    };
    LabelsError {
        column: start + 1,
        problem: format!("unexpected {found} in label set, expected {expected}"),
    }
}

struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    fn expect(&mut self, symbol: u8, expected: &str) -> Result<(), LabelsError> {
        match self.next()? {
            (_, Token::Symbol(found)) if found == symbol => Ok(()),
            (start, other) => Err(unexpected(start, &other, expected)),
        }
    }

    /// The next token and where it starts.
    fn next(&mut self) -> Result<(usize, Token<'a>), LabelsError> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        let start = self.at;
        let Some(&first) = self.text.get(start) else {
            return Ok((start, Token::End));
        };
        let token = match first {
            b'{' | b'}' | b'=' | b',' => {
                self.at += 1;
                Token::Symbol(first)
            }
            b'"' | b'\'' | b'`' => Token::Text(self.string(first)?),
            b if b.is_ascii_alphabetic() || b == b'_' => {
                let rest = &self.text[start..];
                let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
                let length = rest.iter().take_while(|b| is_name(b)).count();
                self.at += length;
                Token::Identifier(&rest[..length])
            }
            _ => {
                let shown = String::from_utf8_lossy(&self.text[start..]).chars().next().unwrap_or_default();
                let problem = format!("unexpected character inside braces: {shown:?}");
                return Err(LabelsError { column: start + 1, problem });
            }
        };
        Ok((start, token))
    }

    fn string(&mut self, quote: u8) -> Result<Vec<u8>, LabelsError> {
        let start = self.at;
        let error = |problem: &str| LabelsError { column: start + 1, problem: problem.to_owned() };
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let byte = *self.text.get(self.at).ok_or_else(|| error("unterminated quoted string"))?;
            self.at += 1;
            match byte {
                _ if byte == quote => return Ok(out),
                b'\n' if quote != b'`' => return Err(error("unterminated quoted string")),
                b'\\' if quote != b'`' => {
                    let (bytes, length) = unescape(&self.text[self.at..], quote)
                        .ok_or_else(|| error("unknown escape sequence"))?;
                    out.extend_from_slice(&bytes.0[..bytes.1]);
                    self.at += length;
                }
                _ => out.push(byte),
            }
        }
    }
}

/// Up to four bytes and how many of them count.
type FewBytes = ([u8; 4], usize);

/// What the escape behind a backslash means, and how long it is.
fn unescape(rest: &[u8], quote: u8) -> Option<(FewBytes, usize)> {
    let single = |byte: u8| Some((([byte, 0, 0, 0], 1), 1));
    match *rest.first()? {
        b'a' => single(7),
        b'b' => single(8),
        b'f' => single(12),
        b'n' => single(b'\n'),
        b'r' => single(b'\r'),
        b't' => single(b'\t'),
        b'v' => single(11),
        b'\\' => single(b'\\'),
        byte if byte == quote => single(byte),
        b'x' => Some((([number(rest.get(1..3)?, 16)? as u8, 0, 0, 0], 1), 3)),
        b'0'..=b'7' => {
            let value = u8::try_from(number(rest.get(..3)?, 8)?).ok()?;
            Some((([value, 0, 0, 0], 1), 3))
        }
        b'u' => character(rest.get(1..5)?).map(|bytes| (bytes, 5)),
        b'U' => character(rest.get(1..9)?).map(|bytes| (bytes, 9)),
        _ => None,
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` alone would take a sign.
    digits.chars().all(|c| c.is_digit(radix)).then(|| u32::from_str_radix(digits, radix).ok())?
}

fn character(digits: &[u8]) -> Option<FewBytes> {
    let mut bytes = [0; 4];
    let length = char::from_u32(number(digits, 16)?)?.encode_utf8(&mut bytes).len();
    Some((bytes, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
        let mut out = Vec::new();
        let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        parse_labels(text.as_bytes(), |name, value| out.push((text_of(name), text_of(value))))
            .map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn labels_with_all_quotes_and_escapes() {
        let pairs = |pairs: &[(&str, &str)]| {
            Ok(pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("{}", &[][..]),
            (r#"{a="b", c="d"}"#, &[("a", "b"), ("c", "d")]),
            (r#" { a = "b" , } "#, &[("a", "b")]),
            (r#"{a="q\"\\\n\t\x41\u00e9\U0001F600\101"}"#, &[("a", "q\"\\\n\tAé😀A")]),
            ("{a='single \\'q\\' \"d\"', b=`raw\\n`}", &[("a", "single 'q' \"d\""), ("b", "raw\\n")]),
            (r#"{"a.b"="c", ключ="x"}"#, &[]),
        ] {
            if expected.is_empty() && text.len() > 2 {
                assert!(parse(text).is_err(), "{text}");
            } else {
                assert_eq!(parse(text), pairs(expected), "{text}");
            }
        }
        assert_eq!(parse(r#"{"a.b"="c"}"#), pairs(&[("a.b", "c")]));
    }

    #[test]
    fn errors_name_the_column_and_what_was_expected() {
        for (text, expected) in [
            ("{a=b}", "1:4: parse error: unexpected identifier \"b\" in label set, expected string"),
            ("{a=}", "1:4: parse error: unexpected \"}\" in label set, expected string"),
            ("{a}", "1:3: parse error: unexpected \"}\" in label set, expected \"=\""),
            ("{a=\"b\"", "1:7: parse error: unexpected end of input in label set, expected \",\" or \"}\""),
            (
                "{a=\"b\" c=\"d\"}",
                "1:8: parse error: unexpected identifier \"c\" in label set, expected \",\" or \"}\"",
            ),
            ("a=\"b\"", "1:1: parse error: unexpected identifier \"a\" in label set, expected \"{\""),
            ("", "1:1: parse error: unexpected end of input in label set, expected \"{\""),
            ("{a=\"b", "1:4: parse error: unterminated quoted string"),
            ("{a=\"\\z\"}", "1:4: parse error: unknown escape sequence"),
            ("{a=\"\\777\"}", "1:4: parse error: unknown escape sequence"),
            ("{a-b=\"c\"}", "1:3: parse error: unexpected character inside braces: '-'"),
            (
                "{a=\"b\"} x",
                "1:9: parse error: unexpected identifier \"x\" in label set, expected end of input",
            ),
        ] {
            assert_eq!(parse(text), Err(format!("couldn't parse labels: {expected}")), "{text}");
        }
    }
}
