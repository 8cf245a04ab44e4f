//! Evaluation of queries over a store.

pub(crate) mod arithmetic;
mod around;
mod binary;
mod collect;
mod counted;
mod facets;
mod fold;
mod gathered;
mod grouped;
mod histogram;
mod label_replace;
mod log_query;
mod mined;
mod order;
mod range;
mod shaped;
mod vector;
mod window;

use crate::{
    EvalError,
    ast::{Expr, SampleExpr, VectorOp},
};
use model::{Labels, VectorSample};
use store::{Direction, LogStore, QueryContext};

pub use around::{Anchor, Around, around};
pub use facets::{Facet, FacetRequest, Facets, facets};
pub use histogram::{Histogram, HistogramRequest, histogram};
pub(crate) use log_query::entry_of;
pub use log_query::{Entry, LabelPairs};
pub use mined::{MinedPattern, PatternRequest, Patterns, patterns};

/// What is asked besides the query.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// First instant, nanoseconds.
    pub start_ns: i64,
    /// Last instant of a metric query; the first instant beyond a log query.
    pub end_ns: i64,
    /// Distance of a metric query's points.
    pub step_ns: i64,
    /// Least distance of a log query's entries, 0 for all.
    pub interval_ns: i64,
    /// Most entries of a log query, over all streams.
    pub limit: usize,
    /// Which entries of a log query come first, and so within the limit.
    pub direction: Direction,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Entries in the direction asked for, streams mixed.
    Streams(Vec<Entry>),
    /// Series over time, in ascending order of labels.
    Matrix(Vec<Series>),
    /// One instant: ascending by labels, or as `sort` and `topk` order.
    Vector(Vec<VectorSample>),
    /// A number.
    Scalar(f64),
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// Milliseconds since the epoch, ascending, and values.
    pub points: Vec<(i64, f64)>,
}

/// The instants at which a metric query is evaluated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steps {
    first_ns: i64,
    step_ns: i64,
    count: usize,
}

impl Steps {
    fn at(&self, index: usize) -> i64 {
        self.first_ns.saturating_add(self.step_ns.saturating_mul(index as i64))
    }

    fn last_ns(&self) -> i64 {
        self.at(self.count - 1)
    }
}

/// Most points of one series that the engine computes.
const POINTS_MAX: i64 = 12_000;

/// Values of one series, one for each step where it has one.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) values: Vec<Option<f64>>,
}

/// What a sample expression yields.
pub(crate) enum Table {
    Scalar(f64),
    Rows(Vec<Row>),
}

/// Everything an evaluation needs to know.
pub(crate) struct Evaluation<'a> {
    pub(crate) store: &'a dyn LogStore,
    pub(crate) context: &'a QueryContext,
    pub(crate) steps: Steps,
}

/// Evaluates a query over a range of time.
///
/// A metric query's range is widened to multiples of the step, so that the same step always falls
/// on the same instants.
///
/// # Errors
/// When a line cannot be handled, vectors cannot be matched, the budget is used up, or the store fails.
pub fn query_range(
    expr: &Expr,
    params: &Params,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Answer, EvalError> {
    let sample = match expr {
        Expr::Log(log) => return log_query::run(log, params, store, context).map(Answer::Streams),
        Expr::Sample(sample) => sample,
    };
    let step_ns = params.step_ns.max(1);
    let first_ns = params.start_ns.div_euclid(step_ns).saturating_mul(step_ns);
    let last = params.end_ns.div_euclid(step_ns) + i64::from(params.end_ns.rem_euclid(step_ns) != 0);
    let count = last.saturating_sub(params.start_ns.div_euclid(step_ns)).saturating_add(1);
    if !(1..=POINTS_MAX).contains(&count) {
        return Err(EvalError::Invalid(
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter".to_owned(),
        ));
    }
    let steps = Steps { first_ns, step_ns, count: count as usize };
    let evaluation = Evaluation { store, context, steps };
    let rows = match evaluation.table(sample)? {
        Table::Scalar(value) => vec![Row { labels: Labels::empty(), values: vec![Some(value); steps.count] }],
        Table::Rows(rows) => rows,
    };
    let mut series: Vec<_> = rows.into_iter().filter_map(|row| series_of(row, steps)).collect();
    order::sort_by_labels(&mut series, |series| &series.labels);
    Ok(Answer::Matrix(series))
}

fn series_of(row: Row, steps: Steps) -> Option<Series> {
    let points: Vec<_> = row
        .values
        .into_iter()
        .enumerate()
        .filter_map(|(k, value)| value.map(|value| (steps.at(k).div_euclid(1_000_000), value)))
        .collect();
    (!points.is_empty()).then_some(Series { labels: row.labels, points })
}

/// Evaluates a metric query at one instant.
///
/// # Errors
/// As [`query_range`]; a log query is refused.
pub fn instant(
    expr: &Expr,
    time_ns: i64,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Answer, EvalError> {
    let Expr::Sample(sample) = expr else {
        return Err(EvalError::LogQueryAsInstant);
    };
    let steps = Steps { first_ns: time_ns, step_ns: 1, count: 1 };
    let evaluation = Evaluation { store, context, steps };
    let rows = match evaluation.table(sample)? {
        Table::Scalar(value) => return Ok(Answer::Scalar(value)),
        Table::Rows(rows) => rows,
    };
    let timestamp_ms = time_ns.div_euclid(1_000_000);
    let mut vector: Vec<_> = rows
        .into_iter()
        .filter_map(|row| {
            let value = row.values.first().copied().flatten()?;
            Some(VectorSample { labels: row.labels, timestamp_ms, value: model::Value::Float(value) })
        })
        .collect();
    if !is_ordered(sample) {
        order::sort_by_labels(&mut vector, |sample| &sample.labels);
    }
    Ok(Answer::Vector(vector))
}

/// Whether the outermost operation orders by value.
fn is_ordered(sample: &SampleExpr) -> bool {
    let SampleExpr::Vector(vector) = sample else {
        return false;
    };
    matches!(
        vector.op,
        VectorOp::Sort | VectorOp::SortDesc | VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk
    )
}

impl Evaluation<'_> {
    pub(crate) fn table(&self, sample: &SampleExpr) -> Result<Table, EvalError> {
        self.context.check()?;
        match sample {
            SampleExpr::Literal(value) => Ok(Table::Scalar(*value)),
            SampleExpr::VectorLiteral(value) => {
                let values = vec![Some(*value); self.steps.count];
                Ok(Table::Rows(vec![Row { labels: Labels::empty(), values }]))
            }
            SampleExpr::Range(range) => self.range(range, None).map(Table::Rows),
            SampleExpr::Vector(vector) => self.vector(vector).map(Table::Rows),
            SampleExpr::Binary(binary) => self.binary(binary),
            SampleExpr::LabelReplace(replace) => self.label_replace(replace),
        }
    }

    /// The rows of an operand that must be a vector.
    pub(crate) fn rows(&self, sample: &SampleExpr) -> Result<Vec<Row>, EvalError> {
        match self.table(sample)? {
            Table::Rows(rows) => Ok(rows),
            Table::Scalar(value) => {
                Ok(vec![Row { labels: Labels::empty(), values: vec![Some(value); self.steps.count] }])
            }
        }
    }
}

#[cfg(test)]
mod tests;
