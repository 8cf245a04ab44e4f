//! Removal of metric names.
//!
//! Operations that change what a series means mark its name for removal. In the experimental mode
//! names go at the very end, so that functions outside can still see them; otherwise right after the
//! operation. Series that become equal are merged, and two values at one step are an error.

use super::{EvalResult, Evaluator, Grid, Series, Sink, fail, is_step_invariant};
use crate::ast::Expr;
use hashbrown::HashMap;
use model::{Labels, METRIC_NAME, MatchOp};

/// The labels that describe a metric: its name, type and unit.
pub(crate) const RESERVED: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// The labels without those that describe the metric.
pub(crate) fn without_reserved(labels: &Labels) -> Labels {
    labels.without(&RESERVED)
}

impl<'q> Evaluator<'q> {
    /// Evaluates an operation and removes names where that is due now.
    pub(super) fn with_names(&self, expr: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if self.options.experimental {
            return self.operation(expr, grid, sink);
        }
        if keeps_apart(expr) {
            return self.operation(expr, grid, &mut |mut series| {
                remove_name(&mut series);
                sink(series)
            });
        }
        let mut all = Vec::new();
        self.operation(expr, grid, &mut |series| {
            all.push(series);
            Ok(())
        })?;
        self.finish_names(all)?.into_iter().try_for_each(sink)
    }

    /// As [`Evaluator::stream`], for who does not look at the labels that describe a metric: where no
    /// series can become equal to another one, names that are to go are left, which saves a copy of
    /// each series' labels. Remarks about histograms name their metric, so there they go.
    pub(super) fn stream_with_names(&self, expr: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let is_apart = !self.options.experimental && keeps_apart(expr);
        if !is_apart || grid.count > 1 && is_step_invariant(expr) {
            return self.stream(expr, grid, sink);
        }
        self.context.check()?;
        self.operation(expr, grid, &mut |mut series| {
            if series.column.has_histograms() {
                remove_name(&mut series);
            }
            series.drop_name = false;
            sink(series)
        })
    }

    fn operation(&self, expr: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        match expr {
            Expr::Unary(unary) => self.unary(unary, grid, sink),
            Expr::Binary(binary) => self.binary(binary, grid, sink),
            Expr::Call(call) => self.call(call, grid, sink),
            _ => fail("not an operation"),
        }
    }

    /// Removes marked names and merges series that have become equal.
    pub(super) fn finish_names(&self, mut all: Vec<Series<'q>>) -> EvalResult<Vec<Series<'q>>> {
        all.iter_mut().for_each(remove_name);
        merge_equal(all)
    }
}

fn remove_name(series: &mut Series<'_>) {
    if series.drop_name {
        series.labels = without_reserved(&series.labels);
        series.drop_name = false;
    }
}

/// Merges series with equal labels; the first one's place counts.
pub(super) fn merge_equal(all: Vec<Series<'_>>) -> EvalResult<Vec<Series<'_>>> {
    let mut places: HashMap<Labels, usize> = HashMap::with_capacity(all.len());
    let mut merged: Vec<Series<'_>> = Vec::with_capacity(all.len());
    for series in all {
        match places.get(&series.labels) {
            None => {
                places.insert(series.labels.clone(), merged.len());
                merged.push(series);
            }
            Some(place) => {
                if !merged[*place].column.merge(&series.column) {
                    return fail("vector cannot contain metrics with the same labelset");
                }
            }
        }
    }
    Ok(merged)
}

/// Whether the operation's series cannot become equal by losing their name: all have the same. Type and
/// unit, which go with it, are taken to be one metric's.
fn keeps_apart(expr: &Expr) -> bool {
    let Expr::Call(call) = expr else { return false };
    if matches!(call.function.name, "label_replace" | "label_join" | "info") {
        return false;
    }
    call.args.iter().all(|arg| match arg {
        Expr::Vector(selector) => names_one_metric(selector),
        Expr::Matrix(matrix) => names_one_metric(&matrix.selector),
        Expr::Number(_) | Expr::String(_) => true,
        _ => false,
    })
}

fn names_one_metric(selector: &crate::ast::VectorSelector) -> bool {
    let mut matchers = selector.matchers.iter();
    matchers.any(|matcher| matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal)
}
