//! What can go wrong, in Loki's words.

use store::{StopReason, StoreError};

/// A query that does not parse or makes no sense.
///
/// Prints as `parse error at line 1, col 11: …`, or `parse error : …` where no place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line and column of the fault, both from 1.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    pub(crate) fn at(position: (usize, usize), message: impl Into<String>) -> Self {
        ParseError { position: Some(position), message: message.into() }
    }

    pub(crate) fn new(message: impl Into<String>) -> Self {
        ParseError { position: None, message: message.into() }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "parse error at line {line}, col {column}: {}", self.message),
            None => write!(f, "parse error : {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// A query that failed while it was evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// A sample came from a line that a stage could not handle: the caller must fix the query.
    #[error(
        "pipeline error: '{kind}' for series: '{series}'.\nUse a label filter to intentionally skip this error. (e.g | __error__!=\"{kind}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe label filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The value of `__error__`.
        kind: String,
        /// All labels of the sample.
        series: String,
    },
    /// Two vectors that cannot be matched.
    #[error("{0}")]
    Matching(String),
    /// A log query where a number is wanted.
    #[error(
        "log queries are not supported as an instant query type, please change your query to a range query type"
    )]
    LogQueryAsInstant,
    /// Too many points or a step that makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The budget is used up, or the caller has gone.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for EvalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stopped(reason) => EvalError::Stopped(reason),
            other => EvalError::Store(other),
        }
    }
}
