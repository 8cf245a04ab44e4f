//! Rows of a scan that come by their shape, for a collector: what is known of each shape, and rows that
//! need their line after all.

use super::collect::{Collector, Direct};
use crate::{EvalError, pipeline::JsonPlan};
use std::ops::ControlFlow;
use store::{LogScan, QueryContext, Row, RowSink, Shape, ShapeSink, Shaped, ShapedRow, WantedValues};

/// Reads one unit into the collector.
pub(super) fn read(
    index: usize,
    scan: &dyn LogScan,
    context: &QueryContext,
    collector: &mut Collector<'_>,
) -> Result<(), EvalError> {
    let mut shapes = Shapes { collector, plans: Vec::new(), failed: Ok(()) };
    scan.read_shaped(index, context, &mut shapes)?;
    shapes.failed
}

struct Shapes<'c, 'a> {
    collector: &'c mut Collector<'a>,
    plans: Vec<(JsonPlan, Option<Direct>)>,
    failed: Result<(), EvalError>,
}

impl RowSink for Shapes<'_, '_> {
    fn row(&mut self, row: Row<'_>) -> ControlFlow<()> {
        self.failed = self.collector.row(row);
        if self.failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

impl ShapeSink for Shapes<'_, '_> {
    fn shape(&mut self, shape: Shape<'_>) -> Option<WantedValues> {
        let extraction = self.collector.extraction();
        let plan = extraction.pipeline.plan(shape.texts).filter(|_| extraction.takes_shapes())?;
        let wanted = WantedValues { shape: self.plans.len(), places: plan.places.clone() };
        let direct = extraction.direct(&plan);
        self.plans.push((plan, direct));
        Some(wanted)
    }

    fn shaped(&mut self, shape: usize, row: ShapedRow<'_>) -> Shaped {
        let Some((plan, direct)) = self.plans.get_mut(shape) else { return Shaped::WantsLine };
        if let Some(direct) = direct {
            match self.collector.direct(direct, plan, &row) {
                Ok(true) => return Shaped::Taken,
                Ok(false) => {}
                Err(error) => {
                    self.failed = Err(error);
                    return Shaped::Break;
                }
            }
        }
        match self.collector.shaped(plan, &row) {
            Ok(true) => Shaped::Taken,
            Ok(false) => Shaped::WantsLine,
            Err(error) => {
                self.failed = Err(error);
                Shaped::Break
            }
        }
    }
}
