//! Text to syntax tree: precedence climbing over the tokens, then a check of types.
//!
//! Precedence, loosest first: `or`; `and unless`; comparisons and trims; `+ -`; `* / % atan2` and
//! signs; `^`, the only one that groups from the right. `[…]`, `offset`, `@`, `anchored` and
//! `smoothed` bind tighter than all of them.
//!
//! The first mistake is the error; its words are those of Prometheus. A query has at most
//! [`TREE_DEPTH_MAX`] levels, so that recursion over the tree is bounded.

mod check;
mod duration;
mod lexer;
mod modifier;
mod selector;
mod token;

use crate::{
    ast::*,
    function,
    position::{Position, Span},
    quote::{quote, unquote},
};
use model::go_regex::PatternCount;
use token::{Kind, Token, is_aggregator};

/// Deepest tree that is accepted. A chain such as `a or b or c` adds one level for each operator.
pub const TREE_DEPTH_MAX: usize = 300;

/// What a nested expression counts, because it also deepens the parser's own recursion.
const NESTING_COST: usize = 3;

/// What the parser accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// Experimental functions, duration expressions, `anchored`, `smoothed` and `fill`.
    pub experimental: bool,
}

/// Why a text is no query, and where: `1:5: parse error: unclosed left parenthesis`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{position}: parse error: {message}")]
pub struct ParseError {
    /// Where.
    pub position: Position,
    /// Why.
    pub message: String,
}

/// Reads an expression and checks its types.
///
/// # Errors
/// The first mistake.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, *options);
    if parser.peek().kind == Kind::Eof {
        return Err(ParseError {
            position: Position::default(),
            message: "no expression found in input".to_owned(),
        });
    }
    let expr = parser.expr(0)?;
    if parser.peek().kind != Kind::Eof {
        return Err(parser.unexpected("", ""));
    }
    check::check(&expr)?;
    Ok(expr)
}

/// Reads a series selector such as `{job="a"}` or `up`, as the API's `match[]` wants it.
///
/// # Errors
/// The first mistake.
pub fn parse_selector(text: &str) -> Result<VectorSelector, ParseError> {
    parse_selector_among(text, &mut PatternCount::default())
}

/// As [`parse_selector`], for one of several of a request; `patterns` are those of all of them.
///
/// # Errors
/// The first mistake.
pub fn parse_selector_among(text: &str, patterns: &mut PatternCount) -> Result<VectorSelector, ParseError> {
    let mut parser = Parser::new(text, ParseOptions::default());
    parser.patterns = *patterns;
    let selector = parser.vector_selector()?;
    if parser.peek().kind != Kind::Eof {
        return Err(parser.unexpected("", ""));
    }
    *patterns = parser.patterns;
    check::check_selects(&selector)?;
    Ok(selector)
}

type Parsed<T> = Result<T, ParseError>;

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    patterns: PatternCount,
    options: ParseOptions,
}

/// Loosest to tightest, from 1.
fn precedence(op: BinaryOp) -> u8 {
    use BinaryOp::*;
    match op {
        Or => 1,
        And | Unless => 2,
        Equal | NotEqual | Less | Greater | LessEqual | GreaterEqual | TrimUpper | TrimLower => 3,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => SIGN_PRECEDENCE,
        Pow => 6,
    }
}

const SIGN_PRECEDENCE: u8 = 5;

impl Parser {
    fn new(text: &str, options: ParseOptions) -> Self {
        Parser { tokens: lexer::tokenize(text), at: 0, depth: 0, patterns: PatternCount::default(), options }
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    /// The kind of the token after the next one.
    fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)]
    }

    /// Takes the next token. The last one, `Eof` or `Error`, is never passed.
    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at].clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn take(&mut self, kind: Kind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.advance())
    }

    fn take_word(&mut self, word: &str) -> Option<Token> {
        (self.peek().word() == word).then(|| self.advance())
    }

    fn expect(&mut self, kind: Kind, context: &str, expected: &str) -> Parsed<Token> {
        self.take(kind).ok_or_else(|| self.unexpected(context, expected))
    }

    /// The error about the next token.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        if token.kind == Kind::Error {
            return error(token.span, token.text.clone());
        }
        let mut message = format!("unexpected {}", token.describe());
        if !context.is_empty() {
            message.push_str(&format!(" in {context}"));
        }
        if !expected.is_empty() {
            message.push_str(&format!(", expected {expected}"));
        }
        error(token.span, message)
    }

    /// The end of the last token taken.
    fn last_end(&self) -> u32 {
        self.tokens[self.at.saturating_sub(1)].span.end
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += NESTING_COST;
        if self.depth > TREE_DEPTH_MAX {
            let message = format!(
                "expression is nested too deeply: it may have {TREE_DEPTH_MAX} operators in a row, or {} levels \
                 of brackets",
                TREE_DEPTH_MAX / NESTING_COST
            );
            return Err(error(self.peek().span, message));
        }
        let result = read(self);
        self.depth -= NESTING_COST;
        result
    }

    /// An expression whose operators bind at least as tightly as `min`.
    fn expr(&mut self, min: u8) -> Parsed<Expr> {
        self.deeper(|parser| {
            let mut left = parser.operand()?;
            let depth = parser.depth;
            while let Some(op) = parser.binary_op()
                && precedence(op) >= min
            {
                // Every operator of a chain adds a level to the tree.
                parser.depth += 1;
                let op_start = parser.advance().span.start;
                left = parser.binary(op, op_start, left)?;
            }
            parser.depth = depth;
            Ok(left)
        })
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        let token = self.peek();
        Some(match token.kind {
            Kind::Add => BinaryOp::Add,
            Kind::Sub => BinaryOp::Sub,
            Kind::Mul => BinaryOp::Mul,
            Kind::Div => BinaryOp::Div,
            Kind::Mod => BinaryOp::Mod,
            Kind::Pow => BinaryOp::Pow,
            Kind::EqualEqual => BinaryOp::Equal,
            Kind::NotEqual => BinaryOp::NotEqual,
            Kind::Less => BinaryOp::Less,
            Kind::Greater => BinaryOp::Greater,
            Kind::LessEqual => BinaryOp::LessEqual,
            Kind::GreaterEqual => BinaryOp::GreaterEqual,
            Kind::TrimUpper => BinaryOp::TrimUpper,
            Kind::TrimLower => BinaryOp::TrimLower,
            Kind::Word => match token.word().as_str() {
                "and" => BinaryOp::And,
                "or" => BinaryOp::Or,
                "unless" => BinaryOp::Unless,
                "atan2" => BinaryOp::Atan2,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// The rest of `left op …`, after the operator.
    fn binary(&mut self, op: BinaryOp, op_start: Position, left: Expr) -> Parsed<Expr> {
        let (return_bool, matching) = self.binary_modifiers(op)?;
        let next = if op == BinaryOp::Pow { precedence(op) } else { precedence(op) + 1 };
        let right = self.expr(next)?;
        let span = left.span().to(right.span());
        Ok(Expr::Binary(Box::new(Binary { op, left, right, return_bool, matching, op_start, span })))
    }

    /// A sign and what it applies to, or a primary expression with its modifiers.
    fn operand(&mut self) -> Parsed<Expr> {
        if !matches!(self.peek().kind, Kind::Add | Kind::Sub) {
            let primary = self.primary()?;
            return self.modifiers(primary);
        }
        let sign = self.advance();
        let negative = sign.kind == Kind::Sub;
        let inner = self.expr(SIGN_PRECEDENCE + 1)?;
        let span = sign.span.to(inner.span());
        Ok(match inner {
            Expr::Number(number) => {
                let value = if negative { -number.value } else { number.value };
                Expr::Number(NumberLiteral { value, span, ..number })
            }
            expr => Expr::Unary(Box::new(Unary { negative, expr, span })),
        })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = self.peek().clone();
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.advance();
                let value = number(&token)?;
                let is_duration = token.kind == Kind::Duration;
                Ok(Expr::Number(NumberLiteral { value, is_duration, span: token.span }))
            }
            Kind::String => {
                self.advance();
                Ok(Expr::String(StringLiteral { bytes: string_bytes(&token)?, span: token.span }))
            }
            Kind::LeftParen => {
                self.advance();
                let expr = self.expr(0)?;
                let close = self.expect(Kind::RightParen, "", "")?;
                Ok(Expr::Paren(Box::new(Paren { expr, span: token.span.to(close.span) })))
            }
            Kind::LeftBrace | Kind::MetricWord => Ok(Expr::Vector(self.vector_selector()?)),
            Kind::Word => self.word(&token.word()),
            _ => Err(self.unexpected("", "")),
        }
    }

    /// An aggregation, a call or a selector.
    fn word(&mut self, word: &str) -> Parsed<Expr> {
        let next = self.peek_second();
        let opens = next.kind == Kind::LeftParen;
        if is_aggregator(word) && (opens || matches!(next.word().as_str(), "by" | "without")) {
            return self.aggregate();
        }
        match word {
            "bool" | "on" | "ignoring" | "group_left" | "group_right" => Err(self.unexpected("", "")),
            _ if opens => self.call(),
            _ => Ok(Expr::Vector(self.vector_selector()?)),
        }
    }

    fn aggregate(&mut self) -> Parsed<Expr> {
        let keyword = self.advance();
        let word = keyword.word();
        let found = AggregateOp::ALL.iter().find(|(name, _)| *name == word);
        let (_, op) = found.ok_or_else(|| self.unexpected("aggregation", ""))?;
        let mut grouping = self.aggregate_grouping()?;
        if self.peek().kind != Kind::LeftParen {
            return Err(self.unexpected("aggregation", ""));
        }
        let mut args = self.arguments()?;
        let mut span = Span { start: keyword.span.start, end: self.last_end() };
        if grouping.is_none() {
            grouping = self.aggregate_grouping()?;
            span.end = self.last_end();
        }
        let wanted = if op.parameter().is_some() { 2 } else { 1 };
        self.experimental(
            !matches!(op, AggregateOp::LimitK | AggregateOp::LimitRatio),
            span,
            &format!("{word}() is experimental and not enabled"),
        )?;
        if args.len() != wanted {
            let message = if args.is_empty() {
                "no arguments for aggregate expression provided".to_owned()
            } else {
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                    args.len()
                )
            };
            return Err(error(span, message));
        }
        let expr = args.pop().ok_or_else(|| self.unexpected("aggregation", ""))?;
        let (without, grouping) = grouping.unwrap_or_default();
        let parameter = args.pop();
        Ok(Expr::Aggregate(Box::new(Aggregate { op: *op, expr, parameter, grouping, without, span })))
    }

    fn aggregate_grouping(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.peek().word().as_str() {
            "by" => false,
            "without" => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((without, self.grouping_labels()?)))
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.advance();
        let Some(function) = function::find(&name.text) else {
            return Err(error(name.span, format!("unknown function with name {}", quote(&name.text))));
        };
        self.experimental(
            !function.experimental,
            name.span,
            &format!("function {} is not enabled", quote(function.name)),
        )?;
        let args = self.arguments()?;
        let span = Span { start: name.span.start, end: self.last_end() };
        if function.name == "label_replace"
            && let Some(Expr::String(pattern)) = args.last().map(Expr::unwrap_parens)
            && let Ok(pattern) = std::str::from_utf8(&pattern.bytes)
        {
            self.patterns.add(pattern).map_err(|problem| error(span, problem))?;
        }
        Ok(Expr::Call(Call { function, args, span }))
    }

    /// `(a, b)`
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(Kind::LeftParen, "", "")?;
        let mut args = Vec::new();
        if self.take(Kind::RightParen).is_some() {
            return Ok(args);
        }
        loop {
            args.push(self.expr(0)?);
            let Some(comma) = self.take(Kind::Comma) else { break };
            if self.peek().kind == Kind::RightParen {
                return Err(error(
                    comma.span,
                    "trailing commas not allowed in function call args".to_owned(),
                ));
            }
        }
        self.expect(Kind::RightParen, "", "")?;
        Ok(args)
    }

    /// Refuses what is experimental unless it is switched on.
    fn experimental(&self, is_stable: bool, span: Span, message: &str) -> Parsed<()> {
        if is_stable || self.options.experimental { Ok(()) } else { Err(error(span, message.to_owned())) }
    }
}

fn error(span: Span, message: String) -> ParseError {
    ParseError { position: span.start, message }
}

/// The value of a number or duration token; durations in seconds.
fn number(token: &Token) -> Parsed<f64> {
    let parsed = if token.kind == Kind::Duration {
        model::parse_duration_ms(&token.text).map(|ms| ms as f64 / 1000.0)
    } else {
        parse_number(&token.text).map_err(|problem| {
            format!("error parsing number: strconv.ParseFloat: parsing {}: {problem}", quote(&token.text))
        })
    };
    parsed.map_err(|message| error(token.span, message))
}

/// As Go's `ParseInt` with base 0 and then `ParseFloat`: a leading 0 means octal where it can.
fn parse_number(text: &str) -> Result<f64, &'static str> {
    let digits = text.replace('_', "");
    let octal = digits.len() > 1 && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if octal
        && digits.starts_with('0')
        && let Ok(value) = i64::from_str_radix(&digits, 8)
    {
        return Ok(value as f64);
    }
    match model::parse_float(&digits) {
        None => Err("invalid syntax"),
        Some(value) if value.is_infinite() && digits.contains(|c: char| c.is_ascii_digit()) => {
            Err("value out of range")
        }
        Some(value) => Ok(value),
    }
}

fn string_bytes(token: &Token) -> Parsed<Vec<u8>> {
    unquote(&token.text).map_err(|message| error(token.span, message))
}

#[cfg(test)]
mod tests;
