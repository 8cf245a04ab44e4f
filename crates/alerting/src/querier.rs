//! What rules need of the query engines and the metric store; wired up by the aggregator.

use crate::history::Event;
use model::{Labels, MetricBatch, VectorSample};

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

/// The parts of an expression such as `disk_used / disk_size > 0.9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What is measured: `disk_used / disk_size`.
    pub measured: String,
    /// The comparison: `> 0.9`.
    pub condition: String,
}

/// One line of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphSeries {
    /// Of the series.
    pub labels: Labels,
    /// In order of time; steps without a value are left out.
    pub points: Vec<(i64, f64)>,
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

    /// What `expr` compares with what, when it is of such a form.
    fn condition(&self, _source: Source, _expr: &str) -> Option<Condition> {
        None
    }

    /// The label sets for which there is data at `at_ms`, whether `expr` holds for them or not;
    /// `None` when that cannot be told for such an expression.
    ///
    /// # Errors
    /// As [`Querier::instant`].
    fn presence(
        &self,
        _source: Source,
        _expr: &str,
        _at_ms: i64,
    ) -> Result<Option<Vec<Labels>>, QueryFailure> {
        Ok(None)
    }

    /// The label sets of `expr` at `at_ms`, as if nothing had been sampled before `since_ms`; `None`
    /// when that cannot be told.
    ///
    /// # Errors
    /// As [`Querier::instant`].
    fn labels_since(
        &self,
        _source: Source,
        _expr: &str,
        _at_ms: i64,
        _since_ms: i64,
    ) -> Result<Option<Vec<Labels>>, QueryFailure> {
        Ok(None)
    }

    /// Whether [`Querier::presence`] can be told for `expr`, which parses.
    fn tells_presence(&self, _source: Source, _expr: &str) -> bool {
        true
    }

    /// The values of `expr` from `start_ms` to `end_ms`, for a graph.
    ///
    /// # Errors
    /// As [`Querier::instant`], and where graphs are not offered.
    fn graph(
        &self,
        _source: Source,
        _expr: &str,
        _start_ms: i64,
        _end_ms: i64,
        _step_ms: i64,
    ) -> Result<Vec<GraphSeries>, QueryFailure> {
        Err(QueryFailure("graphs are not offered here".to_owned()))
    }

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

/// Takes what happened, for the log stream of alerting.
pub trait EventSink: Send + Sync {
    /// Appends `events`, which are in order. Called again with the same ones after an error.
    ///
    /// # Errors
    /// When they could not be stored now.
    fn append(&self, events: &[Event]) -> Result<(), QueryFailure>;
}
