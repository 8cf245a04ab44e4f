//! `topk bottomk limitk limit_ratio`: some series of each group, as they are.

use super::{
    super::{EvalResult, Evaluator, Grid, Series, Sink, column::is_absent, fail},
    Grouping, Groups,
    collect::extremes,
};
use crate::{
    ast::{Aggregate, AggregateOp},
    go_float::go_float,
};
use model::Labels;
use std::cmp::Ordering;

impl<'q> Evaluator<'q> {
    /// The series by group, as indexes into all of them.
    fn members(&self, aggregate: &Aggregate, grid: Grid) -> EvalResult<(Vec<Series<'q>>, Vec<Vec<usize>>)> {
        let grouping = Grouping::new(aggregate);
        let all = self.vector(&aggregate.expr, grid)?;
        let mut groups = Groups::new();
        for (index, series) in all.iter().enumerate() {
            groups.group_of(&grouping, &series.labels, false, || Ok(Vec::new()))?.push(index);
        }
        Ok((all, groups.all.into_iter().map(|group| group.state).collect()))
    }

    /// The parameter `k` at every step: how many series are wanted. Where it is below 1 at all of them,
    /// nothing about it is wrong.
    fn counts(&self, aggregate: &Aggregate, grid: Grid) -> EvalResult<Vec<usize>> {
        let Some(parameter) = &aggregate.parameter else { return fail("aggregation needs a parameter") };
        let values = self.scalar(parameter, grid)?;
        let (low, high) = extremes(&values);
        if high < 1.0 {
            return Ok(vec![0; values.len()]);
        }
        if values.iter().any(|value| value.is_nan()) {
            return fail("Parameter value is NaN");
        }
        if low <= i64::MIN as f64 {
            return fail(format!("Scalar value {} underflows int64", go_float(low)));
        }
        if high >= i64::MAX as f64 {
            return fail(format!("Scalar value {} overflows int64", go_float(high)));
        }
        Ok(values.into_iter().map(|value| if value < 1.0 { 0 } else { value as usize }).collect())
    }

    /// `topk` and `bottomk`. An instant query answers in order of the values, a range query by labels.
    pub(super) fn rank(&self, aggregate: &Aggregate, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let counts = self.counts(aggregate, grid)?;
        if counts.iter().all(|count| *count == 0) {
            // What is wrong with the expression is told all the same.
            return self.stream(&aggregate.expr, grid, &mut |_| Ok(()));
        }
        let (mut all, groups) = self.members(aggregate, grid)?;
        let mut order = Vec::new();
        for members in &groups {
            let mut is_chosen = vec![false; members.len()];
            for (step, wanted) in counts.iter().copied().enumerate() {
                self.context.check()?;
                let mut best = Best::new(aggregate.op == AggregateOp::TopK, wanted);
                for (place, index) in members.iter().enumerate() {
                    let value = all[*index].column.floats[step];
                    if !is_absent(value) {
                        best.offer(place, value);
                    } else if all[*index].column.has(step) {
                        self.note_ignored_histogram(aggregate);
                    }
                }
                let chosen = best.in_order();
                chosen.iter().for_each(|place| is_chosen[*place] = true);
                for (index, is_chosen) in members.iter().zip(&mut is_chosen) {
                    if !std::mem::take(is_chosen) {
                        all[*index].column.clear(step);
                    }
                }
                if grid.count == 1 {
                    order.extend(chosen.into_iter().map(|place| members[place]));
                }
            }
        }
        emit(all, (grid.count == 1).then_some(order), sink)
    }

    /// `limitk`: any k series of each group, the same ones whenever they are there.
    pub(super) fn limit(&self, aggregate: &Aggregate, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let counts = self.counts(aggregate, grid)?;
        let (mut all, groups) = self.members(aggregate, grid)?;
        for members in &groups {
            for (step, wanted) in counts.iter().enumerate() {
                self.context.check()?;
                let mut taken = 0;
                for index in members {
                    if !all[*index].column.has(step) {
                        continue;
                    }
                    if taken < *wanted {
                        taken += 1;
                    } else {
                        all[*index].column.clear(step);
                    }
                }
            }
        }
        emit(all, None, sink)
    }

    /// `limit_ratio`: a share of all series, chosen by their labels' hash; a negative ratio gives the
    /// complement.
    pub(super) fn limit_ratio(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let Some(parameter) = &aggregate.parameter else { return fail("aggregation needs a parameter") };
        let mut ratios = self.scalar(parameter, grid)?;
        if ratios.iter().any(|ratio| ratio.is_nan()) {
            return fail("Ratio value is NaN");
        }
        let (low, high) = extremes(&ratios);
        for (given, capped) in [(high, high.min(1.0)), (low, low.max(-1.0))] {
            if given != capped {
                let (given, capped) = (go_float(given), go_float(capped));
                let message =
                    format!("ratio value should be between -1 and 1, got {given}, capping to {capped}");
                self.warn(parameter.span().start, &message);
            }
        }
        ratios.iter_mut().for_each(|ratio| *ratio = ratio.clamp(-1.0, 1.0));
        self.stream(&aggregate.expr, grid, &mut |mut series| {
            let share = hash_share(&series.labels);
            for (step, ratio) in ratios.iter().enumerate() {
                let chosen = if *ratio >= 0.0 { share < *ratio } else { share >= 1.0 + ratio };
                if !chosen {
                    series.column.clear(step);
                }
            }
            if series.column.is_empty() { Ok(()) } else { sink(series) }
        })
    }
}

/// Where the labels' hash lies between 0 and 1. The hash is the one Prometheus samples by, so that
/// both choose the same series.
fn hash_share(labels: &Labels) -> f64 {
    const SEPARATOR: u8 = 0xff;
    let mut bytes = Vec::new();
    for (name, value) in labels.iter() {
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(SEPARATOR);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(SEPARATOR);
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// The best few of a group's values, as a heap with the worst of them in front.
///
/// The heap moves its elements exactly as Go's `container/heap` does: which of several equal values
/// are the best is decided by that, and users see the same series as in Prometheus.
struct Best {
    /// Whether large values are good.
    descending: bool,
    wanted: usize,
    /// Places in the group with their values.
    heap: Vec<(usize, f64)>,
}

impl Best {
    fn new(descending: bool, wanted: usize) -> Self {
        Best { descending, wanted, heap: Vec::new() }
    }

    /// Whether `a` is worse than `b`; NaN is worse than anything.
    fn is_worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.descending { a < b } else { a > b }
    }

    fn offer(&mut self, place: usize, value: f64) {
        if self.heap.len() < self.wanted {
            self.heap.push((place, value));
            self.rise();
        } else if let Some((_, worst)) = self.heap.first()
            && !value.is_nan()
            && self.is_worse(*worst, value)
        {
            self.heap[0] = (place, value);
            self.sink();
        }
    }

    /// Moves the last element towards the front.
    fn rise(&mut self) {
        let mut at = self.heap.len() - 1;
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.is_worse(self.heap[at].1, self.heap[parent].1) {
                return;
            }
            self.heap.swap(at, parent);
            at = parent;
        }
    }

    /// Moves the first element towards the end.
    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.heap.len() {
                return;
            }
            let is_right = right < self.heap.len() && self.is_worse(self.heap[right].1, self.heap[left].1);
            let child = if is_right { right } else { left };
            if !self.is_worse(self.heap[child].1, self.heap[at].1) {
                return;
            }
            self.heap.swap(at, child);
            at = child;
        }
    }

    /// The places, best first, NaN last.
    fn in_order(mut self) -> Vec<usize> {
        let descending = self.descending;
        self.heap.sort_by(|(_, a), (_, b)| match (a.is_nan(), b.is_nan()) {
            (false, false) if descending => b.partial_cmp(a).unwrap_or(Ordering::Equal),
            (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
            (a, b) => a.cmp(&b),
        });
        self.heap.into_iter().map(|(place, _)| place).collect()
    }
}

/// Hands on what is left, in the given order or as it came.
fn emit<'q>(all: Vec<Series<'q>>, order: Option<Vec<usize>>, sink: Sink<'_, 'q>) -> EvalResult<()> {
    let Some(order) = order else {
        return all.into_iter().filter(|series| !series.column.is_empty()).try_for_each(sink);
    };
    let mut slots: Vec<Option<Series<'q>>> = all.into_iter().map(Some).collect();
    for index in order {
        if let Some(series) = slots[index].take() {
            sink(series)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(descending: bool, wanted: usize, values: &[f64]) -> Vec<usize> {
        let mut best = Best::new(descending, wanted);
        values.iter().enumerate().for_each(|(place, value)| best.offer(place, *value));
        best.in_order()
    }

    #[test]
    fn the_best_come_first_and_equal_ones_as_a_heap_has_them() {
        assert_eq!(best(true, 2, &[1.0, 3.0, 2.0]), [1, 2]);
        assert_eq!(best(false, 2, &[1.0, 3.0, 2.0]), [0, 2]);
        assert_eq!(best(true, 9, &[1.0, f64::NAN, 2.0]), [2, 0, 1]);
        assert_eq!(best(false, 1, &[f64::NAN, 5.0]), [1]);
        assert_eq!(best(true, 0, &[1.0]), [0usize; 0]);
        // The first of two equal values makes room for a better one.
        assert_eq!(best(true, 2, &[3.0, 3.0, 5.0]), [2, 1]);
        assert_eq!(best(true, 2, &[5.0, 3.0, 3.0]), [0, 1]);
    }
}
