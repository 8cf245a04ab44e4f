//! Functions over range vectors: each computes one value from the samples of a window.

mod changes;
mod extended;
mod over_time;
mod rate;
mod rates;
mod regression;
mod regular;
mod smoothed;
mod tiers;

use super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::Column,
    fail,
    window::{RangeSeries, Remarks, Window},
};
use crate::ast::{Call, Expr, Extension, ValueType};
use hashbrown::HashSet;
use model::{Labels, MatchOp, Value};

/// Computes a window's value; `None` when there is none.
type RangeFunction = fn(&Window<'_>, &Remarks<'_, '_>) -> Option<Value>;

fn find(name: &str) -> Option<RangeFunction> {
    Some(match name {
        "avg_over_time" => over_time::avg,
        "changes" => changes::changes,
        "count_over_time" => over_time::count,
        "delta" => rate::delta,
        "deriv" => regression::deriv,
        "double_exponential_smoothing" => regression::double_exponential_smoothing,
        "first_over_time" => over_time::first,
        "idelta" => rate::idelta,
        "increase" => rate::increase,
        "irate" => rate::irate,
        "last_over_time" => over_time::last,
        "mad_over_time" => over_time::mad,
        "max_over_time" => over_time::max,
        "min_over_time" => over_time::min,
        "predict_linear" => regression::predict_linear,
        "present_over_time" => over_time::present,
        "quantile_over_time" => over_time::quantile,
        "rate" => rate::rate,
        "resets" => changes::resets,
        "stddev_over_time" => over_time::stddev,
        "stdvar_over_time" => over_time::stdvar,
        "sum_over_time" => over_time::sum,
        "ts_of_first_over_time" => over_time::ts_of_first,
        "ts_of_last_over_time" => over_time::ts_of_last,
        "ts_of_max_over_time" => over_time::ts_of_max,
        "ts_of_min_over_time" => over_time::ts_of_min,
        _ => return None,
    })
}

/// Whether the function returns samples as they are, so that they keep their metric's name.
fn keeps_name(function: &str) -> bool {
    matches!(function, "first_over_time" | "last_over_time")
}

impl<'q> Evaluator<'q> {
    /// A call whose arguments include a range vector.
    pub(super) fn range_call(&self, call: &Call, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let name = call.function.name;
        let is_range = |arg: &&Expr| arg.value_type() == ValueType::Matrix;
        let Some(range) = call.args.iter().find(is_range) else {
            return fail(format!("function `{name}` needs a range vector"));
        };
        self.check_extension(name, range)?;
        if name == "absent_over_time" {
            return self.absent_over_time(range, grid, sink);
        }
        if name == "avg_over_time" && self.folds(range, tiers::SUM, grid)? {
            return self.avg_over_buckets(range, grid, sink);
        }
        let Some(function) = find(name) else { return fail(format!("unknown function `{name}`")) };
        let arguments = self.scalar_arguments(call, grid)?;
        // What is wrong with an argument matters only where there is something to apply it to.
        let refusal = wrong_factor(name, &arguments);
        let position = call.args[0].span().start;
        let quick = rate::Kind::of(name);
        let compute =
            |series: RangeSeries<'_>, plan: &mut rates::Plan<'q>| -> EvalResult<Option<Series<'q>>> {
                let function =
                    if series.spec.is_folded { tiers::over_aggregates(name, function) } else { function };
                let metric_name = series.labels.metric_name();
                let remarks = Remarks { evaluator: self, position, metric_name };
                let mut column = Column::absent(grid.count, self.context)?;
                let mut has_window = false;
                match quick.filter(|_| rates::is_plain(&series)) {
                    Some(kind) => self.fill_rates(&series, grid, kind, plan, &mut column)?,
                    None => self.each_window(&series, grid, &mut |step, mut window| {
                        has_window = true;
                        for (slot, values) in window.arguments.iter_mut().zip(&arguments) {
                            *slot = values[step];
                        }
                        if let Some(value) = function(&window, &remarks) {
                            column.set(step, value);
                        }
                    })?,
                }
                if let Some(refusal) = refusal.as_ref().filter(|_| has_window) {
                    return fail(refusal);
                }
                if column.is_empty() {
                    return Ok(None);
                }
                if matches!(name, "rate" | "increase") {
                    possible_non_counter(series.labels, &column, &remarks);
                }
                let drop_name = series.drop_name || !keeps_name(name);
                Ok(Some(Series { labels: series.labels.clone(), drop_name, column }))
            };
        self.map_ranges(range, tiers::need_of(name), grid, &compute, sink)
    }

    fn scalar_arguments(&self, call: &Call, grid: Grid) -> EvalResult<Vec<Vec<f64>>> {
        let scalars = call.args.iter().filter(|arg| arg.value_type() == ValueType::Scalar);
        scalars.map(|arg| self.scalar(arg, grid)).collect()
    }

    fn check_extension(&self, function: &str, range: &Expr) -> EvalResult<()> {
        let Expr::Matrix(matrix) = range.unwrap_parens() else { return Ok(()) };
        let allowed: &[&str] = match matrix.selector.extension {
            None => return Ok(()),
            Some(Extension::Anchored) => &["changes", "delta", "increase", "rate", "resets"],
            Some(Extension::Smoothed) => &["delta", "increase", "rate"],
        };
        if allowed.contains(&function) {
            return Ok(());
        }
        let word = matrix.selector.extension.map_or("", Extension::as_str);
        let allowed = allowed.join(", ");
        fail(format!("{word} modifier can only be used with: {allowed} - not with {function}"))
    }

    /// 1 at every step where no series has a sample in its window.
    fn absent_over_time(&self, range: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let mut present = vec![false; grid.count];
        self.stream_ranges(range, tiers::need_of("absent_over_time"), grid, &mut |series| {
            self.each_window(&series, grid, &mut |step, _| present[step] = true)
        })?;
        self.absent_column(range, present, sink)
    }

    /// The result of `absent` and `absent_over_time`.
    pub(super) fn absent_column(&self, arg: &Expr, present: Vec<bool>, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if present.iter().all(|present| *present) {
            return Ok(());
        }
        let floats = present.into_iter().map(|present| if present { super::column::ABSENT } else { 1.0 });
        let column = Column::of(floats.collect(), self.context)?;
        sink(Series { labels: labels_of_absent(arg), drop_name: false, column })
    }
}

/// Why the factors of `double_exponential_smoothing` cannot be used.
fn wrong_factor(function: &str, arguments: &[Vec<f64>]) -> Option<String> {
    let ("double_exponential_smoothing", [smoothing, trend]) = (function, arguments) else { return None };
    let outside = |values: &[f64]| values.iter().copied().find(|value| *value <= 0.0 || *value >= 1.0);
    [(smoothing, "smoothing", "sf"), (trend, "trend", "tf")].into_iter().find_map(|(values, what, short)| {
        let value = outside(values)?;
        Some(format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {value:.6}"))
    })
}

/// The labels that a missing series would surely have had: those whose last condition is their first
/// `=`.
fn labels_of_absent(arg: &Expr) -> Labels {
    let selector = match arg.unwrap_parens() {
        Expr::Vector(selector) => selector,
        Expr::Matrix(matrix) => &matrix.selector,
        _ => return Labels::empty(),
    };
    let mut seen = HashSet::new();
    let mut builder = model::LabelsBuilder::default();
    for matcher in &selector.matchers {
        let name = matcher.name();
        if name == model::METRIC_NAME {
            continue;
        }
        if matcher.op() == MatchOp::Equal && seen.insert(name) {
            builder.set(name, matcher.value());
        } else {
            builder.remove(name);
        }
    }
    builder.build()
}

/// Notes that a rate was taken of what does not look like a counter.
fn possible_non_counter(labels: &Labels, column: &Column<'_>, remarks: &Remarks<'_, '_>) {
    let name = labels.metric_name();
    let counts = ["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix));
    let is_float = |value: &f64| !super::column::is_absent(*value);
    if !name.is_empty() && !counts && column.floats.iter().any(is_float) {
        let name = crate::quote::quote(name);
        remarks.info(&format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {name}"
        ));
    }
}
