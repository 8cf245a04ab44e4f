//! Lines by time and label, over a whole range.
//!
//! A count that the store can answer by itself touches no line; else rows are read, filtered and
//! counted, and none is kept. Bound: [`BUCKETS_MAX`] buckets, and the memory of the query's budget.

use super::{Evaluation, Row, Steps};
use crate::{
    EvalError,
    ast::{
        Grouping, LabelChoice, LogExpr, RangeAggregation, RangeOp, SampleExpr, Stage, VectorAggregation,
        VectorOp,
    },
    pipeline::labels::{ERROR, ERROR_DETAILS},
};
use model::{Labels, TimeRange};
use store::{LogStore, QueryContext};

/// Most buckets of one answer.
const BUCKETS_MAX: i64 = 12_000;

/// What is counted, and how finely.
#[derive(Clone, Debug)]
pub struct HistogramRequest {
    /// The lines.
    pub log: LogExpr,
    /// Nanoseconds, half-open.
    pub range: TimeRange,
    /// Width of a bucket. Bucket k covers `[start + k·step, start + (k+1)·step)`.
    pub step_ns: i64,
    /// Labels to count by; empty for one series.
    pub by: Vec<String>,
    /// Series of their own; smaller ones are added up.
    pub series_max: usize,
}

/// Lines by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Series by the labels asked for, the largest first.
    pub series: Vec<(Labels, Vec<u64>)>,
    /// The sum of the series beyond the limit, if there are any, and their number.
    pub other: Option<(Vec<u64>, usize)>,
}

/// Counts the lines of each bucket.
///
/// # Errors
/// When there are too many buckets, the budget is used up, or the store fails.
pub fn histogram(
    request: &HistogramRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Histogram, EvalError> {
    let step_ns = request.step_ns.max(1);
    let length = request.range.end.saturating_sub(request.range.start).max(0);
    let count = length / step_ns + i64::from(length % step_ns != 0);
    if count == 0 {
        return Ok(Histogram::default());
    }
    if count > BUCKETS_MAX {
        let message = format!("more than {BUCKETS_MAX} buckets; take a longer `step` or a shorter range");
        return Err(EvalError::Invalid(message));
    }
    // A window is `(end - step, end]`: its last instant is the bucket's.
    let first_ns = request.range.start.saturating_add(step_ns - 1);
    let evaluation = Evaluation { store, context, steps: Steps { first_ns, step_ns, count: count as usize } };
    let mut rows = evaluation.rows(&counting(request, step_ns))?;
    let total = |row: &Row| row.values.iter().flatten().sum::<f64>();
    rows.sort_by(|a, b| total(b).total_cmp(&total(a)).then_with(|| a.labels.cmp(&b.labels)));
    let rest = rows.split_off(request.series_max.min(rows.len()));
    let counts = |row: &Row| row.values.iter().map(|value| value.unwrap_or(0.0) as u64).collect::<Vec<_>>();
    let other = (!rest.is_empty()).then(|| {
        let mut sum = vec![0; count as usize];
        for row in &rest {
            sum.iter_mut().zip(counts(row)).for_each(|(sum, value)| *sum += value);
        }
        (sum, rest.len())
    });
    let series = rows.iter().map(|row| (row.labels.clone(), counts(row))).collect();
    Ok(Histogram { series, other })
}

/// `sum by (…) (count_over_time({…} | drop __error__, __error_details__ [step]))`: a line that a
/// stage could not handle is a line all the same.
fn counting(request: &HistogramRequest, step_ns: i64) -> SampleExpr {
    let mut log = request.log.clone();
    let errors = [ERROR, ERROR_DETAILS].map(|name| LabelChoice::Name(name.to_owned()));
    if !log.stages.is_empty() {
        log.stages.push(Stage::Drop(errors.to_vec()));
    }
    let range = RangeAggregation {
        op: RangeOp::Count,
        parameter: None,
        log,
        range_ns: step_ns,
        offset_ns: 0,
        unwrap: None,
        grouping: None,
    };
    SampleExpr::Vector(VectorAggregation {
        op: VectorOp::Sum,
        parameter: None,
        grouping: Some(Grouping { without: false, labels: request.by.clone() }),
        inner: Box::new(SampleExpr::Range(range)),
    })
}
