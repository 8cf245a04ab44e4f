//! Operators on two values.

use super::super::{EvalResult, column::Sample, fail};
use crate::{
    ast::BinaryOp,
    histogram::{self, Combined, Incompatible},
};
use model::{Histogram, ResetHint, Value};
use std::sync::Arc;

/// `left op right` for floats; comparisons answer 1 or 0.
pub(in crate::eval) fn scalar_operation(op: BinaryOp, left: f64, right: f64) -> EvalResult<f64> {
    let truth = |condition: bool| if condition { 1.0 } else { 0.0 };
    if op.is_comparison() {
        return Ok(truth(compare(op, left, right)));
    }
    match arithmetic(op, left, right) {
        Some(value) => Ok(value),
        None => fail(format!("operator \"{}\" not allowed for Scalar operations", op.as_str())),
    }
}

/// Arithmetic; `None` for other operators.
pub(super) fn arithmetic(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => left.powf(right),
        BinaryOp::Atan2 => left.atan2(right),
        _ => return None,
    })
}

pub(super) fn compare(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Less => left < right,
        BinaryOp::Greater => left > right,
        BinaryOp::LessEqual => left <= right,
        BinaryOp::GreaterEqual => left >= right,
        _ => false,
    }
}

/// What an operation on two samples gives.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A value.
    Value(Value),
    /// A comparison's result: whether it holds.
    Truth(bool),
    /// The kinds of values do not go with the operator.
    Incompatible,
    /// Exponential and custom buckets met.
    MixedSchemas,
}

/// What happened on the way, to be remarked on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    pub(super) reconciled: bool,
    pub(super) hints_conflict: bool,
}

/// `left op right` for samples of any kinds.
pub(super) fn operate(op: BinaryOp, left: Sample<'_>, right: Sample<'_>, notes: &mut Notes) -> Outcome {
    match (left, right) {
        (Sample::Float(left), Sample::Float(right)) if op.is_comparison() => {
            Outcome::Truth(compare(op, left, right))
        }
        (Sample::Float(left), Sample::Float(right)) => arithmetic(op, left, right)
            .map_or(Outcome::Incompatible, |value| Outcome::Value(Value::Float(value))),
        (Sample::Float(factor), Sample::Histogram(h)) | (Sample::Histogram(h), Sample::Float(factor))
            if op == BinaryOp::Mul =>
        {
            histogram_value(histogram::scale(h, factor))
        }
        (Sample::Histogram(left), Sample::Float(right)) => match op {
            BinaryOp::Div => histogram_value(histogram::divide(left, right)),
            BinaryOp::TrimUpper => histogram_value(histogram::trim(left, right, true)),
            BinaryOp::TrimLower => histogram_value(histogram::trim(left, right, false)),
            _ => Outcome::Incompatible,
        },
        (Sample::Float(_), Sample::Histogram(_)) => Outcome::Incompatible,
        (Sample::Histogram(left), Sample::Histogram(right)) => histograms(op, left, right, notes),
    }
}

/// Whether [`operate`] has an outcome for values of these kinds.
pub(super) fn is_possible(op: BinaryOp, left: Sample<'_>, right: Sample<'_>) -> bool {
    match (left, right) {
        (Sample::Float(_), Sample::Float(_)) => op.is_comparison() || arithmetic(op, 1.0, 1.0).is_some(),
        (Sample::Float(_), Sample::Histogram(_)) => op == BinaryOp::Mul,
        (Sample::Histogram(_), Sample::Float(_)) => {
            op.is_trim() || matches!(op, BinaryOp::Mul | BinaryOp::Div)
        }
        (Sample::Histogram(left), Sample::Histogram(right)) => match op {
            BinaryOp::Equal | BinaryOp::NotEqual => true,
            BinaryOp::Add | BinaryOp::Sub => left.has_custom_buckets() == right.has_custom_buckets(),
            _ => false,
        },
    }
}

fn histogram_value(histogram: Histogram) -> Outcome {
    Outcome::Value(Value::Histogram(Arc::new(histogram)))
}

fn histograms(op: BinaryOp, left: &Histogram, right: &Histogram, notes: &mut Notes) -> Outcome {
    let combined = match op {
        BinaryOp::Equal => return Outcome::Truth(histogram::equal(left, right)),
        BinaryOp::NotEqual => return Outcome::Truth(!histogram::equal(left, right)),
        BinaryOp::Add => histogram::add(left, right),
        BinaryOp::Sub => histogram::sub(left, right),
        _ => return Outcome::Incompatible,
    };
    let Combined { mut histogram, reconciled, hints_conflict } = match combined {
        Ok(combined) => combined,
        Err(Incompatible) => return Outcome::MixedSchemas,
    };
    notes.reconciled |= reconciled;
    notes.hints_conflict |= hints_conflict;
    if op == BinaryOp::Sub {
        histogram.reset_hint = ResetHint::Gauge;
    }
    histogram_value(histogram)
}

/// How remarks name what was done with histograms.
pub(super) fn operation_name(op: BinaryOp) -> &'static str {
    if op == BinaryOp::Sub { "subtraction" } else { "addition" }
}
