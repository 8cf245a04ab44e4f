//! What a query must keep beyond its syntax.

use crate::{
    ParseError,
    ast::{Binary, BinaryOp, Expr, LogExpr, Matching, RangeAggregation, RangeOp, SampleExpr, VectorOp},
    eval::arithmetic,
    pipeline::Pipeline,
};
use model::Matcher;

const OPEN_SELECTOR: &str = "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";

/// Checks selectors and compiles every pipeline once.
pub(crate) fn check(expr: &Expr) -> Result<(), ParseError> {
    match expr {
        Expr::Log(log) => check_log(log),
        Expr::Sample(sample) => check_sample(sample),
    }
}

/// Whether the matchers narrow the streams down at all.
pub fn narrows(matchers: &[Matcher]) -> bool {
    matchers.iter().any(|matcher| !matcher.matches_empty())
}

fn check_log(log: &LogExpr) -> Result<(), ParseError> {
    if !narrows(&log.matchers) {
        return Err(ParseError::new(OPEN_SELECTOR));
    }
    Pipeline::compile(&log.stages).map(drop)
}

fn check_sample(sample: &SampleExpr) -> Result<(), ParseError> {
    match sample {
        SampleExpr::Range(range) => {
            check_log(&range.log)?;
            let filters = range.unwrap.iter().flat_map(|unwrap| &unwrap.filters);
            for filter in filters {
                Pipeline::compile(&[crate::ast::Stage::LabelFilter(filter.clone())])?;
            }
            Ok(())
        }
        SampleExpr::Vector(vector) => check_sample(&vector.inner),
        SampleExpr::Binary(binary) => {
            check_sample(&binary.lhs)?;
            check_sample(&binary.rhs)
        }
        SampleExpr::LabelReplace(replace) => check_sample(&replace.inner),
        SampleExpr::Literal(_) | SampleExpr::VectorLiteral(_) => Ok(()),
    }
}

/// The checked parameter of a vector aggregation.
pub(crate) fn vector_parameter(op: VectorOp, text: Option<&str>) -> Result<Option<u64>, ParseError> {
    let takes_one = matches!(op, VectorOp::Topk | VectorOp::Bottomk | VectorOp::ApproxTopk);
    match (takes_one, text) {
        (false, None) => Ok(None),
        (true, None) => Err(ParseError::new(format!("parameter required for operation {}", op.as_str()))),
        (false, Some(text)) => {
            Err(ParseError::new(format!("unsupported parameter for operation {}({text},", op.as_str())))
        }
        (true, Some(text)) => match text.parse::<i64>() {
            Ok(0) => {
                Err(ParseError::new(format!("invalid parameter (must be greater than 0) {}(0", op.as_str())))
            }
            Ok(value) => Ok(Some(value.unsigned_abs())),
            Err(_) => Err(ParseError::new(format!("invalid parameter {}({text},", op.as_str()))),
        },
    }
}

/// Checks that an aggregation has what it needs and nothing it cannot use.
pub(crate) fn range(range: &RangeAggregation) -> Result<(), ParseError> {
    let name = range.op.as_str();
    let groups = matches!(
        range.op,
        RangeOp::Avg
            | RangeOp::Stddev
            | RangeOp::Stdvar
            | RangeOp::Quantile
            | RangeOp::Max
            | RangeOp::Min
            | RangeOp::First
            | RangeOp::Last
    );
    if range.grouping.is_some() && !groups {
        return Err(ParseError::new(format!("grouping not allowed for {name} aggregation")));
    }
    let counts_lines = matches!(range.op, RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate);
    let either = matches!(range.op, RangeOp::Rate | RangeOp::Absent);
    match (&range.unwrap, counts_lines, either) {
        (Some(_), true, _) => Err(ParseError::new(format!("invalid aggregation {name} with unwrap"))),
        (None, false, false) => Err(ParseError::new(format!("invalid aggregation {name} without unwrap"))),
        _ => match (range.op, range.parameter) {
            (RangeOp::Quantile, None) => {
                Err(ParseError::new("parameter required for operation quantile_over_time"))
            }
            (RangeOp::Quantile, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => Err(ParseError::new(format!("parameter not supported for operation {name}"))),
        },
    }
}

/// Joins two operands; two literals become one.
pub(crate) fn binary(
    op: BinaryOp,
    lhs: Expr,
    rhs: Expr,
    returns_bool: bool,
    matching: Option<Matching>,
) -> Result<SampleExpr, ParseError> {
    let lhs = side(op, lhs, "left")?;
    let rhs = side(op, rhs, "right")?;
    if op.is_set() {
        for (sample, leg) in [(&lhs, "left"), (&rhs, "right")] {
            if let SampleExpr::Literal(value) = sample {
                return Err(ParseError::new(format!(
                    "unexpected literal for {leg} leg of logical/set binary operation ({}): {value:.6}",
                    op.as_str()
                )));
            }
        }
    }
    if let (SampleExpr::Literal(a), SampleExpr::Literal(b)) = (&lhs, &rhs) {
        return Ok(SampleExpr::Literal(arithmetic::literals(op, *a, *b)));
    }
    Ok(SampleExpr::Binary(Box::new(Binary { op, lhs, rhs, returns_bool, matching })))
}

fn side(op: BinaryOp, expr: Expr, leg: &str) -> Result<SampleExpr, ParseError> {
    match expr {
        Expr::Sample(sample) => Ok(sample),
        Expr::Log(log) => {
            let kind = if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
            Err(ParseError::new(format!(
                "unexpected type for {leg} leg of binary operation ({}): *syntax.{kind}",
                op.as_str()
            )))
        }
    }
}
