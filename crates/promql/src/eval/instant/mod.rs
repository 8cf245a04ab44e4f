//! Functions over instant vectors and scalars.

mod absent;
mod classic;
mod date;
mod histogram;
mod info;
mod label;
mod math;
mod quantile;
mod sort;

use super::{
    EvalResult, Evaluator, Grid, Series, Sink,
    column::{Column, Sample},
    fail,
    select::Field,
};
use crate::ast::{Call, Expr, ValueType};
use model::{Labels, Value};

impl<'q> Evaluator<'q> {
    /// A function call that gives an instant vector.
    pub(super) fn call(&self, call: &Call, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if call.args.iter().any(|arg| arg.value_type() == ValueType::Matrix) {
            return self.range_call(call, grid, sink);
        }
        match (call.function.name, call.args.as_slice()) {
            ("absent", [arg]) => self.absent(arg, grid, sink),
            ("clamp", [arg, low, high]) => self.clamp(arg, Some(low), Some(high), grid, sink),
            ("clamp_max", [arg, high]) => self.clamp(arg, None, Some(high), grid, sink),
            ("clamp_min", [arg, low]) => self.clamp(arg, Some(low), None, grid, sink),
            ("histogram_fraction", [low, high, arg]) => self.histogram_fraction(low, high, arg, grid, sink),
            ("histogram_quantile", [q, arg]) => self.histogram_quantile(q, arg, grid, sink),
            ("histogram_quantiles", [arg, label, quantiles @ ..]) => {
                self.histogram_quantiles(arg, label, quantiles, grid, sink)
            }
            ("info", [arg, rest @ ..]) => self.info_join(arg, rest.first(), grid, sink),
            ("label_join", [arg, rest @ ..]) => self.label_join(arg, rest, grid, sink),
            ("label_replace", [arg, rest @ ..]) => self.label_replace(arg, rest, grid, sink),
            ("round", [arg, rest @ ..]) => self.round(arg, rest.first(), grid, sink),
            ("sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc", _) => self.sort(call, grid, sink),
            ("start_timestamp", [arg]) => self.timestamps(arg, Field::StartTimestamp, grid, sink),
            ("timestamp", [arg]) => self.timestamps(arg, Field::Timestamp, grid, sink),
            ("vector", [arg]) => {
                let column = Column::of(self.scalar(arg, grid)?, self.context)?;
                sink(Series { labels: Labels::empty(), drop_name: false, column })
            }
            (name, args) => self.by_name(name, args.first(), grid, sink),
        }
    }

    /// Functions that are found in a table.
    fn by_name(&self, name: &str, arg: Option<&Expr>, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if let Some(compute) = date::find(name) {
            return self.date(compute, arg, grid, sink);
        }
        let Some(arg) = arg else { return fail(format!("function `{name}` needs an argument")) };
        if let Some(compute) = math::find(name) {
            return self.map(arg, grid, sink, |column| column.map_floats(compute));
        }
        if let Some(compute) = histogram::find(name) {
            return self.map(arg, grid, sink, |column| {
                column.map(|_, sample| match sample {
                    Sample::Float(_) => None,
                    Sample::Histogram(value) => Some(Value::Float(compute(value))),
                });
            });
        }
        fail(format!("unknown function `{name}`"))
    }

    /// Changes every series' values and marks its name for removal.
    fn map(
        &self,
        arg: &Expr,
        grid: Grid,
        sink: Sink<'_, 'q>,
        change: impl Fn(&mut Column<'q>),
    ) -> EvalResult<()> {
        self.stream(arg, grid, &mut |mut series| {
            change(&mut series.column);
            if series.column.is_empty() {
                return Ok(());
            }
            sink(Series { drop_name: true, ..series })
        })
    }

    /// `timestamp(v)`: of a selector, when the samples were taken; else the moment of evaluation.
    fn timestamps(&self, arg: &Expr, field: Field, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        if let Expr::Vector(selector) = arg.unwrap_parens() {
            return self.select_field(selector, field, grid, &mut |series| {
                sink(Series { drop_name: true, ..series })
            });
        }
        if field == Field::StartTimestamp {
            // Only stored samples have a start.
            return Ok(());
        }
        self.map(arg, grid, sink, |column| {
            column.map(|step, _| Some(Value::Float(grid.time_ms(step) as f64 / 1000.0)));
        })
    }
}
