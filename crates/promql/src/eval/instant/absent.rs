//! `absent`: 1 at every step where the vector has no element.

use super::super::{EvalResult, Evaluator, Grid, Sink};
use crate::ast::Expr;

impl<'q> Evaluator<'q> {
    pub(super) fn absent(&self, arg: &Expr, grid: Grid, sink: Sink<'_, 'q>) -> EvalResult<()> {
        let mut present = vec![false; grid.count];
        self.stream(arg, grid, &mut |series| {
            for (step, present) in present.iter_mut().enumerate() {
                *present |= series.column.has(step);
            }
            Ok(())
        })?;
        self.absent_column(arg, present, sink)
    }
}
