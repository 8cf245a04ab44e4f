//! Range functions over samples that were downsampled: which value of a bucket serves which
//! function, and what the function then is.
//!
//! Buckets carry the time of their last sample, so a window holds the buckets whose last sample is
//! in it. All other functions see samples as they were written, one for a bucket at least.

use super::{RangeFunction, over_time};
use crate::ast::Expr;
use crate::eval::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Column, Sample},
    window::{RangeSeries, Remarks},
};
use hashbrown::HashMap;
use model::{Labels, Value};
use store::Aggregate;

/// The value of a bucket that a function needs.
pub(super) fn aggregate_of(function: &str) -> Aggregate {
    match function {
        "sum_over_time" => Aggregate::Sum,
        "count_over_time" => Aggregate::Count,
        "max_over_time" => Aggregate::Max,
        "min_over_time" => Aggregate::Min,
        _ => Aggregate::Last,
    }
}

/// What a function is over its aggregates: a count of all is the sum of the counts.
pub(super) fn over_aggregates(name: &str, function: RangeFunction) -> RangeFunction {
    if name == "count_over_time" { over_time::sum } else { function }
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
        self.stream_ranges(range, Aggregate::Sum, grid, &mut |series| {
            let remarks = Remarks { evaluator: self, position, metric_name: series.labels.metric_name() };
            let column = self.window_column(&series, grid, &remarks, over_time::sum)?;
            sums.push((series.labels.clone(), column));
            Ok(())
        })?;
        let mut counts: HashMap<Labels, Column<'q>> = HashMap::new();
        self.stream_ranges(range, Aggregate::Count, grid, &mut |series| {
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
                if let Sample::Float(sum) = sum
                    && count > 0.0
                {
                    column.set(step, Value::Float(sum / count));
                }
            }
            if !column.is_empty() {
                sink(Series { labels, drop_name: true, column })?;
            }
        }
        Ok(())
    }
}
