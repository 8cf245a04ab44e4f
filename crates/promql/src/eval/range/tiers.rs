//! Range functions over samples that were downsampled: which value of a bucket serves which
//! function, and what the function then is.
//!
//! Buckets carry the time of their last sample, so a window holds the buckets whose last sample is
//! in it. All other functions see samples as they were written, one for a bucket at least.
//!
//! A window that is too short for the buckets it reads is made longer ([`Need`]): then a rate is that
//! of the longer window, and what grows with a window's length is brought back to the asked one.

use super::{
    RangeFunction,
    over_time::{self, avg},
};
use crate::ast::Expr;
use crate::eval::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Column, Sample},
    window::{Need, RangeSeries, Remarks, Window},
};
use hashbrown::HashMap;
use model::{Labels, Value};
use store::Aggregate;

pub(super) const SUM: Need = Need { aggregate: Aggregate::Sum, buckets: 1 };
const COUNT: Need = Need { aggregate: Aggregate::Count, buckets: 1 };

/// What a function needs of buckets.
pub(super) fn need_of(function: &str) -> Need {
    match function {
        "sum_over_time" => SUM,
        "count_over_time" => COUNT,
        "max_over_time" => Need { aggregate: Aggregate::Max, buckets: 1 },
        "min_over_time" => Need { aggregate: Aggregate::Min, buckets: 1 },
        "delta"
        | "deriv"
        | "double_exponential_smoothing"
        | "idelta"
        | "increase"
        | "irate"
        | "predict_linear"
        | "rate" => Need { aggregate: Aggregate::Last, buckets: 2 },
        _ => Need { aggregate: Aggregate::Last, buckets: 1 },
    }
}

/// What a function is over its aggregates: a count of all is the sum of the counts.
pub(super) fn over_aggregates(name: &str, function: RangeFunction) -> RangeFunction {
    match name {
        "count_over_time" | "sum_over_time" => sum_as_asked,
        _ => function,
    }
}

/// The sum of buckets, of a longer window that share which the asked one has.
fn sum_as_asked(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    match over_time::sum(window, remarks)? {
        Value::Float(sum) if window.range_ms > window.asked_ms => {
            let times = window.times();
            let read_ms = times[times.len() - 1] - times[0] + window.resolution_ms;
            Some(Value::Float(sum * (window.asked_ms as f64 / read_ms as f64)))
        }
        sum => Some(sum),
    }
}

/// The sum of floats, for which there are counts; histograms have no sums in buckets, so that those
/// that are there are as they were written, and their mean can be taken at once.
fn sum_or_mean(window: &Window<'_>, remarks: &Remarks<'_, '_>) -> Option<Value> {
    if window.histograms().is_empty() { over_time::sum(window, remarks) } else { avg(window, remarks) }
}

impl<'q> Evaluator<'q> {
    /// A series of what `function` finds in its windows.
    pub(super) fn window_column(
        &self,
        series: &RangeSeries<'_>,
        grid: Grid,
        remarks: &Remarks<'_, '_>,
        function: RangeFunction,
    ) -> EvalResult<Column<'q>> {
        let mut column = Column::absent(grid.count, self.context)?;
        self.each_window(series, grid, &mut |step, window| {
            if let Some(value) = function(&window, remarks) {
                column.set(step, value);
            }
        })?;
        Ok(column)
    }

    /// `avg_over_time` of buckets: the sum of their sums over the sum of their counts.
    pub(super) fn avg_over_buckets(&self, range: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let position = range.span().start;
        let mut sums: Vec<(Labels, Column<'q>)> = Vec::new();
        self.stream_ranges(range, SUM, grid, &mut |series| {
            let remarks = Remarks { evaluator: self, position, metric_name: series.labels.metric_name() };
            let column = self.window_column(&series, grid, &remarks, sum_or_mean)?;
            sums.push((series.labels.clone(), column));
            Ok(())
        })?;
        let mut counts: HashMap<Labels, Column<'q>> = HashMap::new();
        self.stream_ranges(range, COUNT, grid, &mut |series| {
            let remarks = Remarks { evaluator: self, position, metric_name: series.labels.metric_name() };
            let column = self.window_column(&series, grid, &remarks, over_time::sum)?;
            counts.insert(series.labels.clone(), column);
            Ok(())
        })?;
        for (labels, sums) in sums {
            let Some(counts) = counts.get(&labels) else { continue };
            let mut column = Column::absent(grid.count, self.context)?;
            for (step, sum) in sums.present() {
                let count = counts.floats[step];
                match sum {
                    Sample::Float(sum) if count > 0.0 => column.set(step, Value::Float(sum / count)),
                    Sample::Float(_) => {}
                    Sample::Histogram(mean) => column.set(step, Value::Histogram(mean.clone())),
                }
            }
            if !column.is_empty() {
                sink(Series { labels, drop_name: true, column })?;
            }
        }
        Ok(())
    }
}
