//! Tokens into the syntax tree, by recursive descent.
//!
//! Bounds: a query is at most [`QUERY_BYTES_MAX`] long and nests at most [`DEPTH_MAX`] deep; what
//! its parts may cost together is held in [`bounds`].

mod bounds;
mod label_filter;
mod log;
mod sample;

use crate::{
    ParseError,
    ast::{Expr, LogExpr, SampleExpr},
    lexer::{Kind, Token, lex},
    validate,
};

/// Longest query, as in Loki.
pub const QUERY_BYTES_MAX: usize = 131_072;
/// Deepest nesting.
const DEPTH_MAX: usize = 200;
/// Operators of one query, and conditions of one label filter. A chain of them becomes a tree as
/// deep as the chain is long, and trees are walked by recursion.
const CHAIN_MAX: usize = 300;

/// Parses and checks a query.
///
/// # Errors
/// When it does not parse, or makes no sense: a selector that selects everything, an aggregation
/// without what it needs, an expression that does not compile.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let expr = parse_unchecked(text)?;
    validate::check(&expr)?;
    Ok(expr)
}

/// Parses a selector and nothing else (`{app="x"}`), as the label and statistics endpoints take it.
/// It may be empty.
///
/// # Errors
/// When it does not parse or has a pipeline.
pub fn parse_matchers(text: &str) -> Result<Vec<model::Matcher>, ParseError> {
    match parse_unchecked(text)? {
        Expr::Log(LogExpr { matchers, stages }) if stages.is_empty() => Ok(matchers),
        _ => Err(ParseError::new("only label matchers are supported")),
    }
}

fn parse_unchecked(text: &str) -> Result<Expr, ParseError> {
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("max query length exceeded ({} > {QUERY_BYTES_MAX})", text.len());
        return Err(ParseError::new(message));
    }
    let tokens = lex(text)?;
    if tokens.len() == 1 {
        return Err(ParseError::new("syntax error: unexpected $end"));
    }
    bounds::check(&tokens)?;
    let mut parser = Parser { text, tokens, next: 0, depth: 0, operators: 0, conditions: 0 };
    let expr = parser.expression(0)?;
    if parser.is_sign("|") {
        // Only `| unwrap` stops a pipeline, and the word is what is out of place.
        parser.advance();
    }
    match parser.peek().kind {
        Kind::End => Ok(expr),
        _ => parser.unexpected(""),
    }
}

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
    depth: usize,
    /// Operators so far.
    operators: usize,
    /// Conditions of the label filter so far.
    conditions: usize,
}

/// Words that are operators or modifiers and no label names.
const RESERVED: [&str; 11] =
    ["or", "and", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool"];

impl Parser<'_> {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn peek_after(&self, count: usize) -> &Kind {
        &self.tokens[(self.next + count).min(self.tokens.len() - 1)].kind
    }

    fn advance(&mut self) {
        self.next = (self.next + 1).min(self.tokens.len() - 1);
    }

    /// What the next token is called in messages.
    fn name_of_next(&self) -> String {
        let token = self.peek();
        match &token.kind {
            Kind::Identifier(word) if is_keyword(word) => word.clone(),
            Kind::Identifier(_) => "IDENTIFIER".to_owned(),
            Kind::String(_) => "STRING".to_owned(),
            Kind::Number(_) => "NUMBER".to_owned(),
            Kind::Duration(_) => "DURATION".to_owned(),
            Kind::Bytes(_) => "BYTES".to_owned(),
            Kind::Range(_) => "RANGE".to_owned(),
            Kind::Sign(sign) => (*sign).to_owned(),
            Kind::End => "$end".to_owned(),
        }
    }

    fn unexpected<T>(&self, expecting: &str) -> Result<T, ParseError> {
        let separator = if expecting.is_empty() { "" } else { ", expecting " };
        let message = format!("syntax error: unexpected {}{separator}{expecting}", self.name_of_next());
        Err(ParseError::at(self.peek().position, message))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(&self.peek().kind, Kind::Sign(found) if *found == sign)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), ParseError> {
        if self.take_sign(sign) { Ok(()) } else { self.unexpected(sign) }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.peek().kind, Kind::Identifier(found) if found == word)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn take_string(&mut self) -> Result<String, ParseError> {
        self.take_string_or("STRING")
    }

    fn take_string_or(&mut self, expecting: &str) -> Result<String, ParseError> {
        match &self.peek().kind {
            Kind::String(text) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => self.unexpected(expecting),
        }
    }

    /// A label's name.
    fn take_identifier(&mut self) -> Result<String, ParseError> {
        self.take_identifier_or("IDENTIFIER")
    }

    fn take_identifier_or(&mut self, expecting: &str) -> Result<String, ParseError> {
        match &self.peek().kind {
            Kind::Identifier(word) if !RESERVED.contains(&word.as_str()) => {
                let word = word.clone();
                self.advance();
                Ok(word)
            }
            _ => self.unexpected(expecting),
        }
    }

    /// `(a, b)`, which may be empty.
    fn label_list(&mut self) -> Result<Vec<String>, ParseError> {
        self.expect_sign("(")?;
        let mut labels = Vec::new();
        while !self.take_sign(")") {
            labels.push(self.take_identifier_or("IDENTIFIER or )")?);
            if !self.is_sign(")") {
                self.expect_sign(",")?;
            }
        }
        Ok(labels)
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, ParseError>) -> Result<T, ParseError> {
        if self.depth >= DEPTH_MAX {
            return Err(ParseError::at(self.peek().position, "query nests too deeply"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn count_operator(&mut self) -> Result<(), ParseError> {
        self.operators += 1;
        self.check_chain(self.operators, "operators")
    }

    fn count_condition(&mut self) -> Result<(), ParseError> {
        self.conditions += 1;
        self.check_chain(self.conditions, "conditions in one label filter")
    }

    fn check_chain(&self, length: usize, what: &str) -> Result<(), ParseError> {
        if length > CHAIN_MAX {
            return Err(ParseError::at(self.peek().position, format!("more than {CHAIN_MAX} {what}")));
        }
        Ok(())
    }

    /// The sample expression of an operand that may be no log query.
    fn sample(&mut self) -> Result<SampleExpr, ParseError> {
        match self.nested(|parser| parser.expression(0))? {
            Expr::Sample(sample) => Ok(sample),
            // A log query needs a range, and what follows it is none.
            Expr::Log(_) => self.unexpected(""),
        }
    }
}

fn is_keyword(word: &str) -> bool {
    RESERVED.contains(&word)
        || matches!(
            word,
            "json"
                | "logfmt"
                | "regexp"
                | "pattern"
                | "unpack"
                | "line_format"
                | "label_format"
                | "unwrap"
                | "decolorize"
                | "drop"
                | "keep"
        )
}

#[cfg(test)]
mod tests;
