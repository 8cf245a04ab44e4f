//! Tokens of PromQL.

use crate::{position::Span, quote::quote};

/// What a token is. Words that mean something in some places are [`Kind::Word`]; the parser looks
/// at their text, because nearly all of them may also be names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Eof,
    Error,
    Word,
    /// A word with a colon: only a metric can have this name.
    MetricWord,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Equal,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    At,
    EqualEqual,
    NotEqual,
    EqualRegex,
    NotRegex,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    TrimUpper,
    TrimLower,
}

/// A token and where it stands. For [`Kind::Error`], `text` is the message.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// Words with a meaning of their own, by the class in which error messages name them.
const OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];
const AGGREGATORS: [&str; 14] = [
    "sum",
    "avg",
    "count",
    "min",
    "max",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "count_values",
    "quantile",
    "limitk",
    "limit_ratio",
];
const KEYWORDS: [&str; 13] = [
    "offset",
    "smoothed",
    "anchored",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "start",
    "end",
    "fill",
];

impl Token {
    /// The word in lower case, or "" for any other token.
    pub(crate) fn word(&self) -> String {
        if self.kind == Kind::Word { self.text.to_ascii_lowercase() } else { String::new() }
    }

    /// How error messages name the token.
    pub(crate) fn describe(&self) -> String {
        let word = self.word();
        if OPERATORS.contains(&word.as_str()) {
            return format!("<op:{word}>");
        }
        if AGGREGATORS.contains(&word.as_str()) {
            return format!("<aggr:{word}>");
        }
        if KEYWORDS.contains(&word.as_str()) {
            return format!("<{word}>");
        }
        match self.kind {
            Kind::Eof => "end of input".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Word => format!("identifier {}", quote(&self.text)),
            Kind::MetricWord => format!("metric identifier {}", quote(&self.text)),
            Kind::String => format!("string {}", abbreviate(&self.text)),
            Kind::Number => format!("number {}", abbreviate(&self.text)),
            Kind::Duration => format!("duration {}", abbreviate(&self.text)),
            kind if kind.is_operator() => format!("<op:{}>", self.text),
            _ => quote(&self.text),
        }
    }
}

impl Kind {
    fn is_operator(self) -> bool {
        use Kind::*;
        matches!(
            self,
            Add | Sub
                | Mul
                | Div
                | Mod
                | Pow
                | At
                | EqualEqual
                | NotEqual
                | EqualRegex
                | NotRegex
                | Less
                | Greater
                | LessEqual
                | GreaterEqual
                | TrimUpper
                | TrimLower
        )
    }
}

/// Go's `%.10q...` of a long text.
fn abbreviate(text: &str) -> String {
    if text.len() <= 10 {
        return quote(text);
    }
    format!("{}...", quote(&text.chars().take(10).collect::<String>()))
}

/// Whether the word names an aggregation.
pub(crate) fn is_aggregator(word: &str) -> bool {
    AGGREGATORS.contains(&word)
}
