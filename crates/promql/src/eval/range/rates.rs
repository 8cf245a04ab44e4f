//! `rate`, `increase` and `delta` of plain series, at all steps at once.
//!
//! Which samples a window holds, and how far they are extended to its edges, depends on their times
//! alone. Neighbouring series mostly have the same times, those of one target, so both are worked out
//! once for all of them ([`Plan`]). What is left for a series is one look at each sample, to find a
//! counter's resets, and a few operations for each step.

use super::{
    super::{
        EvalResult, Evaluator, Grid,
        column::{Charge, Column},
        window::{CHECK_STEPS, RangeSeries, WindowSpec},
    },
    rate::{Interval, Kind},
    regular::Regular,
};

/// Windows over samples of certain times, those of two samples or more. One function over one range uses
/// it, so that what is known of a window holds for all series.
#[derive(Default)]
pub(super) struct Plan<'q> {
    times: Vec<i64>,
    windows: Vec<Planned>,
    known: Known,
    held: Option<Charge<'q>>,
}

struct Planned {
    step: u32,
    /// First and last sample.
    first: u32,
    last: u32,
    stretch: Stretch,
}

/// How far the samples of a window reach; see [`Interval`].
#[derive(Clone, Copy, Default)]
struct Stretch {
    sampled: f64,
    reach_back: f64,
    /// From the change between the samples to the result, unless the counter was zero in the window.
    factor: f64,
}

impl Stretch {
    /// Whether the series' line back from the first sample meets zero before the window's edge.
    fn passes_zero(&self, kind: Kind, first: f64, change: f64) -> bool {
        let is_rising = kind.is_counter & (change > 0.0) & (first >= 0.0);
        is_rising & (self.sampled * (first / change) < self.reach_back)
    }
}

/// What a [`Stretch`] follows from: where first and last sample lie in a window of some length.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    before_ms: i64,
    after_ms: i64,
    samples: usize,
    length_ms: i64,
    resolution_ms: i64,
}

/// Stretches of the last windows: where samples are as regular as steps, few of them come again and
/// again.
struct Known(Box<[(Place, Stretch); 1 << KNOWN_BITS]>);

/// So many that the handful of a series rarely meet in one slot.
const KNOWN_BITS: u32 = 6;

impl Default for Known {
    fn default() -> Self {
        Known(Box::new([Default::default(); 1 << KNOWN_BITS]))
    }
}

impl Known {
    fn get(&mut self, place: Place, find: impl FnOnce() -> Stretch) -> Stretch {
        let spread = (place.before_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = &mut self.0[(spread >> (u64::BITS - KNOWN_BITS)) as usize];
        // No window without samples is asked for, so an empty slot is not taken for one.
        if slot.0 != place {
            *slot = (place, find());
        }
        slot.1
    }
}

/// Whether all samples are floats with nothing that tells where counters began, as most series.
pub(super) fn is_plain(series: &RangeSeries<'_>) -> bool {
    series.samples.histograms.is_empty()
        && series.samples.starts_ms.is_empty()
        && series.spec.extension.is_none()
}

impl<'q> Evaluator<'q> {
    /// As [`super::rate::rate`] and its kin for every step of a plain series. `plan` is that of the
    /// series before, or empty.
    pub(super) fn fill_rates(
        &self,
        series: &RangeSeries<'_>,
        grid: Grid,
        kind: Kind,
        plan: &mut Plan<'q>,
        column: &mut Column<'_>,
    ) -> EvalResult<()> {
        let (times, values) = (&series.samples.timestamps_ms, series.samples.values.as_slice());
        let resets = if kind.is_counter { resets_of(values) } else { Vec::new() };
        if resets.is_empty()
            && let Some(regular) = Regular::of(times, series.spec, grid)
        {
            return self.fill_regular(series, grid, kind, regular, column);
        }
        if plan.times != *times {
            self.plan_rates(series, grid, kind, plan)?;
        }
        let mut next_reset = 0;
        for windows in plan.windows.chunks(CHECK_STEPS) {
            self.context.check()?;
            for window in windows {
                let (first, last) = (window.first as usize, window.last as usize);
                let mut change = values[last] - values[first];
                if !resets.is_empty() {
                    // A reset at the first sample of the window happened before it.
                    while resets.get(next_reset).is_some_and(|reset| *reset <= first) {
                        next_reset += 1;
                    }
                    let inside = resets[next_reset..].iter().take_while(|reset| **reset <= last);
                    inside.for_each(|reset| change += values[reset - 1]);
                }
                let mut factor = window.stretch.factor;
                if window.stretch.passes_zero(kind, values[first], change) {
                    let times = &times[first..=last];
                    factor = since_zero(
                        times,
                        series.spec,
                        grid,
                        kind,
                        window.step as usize,
                        values[first] / change,
                    );
                }
                column.floats[window.step as usize] = change * factor;
            }
        }
        Ok(())
    }

    /// [`Evaluator::fill_rates`] of a series without resets.
    fn fill_regular(
        &self,
        series: &RangeSeries<'_>,
        grid: Grid,
        kind: Kind,
        regular: Regular,
        column: &mut Column<'_>,
    ) -> EvalResult<()> {
        let (times, values) = (series.samples.timestamps_ms.as_slice(), series.samples.values.as_slice());
        let alone = |step: usize, floats: &mut [f64]| {
            let (first, end) = regular.window(step);
            if end - first >= 2 {
                let stretch = stretch(&times[first..end], series.spec, grid, kind, step);
                let change = values[end - 1] - values[first];
                let mut factor = stretch.factor;
                if stretch.passes_zero(kind, values[first], change) {
                    factor =
                        since_zero(&times[first..end], series.spec, grid, kind, step, values[first] / change);
                }
                floats[step] = change * factor;
            }
        };
        for step in 0..regular.classes {
            self.context.check()?;
            let class = regular.class(step, grid.count);
            let floats = &mut column.floats;
            let behind = class.step + class.windows * regular.classes;
            (step..class.step).step_by(regular.classes).for_each(|step| alone(step, floats));
            (behind..grid.count).step_by(regular.classes).for_each(|step| alone(step, floats));
            if class.windows == 0 || class.end - class.first < 2 {
                continue;
            }
            let stretch = stretch(&times[class.first..class.end], series.spec, grid, kind, class.step);
            let (firsts, lasts) = (&values[class.first..], &values[class.end - 1..]);
            let places = &mut floats[class.step..];
            let mut passes_zero = false;
            for window in 0..class.windows {
                let first = firsts[window * class.stride];
                let change = lasts[window * class.stride] - first;
                passes_zero |= stretch.passes_zero(kind, first, change);
                places[window * regular.classes] = change * stretch.factor;
            }
            if passes_zero {
                (class.step..behind).step_by(regular.classes).for_each(|step| alone(step, floats));
            }
        }
        Ok(())
    }

    fn plan_rates(
        &self,
        series: &RangeSeries<'_>,
        grid: Grid,
        kind: Kind,
        plan: &mut Plan<'q>,
    ) -> EvalResult<()> {
        let times = &series.samples.timestamps_ms;
        plan.windows.clear();
        plan.times.clone_from(times);
        let (mut first, mut end) = (0, 0);
        for step in 0..grid.count {
            if step % CHECK_STEPS == 0 {
                self.context.check()?;
                self.hold(plan)?;
            }
            let bounds = series.spec.bounds(grid, step);
            while first < times.len() && times[first] <= bounds.from_ms {
                first += 1;
            }
            end = end.max(first);
            while end < times.len() && times[end] <= bounds.to_ms {
                end += 1;
            }
            if end - first < 2 {
                continue;
            }
            let place = Place {
                before_ms: times[first] - bounds.from_ms,
                after_ms: bounds.to_ms - times[end - 1],
                samples: end - first,
                length_ms: series.spec.length_ms(step),
                resolution_ms: series.spec.resolution_ms(step),
            };
            let stretch =
                plan.known.get(place, || stretch(&times[first..end], series.spec, grid, kind, step));
            plan.windows.push(Planned {
                step: step as u32,
                first: first as u32,
                last: end as u32 - 1,
                stretch,
            });
        }
        self.hold(plan)
    }

    /// Charges what a plan takes, which keeps its room from series to series.
    fn hold(&self, plan: &mut Plan<'q>) -> EvalResult<()> {
        let bytes = plan.times.capacity() * size_of::<i64>() + plan.windows.capacity() * size_of::<Planned>();
        let held = match &mut plan.held {
            Some(held) => held,
            None => plan.held.insert(Charge::new(self.context, 0, 0)?),
        };
        held.raise(0, bytes)
    }
}

/// The stretch of a window with samples at these times, unless the counter was zero in it.
fn stretch(times: &[i64], spec: &WindowSpec, grid: Grid, kind: Kind, step: usize) -> Stretch {
    let interval = Interval::new(times, spec.bounds(grid, step), spec.resolution_ms(step));
    let factor = kind.scaled(interval.extended(None), spec.length_ms(step), spec.range_ms);
    Stretch { sampled: interval.sampled, reach_back: interval.reach_back(), factor }
}

/// From the change to the result, where the counter was zero in the window; `zero_share` as
/// [`Interval::extended`] wants it.
fn since_zero(times: &[i64], spec: &WindowSpec, grid: Grid, kind: Kind, step: usize, zero_share: f64) -> f64 {
    let interval = Interval::new(times, spec.bounds(grid, step), spec.resolution_ms(step));
    kind.scaled(interval.extended(Some(zero_share)), spec.length_ms(step), spec.range_ms)
}

/// The samples that are lower than the one before.
fn resets_of(values: &[f64]) -> Vec<usize> {
    let is_reset = |pair: &[f64]| pair[1] < pair[0];
    // Most series have none; without a way out, many pairs are looked at in one go.
    if !values.windows(2).fold(false, |has_resets, pair| has_resets | is_reset(pair)) {
        return Vec::new();
    }
    values.windows(2).enumerate().filter(|(_, pair)| is_reset(pair)).map(|(before, _)| before + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{
        EvalOptions,
        range::{RangeFunction, rate},
        window::Remarks,
    };
    use model::{Labels, Samples, Value};
    use proptest::prelude::*;
    use store::{MemMetricStore, QueryContext};

    /// Several series in a row, some with the times of the one before.
    fn series() -> impl Strategy<Value = Vec<Samples>> {
        let irregular = prop::collection::vec(prop_oneof![Just(15_000), Just(15_000), 1i64..200_000], 1..60);
        let gap = prop_oneof![Just(15_000), Just(60_000), Just(10_000), 1i64..50_000];
        let regular = (gap, 1usize..60).prop_map(|(gap, count)| vec![gap; count]);
        let gaps = prop_oneof![irregular, regular];
        let value =
            prop_oneof![0.0..50.0, -5.0..5.0, Just(0.0), Just(1e6), Just(f64::NAN), Just(f64::INFINITY)];
        let mixed = prop::collection::vec(value, 60);
        // A counter that never goes back and mostly stands still, from zero or from elsewhere.
        let growth = prop::collection::vec(prop_oneof![Just(0.0), 0.0..3.0], 60);
        let counter = (prop_oneof![Just(0.0), Just(5.0)], growth).prop_map(|(first, growth)| {
            let sum = |at: &mut f64, growth: f64| {
                *at += growth;
                Some(*at)
            };
            growth.into_iter().scan(first, sum).collect()
        });
        let one = (any::<bool>(), gaps, prop_oneof![mixed, counter]);
        prop::collection::vec(one, 1..6).prop_map(|all| {
            let mut times = Vec::new();
            all.into_iter()
                .map(|(is_new, gaps, values)| {
                    if is_new || times.is_empty() {
                        times = gaps
                            .iter()
                            .scan(0, |at, gap| {
                                *at += gap;
                                Some(*at)
                            })
                            .collect();
                    }
                    let mut samples = Samples::default();
                    let pairs = times.iter().zip(values);
                    pairs.for_each(|(at, value)| samples.push(*at, 0, &Value::Float(value)));
                    samples
                })
                .collect()
        })
    }

    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![5_000i64..90_000, Just(5_000), Just(15_000), Just(45_000), Just(60_000)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn planned_rates_are_those_of_each_window(all in series(), range_ms in 10_000i64..400_000, step_ms in step(), start_ms in -50_000i64..700_000) {
            let (store, context, options) = (MemMetricStore::new(), QueryContext::default(), EvalOptions::default());
            let grid = Grid::range(start_ms, 1_000_000, step_ms);
            let evaluator = Evaluator::new(grid, grid.time_ms(grid.count - 1), true, &store, &options, &context);
            let spec = evaluator.subquery_spec(range_ms, 0, None);
            let labels = Labels::empty();
            let functions: [(&str, RangeFunction); 3] =
                [("rate", rate::rate), ("increase", rate::increase), ("delta", rate::delta)];
            for (name, function) in functions {
                let mut plan = Plan::default();
                for samples in &all {
                    let series = RangeSeries { labels: &labels, drop_name: false, samples, spec: &spec };
                    let remarks = Remarks { evaluator: &evaluator, position: Default::default(), metric_name: "" };
                    let expected = evaluator.window_column(&series, grid, &remarks, function).unwrap();
                    let mut found = Column::absent(grid.count, &context).unwrap();
                    let kind = Kind::of(name).unwrap();
                    evaluator.fill_rates(&series, grid, kind, &mut plan, &mut found).unwrap();
                    for step in 0..grid.count {
                        let (found, expected) = (found.floats[step], expected.floats[step]);
                        let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan()
                            && model::is_stale(found) == model::is_stale(expected);
                        prop_assert!(same, "{name} at step {step}: {found}, not {expected}");
                    }
                }
            }
        }
    }
}
