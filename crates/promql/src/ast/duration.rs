//! Durations, which may be computed (experimental): `[2 * step()]`, `offset -(1h / 2)`.

use crate::position::Span;

/// Operators between durations; all compute in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`as_str` shows each")]
pub enum DurationOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

impl DurationOp {
    /// The operator's text.
    pub fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
        }
    }
}

/// A duration as written.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// `5m` or `300`, in seconds.
    Literal {
        /// Seconds.
        seconds: f64,
        /// Where.
        span: Span,
    },
    /// `step()`: the query's step.
    Step,
    /// `range()`: the query's end less its start.
    Range,
    /// `-d`
    Negative(Box<DurationExpr>),
    /// `(d)`
    Paren(Box<DurationExpr>),
    /// `min_of(a, b)`
    MinOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `max_of(a, b)`
    MaxOf(Box<DurationExpr>, Box<DurationExpr>),
    /// `a op b`
    Binary(DurationOp, Box<DurationExpr>, Box<DurationExpr>),
}

/// What durations may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationScope {
    /// The query's step, 0 for an instant.
    pub step_ms: i64,
    /// The query's end less its start.
    pub range_ms: i64,
}

impl DurationExpr {
    /// A plain duration.
    pub fn from_ms(ms: i64) -> Self {
        DurationExpr::Literal { seconds: ms as f64 / 1000.0, span: Span::default() }
    }

    /// Whether this is a plain duration or number.
    pub fn is_literal(&self) -> bool {
        matches!(self, DurationExpr::Literal { .. })
    }

    /// Milliseconds; may be negative.
    ///
    /// # Errors
    /// On division by zero and when out of range; the message is the query's error.
    pub fn resolve_ms(&self, scope: DurationScope) -> Result<i64, String> {
        let ms = (self.seconds(scope)? * 1000.0).round();
        // A century of centuries either way leaves room for arithmetic with timestamps.
        if ms.is_nan() || ms.abs() > 3.2e14 {
            return Err("duration is out of range".to_owned());
        }
        Ok(ms as i64)
    }

    /// Milliseconds of a range or step.
    ///
    /// # Errors
    /// As [`DurationExpr::resolve_ms`], and when not above 0.
    pub fn resolve_positive_ms(&self, scope: DurationScope) -> Result<i64, String> {
        match self.resolve_ms(scope)? {
            ms if ms <= 0 => Err("duration must be greater than 0".to_owned()),
            ms => Ok(ms),
        }
    }

    fn seconds(&self, scope: DurationScope) -> Result<f64, String> {
        Ok(match self {
            DurationExpr::Literal { seconds, .. } => *seconds,
            DurationExpr::Step => scope.step_ms as f64 / 1000.0,
            DurationExpr::Range => scope.range_ms as f64 / 1000.0,
            DurationExpr::Negative(inner) => -inner.seconds(scope)?,
            DurationExpr::Paren(inner) => inner.seconds(scope)?,
            DurationExpr::MinOf(a, b) => a.seconds(scope)?.min(b.seconds(scope)?),
            DurationExpr::MaxOf(a, b) => a.seconds(scope)?.max(b.seconds(scope)?),
            DurationExpr::Binary(op, a, b) => apply(*op, a.seconds(scope)?, b.seconds(scope)?)?,
        })
    }
}

fn apply(op: DurationOp, a: f64, b: f64) -> Result<f64, String> {
    Ok(match op {
        DurationOp::Add => a + b,
        DurationOp::Sub => a - b,
        DurationOp::Mul => a * b,
        DurationOp::Div if b == 0.0 => return Err("division by zero".to_owned()),
        DurationOp::Div => a / b,
        DurationOp::Mod if b == 0.0 => return Err("modulo by zero".to_owned()),
        DurationOp::Mod => a % b,
        DurationOp::Pow => a.powf(b),
    })
}
