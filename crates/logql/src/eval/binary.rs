//! Operators between two operands.

use super::{Evaluation, Row, Table, arithmetic};
use crate::{
    EvalError,
    ast::{Binary, BinaryOp, Group, Matching},
};
use model::Labels;
use std::collections::{HashMap, HashSet};

impl Evaluation<'_> {
    pub(super) fn binary(&self, binary: &Binary) -> Result<Table, EvalError> {
        let lhs = self.table(&binary.lhs)?;
        let rhs = self.table(&binary.rhs)?;
        let (op, returns_bool) = (binary.op, binary.returns_bool);
        match (lhs, rhs) {
            (Table::Scalar(a), Table::Scalar(b)) => Ok(Table::Scalar(arithmetic::literals(op, a, b))),
            (Table::Rows(rows), Table::Scalar(b)) => {
                Ok(mapped(rows, |value| arithmetic::samples(op, value, b, value, returns_bool)))
            }
            (Table::Scalar(a), Table::Rows(rows)) => {
                Ok(mapped(rows, |value| arithmetic::samples(op, a, value, value, returns_bool)))
            }
            (Table::Rows(lhs), Table::Rows(rhs)) if op.is_set() => {
                Ok(Table::Rows(set(op, binary.matching.as_ref(), lhs, rhs)))
            }
            (Table::Rows(lhs), Table::Rows(rhs)) => self.matched(binary, lhs, rhs).map(Table::Rows),
        }
    }

    /// One-to-one, many-to-one and one-to-many matching, step by step.
    fn matched(&self, binary: &Binary, lhs: Vec<Row>, rhs: Vec<Row>) -> Result<Vec<Row>, EvalError> {
        let matching = binary.matching.as_ref();
        let group = matching.and_then(|matching| matching.group.as_ref());
        let swapped = group.is_some_and(|group| !group.left);
        let (many, one) = if swapped { (rhs, lhs) } else { (lhs, rhs) };
        let many_keys: Vec<_> = many.iter().map(|row| signature(&row.labels, matching)).collect();
        let one_keys: Vec<_> = one.iter().map(|row| signature(&row.labels, matching)).collect();
        let mut results: HashMap<Labels, Vec<Option<f64>>> = HashMap::new();
        for step in 0..self.steps.count {
            self.context.check()?;
            let by_key = ones_of(step, &one, &one_keys, swapped)?;
            let mut used = HashSet::new();
            for (row, key) in many.iter().zip(&many_keys) {
                let (Some(value), Some(partner)) = (row.values[step], by_key.get(key)) else {
                    continue;
                };
                let other = one[*partner].values[step].unwrap_or(f64::NAN);
                let labels = result_labels(&row.labels, &one[*partner].labels, matching);
                let unique = if group.is_some() { used.insert(&row.labels) } else { used.insert(key) };
                if !unique {
                    let problem = "many-to-one matching must be explicit (group_left/group_right)";
                    return Err(EvalError::Matching(format!("multiple matches for labels: {problem}")));
                }
                let (a, b) = if swapped { (other, value) } else { (value, other) };
                if let Some(result) = arithmetic::samples(binary.op, a, b, a, binary.returns_bool) {
                    let values = results.entry(labels).or_insert_with(|| vec![None; self.steps.count]);
                    values[step] = Some(result);
                }
            }
        }
        Ok(results.into_iter().map(|(labels, values)| Row { labels, values }).collect())
    }
}

/// Index of the row of each key that has a value at the step.
fn ones_of<'k>(
    step: usize,
    one: &[Row],
    keys: &'k [Labels],
    swapped: bool,
) -> Result<HashMap<&'k Labels, usize>, EvalError> {
    let mut by_key = HashMap::with_capacity(one.len());
    for (index, key) in keys.iter().enumerate() {
        let present = one[index].values[step].is_some();
        if present && by_key.insert(key, index).is_some() {
            let side = if swapped { "left" } else { "right" };
            return Err(EvalError::Matching(format!(
                "found duplicate series on the {side} hand-side;many-to-many matching not allowed: matching labels must be unique on one side"
            )));
        }
    }
    Ok(by_key)
}

fn mapped(rows: Vec<Row>, compute: impl Fn(f64) -> Option<f64>) -> Table {
    let rows = rows.into_iter().map(|row| Row {
        values: row.values.into_iter().map(|value| value.and_then(&compute)).collect(),
        labels: row.labels,
    });
    Table::Rows(rows.collect())
}

/// The labels that decide what belongs together.
fn signature(labels: &Labels, matching: Option<&Matching>) -> Labels {
    match matching {
        None => labels.clone(),
        Some(matching) => {
            let names: Vec<_> = matching.labels.iter().map(String::as_str).collect();
            if matching.on { labels.keep(&names) } else { labels.without(&names) }
        }
    }
}

fn result_labels(many: &Labels, one: &Labels, matching: Option<&Matching>) -> Labels {
    let Some(matching) = matching else {
        return many.clone();
    };
    let Some(Group { include, .. }) = &matching.group else {
        return signature(many, Some(matching));
    };
    let mut builder = many.to_builder();
    for name in include {
        builder.set(name, one.value(name));
    }
    builder.build()
}

/// `and`, `or`, `unless`: which rows stay, step by step.
fn set(op: BinaryOp, matching: Option<&Matching>, lhs: Vec<Row>, rhs: Vec<Row>) -> Vec<Row> {
    let keyed = |rows: Vec<Row>| -> Vec<(Labels, Row)> {
        rows.into_iter().map(|row| (signature(&row.labels, matching), row)).collect()
    };
    let (mut lhs, mut rhs) = (keyed(lhs), keyed(rhs));
    let steps = lhs.first().or(rhs.first()).map_or(0, |(_, row)| row.values.len());
    for step in 0..steps {
        let (judge, judged) = if op == BinaryOp::Or { (&lhs, &mut rhs) } else { (&rhs, &mut lhs) };
        let present: HashSet<Labels> =
            judge.iter().filter(|(_, row)| row.values[step].is_some()).map(|(key, _)| key.clone()).collect();
        for (key, row) in judged {
            let keeps = present.contains(key) == (op == BinaryOp::And);
            if !keeps {
                row.values[step] = None;
            }
        }
    }
    let rows = |keyed: Vec<(Labels, Row)>| keyed.into_iter().map(|(_, row)| row);
    match op {
        BinaryOp::Or => merged(rows(lhs).chain(rows(rhs))),
        _ => rows(lhs).collect(),
    }
}

/// Joins rows of equal labels, of which at most one has a value at a step.
fn merged(rows: impl Iterator<Item = Row>) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    let mut by_labels: HashMap<Labels, usize> = HashMap::new();
    for row in rows {
        match by_labels.get(&row.labels) {
            Some(&index) => {
                for (into, value) in out[index].values.iter_mut().zip(row.values) {
                    *into = into.or(value);
                }
            }
            None => {
                by_labels.insert(row.labels.clone(), out.len());
                out.push(row);
            }
        }
    }
    out
}
