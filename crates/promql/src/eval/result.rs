//! From columns to the answer that callers see.

use super::{EvalResult, Evaluator, Grid, Series, column::Charge, window::Need};
use crate::{
    annotation::Annotations,
    ast::{Expr, ValueType},
};
use model::{Labels, Value, VectorSample};
use std::sync::{Arc, PoisonError};

/// A sample at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: Value,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSeries {
    /// The series' labels.
    pub labels: Labels,
    /// In ascending order of time; never empty.
    pub points: Vec<Point>,
}

/// The value of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// One number.
    Scalar {
        /// When, milliseconds.
        timestamp_ms: i64,
        /// The number.
        value: f64,
    },
    /// A text.
    String {
        /// When, milliseconds.
        timestamp_ms: i64,
        /// The text.
        value: String,
    },
    /// One sample of each series, in the order that the query asks for.
    Vector(Vec<VectorSample>),
    /// Many samples of each series, in ascending order of labels.
    Matrix(Vec<MatrixSeries>),
}

impl QueryValue {
    /// The type as the API names it.
    pub fn value_type(&self) -> ValueType {
        match self {
            QueryValue::Scalar { .. } => ValueType::Scalar,
            QueryValue::String { .. } => ValueType::String,
            QueryValue::Vector(_) => ValueType::Vector,
            QueryValue::Matrix(_) => ValueType::Matrix,
        }
    }
}

/// What a query answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The value.
    pub value: QueryValue,
    /// Remarks about it.
    pub annotations: Annotations,
}

impl<'q> Evaluator<'q> {
    pub(super) fn answer(mut self, expr: &Expr) -> EvalResult<Answer> {
        self.stats_selectors = super::hints::stats_only(expr);
        let value = if self.is_range { self.range_value(expr)? } else { self.instant_value(expr)? };
        // What the last step has made may have been too much.
        self.context.check()?;
        let annotations = self.annotations.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Answer { value, annotations })
    }

    fn instant_value(&self, expr: &Expr) -> EvalResult<QueryValue> {
        let timestamp_ms = self.query.start_ms;
        Ok(match expr.value_type() {
            ValueType::Scalar => {
                QueryValue::Scalar { timestamp_ms, value: self.scalar(expr, self.query)?[0] }
            }
            ValueType::String => QueryValue::String { timestamp_ms, value: self.text(expr)?.into_owned() },
            ValueType::Matrix => QueryValue::Matrix(self.samples_of(expr)?),
            ValueType::Vector => {
                let series = self.finish_names(self.vector(expr, self.query)?)?;
                let samples = series.into_iter().filter_map(|series| {
                    let value = series.column.get(0)?.to_value();
                    Some(VectorSample { labels: series.labels, timestamp_ms, value })
                });
                QueryValue::Vector(samples.collect())
            }
        })
    }

    fn range_value(&self, expr: &Expr) -> EvalResult<QueryValue> {
        if self.query.count == 0 {
            return Ok(QueryValue::Matrix(Vec::new()));
        }
        if expr.value_type() == ValueType::Scalar {
            let values = self.scalar(expr, self.query)?;
            let points = values.into_iter().enumerate().map(|(step, value)| Point {
                timestamp_ms: self.query.time_ms(step),
                value: Value::Float(value),
            });
            return Ok(QueryValue::Matrix(vec![MatrixSeries {
                labels: Labels::empty(),
                points: points.collect(),
            }]));
        }
        let series = self.finish_names(self.vector(expr, self.query)?)?;
        let (mut matrix, mut held) = (Vec::with_capacity(series.len()), Vec::new());
        for series in series {
            let has_histograms = series.column.has_histograms();
            let series = self.points_of(self.query, series);
            held.push(Charge::new(self.context, 0, memory_of(&series.points, has_histograms))?);
            matrix.push(series);
        }
        matrix.retain(|series| !series.points.is_empty());
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(QueryValue::Matrix(matrix))
    }

    fn points_of(&self, grid: Grid, series: Series<'q>) -> MatrixSeries {
        let present = series.column.present();
        let points = present
            .map(|(step, sample)| Point { timestamp_ms: grid.time_ms(step), value: sample.to_value() })
            .collect();
        MatrixSeries { labels: series.labels, points }
    }

    /// The samples of a range vector, as an instant query returns them.
    fn samples_of(&self, expr: &Expr) -> EvalResult<Vec<MatrixSeries>> {
        let mut matrix = Vec::new();
        let mut held = Vec::new();
        let as_they_are = Need { aggregate: store::Aggregate::Last, buckets: 0 };
        self.stream_ranges(expr, as_they_are, self.query, &mut |series| {
            let window = series.spec.bounds(self.query, 0);
            let samples = series.samples;
            let inside = (0..samples.len()).filter(|i| {
                window.from_ms < samples.timestamps_ms[*i] && samples.timestamps_ms[*i] <= window.to_ms
            });
            let points: Vec<_> = inside
                .map(|i| Point { timestamp_ms: samples.timestamps_ms[i], value: samples.value(i) })
                .collect();
            let bytes = memory_of(&points, !samples.histograms.is_empty());
            held.push(Charge::new(self.context, points.len(), bytes)?);
            if !points.is_empty() {
                let labels = match series.drop_name {
                    true => super::name::without_reserved(series.labels),
                    false => series.labels.clone(),
                };
                matrix.push(MatrixSeries { labels, points });
            }
            Ok(())
        })?;
        matrix.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(matrix)
    }
}

/// Memory that points take. The same histogram at neighbouring points is there once.
fn memory_of(points: &[Point], has_histograms: bool) -> usize {
    let bytes = size_of_val(points);
    if !has_histograms {
        return bytes;
    }
    let mut before = None;
    let of_point = |point: &Point| match &point.value {
        Value::Float(_) => 0,
        Value::Histogram(histogram) => {
            let is_same = before.replace(Arc::as_ptr(histogram)) == Some(Arc::as_ptr(histogram));
            if is_same { 0 } else { histogram.memory_bytes() }
        }
    };
    bytes + points.iter().map(of_point).sum::<usize>()
}
