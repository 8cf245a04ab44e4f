//! Conditions on labels.

use super::{ip::IpMatcher, labels::RowLabels};
use crate::{
    ast::{CompareOp, CompareValue, LabelFilter},
    units,
};
use model::Matcher;

/// A compiled condition.
pub(super) enum Compiled {
    And(Box<Compiled>, Box<Compiled>),
    Or(Box<Compiled>, Box<Compiled>),
    Text(Matcher),
    Compare { label: String, op: CompareOp, value: CompareValue },
    Ip { label: String, negative: bool, matcher: IpMatcher },
}

/// The `__error__` of a value that is no number of the kind wanted.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

impl Compiled {
    pub(super) fn new(filter: &LabelFilter) -> Result<Self, String> {
        let both = |a: &LabelFilter, b: &LabelFilter| {
            Ok::<_, String>((Box::new(Compiled::new(a)?), Box::new(Compiled::new(b)?)))
        };
        Ok(match filter {
            LabelFilter::And(a, b) => {
                let (a, b) = both(a, b)?;
                Compiled::And(a, b)
            }
            LabelFilter::Or(a, b) => {
                let (a, b) = both(a, b)?;
                Compiled::Or(a, b)
            }
            LabelFilter::Text(matcher) => Compiled::Text(matcher.clone()),
            LabelFilter::Compare { label, op, value } => {
                Compiled::Compare { label: label.clone(), op: *op, value: *value }
            }
            LabelFilter::Ip { label, negative, pattern } => Compiled::Ip {
                label: label.clone(),
                negative: *negative,
                matcher: IpMatcher::parse(pattern)?,
            },
        })
    }

    /// Decides the row. A value that cannot be read keeps the row and marks it.
    pub(super) fn passes(&self, labels: &mut RowLabels) -> bool {
        match self {
            Compiled::And(a, b) => a.passes(labels) && b.passes(labels),
            Compiled::Or(a, b) => a.passes(labels) || b.passes(labels),
            Compiled::Text(matcher) => matcher.matches(labels.get(matcher.name()).unwrap_or("")),
            Compiled::Compare { label, op, value } => compare(labels, label, *op, *value),
            Compiled::Ip { label, negative, matcher } => {
                match labels.get(label) {
                    Some(text) => matcher.is_in_text(text) != *negative,
                    // A row with an error stays, so that the error is seen.
                    None => labels.error().is_some(),
                }
            }
        }
    }
}

fn compare(labels: &mut RowLabels, label: &str, op: CompareOp, value: CompareValue) -> bool {
    let Some(text) = labels.get(label) else {
        return false;
    };
    let result = match value {
        CompareValue::Number(wanted) => {
            units::parse_number(text).map(|found| holds(op, found.partial_cmp(&wanted)))
        }
        CompareValue::Duration(wanted) => {
            template::parse_duration(text).map(|found| holds(op, Some(found.cmp(&wanted))))
        }
        CompareValue::Bytes(wanted) => {
            units::parse_bytes(text).map(|found| holds(op, Some(found.cmp(&wanted))))
        }
    };
    match result {
        Ok(passes) => passes,
        Err(details) => {
            // What went wrong first says more.
            if labels.error().is_none() {
                labels.set_error(LABEL_FILTER_ERROR, &details);
            }
            true
        }
    }
}

fn holds(op: CompareOp, order: Option<std::cmp::Ordering>) -> bool {
    let Some(order) = order else {
        return op == CompareOp::NotEqual;
    };
    match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterEqual => order.is_ge(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessEqual => order.is_le(),
    }
}

/// Adds the labels that a condition reads.
pub(super) fn labels_read(filter: &LabelFilter, names: &mut Vec<String>) {
    match filter {
        LabelFilter::And(a, b) | LabelFilter::Or(a, b) => {
            labels_read(a, names);
            labels_read(b, names);
        }
        LabelFilter::Text(matcher) => names.push(matcher.name().to_owned()),
        LabelFilter::Compare { label, .. } | LabelFilter::Ip { label, .. } => names.push(label.clone()),
    }
}
