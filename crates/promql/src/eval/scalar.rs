//! Scalars and texts: one number for each step.

use super::{EvalResult, Evaluator, Grid, binary::scalar_operation, fail};
use crate::ast::{Call, Expr};
use std::borrow::Cow;

impl Evaluator<'_> {
    /// The values of a scalar expression at all steps.
    pub(super) fn scalar(&self, expr: &Expr, grid: Grid) -> EvalResult<Vec<f64>> {
        self.context.check()?;
        match expr {
            Expr::Number(number) => Ok(vec![number.value; grid.count]),
            Expr::Paren(paren) => self.scalar(&paren.expr, grid),
            Expr::Unary(unary) => {
                let mut values = self.scalar(&unary.expr, grid)?;
                if unary.negative {
                    values.iter_mut().for_each(|value| *value = -*value);
                }
                Ok(values)
            }
            Expr::Binary(binary) => {
                let left = self.scalar(&binary.left, grid)?;
                let right = self.scalar(&binary.right, grid)?;
                let pairs = left.into_iter().zip(right);
                pairs.map(|(left, right)| scalar_operation(binary.op, left, right)).collect()
            }
            Expr::Call(call) => self.scalar_call(call, grid),
            other => fail(format!("expected a scalar, got {}", other.value_type().describe())),
        }
    }

    fn scalar_call(&self, call: &Call, grid: Grid) -> EvalResult<Vec<f64>> {
        let constant = |value: f64| Ok(vec![value; grid.count]);
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match (call.function.name, call.args.as_slice()) {
            ("time", _) => Ok((0..grid.count).map(|step| seconds(grid.time_ms(step))).collect()),
            ("pi", _) => constant(std::f64::consts::PI),
            ("start", _) => constant(seconds(self.query.start_ms)),
            ("end", _) => constant(seconds(self.end_ms)),
            ("step", _) => constant(seconds(self.durations().step_ms)),
            ("range", _) => constant(seconds(self.durations().range_ms)),
            ("max_of", [a, b]) => self.pairwise(a, b, grid, go_max),
            ("min_of", [a, b]) => self.pairwise(a, b, grid, go_min),
            ("scalar", [arg]) => self.only_element(arg, grid),
            (name, _) => fail(format!("function `{name}` is no scalar function")),
        }
    }

    /// Computes from two scalars.
    fn pairwise(&self, a: &Expr, b: &Expr, grid: Grid, choose: fn(f64, f64) -> f64) -> EvalResult<Vec<f64>> {
        let (left, right) = (self.scalar(a, grid)?, self.scalar(b, grid)?);
        Ok(left.into_iter().zip(right).map(|(a, b)| choose(a, b)).collect())
    }

    /// `scalar(v)`: the value of the only element, NaN where there is not exactly one float.
    fn only_element(&self, arg: &Expr, grid: Grid) -> EvalResult<Vec<f64>> {
        let mut values = vec![f64::NAN; grid.count];
        let mut found = vec![0u32; grid.count];
        self.stream(arg, grid, &mut |series| {
            for (step, value) in series.column.floats.iter().enumerate() {
                if !super::column::is_absent(*value) {
                    found[step] = found[step].saturating_add(1);
                    values[step] = *value;
                }
            }
            Ok(())
        })?;
        for (value, found) in values.iter_mut().zip(found) {
            if found != 1 {
                *value = f64::NAN;
            }
        }
        Ok(values)
    }

    /// A text argument.
    pub(super) fn text<'a>(&self, expr: &'a Expr) -> EvalResult<Cow<'a, str>> {
        match expr.unwrap_parens() {
            Expr::String(literal) => Ok(literal.text()),
            other => fail(format!("expected a string, got {}", other.value_type().describe())),
        }
    }
}

/// The larger number as Go has it: infinity before NaN before all others, 0 before -0.
pub(super) fn go_max(a: f64, b: f64) -> f64 {
    match (a, b) {
        _ if a == f64::INFINITY || b == f64::INFINITY => f64::INFINITY,
        _ if a.is_nan() || b.is_nan() => f64::NAN,
        _ if a == 0.0 && b == 0.0 => {
            if a.is_sign_negative() {
                b
            } else {
                a
            }
        }
        _ => a.max(b),
    }
}

/// The smaller number; see [`go_max`].
pub(super) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}
