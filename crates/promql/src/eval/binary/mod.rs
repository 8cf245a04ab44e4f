//! Signs and operators between two expressions.

mod operate;
mod scalar_side;
mod set;
mod vector;

pub(super) use operate::scalar_operation;

use super::{EvalResult, Evaluator, Grid, Series, Sink, column::Sample, fail};
use crate::{
    ast::{Binary, Unary, ValueType},
    histogram,
};
use model::Value;
use std::sync::Arc;

impl<'q> Evaluator<'q> {
    /// `-v` or `+v`
    pub(super) fn unary(&self, unary: &Unary, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if !unary.negative {
            return self.stream(&unary.expr, grid, sink);
        }
        self.stream(&unary.expr, grid, &mut |mut series| {
            series.column.map(|_, sample| {
                Some(match sample {
                    Sample::Float(value) => Value::Float(-value),
                    Sample::Histogram(value) => Value::Histogram(Arc::new(histogram::scale(value, -1.0))),
                })
            });
            sink(Series { drop_name: true, ..series })
        })
    }

    /// An operator with a vector on at least one side.
    pub(super) fn binary(&self, binary: &Binary, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        match (binary.left.value_type(), binary.right.value_type()) {
            (ValueType::Vector, ValueType::Vector) if binary.op.is_set() => self.set(binary, grid, sink),
            (ValueType::Vector, ValueType::Vector) => self.vectors(binary, grid, sink),
            (ValueType::Vector, ValueType::Scalar) => self.with_scalar(binary, false, grid, sink),
            (ValueType::Scalar, ValueType::Vector) => self.with_scalar(binary, true, grid, sink),
            (left, right) => {
                fail(format!("no operation between {} and {}", left.describe(), right.describe()))
            }
        }
    }
}
