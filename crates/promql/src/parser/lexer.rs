//! Text to tokens.
//!
//! The text is read in one pass. Two modes matter: inside braces only matchers stand, and inside
//! brackets a colon separates range and step instead of belonging to a name. The first mistake
//! ends the tokens with an [`Kind::Error`] whose text is the message.

use super::token::{Kind, Token};
use crate::{
    position::{Position, Span},
    quote::{quote, quote_char, unquote},
};

/// Splits `text`; the last token is [`Kind::Eof`] or [`Kind::Error`].
pub(crate) fn tokenize(text: &str) -> Vec<Token> {
    let mut lexer =
        Lexer { text, at: Position::default(), start: Position::default(), state: State::default() };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        let done = matches!(token.kind, Kind::Eof | Kind::Error);
        tokens.push(token);
        if done {
            return tokens;
        }
    }
}

#[derive(Default)]
struct State {
    parens: usize,
    in_braces: bool,
    in_brackets: bool,
}

struct Lexer<'a> {
    text: &'a str,
    at: Position,
    start: Position,
    state: State,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at.offset as usize..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at.offset += c.len_utf8() as u32;
        if c == '\n' {
            self.at.line += 1;
            self.at.column = 1;
        } else {
            self.at.column += c.len_utf8() as u32;
        }
        Some(c)
    }

    fn skip_while(&mut self, accept: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.bump();
        }
    }

    fn lexeme(&self) -> &str {
        &self.text[self.start.offset as usize..self.at.offset as usize]
    }

    fn token(&self, kind: Kind) -> Token {
        let span = Span { start: self.start, end: self.at.offset };
        Token { kind, text: self.lexeme().to_owned(), span }
    }

    fn error(&self, message: impl Into<String>) -> Token {
        Token {
            kind: Kind::Error,
            text: message.into(),
            span: Span { start: self.start, end: self.at.offset },
        }
    }

    fn next_token(&mut self) -> Token {
        self.skip_blanks();
        self.start = self.at;
        let Some(c) = self.bump() else { return self.end() };
        if self.state.in_braces { self.inside_braces(c) } else { self.statement(c) }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.skip_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                return;
            }
            self.skip_while(|c| c != '\n');
        }
    }

    fn end(&self) -> Token {
        if self.state.in_braces {
            return self.error("unexpected end of input inside braces");
        }
        if self.state.parens > 0 {
            return self.error("unclosed left parenthesis");
        }
        if self.state.in_brackets {
            return self.error("unclosed left bracket");
        }
        self.token(Kind::Eof)
    }

    fn inside_braces(&mut self, c: char) -> Token {
        match c {
            '{' => self.error(format!("unexpected left brace {}", quote_char(c))),
            ',' => self.token(Kind::Comma),
            '"' | '\'' | '`' => self.string(c),
            '=' => self.with_next('~', Kind::EqualRegex, Kind::Equal),
            '!' => match self.bump() {
                Some('~') => self.token(Kind::NotRegex),
                Some('=') => self.token(Kind::NotEqual),
                Some(other) => {
                    self.error(format!("unexpected character after '!' inside braces: {}", quote_char(other)))
                }
                None => self.error("unexpected end of input inside braces"),
            },
            '}' => {
                self.state.in_braces = false;
                self.token(Kind::RightBrace)
            }
            _ if is_word_start(c) => {
                self.skip_while(is_word_part);
                self.token(Kind::Word)
            }
            _ => self.error(format!("unexpected character inside braces: {}", quote_char(c))),
        }
    }

    fn statement(&mut self, c: char) -> Token {
        match c {
            ',' => self.token(Kind::Comma),
            '*' => self.token(Kind::Mul),
            '/' => self.token(Kind::Div),
            '%' => self.token(Kind::Mod),
            '+' => self.token(Kind::Add),
            '-' => self.token(Kind::Sub),
            '^' => self.token(Kind::Pow),
            '@' => self.token(Kind::At),
            '=' => match self.peek() {
                Some('=') => self.take(Kind::EqualEqual),
                Some('~') => self.error("unexpected character after '=': '~'"),
                _ => self.token(Kind::Equal),
            },
            '!' => match self.bump() {
                Some('=') => self.token(Kind::NotEqual),
                Some(other) => self.error(format!("unexpected character after '!': {}", quote_char(other))),
                None => self.error("unexpected character after '!': end of input"),
            },
            '<' if self.peek() == Some('/') => self.take(Kind::TrimUpper),
            '>' if self.peek() == Some('/') => self.take(Kind::TrimLower),
            '<' => self.with_next('=', Kind::LessEqual, Kind::Less),
            '>' => self.with_next('=', Kind::GreaterEqual, Kind::Greater),
            '"' | '\'' | '`' => self.string(c),
            '(' | ')' | '{' | '}' | '[' | ']' => self.bracket(c),
            ':' if self.state.in_brackets => self.token(Kind::Colon),
            '0'..='9' => self.number_or_duration(),
            '.' if self.peek().is_some_and(|next| next.is_ascii_digit()) => self.number_or_duration(),
            _ if is_word_start(c) || c == ':' => self.word(),
            _ => self.error(format!("unexpected character: {}", quote_char(c))),
        }
    }

    fn bracket(&mut self, c: char) -> Token {
        match c {
            '(' => {
                self.state.parens += 1;
                self.token(Kind::LeftParen)
            }
            ')' if self.state.parens == 0 => {
                // Prometheus has read the parenthesis by the time it minds.
                self.start = self.at;
                self.error("unexpected right parenthesis ')'")
            }
            ')' => {
                self.state.parens -= 1;
                self.token(Kind::RightParen)
            }
            '{' => {
                self.state.in_braces = true;
                self.token(Kind::LeftBrace)
            }
            '[' if self.state.in_brackets => self.error("unexpected left bracket '['"),
            '[' => {
                self.state.in_brackets = true;
                self.token(Kind::LeftBracket)
            }
            ']' if !self.state.in_brackets => self.error("unexpected right bracket ']'"),
            ']' => {
                self.state.in_brackets = false;
                self.token(Kind::RightBracket)
            }
            _ => self.error(format!("unexpected character: {}", quote_char(c))),
        }
    }

    fn take(&mut self, kind: Kind) -> Token {
        self.bump();
        self.token(kind)
    }

    fn with_next(&mut self, next: char, if_next: Kind, otherwise: Kind) -> Token {
        if self.peek() == Some(next) { self.take(if_next) } else { self.token(otherwise) }
    }

    fn string(&mut self, delimiter: char) -> Token {
        loop {
            match self.bump() {
                Some(c) if c == delimiter => break,
                Some('\\') if delimiter != '`' => {
                    self.bump();
                }
                Some('\n') if delimiter != '`' => return self.error("unterminated quoted string"),
                Some(_) => {}
                None if delimiter == '`' => return self.error("unterminated raw string"),
                None => return self.error("unterminated quoted string"),
            }
        }
        match unquote(self.lexeme()) {
            Ok(_) => self.token(Kind::String),
            Err(message) => self.error(message),
        }
    }

    fn word(&mut self) -> Token {
        let colon_is_part = !self.state.in_brackets;
        self.skip_while(|c| is_word_part(c) || colon_is_part && c == ':');
        if self.lexeme().contains(':') {
            return self.token(Kind::MetricWord);
        }
        match self.lexeme().to_ascii_lowercase().as_str() {
            "inf" | "nan" => self.token(Kind::Number),
            _ => self.token(Kind::Word),
        }
    }

    fn number_or_duration(&mut self) -> Token {
        let rest = &self.text[self.start.offset as usize..];
        let number = number_length(rest);
        let follows_word = rest[number..].chars().next().is_some_and(is_word_part);
        if number > 0 && !follows_word {
            self.advance_to(number);
            return self.token(Kind::Number);
        }
        let length = rest.chars().take_while(char::is_ascii_alphanumeric).count();
        self.advance_to(length.max(1));
        if is_duration_shape(self.lexeme()) {
            return self.token(Kind::Duration);
        }
        self.skip_while(|c| is_word_part(c) || c == '.');
        self.error(format!("bad number or duration syntax: {}", quote(self.lexeme())))
    }

    fn advance_to(&mut self, length: usize) {
        while ((self.at.offset - self.start.offset) as usize) < length {
            self.bump();
        }
    }
}

fn is_word_start(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_word_part(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

/// Length of the number at the start of `text`: hexadecimal, or decimal with an exponent.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let count = |from: usize, is_digit| digits_length(&bytes[from.min(bytes.len())..], is_digit);
    if bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X') {
        let separator = usize::from(bytes[2] == b'_');
        return 2 + separator + count(2 + separator, u8::is_ascii_hexdigit);
    }
    let mut length = count(0, u8::is_ascii_digit);
    if bytes.get(length) == Some(&b'.') {
        length += 1 + count(length + 1, u8::is_ascii_digit);
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let digits = count(length + 1 + sign, u8::is_ascii_digit);
        if digits > 0 {
            length += 1 + sign + digits;
        }
    }
    length
}

/// Length of the digits at the start, between which single underscores may stand.
fn digits_length(bytes: &[u8], is_digit: fn(&u8) -> bool) -> usize {
    let mut length = 0;
    while let Some(byte) = bytes.get(length) {
        let is_separator = *byte == b'_' && length > 0 && bytes.get(length + 1).is_some_and(is_digit);
        if !is_separator && !is_digit(byte) {
            break;
        }
        length += 1;
    }
    length
}

/// Whether `text` is digits and letters in turns, as durations are.
fn is_duration_shape(text: &str) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = &rest[digits..digits + letters];
        if digits == 0 || !matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w" | "y") {
            return false;
        }
        rest = &rest[digits + letters..];
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let kinds = |text: &str| tokenize(text).iter().map(|token| token.kind).collect::<Vec<_>>();
        use Kind::*;
        assert_eq!(
            kinds("a:b{c=~'x'}[5m:1s]"),
            [
                MetricWord,
                LeftBrace,
                Word,
                EqualRegex,
                String,
                RightBrace,
                LeftBracket,
                Duration,
                Colon,
                Duration,
                RightBracket,
                Eof
            ]
        );
        assert_eq!(
            kinds("1e5 0x1F .2 2. 1h30m Inf # c\n </ >/ <="),
            [Number, Number, Number, Number, Duration, Number, TrimUpper, TrimLower, LessEqual, Eof]
        );
        assert_eq!(
            kinds("1_000 .123_456 0x_53_AB_F3_82 1_0.2_5 1e1_0"),
            [Number, Number, Number, Number, Number, Eof]
        );
    }

    #[test]
    fn mistakes() {
        for (text, expected) in [
            ("sum(", "unclosed left parenthesis"),
            (")", "unexpected right parenthesis ')'"),
            ("a]", "unexpected right bracket ']'"),
            ("a[", "unclosed left bracket"),
            ("a{", "unexpected end of input inside braces"),
            ("\"a", "unterminated quoted string"),
            ("`a", "unterminated raw string"),
            ("1a", "bad number or duration syntax: \"1a\""),
            ("1__0", "bad number or duration syntax: \"1__0\""),
            ("1_", "bad number or duration syntax: \"1_\""),
            ("1_e5", "bad number or duration syntax: \"1_e5\""),
            ("a{b!c}", "unexpected character after '!' inside braces: 'c'"),
            ("$", "unexpected character: '$'"),
            ("=~", "unexpected character after '=': '~'"),
        ] {
            let tokens = tokenize(text);
            let last = tokens.last().unwrap();
            assert_eq!((last.kind, last.text.as_str()), (Kind::Error, expected), "{text}");
        }
    }
}
