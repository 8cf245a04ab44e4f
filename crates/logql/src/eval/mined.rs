//! Patterns of the lines that a query finds, mined when they are asked for.
//!
//! Bound: `lines_max` lines are looked at. Of a larger selection every n-th unit is read and its
//! lines count n-fold, so that the whole range is shown; the answer says so.

use super::fold::{Fold, Folded};
use crate::{EvalError, ParseError, ast::LogExpr, drain::Drain, pipeline::Pipeline};
use model::TimeRange;
use store::{Direction, LogRequest, LogStore, QueryContext};

/// The label that tells a line's level.
const LEVEL: &str = "detected_level";

/// What is asked.
#[derive(Clone, Debug)]
pub struct PatternRequest {
    /// The lines.
    pub log: LogExpr,
    /// Nanoseconds, half-open.
    pub range: TimeRange,
    /// Width of a bucket, nanoseconds; buckets begin at multiples of it.
    pub step_ns: i64,
    /// Lines that are looked at.
    pub lines_max: u64,
    /// Patterns that are told.
    pub patterns_max: usize,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns {
    /// The most frequent first.
    pub patterns: Vec<MinedPattern>,
    /// Every so many parts of the selection were read, and counted so many times.
    pub every: u64,
    /// Whether lines were left out because of `lines_max`.
    pub is_partial: bool,
}

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedPattern {
    /// As a `|>` filter takes it.
    pub pattern: String,
    /// The level of its lines.
    pub level: String,
    /// First instant of each bucket, nanoseconds, and its lines.
    pub samples: Vec<(i64, u64)>,
}

/// Mines the patterns.
///
/// # Errors
/// When the budget is used up or the store fails.
pub fn patterns(
    request: &PatternRequest,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Patterns, EvalError> {
    let invalid = |error: ParseError| EvalError::Invalid(error.to_string());
    let pipeline = Pipeline::compile_with(&request.log.stages, Default::default(), true).map_err(invalid)?;
    let scan = store.scan(
        &LogRequest {
            matchers: request.log.matchers.clone(),
            range: request.range,
            filters: pipeline.store_filters().to_vec(),
            metadata_hints: Vec::new(),
            direction: Direction::Backward,
        },
        context,
    )?;
    // How many rows pass a filter is not known, so then the newest ones are taken.
    let rows: u64 = scan.units().iter().map(|unit| unit.rows_max).sum();
    let every =
        if request.log.stages.is_empty() { rows.div_ceil(request.lines_max.max(1)).max(1) } else { 1 };
    let step_ns = request.step_ns.max(1);
    let fold = Fold {
        scan: scan.as_ref(),
        pipeline: &pipeline,
        context,
        lines_max: request.lines_max,
        every: usize::try_from(every).unwrap_or(usize::MAX),
    };
    let Folded { states, is_partial } = fold.run(Drain::default, |drain, scratch, row| {
        let bucket = row.timestamp_ns.div_euclid(step_ns).saturating_mul(step_ns);
        let level = scratch.labels.get(LEVEL).unwrap_or("");
        drain.line(scratch.line(row.line), level, bucket, every);
        Ok(())
    })?;
    let mut whole = Drain::default();
    for drain in states {
        context.check()?;
        whole.merge(drain);
    }
    let is_partial = is_partial || whole.lines_lost > 0;
    let found = whole.finish().into_iter().take(request.patterns_max).map(|(pattern, cluster)| {
        MinedPattern { pattern, level: cluster.level, samples: cluster.buckets.into_iter().collect() }
    });
    Ok(Patterns { patterns: found.collect(), every, is_partial })
}
