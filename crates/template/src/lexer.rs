//! Text into tokens. The whole text is read at once; the first error ends the list.

/// Kinds of tokens, named as in Go's package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    LeftDelim,
    RightDelim,
    Space,
    Pipe,
    LeftParen,
    RightParen,
    Assign,
    Declare,
    Comma,
    Dot,
    Field,
    Variable,
    Identifier,
    Keyword,
    Nil,
    Bool,
    Number,
    CharConstant,
    String,
    RawString,
    Error,
    Eof,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) position: usize,
    pub(crate) text: String,
}

const KEYWORDS: [&str; 10] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

struct Lexer<'a> {
    text: &'a str,
    position: usize,
    tokens: Vec<Token>,
    /// Open parentheses of the action.
    parens: usize,
}

/// Splits a template; the last token is `Eof` or `Error`.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, position: 0, tokens: Vec::new(), parens: 0 };
    if let Err((position, message)) = lexer.run() {
        lexer.tokens.push(Token { kind: Kind::Error, position, text: message });
    }
    lexer.tokens
}

type Failure = (usize, String);

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let text = self.rest()[..length].to_owned();
        self.tokens.push(Token { kind, position: self.position, text });
        self.position += length;
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, Failure> {
        Err((self.position, message.into()))
    }

    fn run(&mut self) -> Result<(), Failure> {
        let mut trim_left = false;
        loop {
            let start = self.position;
            let delim = self.rest().find("{{").map_or(self.text.len(), |found| start + found);
            let trim_right = opens_with_trim(&self.text[delim..]);
            let mut text = &self.text[start..delim];
            let mut at = start;
            if trim_left {
                let trimmed = text.trim_start_matches(is_space);
                at += text.len() - trimmed.len();
                text = trimmed;
            }
            if trim_right {
                text = text.trim_end_matches(is_space);
            }
            if !text.is_empty() {
                self.tokens.push(Token { kind: Kind::Text, position: at, text: text.to_owned() });
            }
            self.position = delim;
            if delim == self.text.len() {
                self.push(Kind::Eof, 0);
                return Ok(());
            }
            trim_left = self.action(trim_right)?;
        }
    }

    /// Reads `{{ … }}`; returns whether the text after it is to be trimmed.
    fn action(&mut self, trimmed: bool) -> Result<bool, Failure> {
        let open = if trimmed { 3 } else { 2 };
        let after = &self.rest()[open..];
        if let Some(body) = after.trim_start_matches(is_space).strip_prefix("/*") {
            let skipped = after.len() - body.len();
            // White space before a comment is legal only as part of the trim marker.
            if skipped == 2 || trimmed {
                return self.comment(open + skipped);
            }
        }
        self.push(Kind::LeftDelim, 2);
        self.position += open - 2;
        self.parens = 0;
        loop {
            if let Some((length, trim)) = closes(self.rest()) {
                if self.parens > 0 {
                    return self.fail("unclosed left paren");
                }
                self.position += length - 2;
                self.push(Kind::RightDelim, 2);
                return Ok(trim);
            }
            self.inside()?;
        }
    }

    fn comment(&mut self, opened: usize) -> Result<bool, Failure> {
        self.position += opened;
        let Some(end) = self.rest().find("*/") else {
            return self.fail("unclosed comment");
        };
        self.position += end + 2;
        match closes(self.rest()) {
            Some((length, trim)) => {
                self.position += length;
                Ok(trim)
            }
            None => self.fail("comment ends before closing delimiter"),
        }
    }

    /// Reads one token inside an action.
    fn inside(&mut self) -> Result<(), Failure> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return self.fail("unclosed action");
        };
        match first {
            c if is_space(c) => {
                // A space may belong to ` -}}`, which the caller looks for.
                let mut length = 0;
                while rest[length..].starts_with(is_space) && closes(&rest[length..]).is_none() {
                    length += 1;
                }
                self.push(Kind::Space, length);
            }
            '=' => self.push(Kind::Assign, 1),
            ':' if rest.starts_with(":=") => self.push(Kind::Declare, 2),
            ':' => return self.fail("expected :="),
            '|' => self.push(Kind::Pipe, 1),
            ',' => self.push(Kind::Comma, 1),
            '"' => return self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => return self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => match rest[1..].find('`') {
                Some(end) => self.push(Kind::RawString, end + 2),
                None => return self.fail("unterminated raw quoted string"),
            },
            '$' => return self.name(1, Kind::Variable),
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                if rest[1..].starts_with(is_name) {
                    return self.name(1, Kind::Field);
                }
                self.push(Kind::Dot, 1);
            }
            '.' | '+' | '-' | '0'..='9' => return self.number(),
            '(' => {
                self.parens += 1;
                self.push(Kind::LeftParen, 1);
            }
            ')' if self.parens == 0 => return self.fail("unexpected right paren"),
            ')' => {
                self.parens -= 1;
                self.push(Kind::RightParen, 1);
            }
            c if is_name(c) => return self.name(0, Kind::Identifier),
            c => return self.fail(format!("unrecognized character in action: U+{:04X} '{c}'", u32::from(c))),
        }
        Ok(())
    }

    fn quoted(&mut self, quote: char, kind: Kind, unterminated: &str) -> Result<(), Failure> {
        let mut escaped = false;
        for (i, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                c if c == quote => {
                    self.push(kind, i + 1);
                    return Ok(());
                }
                _ => {}
            }
        }
        self.fail(unterminated)
    }

    /// Reads a field, variable or identifier whose name starts after `prefix` bytes.
    fn name(&mut self, prefix: usize, kind: Kind) -> Result<(), Failure> {
        let rest = self.rest();
        let length = prefix + rest[prefix..].find(|c| !is_name(c)).unwrap_or(rest.len() - prefix);
        if !ends_a_word(&rest[length..]) {
            let bad = rest[length..].chars().next().unwrap_or(' ');
            return self.fail(format!("bad character U+{:04X} '{bad}'", u32::from(bad)));
        }
        let kind = match (kind, &rest[..length]) {
            (Kind::Identifier, "true" | "false") => Kind::Bool,
            (Kind::Identifier, "nil") => Kind::Nil,
            (Kind::Identifier, word) if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => kind,
        };
        self.push(kind, length);
        Ok(())
    }

    fn number(&mut self) -> Result<(), Failure> {
        let rest = self.rest();
        let length = number_length(rest);
        let text = &rest[..length];
        let next = rest[length..].chars().next();
        if let Some(c) = next.filter(|c| is_name(*c)) {
            return self.fail(format!("bad number syntax: {:?}", &rest[..length + c.len_utf8()]));
        }
        if text.ends_with('i') || matches!(next, Some('+' | '-')) {
            return self.fail(format!("bad number syntax: {text:?}"));
        }
        parse_number(text).or_else(|message| self.fail(message))?;
        self.push(Kind::Number, length);
        Ok(())
    }
}

/// Bytes at the start that are of one number, whether or not it is a good one.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = usize::from(text.starts_with(['+', '-']));
    let is_prefix = |letters: [u8; 2]| {
        bytes.get(at) == Some(&b'0') && bytes.get(at + 1).is_some_and(|byte| letters.contains(byte))
    };
    let radix = [(*b"xX", 16), (*b"oO", 8), (*b"bB", 2)].into_iter().find(|(letters, _)| is_prefix(*letters));
    let radix = radix.map_or(10, |(_, radix)| radix);
    at += if radix == 10 { 0 } else { 2 };
    let digits = |from: usize, radix: u32| {
        let is_digit = |byte: &&u8| **byte == b'_' || char::from(**byte).is_digit(radix);
        from + bytes[from..].iter().take_while(is_digit).count()
    };
    at = digits(at, radix);
    if bytes.get(at) == Some(&b'.') {
        at = digits(at + 1, radix);
    }
    let has_exponent = matches!((radix, bytes.get(at)), (10, Some(b'e' | b'E')) | (16, Some(b'p' | b'P')));
    if has_exponent {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = digits(at, 10);
    }
    at + usize::from(bytes.get(at) == Some(&b'i'))
}

/// An integer or a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// Reads a Go number literal with an optional sign.
///
/// # Errors
/// Go's message, when it is none or too large.
pub(crate) fn parse_number(text: &str) -> Result<Number, String> {
    let illegal = || format!("illegal number syntax: {text:?}");
    let (is_negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if !underscores_separate_digits(digits) {
        return Err(illegal());
    }
    let plain = digits.replace('_', "").to_ascii_lowercase();
    if let Some(magnitude) = parse_integer(&plain) {
        let signed = if is_negative { -magnitude } else { magnitude };
        return match i64::try_from(signed) {
            Ok(value) => Ok(Number::Int(value)),
            Err(_) if u64::try_from(signed).is_ok() => Err(format!("{text} overflows int")),
            Err(_) => Err(format!("integer overflow: {text:?}")),
        };
    }
    let value = match plain.strip_prefix("0x") {
        Some(hexadecimal) => parse_hexadecimal_float(hexadecimal),
        None => plain.parse().ok(),
    };
    let value: f64 = value.filter(|value: &f64| value.is_finite()).ok_or_else(illegal)?;
    if !plain.contains(['.', 'e', 'p']) {
        // `08`, which is no octal number, among others.
        return Err(format!("integer overflow: {text:?}"));
    }
    Ok(Number::Float(if is_negative { -value } else { value }))
}

/// Whether each underscore has a digit, or the letter of a base, before it and a digit behind it.
fn underscores_separate_digits(digits: &str) -> bool {
    let bytes = digits.as_bytes();
    let has_base = bytes.first() == Some(&b'0') && bytes.get(1).is_some_and(|b| b"xXoObB".contains(b));
    let is_digit = |at: Option<usize>| {
        let byte = at.and_then(|at| bytes.get(at));
        let is_hexadecimal = has_base && bytes[1].eq_ignore_ascii_case(&b'x');
        byte.is_some_and(|byte| byte.is_ascii_digit() || (is_hexadecimal && byte.is_ascii_hexdigit()))
    };
    let underscores = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').map(|(at, _)| at);
    let is_after_base = |at: usize| has_base && at == 2;
    underscores
        .into_iter()
        .all(|at| (is_digit(at.checked_sub(1)) || is_after_base(at)) && is_digit(Some(at + 1)))
}

/// In lower case, without underscores. A leading zero makes it octal.
fn parse_integer(digits: &str) -> Option<i128> {
    let (radix, rest) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !rest.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    i128::from_str_radix(rest, radix).ok()
}

/// What follows `0x`, as `1.8p3`: the exponent, which must be there, is of two.
fn parse_hexadecimal_float(text: &str) -> Option<f64> {
    /// Digits of a mantissa that no number needs more of.
    const DIGITS_MAX: usize = 28;
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let kept = &digits[..digits.len().min(DIGITS_MAX)];
    let magnitude = if kept.is_empty() { 0 } else { u128::from_str_radix(kept, 16).ok()? };
    let exponent: i32 = exponent.parse().ok()?;
    let shift = i32::try_from(digits.len() - kept.len()).ok()? - i32::try_from(fraction.len()).ok()?;
    let exponent = shift.checked_mul(4)?.checked_add(exponent)?;
    // In two steps: one power of two alone may be out of reach.
    let half = exponent / 2;
    Some(magnitude as f64 * 2f64.powi(half) * 2f64.powi(exponent - half))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_name(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn opens_with_trim(text: &str) -> bool {
    text.strip_prefix("{{-").is_some_and(|rest| rest.starts_with(is_space))
}

/// Length of the closing delimiter here, and whether it trims what follows.
fn closes(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("}}") {
        return Some((2, false));
    }
    let trims = rest.starts_with(is_space) && rest[1..].starts_with("-}}");
    trims.then_some((4, true))
}

/// Whether a word or number may end before `rest`.
fn ends_a_word(rest: &str) -> bool {
    match rest.chars().next() {
        None => true,
        Some(c) => is_space(c) || ".,|:=)(}".contains(c) || rest.starts_with("}}"),
    }
}
