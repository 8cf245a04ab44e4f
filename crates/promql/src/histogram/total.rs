//! Sums and means of many histograms, with compensated summation in every bucket.
//!
//! A mean is a sum until that would overflow; from then on it is kept as a mean.

use super::{combine::align, dense, divide, merge_hints, scale, sparse};
use crate::kahan;
use model::{Buckets, Histogram, ResetHint};
use std::sync::Arc;

/// Adds histograms up and remembers what was remarkable.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistogramTotal {
    /// The sum, or the mean once it is kept as one.
    sum: Option<Arc<Histogram>>,
    /// What rounding has lost of `sum`, in the same layout.
    rest: Histogram,
    count: f64,
    /// Whether the mean is wanted.
    is_mean: bool,
    is_incremental: bool,
    saw_reset: bool,
    saw_not_reset: bool,
    pub(crate) reconciled: bool,
    pub(crate) incompatible: bool,
}

impl HistogramTotal {
    pub(crate) fn new(is_mean: bool) -> Self {
        HistogramTotal { is_mean, ..Self::default() }
    }

    /// Memory that the sum takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.rest.memory_bytes() + self.sum.as_ref().map_or(0, |sum| sum.memory_bytes())
    }

    pub(crate) fn add(&mut self, histogram: &Arc<Histogram>) {
        self.count += 1.0;
        self.saw_reset |= histogram.reset_hint == ResetHint::Reset;
        self.saw_not_reset |= histogram.reset_hint == ResetHint::NotReset;
        let Some(sum) = self.sum.clone() else {
            self.rest = Histogram {
                schema: histogram.schema,
                zero_threshold: histogram.zero_threshold,
                custom_values: histogram.custom_values.clone(),
                ..Histogram::default()
            };
            self.sum = Some(histogram.clone());
            return;
        };
        if self.is_incremental {
            self.add_to_mean(&sum, histogram);
            return;
        }
        let Some((next, rest)) = self.plus(&sum, &self.rest.clone(), histogram) else { return };
        if self.is_mean && overflows(&next) {
            self.is_incremental = true;
            let before = self.count - 1.0;
            self.rest = divide(&self.rest, before);
            self.add_to_mean(&divide(&sum, before), histogram);
            return;
        }
        (self.sum, self.rest) = (Some(Arc::new(next)), rest);
    }

    fn add_to_mean(&mut self, mean: &Histogram, histogram: &Histogram) {
        let share = (self.count - 1.0) / self.count;
        let part = divide(histogram, self.count);
        if let Some((next, rest)) = self.plus(&scale(mean, share), &scale(&self.rest, share), &part) {
            (self.sum, self.rest) = (Some(Arc::new(next)), rest);
        }
    }

    /// `sum + histogram` and what is lost of it.
    fn plus(
        &mut self,
        sum: &Histogram,
        rest: &Histogram,
        histogram: &Histogram,
    ) -> Option<(Histogram, Histogram)> {
        let Ok((mut sum, histogram, reconciled)) = align(sum, histogram) else {
            self.incompatible = true;
            return None;
        };
        self.reconciled |= reconciled;
        let Ok((mut rest, ..)) = align(rest, &sum) else { return None };
        let add = |value: f64, total: &mut f64, lost: &mut f64| {
            (*total, *lost) = kahan::add(value, *total, *lost);
        };
        add(histogram.count, &mut sum.count, &mut rest.count);
        add(histogram.sum, &mut sum.sum, &mut rest.sum);
        add(histogram.zero_count, &mut sum.zero_count, &mut rest.zero_count);
        add_side(&mut sum.positive, &mut rest.positive, &histogram.positive);
        add_side(&mut sum.negative, &mut rest.negative, &histogram.negative);
        sum.reset_hint = merge_hints(sum.reset_hint, histogram.reset_hint).0;
        sum.is_integer = false;
        Some((sum, rest))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sum.is_none()
    }

    /// Whether some histograms followed a reset and others surely did not.
    pub(crate) fn hints_conflict(&self) -> bool {
        self.saw_reset && self.saw_not_reset
    }

    /// The sum or mean; `None` when there is none.
    pub(crate) fn get(&self) -> Option<Arc<Histogram>> {
        let sum = self.sum.as_ref().filter(|_| !self.incompatible)?;
        if self.count == 1.0 {
            return Some(sum.clone());
        }
        let mut total = sum.as_ref().clone();
        let plus = |value: &mut f64, rest: f64| {
            if value.is_finite() {
                *value += rest;
            }
        };
        plus(&mut total.count, self.rest.count);
        plus(&mut total.sum, self.rest.sum);
        plus(&mut total.zero_count, self.rest.zero_count);
        total.positive = with_rest(&total.positive, &self.rest.positive);
        total.negative = with_rest(&total.negative, &self.rest.negative);
        let is_sum_for_mean = self.is_mean && !self.is_incremental;
        Some(Arc::new(if is_sum_for_mean { divide(&total, self.count) } else { total }))
    }
}

/// Adds one side's buckets, each with its compensation.
fn add_side(sum: &mut Buckets, rest: &mut Buckets, added: &Buckets) {
    let at = |list: &[(i32, f64)], index: i32| {
        list.binary_search_by_key(&index, |(index, _)| *index).map_or(0.0, |place| list[place].1)
    };
    let (old, lost, added) = (sparse(sum), sparse(rest), sparse(added));
    let mut indexes: Vec<i32> = old.iter().chain(&lost).chain(&added).map(|(index, _)| *index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let (mut sums, mut rests) = (Vec::with_capacity(indexes.len()), Vec::new());
    for index in indexes {
        let (total, remains) = kahan::add(at(&added, index), at(&old, index), at(&lost, index));
        sums.push((index, total));
        rests.push((index, remains));
    }
    (*sum, *rest) = (dense(&sums), dense(&rests));
}

fn with_rest(sum: &Buckets, rest: &Buckets) -> Buckets {
    let (mut total, mut nothing) = (sum.clone(), Buckets::default());
    add_side(&mut total, &mut nothing, rest);
    total
}

fn overflows(histogram: &Histogram) -> bool {
    let counts = histogram.positive.counts.iter().chain(&histogram.negative.counts);
    let figures = [histogram.count, histogram.sum, histogram.zero_count];
    counts.chain(&figures).any(|value| value.is_infinite())
}
