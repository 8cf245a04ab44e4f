//! `sum avg min max count group stddev stdvar`: one accumulator of columns for each group.

use super::{
    super::{
        EvalResult, Evaluator, Grid, Series, Sink,
        column::{ABSENT, Charge, Column, Sample, is_absent},
    },
    Grouping, Groups,
};
use crate::{
    annotation::about_metric,
    ast::{Aggregate, AggregateOp},
    histogram::HistogramTotal,
    kahan::{self, Mean},
};
use model::Value;
use store::QueryContext;

/// What a group has gathered so far, by step.
enum Accumulator<'q> {
    Sum {
        totals: Vec<(f64, f64)>,
        seen: Vec<bool>,
        histograms: Histograms<'q>,
        _held: Charge<'q>,
    },
    Avg {
        means: Vec<Mean>,
        seen: Vec<bool>,
        histograms: Histograms<'q>,
        _held: Charge<'q>,
    },
    /// The best float so far.
    Best {
        best: Vec<f64>,
        _held: Charge<'q>,
    },
    Count {
        counts: Vec<f64>,
        _held: Charge<'q>,
    },
    Group {
        seen: Vec<bool>,
        _held: Charge<'q>,
    },
    Variance {
        states: Vec<Welford>,
        _held: Charge<'q>,
    },
}

/// Sums of histograms.
struct Histograms<'q> {
    /// By step; empty until the first one comes.
    totals: Vec<HistogramTotal>,
    held: Charge<'q>,
}

impl<'q> Histograms<'q> {
    fn none(context: &'q QueryContext) -> Self {
        Histograms { totals: Vec::new(), held: Charge::nothing(context) }
    }

    /// Whether a histogram met the first one that it cannot be added to.
    fn add(&mut self, column: &Column<'_>, is_mean: bool) -> EvalResult<bool> {
        if !column.has_histograms() {
            return Ok(false);
        }
        let (mut mixed, mut bytes) = (false, 0);
        self.totals.resize_with(column.len(), || HistogramTotal::new(is_mean));
        for (step, total) in self.totals.iter_mut().enumerate() {
            if let Some(histogram) = column.histogram(step).filter(|_| !total.incompatible) {
                total.add(histogram);
                mixed |= total.incompatible;
            }
            bytes += total.memory_bytes();
        }
        self.held.raise(0, bytes)?;
        Ok(mixed)
    }
}

/// Running variance.
#[derive(Clone, Copy, Default)]
struct Welford {
    count: f64,
    mean: f64,
    square: f64,
}

impl Welford {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.square += delta * (value - self.mean);
        if !value.is_finite() {
            self.square = f64::NAN;
        }
    }
}

impl<'q> Evaluator<'q> {
    pub(super) fn accumulate(&self, aggregate: &Aggregate, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let grouping = Grouping::new(aggregate);
        let mut groups = Groups::new();
        self.stream_to_groups(&aggregate.expr, &grouping, grid, &mut |series| {
            let make = || self.accumulator(aggregate.op, grid);
            let state = groups.group_of(&grouping, &series.labels, series.drop_name, make)?;
            let noted = state.add(aggregate.op, &series.column)?;
            if noted.ignored {
                self.note_ignored_histogram(aggregate);
            }
            if noted.mixed {
                let message =
                    "vector contains a mix of histograms with exponential and custom buckets schemas";
                let message = about_metric(message, series.labels.metric_name());
                self.warn(aggregate.expr.span().start, &message);
            }
            Ok(())
        })?;
        for group in groups.all {
            let column = self.finish(group.state, aggregate)?;
            if !column.is_empty() {
                sink(Series { labels: group.labels, drop_name: group.drop_name, column })?;
            }
        }
        Ok(())
    }

    fn accumulator(&self, op: AggregateOp, grid: Grid) -> EvalResult<Accumulator<'q>> {
        let steps = grid.count;
        let held = |bytes: usize| Charge::new(self.context, steps, steps * bytes);
        Ok(match op {
            AggregateOp::Sum => Accumulator::Sum {
                totals: vec![(0.0, 0.0); steps],
                seen: vec![false; steps],
                histograms: Histograms::none(self.context),
                _held: held(17)?,
            },
            AggregateOp::Avg => Accumulator::Avg {
                means: vec![Mean::default(); steps],
                seen: vec![false; steps],
                histograms: Histograms::none(self.context),
                _held: held(size_of::<Mean>() + 1)?,
            },
            AggregateOp::Min | AggregateOp::Max => {
                Accumulator::Best { best: vec![ABSENT; steps], _held: held(8)? }
            }
            AggregateOp::Count => Accumulator::Count { counts: vec![0.0; steps], _held: held(8)? },
            AggregateOp::Group => Accumulator::Group { seen: vec![false; steps], _held: held(1)? },
            _ => Accumulator::Variance {
                states: vec![Welford::default(); steps],
                _held: held(size_of::<Welford>())?,
            },
        })
    }

    fn finish(&self, accumulator: Accumulator<'q>, aggregate: &Aggregate) -> EvalResult<Column<'q>> {
        let floats: Vec<f64>;
        let mut histograms = Histograms::none(self.context);
        match accumulator {
            Accumulator::Sum { totals, seen, histograms: found, .. } => {
                let sum = |(total, rest): (f64, f64)| if total.is_infinite() { total } else { total + rest };
                floats = only(&seen, totals.into_iter().map(sum));
                histograms = found;
            }
            Accumulator::Avg { means, seen, histograms: found, .. } => {
                floats = only(&seen, means.iter().map(Mean::get));
                histograms = found;
            }
            Accumulator::Best { best, .. } => floats = best,
            Accumulator::Count { counts, .. } => {
                floats = counts.into_iter().map(|count| if count == 0.0 { ABSENT } else { count }).collect();
            }
            Accumulator::Group { seen, .. } => floats = only(&seen, seen.iter().map(|_| 1.0)),
            Accumulator::Variance { states, .. } => {
                let is_stddev = aggregate.op == AggregateOp::Stddev;
                let value = |state: Welford| match state.square / state.count {
                    _ if state.count == 0.0 => ABSENT,
                    variance if is_stddev => variance.sqrt(),
                    variance => variance,
                };
                floats = states.into_iter().map(value).collect();
            }
        }
        let mut column = Column::of(floats, self.context)?;
        for (step, total) in histograms.totals.iter().enumerate().filter(|(_, total)| !total.is_empty()) {
            self.finish_histogram(&mut column, step, total, aggregate);
        }
        Ok(column)
    }

    /// Puts a group's histogram into the column, unless there are floats too.
    fn finish_histogram(
        &self,
        column: &mut Column<'q>,
        step: usize,
        total: &HistogramTotal,
        aggregate: &Aggregate,
    ) {
        let position = aggregate.expr.span().start;
        if !is_absent(column.floats[step]) {
            self.warn(position, "encountered a mix of histograms and floats for aggregation");
            column.clear(step);
            return;
        }
        if total.reconciled {
            self.info(position, "mismatched custom buckets were reconciled during aggregation");
        }
        if total.hints_conflict() {
            self.warn(position, "conflicting counter resets during histogram aggregation");
        }
        match total.get() {
            Some(histogram) => column.set(step, Value::Histogram(histogram)),
            None => column.clear(step),
        }
    }
}

/// The values where something was seen.
fn only(seen: &[bool], values: impl Iterator<Item = f64>) -> Vec<f64> {
    seen.iter().zip(values).map(|(seen, value)| if *seen { value } else { ABSENT }).collect()
}

/// What adding a series showed.
#[derive(Default)]
struct Noted {
    /// It had histograms that this aggregation ignores.
    ignored: bool,
    /// Its histograms cannot be added to those before.
    mixed: bool,
}

impl Accumulator<'_> {
    /// Adds a series.
    fn add(&mut self, op: AggregateOp, column: &Column<'_>) -> EvalResult<Noted> {
        let mut noted = Noted::default();
        match self {
            Accumulator::Sum { totals, seen, histograms, .. } => {
                for ((value, total), seen) in column.floats.iter().zip(totals).zip(seen) {
                    if !is_absent(*value) {
                        *total = kahan::add(*value, total.0, total.1);
                        *seen = true;
                    }
                }
                noted.mixed = histograms.add(column, op == AggregateOp::Avg)?;
            }
            Accumulator::Avg { means, seen, histograms, .. } => {
                for ((value, mean), seen) in column.floats.iter().zip(means).zip(seen) {
                    if !is_absent(*value) {
                        mean.add(*value);
                        *seen = true;
                    }
                }
                noted.mixed = histograms.add(column, op == AggregateOp::Avg)?;
            }
            Accumulator::Best { best, .. } => {
                for (best, value) in best.iter_mut().zip(&column.floats) {
                    if !is_absent(*value)
                        && (is_absent(*best) || best.is_nan() || is_better(op, *value, *best))
                    {
                        *best = *value;
                    }
                }
                noted.ignored = column.has_histograms();
            }
            Accumulator::Count { counts, .. } => {
                for (step, _) in column.present() {
                    counts[step] += 1.0;
                }
            }
            Accumulator::Group { seen, .. } => {
                for (step, _) in column.present() {
                    seen[step] = true;
                }
            }
            Accumulator::Variance { states, .. } => {
                for (step, sample) in column.present() {
                    match sample {
                        Sample::Float(value) => states[step].add(value),
                        Sample::Histogram(_) => noted.ignored = true,
                    }
                }
            }
        }
        Ok(noted)
    }
}

fn is_better(op: AggregateOp, value: f64, best: f64) -> bool {
    if op == AggregateOp::Max { value > best } else { value < best }
}
