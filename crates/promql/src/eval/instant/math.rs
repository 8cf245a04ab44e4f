//! Functions of one float, `clamp` and `round`.

use super::super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    scalar::{go_max, go_min},
};
use crate::ast::Expr;
use model::Value;

/// The computation behind a function of one float.
pub(super) fn find(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => |value| if value.abs() > 21.0 { value.abs().exp() * 0.5 } else { value.cosh() },
        "deg" => |value| value * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |value| value * std::f64::consts::PI / 180.0,
        "sgn" => |value| {
            if value < 0.0 {
                -1.0
            } else if value > 0.0 {
                1.0
            } else {
                value
            }
        },
        "sin" => f64::sin,
        "sinh" => |value| match value.abs() > 21.0 {
            true => (value.abs().exp() * 0.5).copysign(value),
            false => value.sinh(),
        },
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

impl<'q> Evaluator<'q> {
    /// `clamp`, `clamp_min`, `clamp_max`; an empty interval gives an empty result.
    pub(super) fn clamp(
        &self,
        arg: &Expr,
        low: Option<&Expr>,
        high: Option<&Expr>,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let limit = |expr: Option<&Expr>| expr.map(|expr| self.scalar(expr, grid)).transpose();
        let (low, high) = (limit(low)?, limit(high)?);
        let at = |values: &Option<Vec<f64>>, step: usize| values.as_ref().map(|values| values[step]);
        self.stream(arg, grid, &mut |mut series| {
            series.column.map(|step, sample| {
                let super::Sample::Float(value) = sample else { return None };
                clamped(value, at(&low, step), at(&high, step)).map(Value::Float)
            });
            if series.column.is_empty() {
                return Ok(());
            }
            sink(Series { drop_name: true, ..series })
        })
    }

    /// `round`: to the nearest multiple, halves upwards.
    pub(super) fn round(
        &self,
        arg: &Expr,
        nearest: Option<&Expr>,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let nearest = match nearest {
            Some(expr) => self.scalar(expr, grid)?,
            None => vec![1.0; grid.count],
        };
        self.stream(arg, grid, &mut |mut series| {
            series.column.map(|step, sample| {
                let super::Sample::Float(value) = sample else { return None };
                // The inverse is exact for 0.1 and the like, where the value itself is not.
                let inverse = 1.0 / nearest[step];
                Some(Value::Float((value * inverse + 0.5).floor() / inverse))
            });
            if series.column.is_empty() {
                return Ok(());
            }
            sink(Series { drop_name: true, ..series })
        })
    }
}

fn clamped(value: f64, low: Option<f64>, high: Option<f64>) -> Option<f64> {
    let (low, high) = (low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY));
    let is_empty = high < low;
    (!is_empty).then(|| go_max(low, go_min(high, value)))
}
