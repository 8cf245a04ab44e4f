//! Aggregations over a vector.

use super::{Evaluation, Row};
use crate::{
    EvalError,
    ast::{Grouping, RangeOp, SampleExpr, VectorAggregation, VectorOp},
};
use model::Labels;
use std::{cmp::Ordering, collections::HashMap};

impl Evaluation<'_> {
    pub(super) fn vector(&self, vector: &VectorAggregation) -> Result<Vec<Row>, EvalError> {
        let rows = match vector.inner.as_ref() {
            // A sum of sums needs only the labels it groups by; the rest is never looked at.
            SampleExpr::Range(range)
                if vector.op == VectorOp::Sum && range.grouping.is_none() && adds_up(range.op) =>
            {
                let all = Grouping { without: false, labels: Vec::new() };
                self.range(range, Some(vector.grouping.as_ref().unwrap_or(&all)))?
            }
            inner => self.rows(inner)?,
        };
        match vector.op {
            VectorOp::Sort => Ok(sorted(rows, false)),
            VectorOp::SortDesc => Ok(sorted(rows, true)),
            VectorOp::Topk | VectorOp::ApproxTopk => Ok(chosen(rows, vector, true)),
            VectorOp::Bottomk => Ok(chosen(rows, vector, false)),
            op => self.reduced(op, vector.grouping.as_ref(), rows),
        }
    }

    fn reduced(
        &self,
        op: VectorOp,
        grouping: Option<&Grouping>,
        mut rows: Vec<Row>,
    ) -> Result<Vec<Row>, EvalError> {
        // Floats are added up in one order, so that the same question has the same answer.
        rows.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        let mut groups: HashMap<Labels, Vec<Accumulator>> = HashMap::new();
        for row in rows {
            self.context.check()?;
            let labels = group_labels(&row.labels, grouping);
            if !groups.contains_key(&labels) {
                self.hold_values(1, size_of::<Accumulator>())?;
            }
            let group =
                groups.entry(labels).or_insert_with(|| vec![Accumulator::default(); self.steps.count]);
            for (accumulator, value) in group.iter_mut().zip(row.values) {
                if let Some(value) = value {
                    accumulator.add(value);
                }
            }
        }
        let finish = |accumulators: Vec<Accumulator>| {
            accumulators.into_iter().map(|accumulator| accumulator.finish(op)).collect()
        };
        Ok(groups.into_iter().map(|(labels, group)| Row { labels, values: finish(group) }).collect())
    }
}

/// Whether summing the function over parts gives its value over the whole.
fn adds_up(op: RangeOp) -> bool {
    matches!(op, RangeOp::Rate | RangeOp::Count | RangeOp::Bytes | RangeOp::BytesRate | RangeOp::Sum)
}

fn group_labels(labels: &Labels, grouping: Option<&Grouping>) -> Labels {
    let Some(grouping) = grouping else {
        return Labels::empty();
    };
    let names: Vec<_> = grouping.labels.iter().map(String::as_str).collect();
    if grouping.without { labels.without(&names) } else { labels.keep(&names) }
}

/// Enough to finish any of the reducing aggregations.
#[derive(Clone, Copy, Default)]
struct Accumulator {
    count: f64,
    sum: f64,
    mean: f64,
    squares: f64,
    min: f64,
    max: f64,
}

impl Accumulator {
    fn add(&mut self, value: f64) {
        let first = self.count == 0.0;
        self.count += 1.0;
        self.sum += value;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (value - self.mean);
        // NaN gives way to any number.
        self.min = if first || self.min.is_nan() || value < self.min { value } else { self.min };
        self.max = if first || self.max.is_nan() || value > self.max { value } else { self.max };
    }

    fn finish(self, op: VectorOp) -> Option<f64> {
        if self.count == 0.0 {
            return None;
        }
        Some(match op {
            VectorOp::Sum => self.sum,
            VectorOp::Avg => self.sum / self.count,
            VectorOp::Min => self.min,
            VectorOp::Max => self.max,
            VectorOp::Count => self.count,
            VectorOp::Stddev => (self.squares / self.count).sqrt(),
            VectorOp::Stdvar => self.squares / self.count,
            _ => return None,
        })
    }
}

fn by_value(a: Option<f64>, b: Option<f64>, descending: bool) -> Ordering {
    // NaN and absent come last either way.
    let (a, b) = (a.unwrap_or(f64::NAN), b.unwrap_or(f64::NAN));
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if descending => b.total_cmp(&a),
        (false, false) => a.total_cmp(&b),
    }
}

/// Orders by the value at the first step: only an instant has an order.
fn sorted(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    rows.sort_by(|a, b| a.labels.cmp(&b.labels));
    rows.sort_by(|a, b| by_value(first(a), first(b), descending));
    rows
}

fn first(row: &Row) -> Option<f64> {
    row.values.first().copied().flatten()
}

/// `topk` and `bottomk`: at every step the k first of each group stay.
fn chosen(rows: Vec<Row>, vector: &VectorAggregation, descending: bool) -> Vec<Row> {
    let k = usize::try_from(vector.parameter.unwrap_or(1)).unwrap_or(usize::MAX);
    let mut rows = sorted(rows, descending);
    let steps = rows.first().map_or(0, |row| row.values.len());
    let mut groups: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        groups.entry(group_labels(&row.labels, vector.grouping.as_ref())).or_default().push(index);
    }
    for members in groups.values() {
        for step in 0..steps {
            let mut order: Vec<_> =
                members.iter().copied().filter(|member| rows[*member].values[step].is_some()).collect();
            order.sort_by(|a, b| by_value(rows[*a].values[step], rows[*b].values[step], descending));
            for loser in order.into_iter().skip(k) {
                rows[loser].values[step] = None;
            }
        }
    }
    rows.retain(|row| row.values.iter().any(Option::is_some));
    rows
}
