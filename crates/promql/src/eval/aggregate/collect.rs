//! `quantile` and `count_values`: need all values of a group at a step.

use super::{
    super::{
        EvalResult, Evaluator, Grid, Series, Sink,
        column::{ABSENT, Column, Sample, is_absent},
        fail,
        scalar::{go_max, go_min},
    },
    Grouping, Groups,
};
use crate::{ast::Aggregate, go_float::go_float, position::Position, quantile};
use model::{Labels, Value, format_decimal};

impl<'q> Evaluator<'q> {
    /// `quantile(φ, v)`
    pub(super) fn group_quantile(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let Some(parameter) = &aggregate.parameter else { return fail("aggregation needs a parameter") };
        let quantiles = self.scalar(parameter, grid)?;
        self.check_extremes(&quantiles, parameter.span().start);
        let grouping = Grouping::new(aggregate);
        let mut groups: Groups<Vec<Column<'q>>> = Groups::new();
        self.stream(&aggregate.expr, grid, &mut |series| {
            if series.column.has_histograms() {
                self.note_ignored_histogram(aggregate);
            }
            let make = || Ok(Vec::new());
            groups.group_of(&grouping, &series.labels, series.drop_name, make)?.push(series.column);
            Ok(())
        })?;
        let mut values = Vec::new();
        for group in groups.all {
            let floats = (0..grid.count).map(|step| {
                values.clear();
                let present = group.state.iter().map(|column| column.floats[step]);
                values.extend(present.filter(|value| !is_absent(*value)));
                if values.is_empty() { ABSENT } else { quantile::quantile(quantiles[step], &mut values) }
            });
            let column = Column::of(floats.collect(), self.context)?;
            if !column.is_empty() {
                sink(Series { labels: group.labels, drop_name: group.drop_name, column })?;
            }
        }
        Ok(())
    }

    /// Warns about quantiles outside 0 to 1: of all steps, only about the largest and the smallest.
    fn check_extremes(&self, quantiles: &[f64], position: Position) {
        let (low, high) = extremes(quantiles);
        let nan = quantiles.iter().copied().find(|q| q.is_nan());
        for q in nan.into_iter().chain([high, low]).filter(|q| !(0.0..=1.0).contains(q)) {
            let value = go_float(q);
            self.warn(position, &format!("quantile value should be between 0 and 1, got {value}"));
        }
    }

    /// `count_values("label", v)`: how often each value occurs.
    pub(super) fn count_values(
        &self,
        aggregate: &Aggregate,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let Some(parameter) = &aggregate.parameter else { return fail("aggregation needs a parameter") };
        let label = self.label_name(parameter)?;
        let grouping = Grouping::new(aggregate);
        let is_shown = !(grouping.without && grouping.labels.contains(&label.as_str()));
        let mut groups: Groups<Column<'q>> = Groups::new();
        self.stream(&aggregate.expr, grid, &mut |series| {
            let key = grouping.key(&series.labels);
            for (step, sample) in series.column.present() {
                let labels = if is_shown { with_value(&key, &label, sample) } else { key.clone() };
                // A name among the labels was asked for; what happened to the values' own is past.
                let counts = groups.entry(labels, false, || Column::absent(grid.count, self.context))?;
                let before = counts.floats[step];
                counts.set(step, Value::Float(if is_absent(before) { 1.0 } else { before + 1.0 }));
            }
            Ok(())
        })?;
        for group in groups.all {
            sink(Series { labels: group.labels, drop_name: group.drop_name, column: group.state })?;
        }
        Ok(())
    }
}

/// The smallest and the largest number, as Go's `math.Min` and `math.Max` choose: NaN, or infinity, where
/// there is one.
pub(super) fn extremes(values: &[f64]) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    values.iter().fold(start, |(low, high), value| (go_min(low, *value), go_max(high, *value)))
}

fn with_value(key: &Labels, label: &str, sample: Sample<'_>) -> Labels {
    let text = match sample {
        Sample::Float(value) => format_decimal(value),
        Sample::Histogram(histogram) => crate::histogram::describe(histogram),
    };
    key.to_builder().set(label, &text).build()
}
