//! What rules need of the query engines and the metric store; wired up by the aggregator.

use model::{MetricBatch, VectorSample};

/// Which language and store an expression speaks to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Source {
    /// PromQL over the metric store.
    #[default]
    Metrics,
    /// LogQL over the log store.
    Logs,
}

impl Source {
    /// The name in rule files.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Metrics => "metrics",
            Source::Logs => "logs",
        }
    }
}

/// The result of an instant query.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// An instant vector, possibly empty.
    Vector(Vec<VectorSample>),
    /// A scalar.
    Scalar(f64),
}

/// A query that failed; the text is shown as the rule's last error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryFailure(pub String);

/// An expression that cannot be used in a rule. The place counts from 1 within the expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// Line within the expression, from 1.
    pub line: usize,
    /// Column within the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// Evaluates expressions. Calls are synchronous and may take long.
pub trait Querier: Send + Sync {
    /// The value of `expr` at `at_ms`.
    ///
    /// # Errors
    /// When the query fails, is too expensive or is stopped.
    fn instant(&self, source: Source, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure>;

    /// Whether `expr` parses and yields a vector or a scalar.
    ///
    /// # Errors
    /// The first problem and its place.
    fn check(&self, source: Source, expr: &str) -> Result<(), ExpressionError>;
}

/// Takes what rules record. On return the samples are readable by the next rule.
pub trait SampleSink: Send + Sync {
    /// Appends `batch`, whose samples have the time of evaluation.
    ///
    /// # Errors
    /// When nothing could be stored; the text is shown as the rule's last error.
    fn append(&self, batch: &MetricBatch) -> Result<(), QueryFailure>;
}
