//! Operators on two numbers.

use crate::ast::BinaryOp;

/// The result of an arithmetic operator; `None` for others. Division by zero is NaN.
fn compute(op: BinaryOp, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div if b == 0.0 => f64::NAN,
        BinaryOp::Div => a / b,
        BinaryOp::Mod if b == 0.0 => f64::NAN,
        BinaryOp::Mod => a % b,
        BinaryOp::Pow => a.powf(b),
        _ => return None,
    })
}

/// Whether a comparison holds.
fn holds(op: BinaryOp, a: f64, b: f64) -> bool {
    match op {
        BinaryOp::Equal => a == b,
        BinaryOp::NotEqual => a != b,
        BinaryOp::Greater => a > b,
        BinaryOp::GreaterEqual => a >= b,
        BinaryOp::Less => a < b,
        BinaryOp::LessEqual => a <= b,
        _ => false,
    }
}

/// Two literals folded into one.
pub(crate) fn literals(op: BinaryOp, a: f64, b: f64) -> f64 {
    compute(op, a, b).unwrap_or_else(|| f64::from(u8::from(holds(op, a, b))))
}

/// Two samples. A comparison keeps `kept` where it holds, or gives 0 or 1 with `bool`.
pub(super) fn samples(op: BinaryOp, a: f64, b: f64, kept: f64, returns_bool: bool) -> Option<f64> {
    match compute(op, a, b) {
        Some(value) => Some(value),
        None if returns_bool => Some(f64::from(u8::from(holds(op, a, b)))),
        None => holds(op, a, b).then_some(kept),
    }
}
