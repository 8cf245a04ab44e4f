//! What an expression compares with what, and the expression without its comparisons: for graphs
//! in notifications, and to tell missing data from a condition that does not hold.

use alerting::Condition;
use promql::{Expr, ValueType, ast::BinaryOp};

/// The parts of `measured op number`, also inside parentheses and on the left of `and`.
pub(crate) fn condition(tree: &Expr) -> Option<Condition> {
    match tree {
        Expr::Paren(paren) => condition(&paren.expr),
        Expr::Binary(binary) if matches!(binary.op, BinaryOp::And | BinaryOp::Unless) => {
            condition(&binary.left)
        }
        Expr::Binary(binary) if binary.op.is_comparison() && !binary.return_bool => {
            let (left, right) = (binary.left.value_type(), binary.right.value_type());
            let op = binary.op.as_str();
            match (left, right) {
                (ValueType::Vector, ValueType::Scalar) => Some(Condition {
                    measured: binary.left.to_string(),
                    condition: format!("{op} {}", binary.right),
                }),
                (ValueType::Scalar, ValueType::Vector) => Some(Condition {
                    measured: binary.right.to_string(),
                    condition: format!("{} {}", flipped(binary.op), binary.left),
                }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The operator when its sides change places.
fn flipped(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Less => ">",
        BinaryOp::Greater => "<",
        BinaryOp::LessEqual => ">=",
        BinaryOp::GreaterEqual => "<=",
        other => other.as_str(),
    }
}

/// The expression with every filtering comparison replaced by what it filters; `None` when there
/// is none, so that nothing can be told of data that is missing.
pub(crate) fn without_conditions(tree: &Expr) -> Option<Expr> {
    match tree {
        Expr::Paren(paren) => without_conditions(&paren.expr),
        Expr::Binary(binary) if binary.op == BinaryOp::Unless => without_conditions(&binary.left),
        Expr::Binary(binary) if binary.op.is_set() => {
            let (left, right) = (without_conditions(&binary.left), without_conditions(&binary.right));
            if left.is_none() && right.is_none() {
                return None;
            }
            let mut kept = binary.clone();
            kept.left = left.unwrap_or_else(|| binary.left.clone());
            kept.right = right.unwrap_or_else(|| binary.right.clone());
            Some(Expr::Binary(kept))
        }
        Expr::Binary(binary) if binary.op.is_comparison() && !binary.return_bool => {
            let is_left = binary.left.value_type() == ValueType::Vector;
            let measured = if is_left { &binary.left } else { &binary.right };
            Some(without_conditions(measured).unwrap_or_else(|| measured.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use promql::{ParseOptions, parse};

    fn tree(text: &str) -> Expr {
        parse(text, &ParseOptions { experimental: false }).unwrap()
    }

    #[test]
    fn conditions_are_taken_apart() {
        for (text, expected) in [
            ("a / b > 0.9", Some(("a / b", "> 0.9"))),
            ("(10 >= sum by (x) (rate(a[5m])))", Some(("sum by (x) (rate(a[5m]))", "<= 10"))),
            ("a < 5 and on (i) b == 1", Some(("a", "< 5"))),
            ("a > b", None),
            ("a > bool 1", None),
            ("absent(a)", None),
        ] {
            let found = condition(&tree(text));
            let found = found.as_ref().map(|found| (found.measured.as_str(), found.condition.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_measured_stays_when_conditions_go() {
        for (text, expected) in [
            ("a > 5", Some("a")),
            ("5 < a", Some("a")),
            ("(a > 5) and (b < 2)", Some("a and b")),
            ("a > 5 or b", Some("a or b")),
            ("a > 5 unless b == 1", Some("a")),
            ("a > 5 < 9", Some("a")),
            ("a > b", Some("a")),
            ("absent(a)", None),
            ("a and b", None),
        ] {
            assert_eq!(
                without_conditions(&tree(text)).map(|tree| tree.to_string()).as_deref(),
                expected,
                "{text}"
            );
        }
    }
}
