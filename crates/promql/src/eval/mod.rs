//! Evaluation of a syntax tree over a store.
//!
//! Every expression is evaluated for all steps of the query at once: a series is read and decoded
//! once, its values at the steps become a column ([`column`]), and columns flow from the selectors
//! up. Operations that look at one series at a time hand columns on one by one ([`Evaluator::stream`]),
//! so an aggregation over any number of series holds one column for each group and few in flight.
//! Selectors of many series read and compute on several threads ([`parallel`]).
//!
//! Ranges and the lookback are open on the left: a sample exactly at the left end is outside.
//! Everything held is charged to the query's [`QueryContext`], which also stops the evaluation.

mod aggregate;
mod binary;
mod column;
mod hints;
mod instant;
mod name;
mod parallel;
mod range;
mod result;
mod scalar;
mod select;
mod subquery;
mod window;

pub use result::{Answer, MatrixSeries, Point, QueryValue};

use crate::{
    annotation::Annotations,
    ast::{At, DurationScope, Expr, Modifiers, ValueType},
    position::Position,
};
use column::{Grid, Series};
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::{MetricStore, QueryContext, StopReason, StoreError};

/// Most steps of one range query or subquery: beyond it a mistyped step would exhaust memory.
const STEPS_MAX: usize = 10_000_000;

/// How queries are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// How far back a selector looks for a series' latest sample.
    pub lookback_ms: i64,
    /// Step of a subquery that names none.
    pub subquery_step_ms: i64,
    /// Late removal of metric names, and start timestamps as counter resets.
    pub experimental: bool,
}

impl Default for EvalOptions {
    fn default() -> Self {
        EvalOptions { lookback_ms: 300_000, subquery_step_ms: 60_000, experimental: false }
    }
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The query cannot be evaluated on this data: change it.
    #[error("{0}")]
    Execution(String),
    /// A limit, a timeout, or the caller has gone.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// Storage failed.
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

/// Result of a part of an evaluation.
pub(crate) type EvalResult<T> = Result<T, EvalError>;

/// Fills in what comparing neighbours tells about counter resets, as stores may do on arrival.
#[cfg(test)]
pub(crate) fn resolve_hints(samples: &mut model::Samples) {
    hints::resolve(samples, false);
}

/// An execution error.
pub(crate) fn fail<T>(message: impl Into<String>) -> EvalResult<T> {
    Err(EvalError::Execution(message.into()))
}

/// Evaluates at one moment.
///
/// # Errors
/// When the expression fails on this data, the context stops it, or storage fails.
pub fn instant(
    expr: &Expr,
    at_ms: i64,
    store: &dyn MetricStore,
    options: &EvalOptions,
    context: &QueryContext,
) -> Result<Answer, EvalError> {
    Evaluator::new(Grid::instant(at_ms), at_ms, false, store, options, context).answer(expr)
}

/// Evaluates at every step from `start_ms` to `end_ms`, both included where the steps meet them.
///
/// # Errors
/// As [`instant`], and when the expression is neither a scalar nor an instant vector.
pub fn range(
    expr: &Expr,
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    store: &dyn MetricStore,
    options: &EvalOptions,
    context: &QueryContext,
) -> Result<Answer, EvalError> {
    if !matches!(expr.value_type(), ValueType::Scalar | ValueType::Vector) {
        let found = expr.value_type().describe();
        return fail(format!(
            "invalid expression type \"{found}\" for range query, must be Scalar or instant Vector"
        ));
    }
    let grid = Grid::range(start_ms, end_ms, step_ms);
    check_steps(grid)?;
    Evaluator::new(grid, end_ms, true, store, options, context).answer(expr)
}

fn check_steps(grid: Grid) -> EvalResult<()> {
    if grid.count > STEPS_MAX {
        return fail(format!("query has {} steps, more than the {STEPS_MAX} allowed", grid.count));
    }
    Ok(())
}

/// One evaluation.
pub(crate) struct Evaluator<'q> {
    store: &'q dyn MetricStore,
    options: &'q EvalOptions,
    context: &'q QueryContext,
    /// The steps of the whole query, to which `start()` and `step()` refer.
    query: Grid,
    /// The end that was asked for, to which `end()` and `range()` refer: no step need meet it.
    end_ms: i64,
    is_range: bool,
    /// See [`hints::stats_only`].
    stats_selectors: Vec<Position>,
    annotations: Mutex<Annotations>,
}

/// Receives series one by one.
pub(crate) type Sink<'s, 'q> = &'s mut dyn FnMut(Series<'q>) -> EvalResult<()>;

impl<'q> Evaluator<'q> {
    fn new(
        query: Grid,
        end_ms: i64,
        is_range: bool,
        store: &'q dyn MetricStore,
        options: &'q EvalOptions,
        context: &'q QueryContext,
    ) -> Self {
        Evaluator {
            store,
            options,
            context,
            query,
            end_ms,
            is_range,
            stats_selectors: Vec::new(),
            annotations: Mutex::default(),
        }
    }

    fn warn(&self, position: Position, message: &str) {
        self.annotations().warn(position, message);
    }

    fn info(&self, position: Position, message: &str) {
        self.annotations().info(position, message);
    }

    fn annotations(&self) -> MutexGuard<'_, Annotations> {
        self.annotations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durations(&self) -> DurationScope {
        let step_ms = if self.query.count > 1 || self.is_range { self.query.step_ms } else { 0 };
        DurationScope { step_ms, range_ms: self.end_ms.saturating_sub(self.query.start_ms) }
    }

    /// The moment that `@` names.
    fn at_ms(&self, modifiers: &Modifiers) -> Option<i64> {
        modifiers.at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.query.start_ms,
            At::End => self.end_ms,
        })
    }

    fn offset_ms(&self, modifiers: &Modifiers) -> EvalResult<i64> {
        match &modifiers.offset {
            None => Ok(0),
            Some(offset) => offset.resolve_ms(self.durations()).or_else(fail),
        }
    }

    /// All series of a vector expression.
    fn vector(&self, expr: &Expr, grid: Grid) -> EvalResult<Vec<Series<'q>>> {
        let mut all = Vec::new();
        self.stream(expr, grid, &mut |series| {
            all.push(series);
            Ok(())
        })?;
        Ok(all)
    }

    /// Hands the series of a vector expression to `sink`, one after the other, none of them empty.
    fn stream(&self, expr: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        self.context.check()?;
        if grid.count > 1 && is_step_invariant(expr) {
            return self.stream_node(expr, grid.first(), &mut |series| {
                let column = series.column.repeat(grid.count)?;
                sink(Series { column, ..series })
            });
        }
        self.stream_node(expr, grid, sink)
    }

    fn stream_node(&self, expr: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        match expr {
            Expr::Paren(paren) => self.stream(&paren.expr, grid, sink),
            Expr::Vector(selector) => self.select(selector, grid, sink),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid, sink),
            Expr::Unary(_) | Expr::Binary(_) | Expr::Call(_) => self.with_names(expr, grid, sink),
            Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => {
                fail(format!("expected an instant vector, got {}", expr.value_type().describe()))
            }
        }
    }
}

/// Whether the expression has the same value at every step.
fn is_step_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => selector.modifiers.at.is_some(),
        Expr::Matrix(matrix) => matrix.selector.modifiers.at.is_some(),
        Expr::Subquery(subquery) => subquery.modifiers.at.is_some(),
        Expr::Call(call) if depends_on_time(call.function.name) => false,
        _ => expr.children().into_iter().all(is_step_invariant),
    }
}

/// Functions whose value depends on the moment of evaluation, not only on their arguments.
fn depends_on_time(function: &str) -> bool {
    matches!(
        function,
        "time"
            | "timestamp"
            | "predict_linear"
            | "day_of_month"
            | "day_of_week"
            | "day_of_year"
            | "days_in_month"
            | "hour"
            | "minute"
            | "month"
            | "year"
    )
}
