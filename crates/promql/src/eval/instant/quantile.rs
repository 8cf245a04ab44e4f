//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, for classic and native
//! histograms.

use super::{
    super::{
        EvalResult, Evaluator, Grid, Series, Sink,
        column::{Column, is_absent},
        name,
    },
    classic::{ClassicHistogram, Fall},
};
use crate::{
    annotation::{MonotonicityFix, about_metric},
    ast::Expr,
    go_float::go_float,
    histogram,
    position::Position,
    quote::quote,
};
use hashbrown::HashMap;
use model::{Histogram, Labels, Value, format_float, parse_float};

const BUCKET_LABEL: &str = "le";

/// Series that together are histograms: buckets of one classic histogram, or a native one.
struct HistogramGroup<'q> {
    labels: Labels,
    buckets: Vec<(f64, Column<'q>)>,
    native: Option<Column<'q>>,
}

/// Groups in order of their first series.
#[derive(Default)]
struct HistogramGroups<'q> {
    places: HashMap<Labels, usize>,
    all: Vec<HistogramGroup<'q>>,
}

impl<'q> HistogramGroups<'q> {
    fn entry(&mut self, labels: Labels) -> &mut HistogramGroup<'q> {
        let all = &mut self.all;
        let place = *self.places.entry(labels.clone()).or_insert_with(|| {
            all.push(HistogramGroup { labels, buckets: Vec::new(), native: None });
            all.len() - 1
        });
        &mut self.all[place]
    }
}

/// What is computed of a histogram at a step.
trait Figure {
    /// Tells too how far falling counts were repaired, where that is worth a remark.
    fn of_classic(&self, step: usize, histogram: &mut ClassicHistogram) -> (f64, Option<Fall>);
    fn of_native(&self, step: usize, histogram: &Histogram) -> f64;
    /// The remark when observations of a native histogram are NaN.
    fn nan_remark(&self, step: usize, value: f64) -> &'static str;
}

struct Quantile(Vec<f64>);

impl Figure for Quantile {
    fn of_classic(&self, step: usize, histogram: &mut ClassicHistogram) -> (f64, Option<Fall>) {
        histogram.quantile(self.0[step])
    }

    fn of_native(&self, step: usize, histogram: &Histogram) -> f64 {
        histogram::quantile(self.0[step], histogram)
    }

    fn nan_remark(&self, _: usize, value: f64) -> &'static str {
        if value.is_nan() {
            "input to histogram_quantile has NaN observations, result is NaN"
        } else {
            "input to histogram_quantile has NaN observations, result is skewed higher"
        }
    }
}

struct Fraction {
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Figure for Fraction {
    fn of_classic(&self, step: usize, histogram: &mut ClassicHistogram) -> (f64, Option<Fall>) {
        (histogram.fraction(self.lower[step], self.upper[step]), None)
    }

    fn of_native(&self, step: usize, value: &Histogram) -> f64 {
        histogram::fraction(self.lower[step], self.upper[step], value)
    }

    fn nan_remark(&self, _: usize, _: f64) -> &'static str {
        "input to histogram_fraction has NaN observations, which are excluded from all fractions"
    }
}

impl<'q> Evaluator<'q> {
    pub(super) fn histogram_quantile(
        &self,
        q: &Expr,
        arg: &Expr,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let quantiles = self.scalar(q, grid)?;
        self.check_quantiles(&quantiles, q.span().start);
        let groups = self.histogram_groups(arg, grid)?;
        let results = self.figures(&groups, &Quantile(quantiles), arg.span().start, grid)?;
        name::merge_equal(results)?.into_iter().try_for_each(sink)
    }

    pub(super) fn histogram_fraction(
        &self,
        lower: &Expr,
        upper: &Expr,
        arg: &Expr,
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let figure = Fraction { lower: self.scalar(lower, grid)?, upper: self.scalar(upper, grid)? };
        let groups = self.histogram_groups(arg, grid)?;
        let results = self.figures(&groups, &figure, arg.span().start, grid)?;
        name::merge_equal(results)?.into_iter().try_for_each(sink)
    }

    /// Several quantiles at once, told apart by a label.
    pub(super) fn histogram_quantiles(
        &self,
        arg: &Expr,
        label: &Expr,
        quantiles: &[Expr],
        grid: Grid,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let label = self.label_name(label)?;
        let groups = self.histogram_groups(arg, grid)?;
        let mut all = Vec::new();
        for q in quantiles {
            let values = self.scalar(q, grid)?;
            self.check_quantiles(&values, q.span().start);
            let steps = values.clone();
            for series in self.figures(&groups, &Quantile(values), arg.span().start, grid)? {
                all.extend(self.split_by_quantile(series, &label, &steps)?);
            }
        }
        name::merge_equal(all)?.into_iter().try_for_each(sink)
    }

    /// A quantile may change from step to step; each gets a series of its own.
    fn split_by_quantile(
        &self,
        series: Series<'q>,
        label: &str,
        steps: &[f64],
    ) -> EvalResult<Vec<Series<'q>>> {
        let mut parts: Vec<(String, Series<'q>)> = Vec::new();
        for (step, sample) in series.column.present() {
            let text = label_number(steps[step]);
            let place = match parts.iter().position(|(existing, _)| *existing == text) {
                Some(place) => place,
                None => {
                    let labels = series.labels.to_builder().set(label, &text).build();
                    let column = Column::absent(steps.len(), self.context)?;
                    parts.push((text, Series { labels, drop_name: series.drop_name, column }));
                    parts.len() - 1
                }
            };
            parts[place].1.column.set(step, sample.to_value());
        }
        Ok(parts.into_iter().map(|(_, series)| series).collect())
    }

    /// Warns about every quantile outside 0 to 1.
    pub(in crate::eval) fn check_quantiles(&self, quantiles: &[f64], position: Position) {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            let value = go_float(*q);
            self.warn(position, &format!("quantile value should be between 0 and 1, got {value}"));
        }
    }

    /// Puts the series of one histogram together.
    fn histogram_groups(&self, arg: &Expr, grid: Grid) -> EvalResult<Vec<HistogramGroup<'q>>> {
        let mut groups = HistogramGroups::default();
        self.stream(arg, grid, &mut |mut series| {
            if let Some(column) = native_part(&mut series.column, self)? {
                groups.entry(series.labels.clone()).native = Some(column);
            }
            if series.column.is_empty() {
                return Ok(());
            }
            let bound = series.labels.value(BUCKET_LABEL);
            match parse_float(bound) {
                Some(bound) => {
                    let labels = series.labels.without(&[BUCKET_LABEL]);
                    groups.entry(labels).buckets.push((bound, series.column));
                }
                None => {
                    let bound = quote(bound);
                    let message =
                        format!("bucket label \"le\" is missing or has a malformed value of {bound}");
                    self.warn(arg.span().start, &about_metric(&message, series.labels.metric_name()));
                }
            }
            Ok(())
        })?;
        Ok(groups.all)
    }

    fn figures<F: Figure>(
        &self,
        groups: &[HistogramGroup<'q>],
        figure: &F,
        position: Position,
        grid: Grid,
    ) -> EvalResult<Vec<Series<'q>>> {
        let mut results = Vec::with_capacity(groups.len());
        for group in groups {
            self.context.check()?;
            let mut column = Column::absent(grid.count, self.context)?;
            for step in 0..grid.count {
                if let Some(value) = self.figure_at(group, figure, position, (step, grid.time_ms(step))) {
                    column.set(step, Value::Float(value));
                }
            }
            if !column.is_empty() {
                results.push(Series { labels: group.labels.clone(), drop_name: true, column });
            }
        }
        Ok(results)
    }

    fn figure_at<F: Figure>(
        &self,
        group: &HistogramGroup<'q>,
        figure: &F,
        position: Position,
        (step, time_ms): (usize, i64),
    ) -> Option<f64> {
        let metric_name = group.labels.metric_name();
        let mut classic = ClassicHistogram::default();
        for (bound, column) in &group.buckets {
            let count = column.floats[step];
            if !is_absent(count) {
                classic.buckets.push((*bound, count));
            }
        }
        let native = group.native.as_ref().and_then(|column| column.histogram(step));
        match (native, classic.buckets.is_empty()) {
            (Some(_), false) => {
                let message = "vector contains a mix of classic and native histograms";
                self.warn(position, &about_metric(message, metric_name));
                None
            }
            (Some(histogram), true) => {
                let value = figure.of_native(step, histogram);
                if histogram.sum.is_nan() && has_nan_observations(histogram) {
                    self.info(position, &about_metric(figure.nan_remark(step, value), metric_name));
                }
                Some(value)
            }
            (None, true) => None,
            (None, false) => {
                let (value, fall) = figure.of_classic(step, &mut classic);
                if let Some(Fall { lowest, highest, largest }) = fall {
                    let fix = MonotonicityFix::at(time_ms, lowest, highest, largest);
                    self.annotations().monotonicity_fixed(position, metric_name, fix);
                }
                Some(value)
            }
        }
    }
}

/// Whether observations are missing from the buckets because they were NaN.
fn has_nan_observations(histogram: &Histogram) -> bool {
    let in_buckets: f64 = histogram::all_buckets(histogram).iter().map(|bucket| bucket.count).sum();
    in_buckets < histogram.count
}

/// A number as a label's value, in the form of OpenMetrics: whole numbers end in `.0`.
fn label_number(value: f64) -> String {
    let text = format_float(value);
    let is_whole = value.is_finite() && !text.contains(['.', 'e']);
    if is_whole { format!("{text}.0") } else { text }
}

/// Takes the histograms out of a column.
fn native_part<'q>(column: &mut Column<'q>, evaluator: &Evaluator<'q>) -> EvalResult<Option<Column<'q>>> {
    if !column.has_histograms() {
        return Ok(None);
    }
    let mut native = Column::absent(column.len(), evaluator.context)?;
    for step in 0..column.len() {
        let Some(histogram) = column.histogram(step).cloned() else { continue };
        native.set_histogram(step, histogram);
        column.clear(step);
    }
    Ok(Some(native))
}
