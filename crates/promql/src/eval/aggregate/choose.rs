//! `topk bottomk limitk limit_ratio`: some series of each group, as they are.

use super::{
    super::{EvalResult, Evaluator, Grid, Series, Sink, column::is_absent, fail},
    Grouping, Groups,
};
use crate::ast::{Aggregate, AggregateOp};
use model::{Labels, format_float};
use std::cmp::Ordering;

impl<'q> Evaluator<'q> {
    /// The series by group, as indexes into all of them.
    fn members(&self, aggregate: &Aggregate, grid: Grid) -> EvalResult<(Vec<Series<'q>>, Vec<Vec<usize>>)> {
        let grouping = Grouping::new(aggregate);
        let all = self.vector(&aggregate.expr, grid)?;
        let mut groups = Groups::new();
        for (index, series) in all.iter().enumerate() {
            groups.entry(grouping.key(&series.labels), false, || Ok(Vec::new()))?.push(index);
        }
        Ok((all, groups.all.into_iter().map(|group| group.state).collect()))
    }

    /// The parameter `k` at every step: how many series are wanted.
    fn counts(&self, aggregate: &Aggregate, grid: Grid) -> EvalResult<Vec<usize>> {
        let Some(parameter) = &aggregate.parameter else { return fail("aggregation needs a parameter") };
        let values = self.scalar(parameter, grid)?;
        values
            .into_iter()
            .map(|value| {
                if value.is_nan() {
                    return fail("Parameter value is NaN");
                }
                if value >= i64::MAX as f64 || value <= i64::MIN as f64 {
                    return fail(format!("Scalar value {} overflows int64", format_float(value)));
                }
                Ok(if value < 1.0 { 0 } else { value as usize })
            })
            .collect()
    }

    /// `topk` and `bottomk`. An instant query answers in order of the values, a range query by labels.
    pub(super) fn rank(&self, aggregate: &Aggregate, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let counts = self.counts(aggregate, grid)?;
        if counts.iter().all(|count| *count == 0) {
            return Ok(());
        }
        let (mut all, groups) = self.members(aggregate, grid)?;
        let descending = aggregate.op == AggregateOp::TopK;
        let mut order = Vec::new();
        for members in &groups {
            for (step, wanted) in counts.iter().copied().enumerate() {
                self.context.check()?;
                let mut ranked: Vec<(usize, f64)> = Vec::with_capacity(members.len());
                for index in members {
                    let value = all[*index].column.floats[step];
                    if !is_absent(value) {
                        ranked.push((*index, value));
                    } else if all[*index].column.has(step) {
                        self.note_ignored_histogram(aggregate);
                        all[*index].column.clear(step);
                    }
                }
                ranked.sort_by(|a, b| rank_order(a.1, b.1, descending));
                for (index, _) in ranked.iter().skip(wanted) {
                    all[*index].column.clear(step);
                }
                if grid.count == 1 {
                    order.extend(ranked.iter().take(wanted).map(|(index, _)| *index));
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
        for ratio in &mut ratios {
            if ratio.is_nan() {
                return fail("Ratio value is NaN");
            }
            let capped = ratio.clamp(-1.0, 1.0);
            if capped != *ratio {
                let (given, capped) = (format_float(*ratio), format_float(capped));
                let message =
                    format!("ratio value should be between -1 and 1, got {given}, capping to {capped}");
                self.warn(parameter.span().start, &message);
            }
            *ratio = capped;
        }
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

/// Best first, NaN last.
fn rank_order(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) if descending => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (false, false) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (a, b) => a.cmp(&b),
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
