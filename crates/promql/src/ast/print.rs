//! The tree as text that parses to the same tree.

use super::*;
use crate::quote::{quote, quote_bytes};
use model::{MatchOp, duration_to_string, format_decimal, is_legacy_label_name, is_legacy_metric_name};
use std::fmt::{self, Display, Formatter};

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number(node) => f.write_str(&number(node)),
            Expr::String(node) => f.write_str(&quote_bytes(&node.bytes)),
            Expr::Vector(node) => write!(f, "{node}"),
            Expr::Matrix(node) => write!(f, "{node}"),
            Expr::Subquery(node) => write!(f, "{node}"),
            Expr::Paren(node) => write!(f, "({})", node.expr),
            Expr::Unary(node) => write!(f, "{}{}", if node.negative { "-" } else { "+" }, node.expr),
            Expr::Binary(node) => {
                write!(f, "{} {}{} {}", base(node), node.op.as_str(), Modifier(node), node.right)
            }
            Expr::Aggregate(node) => write!(f, "{node}"),
            Expr::Call(node) => write!(f, "{}({})", node.function.name, commas(&node.args)),
        }
    }
}

fn number(node: &NumberLiteral) -> String {
    if node.is_duration && node.value >= 0.0 {
        return duration_to_string((node.value * 1000.0).round() as i64);
    }
    format_decimal(node.value)
}

/// What stands left of an operator. A sign before a power would be the sign of the power.
fn base(node: &Binary) -> String {
    match &node.left {
        Expr::Number(number) if node.op == BinaryOp::Pow && number.value == f64::INFINITY => "Inf".to_owned(),
        left => left.to_string(),
    }
}

fn commas<T: Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A label's name, quoted where it needs to be.
fn label(name: &str) -> String {
    if is_legacy_label_name(name) { name.to_owned() } else { quote(name) }
}

/// `(a, b)`
fn label_list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| label(name)).collect();
    format!("({})", names.join(", "))
}

/// What stands between an operator and its right side.
pub(super) struct Modifier<'a>(pub(super) &'a Binary);

impl Display for Modifier<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let matching = &self.0.matching;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        let grouped = matches!(matching.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
        if matching.on || !matching.labels.is_empty() || grouped {
            let word = if matching.on { "on" } else { "ignoring" };
            write!(f, " {word} {}", label_list(&matching.labels))?;
        }
        match matching.cardinality {
            Cardinality::ManyToOne => write!(f, " group_left {}", label_list(&matching.include))?,
            Cardinality::OneToMany => write!(f, " group_right {}", label_list(&matching.include))?,
            Cardinality::OneToOne | Cardinality::ManyToMany => {}
        }
        match (matching.fill_left, matching.fill_right) {
            (None, None) => Ok(()),
            (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
                write!(f, " fill ({})", format_decimal(left))
            }
            (left, right) => {
                left.map_or(Ok(()), |value| write!(f, " fill_left ({})", format_decimal(value)))?;
                right.map_or(Ok(()), |value| write!(f, " fill_right ({})", format_decimal(value)))
            }
        }
    }
}

impl Display for VectorSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_selector(self, f)?;
        write_tail(self, f)
    }
}

impl Display for MatrixSelector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_selector(&self.selector, f)?;
        write!(f, "[{}]", self.range)?;
        write_tail(&self.selector, f)
    }
}

fn write_selector(selector: &VectorSelector, f: &mut Formatter<'_>) -> fmt::Result {
    let bare = selector.name.as_deref().filter(|name| is_legacy_metric_name(name));
    let quoted = selector.name.as_deref().filter(|name| !is_legacy_metric_name(name));
    f.write_str(bare.unwrap_or(""))?;
    let mut parts: Vec<String> = Vec::new();
    for matcher in &selector.matchers {
        let is_name = matcher.name() == model::METRIC_NAME
            && matcher.op() == MatchOp::Equal
            && selector.name.as_deref() == Some(matcher.value());
        if !is_name {
            parts.push(format!(
                "{}{}{}",
                label(matcher.name()),
                matcher.op().as_str(),
                quote(matcher.value())
            ));
        }
    }
    parts.sort();
    parts.splice(..0, quoted.map(quote));
    if bare.is_none() || !parts.is_empty() {
        write!(f, "{{{}}}", parts.join(","))?;
    }
    Ok(())
}

fn write_tail(selector: &VectorSelector, f: &mut Formatter<'_>) -> fmt::Result {
    if let Some(extension) = selector.extension {
        write!(f, " {}", extension.as_str())?;
    }
    write!(f, "{}", selector.modifiers)
}

impl Display for Modifiers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.at {
            None => {}
            Some(At::Time(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0)?,
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
        }
        match &self.offset {
            None => Ok(()),
            Some(offset @ DurationExpr::Binary(..)) => write!(f, " offset ({offset})"),
            Some(offset) => write!(f, " offset {offset}"),
        }
    }
}

impl Display for Subquery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, SubqueryTail(self))
    }
}

/// `[range:step]` and the modifiers.
pub(super) struct SubqueryTail<'a>(pub(super) &'a Subquery);

impl Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let node = self.0;
        let step = node.step.as_ref().map(DurationExpr::to_string).unwrap_or_default();
        write!(f, "[{}:{step}]{}", node.range, node.modifiers)
    }
}

impl Display for Aggregate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", AggregateHead(self))?;
        match &self.parameter {
            Some(parameter) => write!(f, "({parameter}, {})", self.expr),
            None => write!(f, "({})", self.expr),
        }
    }
}

/// The operator and its grouping, up to the parenthesis.
pub(super) struct AggregateHead<'a>(pub(super) &'a Aggregate);

impl Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let node = self.0;
        f.write_str(node.op.as_str())?;
        if node.without {
            write!(f, " without {} ", label_list(&node.grouping))
        } else if !node.grouping.is_empty() {
            write!(f, " by {} ", label_list(&node.grouping))
        } else {
            Ok(())
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Literal { seconds, .. } => {
                let ms = (seconds * 1000.0).round();
                if ms < 0.0 {
                    write!(f, "-{}", duration_to_string(-ms as i64))
                } else {
                    f.write_str(&duration_to_string(ms as i64))
                }
            }
            DurationExpr::Step => f.write_str("step()"),
            DurationExpr::Range => f.write_str("range()"),
            DurationExpr::Negative(inner) => write!(f, "-{inner}"),
            DurationExpr::Paren(inner) => write!(f, "({inner})"),
            DurationExpr::MinOf(a, b) => write!(f, "min_of({a}, {b})"),
            DurationExpr::MaxOf(a, b) => write!(f, "max_of({a}, {b})"),
            DurationExpr::Binary(op, a, b) => write!(f, "{a} {} {b}", op.as_str()),
        }
    }
}
