//! What evaluation computes with: one series' values at all steps, as a column.

mod histograms;

use crate::eval::EvalResult;
use histograms::Histograms;
use model::{Histogram, Labels, STALE_NAN, Value, is_stale};
use std::sync::Arc;
use store::QueryContext;

/// The steps of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    pub(crate) start_ms: i64,
    /// At least 1 unless there is only one step.
    pub(crate) step_ms: i64,
    pub(crate) count: usize,
}

impl Grid {
    pub(crate) fn instant(at_ms: i64) -> Self {
        Grid { start_ms: at_ms, step_ms: 0, count: 1 }
    }

    /// The steps from `start_ms` up to and perhaps including `end_ms`.
    pub(crate) fn range(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let count = if end_ms < start_ms {
            0
        } else if step_ms <= 0 {
            1
        } else {
            // Subtraction in i128 because the ends of time are legal.
            ((i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms)) as usize + 1
        };
        Grid { start_ms, step_ms, count }
    }

    pub(crate) fn time_ms(&self, step: usize) -> i64 {
        self.start_ms.saturating_add(self.step_ms.saturating_mul(step as i64))
    }

    /// Only the first step.
    pub(crate) fn first(&self) -> Self {
        Grid::instant(self.start_ms)
    }
}

/// What the budget has been charged; given back on drop.
pub(crate) struct Charge<'q> {
    context: &'q QueryContext,
    samples: u64,
    bytes: u64,
}

impl<'q> Charge<'q> {
    pub(crate) fn new(context: &'q QueryContext, samples: usize, bytes: usize) -> EvalResult<Self> {
        let charge = Charge { context, samples: samples as u64, bytes: bytes as u64 };
        context.hold_samples(charge.samples)?;
        context.hold_memory(charge.bytes)?;
        Ok(charge)
    }

    /// Nothing so far.
    pub(crate) fn nothing(context: &'q QueryContext) -> Self {
        Charge { context, samples: 0, bytes: 0 }
    }
}

impl Charge<'_> {
    /// Charges more memory. When that is too much the query is stopped, which its next check tells.
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        drop(self.context.hold_memory(bytes as u64));
    }

    /// Gives so much memory back, or all when there is less.
    fn give_back(&mut self, bytes: usize) {
        let bytes = self.bytes.min(bytes as u64);
        self.bytes -= bytes;
        self.context.release_memory(bytes);
    }

    /// Charges so much in all, unless that much is held already.
    pub(crate) fn raise(&mut self, samples: usize, bytes: usize) -> EvalResult<()> {
        let (samples, bytes) = (samples as u64, bytes as u64);
        if samples > self.samples {
            let more = samples - self.samples;
            self.samples = samples;
            self.context.hold_samples(more)?;
        }
        if bytes > self.bytes {
            let more = bytes - self.bytes;
            self.bytes = bytes;
            self.context.hold_memory(more)?;
        }
        Ok(())
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        if self.samples > 0 {
            self.context.release_samples(self.samples);
        }
        if self.bytes > 0 {
            self.context.release_memory(self.bytes);
        }
    }
}

/// A value seen in a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sample<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Sample<'_> {
    pub(crate) fn to_value(self) -> Value {
        match self {
            Sample::Float(value) => Value::Float(value),
            Sample::Histogram(histogram) => Value::Histogram(histogram.clone()),
        }
    }
}

/// Values by step.
///
/// A step without a value holds the staleness marker, which no computation can produce: it is a
/// signalling NaN, and arithmetic only makes quiet ones. Selectors leave markers out.
pub(crate) struct Column<'q> {
    pub(crate) floats: Vec<f64>,
    /// A step with a histogram has no float.
    histograms: Histograms<'q>,
    charge: Charge<'q>,
}

/// Marks a step without a float.
pub(crate) const ABSENT: f64 = STALE_NAN;

/// Whether a float of a column is missing.
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale(value)
}

impl<'q> Column<'q> {
    /// A column without values.
    pub(crate) fn absent(steps: usize, context: &'q QueryContext) -> EvalResult<Self> {
        let charge = Charge::new(context, steps, steps * size_of::<f64>())?;
        Ok(Column { floats: vec![ABSENT; steps], histograms: Histograms::none(context), charge })
    }

    /// A column of these floats.
    pub(crate) fn of(floats: Vec<f64>, context: &'q QueryContext) -> EvalResult<Self> {
        let charge = Charge::new(context, floats.len(), floats.len() * size_of::<f64>())?;
        Ok(Column { floats, histograms: Histograms::none(context), charge })
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    pub(crate) fn get(&self, step: usize) -> Option<Sample<'_>> {
        let float = self.floats[step];
        if !is_absent(float) {
            return Some(Sample::Float(float));
        }
        self.histogram(step).map(Sample::Histogram)
    }

    pub(crate) fn has(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(step)
    }

    pub(crate) fn has_histograms(&self) -> bool {
        !self.histograms.is_empty()
    }

    pub(crate) fn set_histogram(&mut self, step: usize, histogram: Arc<Histogram>) {
        self.floats[step] = ABSENT;
        self.histograms.set(step, self.floats.len(), histogram);
    }

    pub(crate) fn set(&mut self, step: usize, value: Value) {
        match value {
            Value::Float(value) => {
                self.clear(step);
                self.floats[step] = value;
            }
            Value::Histogram(histogram) => self.set_histogram(step, histogram),
        }
    }

    /// Takes the value at `step` away.
    pub(crate) fn clear(&mut self, step: usize) {
        self.floats[step] = ABSENT;
        self.histograms.clear_step(step);
    }

    /// Whether no step has a value.
    pub(crate) fn is_empty(&self) -> bool {
        self.floats.iter().all(|value| is_absent(*value)) && !self.histograms.has_any()
    }

    /// Steps that have a value.
    pub(crate) fn present(&self) -> impl Iterator<Item = (usize, Sample<'_>)> {
        (0..self.len()).filter_map(|step| Some((step, self.get(step)?)))
    }

    /// Drops histograms and computes on floats.
    pub(crate) fn map_floats(&mut self, compute: impl Fn(f64) -> f64) {
        self.histograms.clear();
        for value in &mut self.floats {
            if !is_absent(*value) {
                *value = compute(*value);
            }
        }
    }

    /// Computes every value anew; `None` takes it away.
    pub(crate) fn map(&mut self, mut compute: impl FnMut(usize, Sample<'_>) -> Option<Value>) {
        for step in 0..self.len() {
            let Some(sample) = self.get(step) else { continue };
            match compute(step, sample) {
                Some(value) => self.set(step, value),
                None => self.clear(step),
            }
        }
        if !self.histograms.has_any() {
            self.histograms.clear();
        }
    }

    /// Charges labels that were made for this series, and are held for as long as it is.
    pub(crate) fn hold_labels(&mut self, bytes: usize) -> EvalResult<()> {
        self.charge.raise(0, size_of_val(self.floats.as_slice()) + bytes)
    }

    /// The single step's values repeated over `steps`.
    pub(crate) fn repeat(self, steps: usize) -> EvalResult<Column<'q>> {
        let context = self.charge.context;
        let mut wide = Column::of(vec![self.floats[0]; steps], context)?;
        wide.hold_labels(self.charge.bytes as usize - size_of_val(self.floats.as_slice()))?;
        if let Some(histogram) = self.histogram(0) {
            (0..steps).for_each(|step| wide.set_histogram(step, histogram.clone()));
        }
        Ok(wide)
    }

    /// Takes over the values of `other` where this column has none; false when both have one.
    pub(crate) fn merge(&mut self, other: &Column<'q>) -> bool {
        for (step, sample) in other.present() {
            if self.has(step) {
                return false;
            }
            self.set(step, sample.to_value());
        }
        true
    }
}

/// A series with its values.
pub(crate) struct Series<'q> {
    pub(crate) labels: Labels,
    /// Whether the metric's name is to be dropped; it is still there for functions that ask.
    pub(crate) drop_name: bool,
    pub(crate) column: Column<'q>,
}
