//! Sums and means of many histograms.

use super::{Incompatible, add, divide};
use model::{Histogram, ResetHint};
use std::sync::Arc;

/// Adds histograms up and remembers what was remarkable.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramTotal {
    sum: Option<Arc<Histogram>>,
    count: f64,
    saw_reset: bool,
    saw_not_reset: bool,
    pub(crate) reconciled: bool,
    pub(crate) incompatible: bool,
}

impl HistogramTotal {
    pub(crate) fn add(&mut self, histogram: &Arc<Histogram>) {
        self.count += 1.0;
        self.saw_reset |= histogram.reset_hint == ResetHint::Reset;
        self.saw_not_reset |= histogram.reset_hint == ResetHint::NotReset;
        self.sum = match self.sum.take() {
            None => Some(histogram.clone()),
            Some(sum) => match add(&sum, histogram) {
                Ok(combined) => {
                    self.reconciled |= combined.reconciled;
                    Some(Arc::new(combined.histogram))
                }
                Err(Incompatible) => {
                    self.incompatible = true;
                    Some(sum)
                }
            },
        };
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sum.is_none()
    }

    /// Whether some histograms followed a reset and others surely did not.
    pub(crate) fn hints_conflict(&self) -> bool {
        self.saw_reset && self.saw_not_reset
    }

    /// The sum; `None` when there is none.
    pub(crate) fn sum(&self) -> Option<Arc<Histogram>> {
        self.sum.clone().filter(|_| !self.incompatible)
    }

    /// The mean; `None` when there is none.
    pub(crate) fn mean(&self) -> Option<Arc<Histogram>> {
        Some(Arc::new(divide(self.sum()?.as_ref(), self.count)))
    }
}
