//! Answers the expressions of rules and scaling policies from the stores, and stores what rules record: the
//! one place where alerting meets the query engines.
//!
//! Evaluations run on threads of their own callers, under the same budget as a query.

use crate::{
    condition,
    config::{PromqlConfig, QueryConfig},
};
use alerting::{Condition, ExpressionError, GraphSeries, Querier, QueryFailure, Reading, SampleSink, Source};
use daemon::clock;
use logql::Answer as LogAnswer;
use model::{Labels, METRIC_NAME, MetricBatch};
use promql::{
    EvalOptions, Expr, ParseOptions, QueryValue, ValueType,
    ast::{Modifiers, VectorSelector},
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};
use store::{Limits, LogStore, MetricStore, QueryContext};

/// Parsed expressions kept; rules ask the same ones again and again.
const PARSED_MAX: usize = 10_000;

/// See the module.
pub(crate) struct Evaluator {
    metrics: Arc<dyn MetricStore>,
    logs: Arc<dyn LogStore>,
    limits: Limits,
    options: EvalOptions,
    parsed: Mutex<HashMap<String, Arc<Expr>>>,
    /// Names of the metrics that rules have recorded.
    recorded: Mutex<BTreeSet<String>>,
}

impl Evaluator {
    /// An evaluator over these stores.
    pub(crate) fn new(
        metrics: Arc<dyn MetricStore>,
        logs: Arc<dyn LogStore>,
        query: &QueryConfig,
        promql: &PromqlConfig,
    ) -> Self {
        Evaluator {
            metrics,
            logs,
            limits: limits(query),
            options: eval_options(promql),
            parsed: Mutex::default(),
            recorded: Mutex::default(),
        }
    }

    /// The same with another step for subqueries that name none.
    pub(crate) fn with_subquery_step(mut self, step_ms: i64) -> Self {
        self.options.subquery_step_ms = step_ms;
        self
    }

    /// How far back a selector looks.
    pub(crate) fn lookback_ms(&self) -> i64 {
        self.options.lookback_ms
    }

    /// The syntax tree of a PromQL expression.
    ///
    /// # Errors
    /// When it does not parse.
    pub(crate) fn parse(&self, expr: &str) -> Result<Arc<Expr>, promql::ParseError> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = parsed.get(expr) {
            return Ok(known.clone());
        }
        let tree = Arc::new(promql::parse(expr, &ParseOptions { experimental: self.options.experimental })?);
        if parsed.len() >= PARSED_MAX {
            parsed.clear();
        }
        parsed.insert(expr.to_owned(), tree.clone());
        Ok(tree)
    }

    fn note_recorded(&self, batch: &MetricBatch) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        for series in batch.series() {
            let Some(name) = series.labels().get(METRIC_NAME) else { continue };
            if !recorded.contains(name) {
                recorded.insert(name.to_owned());
            }
        }
    }

    /// Whether a young sample does not mean that data has come: rules make series out of older ones, and a
    /// moved selector looks at another time.
    fn may_find_what_was_before(&self, selector: &VectorSelector) -> bool {
        let is_of_name = |name: &str| {
            selector
                .matchers
                .iter()
                .filter(|it| it.name() == METRIC_NAME)
                .all(|matcher| matcher.matches(name))
        };
        let recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        selector.modifiers != Modifiers::default() || recorded.iter().any(|name| is_of_name(name))
    }

    fn metrics_instant(&self, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        let tree = self.parse(expr).map_err(|error| QueryFailure(error.to_string()))?;
        let context = QueryContext::new(self.limits);
        let answer = promql::instant(&tree, at_ms, self.metrics.as_ref(), &self.options, &context);
        match answer.map_err(|error| QueryFailure(error.to_string()))?.value {
            QueryValue::Vector(vector) => Ok(Reading::Vector(vector)),
            QueryValue::Scalar { value, .. } => Ok(Reading::Scalar(value)),
            other => Err(QueryFailure(format!(
                "a rule needs a vector or a scalar, not a {}",
                other.value_type().describe()
            ))),
        }
    }

    fn logs_instant(&self, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        let tree = logql::parse(expr).map_err(|error| QueryFailure(error.to_string()))?;
        let context = QueryContext::new(self.limits);
        let at_ns = at_ms.saturating_mul(1_000_000);
        match logql::instant(&tree, at_ns, self.logs.as_ref(), &context)
            .map_err(|error| QueryFailure(error.to_string()))?
        {
            LogAnswer::Vector(vector) => Ok(Reading::Vector(vector)),
            LogAnswer::Scalar(value) => Ok(Reading::Scalar(value)),
            _ => Err(QueryFailure("a rule needs a metric query, not log lines".to_owned())),
        }
    }
}

impl Querier for Evaluator {
    fn instant(&self, source: Source, expr: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        match source {
            Source::Metrics => self.metrics_instant(expr, at_ms),
            Source::Logs => self.logs_instant(expr, at_ms),
        }
    }

    fn condition(&self, source: Source, expr: &str) -> Option<Condition> {
        match source {
            Source::Metrics => condition::condition(self.parse(expr).ok()?.as_ref()),
            Source::Logs => None,
        }
    }

    fn presence(&self, source: Source, expr: &str, at_ms: i64) -> Result<Option<Vec<Labels>>, QueryFailure> {
        if source == Source::Logs {
            return Ok(None);
        }
        let tree = self.parse(expr).map_err(|error| QueryFailure(error.to_string()))?;
        let Some(measured) = condition::without_conditions(&tree) else { return Ok(None) };
        let context = QueryContext::new(self.limits);
        let answer = promql::instant(&measured, at_ms, self.metrics.as_ref(), &self.options, &context);
        match answer.map_err(|error| QueryFailure(error.to_string()))?.value {
            QueryValue::Vector(vector) => Ok(Some(vector.into_iter().map(|sample| sample.labels).collect())),
            _ => Ok(None),
        }
    }

    fn labels_since(
        &self,
        source: Source,
        expr: &str,
        at_ms: i64,
        since_ms: i64,
    ) -> Result<Option<Vec<Labels>>, QueryFailure> {
        if source == Source::Logs || at_ms <= since_ms {
            return Ok(None);
        }
        let tree = self.parse(expr).map_err(|error| QueryFailure(error.to_string()))?;
        let is_unclear = || tree.selectors().into_iter().any(|it| self.may_find_what_was_before(it));
        if is_unclear() {
            return Ok(None);
        }
        let lookback_ms = self.options.lookback_ms.min(at_ms - since_ms);
        let options = EvalOptions { lookback_ms, ..self.options };
        let context = QueryContext::new(self.limits);
        let answer = promql::instant(&tree, at_ms, self.metrics.as_ref(), &options, &context);
        match answer.map_err(|error| QueryFailure(error.to_string()))?.value {
            // A rule may have recorded meanwhile.
            _ if is_unclear() => Ok(None),
            QueryValue::Vector(vector) => Ok(Some(vector.into_iter().map(|sample| sample.labels).collect())),
            _ => Ok(None),
        }
    }

    fn tells_presence(&self, source: Source, expr: &str) -> bool {
        let Ok(tree) = self.parse(expr) else { return true };
        source == Source::Metrics && condition::without_conditions(&tree).is_some()
    }

    fn graph(
        &self,
        source: Source,
        expr: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
    ) -> Result<Vec<GraphSeries>, QueryFailure> {
        if source == Source::Logs {
            return Err(QueryFailure("graphs of logs are not offered here".to_owned()));
        }
        let tree = self.parse(expr).map_err(|error| QueryFailure(error.to_string()))?;
        let context = QueryContext::new(self.limits);
        let (metrics, options) = (self.metrics.as_ref(), &self.options);
        let answer = promql::range(&tree, start_ms, end_ms, step_ms, metrics, options, &context);
        let QueryValue::Matrix(matrix) = answer.map_err(|error| QueryFailure(error.to_string()))?.value
        else {
            return Ok(Vec::new());
        };
        let line = |series: promql::MatrixSeries| GraphSeries {
            points: series.points.iter().map(|point| (point.timestamp_ms, point.value.as_float())).collect(),
            labels: series.labels,
        };
        Ok(matrix.into_iter().map(line).collect())
    }

    fn check(&self, source: Source, expr: &str) -> Result<(), ExpressionError> {
        check_expression(source, expr, self.options.experimental)
    }
}

/// Whether an expression can be used in a rule.
///
/// # Errors
/// The first problem and its place within the expression.
pub(crate) fn check_expression(
    source: Source,
    expr: &str,
    experimental: bool,
) -> Result<(), ExpressionError> {
    match source {
        Source::Metrics => {
            let tree = promql::parse(expr, &ParseOptions { experimental }).map_err(|error| {
                let hint = if is_logql(expr) {
                    "; it can be read as LogQL: say `source: logs` in its group"
                } else {
                    ""
                };
                let error = promql_error(&error);
                ExpressionError { message: error.message + hint, ..error }
            })?;
            match tree.value_type() {
                ValueType::Vector | ValueType::Scalar => Ok(()),
                other => Err(whole(format!("a rule needs a vector or a scalar, not a {}", other.describe()))),
            }
        }
        Source::Logs => {
            let tree = logql::parse(expr).map_err(|error| logql_error(&error))?;
            if matches!(tree, logql::ast::Expr::Log(_)) {
                return Err(whole(
                    "a rule needs a metric query, such as `sum(rate(… [5m]))`, not log lines".to_owned(),
                ));
            }
            Ok(())
        }
    }
}

/// Whether a rule over logs could be meant, as in the files of Loki's ruler.
fn is_logql(expr: &str) -> bool {
    matches!(logql::parse(expr), Ok(tree) if !matches!(tree, logql::ast::Expr::Log(_)))
}

fn whole(message: String) -> ExpressionError {
    ExpressionError { line: 1, column: 1, message }
}

fn promql_error(error: &promql::ParseError) -> ExpressionError {
    let message = format!("parse error: {}", error.message);
    ExpressionError { line: error.position.line as usize, column: error.position.column as usize, message }
}

fn logql_error(error: &logql::ParseError) -> ExpressionError {
    let (line, column) = error.position.unwrap_or((1, 1));
    ExpressionError { line, column, message: error.message.clone() }
}

/// The limits that a query's settings describe.
pub(crate) fn limits(query: &QueryConfig) -> Limits {
    Limits {
        samples_max: query.samples_max,
        memory_bytes_max: query.memory_bytes_max.0,
        read_bytes_max: query.read_bytes_max.0,
    }
}

/// The options that PromQL's settings describe.
pub(crate) fn eval_options(promql: &PromqlConfig) -> EvalOptions {
    let lookback_ms = i64::try_from(promql.lookback.0).unwrap_or(i64::MAX);
    EvalOptions { lookback_ms, experimental: promql.experimental, ..EvalOptions::default() }
}

impl SampleSink for Evaluator {
    fn append(&self, batch: &MetricBatch) -> Result<(), QueryFailure> {
        self.note_recorded(batch);
        let appended = self.metrics.append(batch, None, clock::now_ms());
        appended.map(drop).map_err(|error| QueryFailure(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{MemLogStore, MemMetricStore};

    #[test]
    fn what_was_sampled_before_is_not_there_since() {
        let metrics = Arc::new(MemMetricStore::new());
        let mut batch = MetricBatch::default();
        for (host, at_ms) in [("old", 90_000), ("new", 110_000)] {
            let labels = Labels::from_pairs([("__name__", "disk"), ("host", host)]);
            batch.begin_with(labels.as_ref());
            batch.sample(at_ms, 0, 0.95);
        }
        metrics.append(&batch, None, 110_000).unwrap();
        let logs = Arc::new(MemLogStore::new());
        let evaluator = Evaluator::new(metrics, logs, &QueryConfig::default(), &PromqlConfig::default());
        let hosts = |expr: &str, since_ms: i64| {
            let found = evaluator.labels_since(Source::Metrics, expr, 120_000, since_ms).unwrap()?;
            Some(found.iter().map(|labels| labels.value("host").to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(hosts("disk > 0.9", 0).unwrap().len(), 2);
        assert_eq!(hosts("disk > 0.9", 100_000).unwrap(), ["new"]);
        assert_eq!(hosts("disk > 0.9", 115_000).unwrap(), [""; 0]);
        assert_eq!(hosts("disk > 0.9", 120_000), None);
        assert_eq!(hosts("1", 0), None);
        assert_eq!(hosts("disk offset 1m > 0.9", 100_000), None, "it may have been there before");
        assert_eq!(hosts("disk @ 110 > 0.9", 100_000), None);

        let mut recorded = MetricBatch::default();
        let labels = Labels::from_pairs([("__name__", "disk:max"), ("host", "old")]);
        recorded.begin_with(labels.as_ref());
        recorded.sample(110_000, 0, 0.95);
        evaluator.append(&recorded).unwrap();
        assert_eq!(hosts("disk:max > 0.9", 100_000), None, "a rule made it, maybe of what was there before");
        assert_eq!(hosts(r#"{__name__=~"disk.+"} > 0.9"#, 100_000), None);
        assert_eq!(hosts("disk > 0.9", 100_000).unwrap(), ["new"]);
    }
}
