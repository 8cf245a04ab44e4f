//! Subqueries: an expression evaluated on a grid of its own, whose values become samples.
//!
//! The grid lies on multiples of its step since the epoch, so neighbouring evaluations share it.

use super::{EvalResult, Evaluator, Grid, check_steps, column::Sample, fail, hints, window::RangeSeries};
use crate::ast::Subquery;
use model::{Samples, Value};

impl<'q> Evaluator<'q> {
    pub(super) fn subquery(
        &self,
        subquery: &Subquery,
        grid: Grid,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> EvalResult<()>,
    ) -> EvalResult<()> {
        let range_ms = subquery.range.resolve_positive_ms(self.durations()).or_else(fail)?;
        let step_ms = match &subquery.step {
            Some(step) => step.resolve_positive_ms(self.durations()).or_else(fail)?,
            None => self.options.subquery_step_ms,
        };
        let offset_ms = self.offset_ms(&subquery.modifiers)?;
        let at_ms = self.at_ms(&subquery.modifiers);
        let spec = self.subquery_spec(range_ms, offset_ms, at_ms);
        let (first, last) = (spec.bounds(grid, 0), spec.bounds(grid, grid.count - 1));
        // The first multiple of the step after the open left end.
        let start_ms = (first.from_ms.div_euclid(step_ms)).saturating_add(1).saturating_mul(step_ms);
        let inner = Grid::range(start_ms, last.to_ms, step_ms);
        check_steps(inner)?;
        if inner.count == 0 {
            return Ok(());
        }
        self.stream(&subquery.expr, inner, &mut |series| {
            let mut samples = Samples::default();
            for (step, sample) in series.column.present() {
                let value = match sample {
                    Sample::Float(value) => Value::Float(value),
                    Sample::Histogram(histogram) => Value::Histogram(hints::forget(histogram)),
                };
                samples.push(inner.time_ms(step), 0, &value);
            }
            let _held = self.charge_samples(&samples)?;
            let drop_name = series.drop_name;
            visit(RangeSeries { labels: &series.labels, drop_name, samples: &samples, spec: &spec })
        })
    }
}
