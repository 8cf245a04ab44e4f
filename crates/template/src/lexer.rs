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
        let signed = usize::from(rest.starts_with(['+', '-']));
        let hexadecimal = rest[signed..].starts_with("0x") || rest[signed..].starts_with("0X");
        let mut length = signed;
        let mut previous = ' ';
        for c in rest[signed..].chars() {
            let exponent = if hexadecimal { ['p', 'P'] } else { ['e', 'E'] };
            let sign = matches!(c, '+' | '-') && exponent.contains(&previous);
            if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
                break;
            }
            previous = c;
            length += 1;
        }
        let text = &rest[..length];
        if parse_number(text).is_none() || !ends_a_word(&rest[length..]) {
            return self.fail(format!("bad number syntax: {text:?}"));
        }
        self.push(Kind::Number, length);
        Ok(())
    }
}

/// An integer or a float.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// Reads a Go number literal with an optional sign.
pub(crate) fn parse_number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let plain = digits.replace('_', "");
    if let Some(magnitude) = parse_integer(&plain) {
        let signed = if negative { -magnitude } else { magnitude };
        return i64::try_from(signed).ok().map(Number::Int);
    }
    let starts_like_a_float = plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = plain.parse().ok().filter(|_| starts_like_a_float)?;
    Some(Number::Float(if negative { -value } else { value }))
}

fn parse_integer(digits: &str) -> Option<i128> {
    let lower = digits.to_ascii_lowercase();
    let (radix, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !rest.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    i128::from_str_radix(rest, radix).ok()
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
