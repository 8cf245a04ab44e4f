//! Which parts a selection reads: all raw ones, and of one tier what raw parts no longer hold.
//!
//! The tier is the coarsest whose buckets are no longer than the query's step, or the finest when
//! all are longer. Where it does not go back far enough, the next coarser one goes on, and behind the
//! coarsest a finer one, which may have been wanted for longer.

use super::RESOLUTIONS;
use crate::{part::Part, store_impl::View};
use model::TimeRange;
use store::Aggregate;

/// A part, and what of it a selection sees.
#[derive(Clone)]
pub(crate) struct PlannedPart {
    pub(crate) part: Part,
    pub(crate) range: TimeRange,
    /// Its samples are as they were written.
    pub(crate) is_raw: bool,
}

/// A tier and what is read of it.
type Stretch = (usize, TimeRange);

/// Parts for a selection of `range`, which the raw retention has cut to `raw`. `oldest_ms` are the
/// oldest instants that the tiers show.
pub(crate) fn plan(
    view: &View,
    (raw, range): (TimeRange, TimeRange),
    oldest_ms: [i64; RESOLUTIONS.len()],
    step_ms: i64,
    aggregate: Aggregate,
) -> Vec<PlannedPart> {
    let mut planned = Vec::new();
    let mut add = |parts: &[Part], range: TimeRange, is_raw: bool| {
        let overlapping = parts.iter().filter(|part| part.time_range().overlaps(&range)).cloned();
        planned.extend(overlapping.map(|part| PlannedPart { part, range, is_raw }));
    };
    if raw.start <= raw.end {
        add(&view.parts, raw, true);
    }
    for (tier, range) in stretches(view, range, oldest_ms, step_ms) {
        add(view.tiers.of(tier, aggregate), range, false);
    }
    planned
}

/// The coarsest resolution that a selection of this range and step reads, 0 for raw samples only.
pub(crate) fn resolution_of(
    view: &View,
    range: TimeRange,
    oldest_ms: [i64; RESOLUTIONS.len()],
    step_ms: i64,
) -> i64 {
    let read = stretches(view, range, oldest_ms, step_ms);
    read.iter().map(|(tier, _)| RESOLUTIONS[*tier].1).max().unwrap_or(0)
}

fn stretches(
    view: &View,
    range: TimeRange,
    oldest_ms: [i64; RESOLUTIONS.len()],
    step_ms: i64,
) -> Vec<Stretch> {
    let fits = |tier: &usize| RESOLUTIONS[*tier].1 <= step_ms;
    let first = (0..RESOLUTIONS.len()).rev().find(fits).unwrap_or(0);
    let mut stretches = Vec::new();
    let mut end = range.end;
    // What is coarser than asked for is better than nothing, and so is what is finer.
    for tier in (first..RESOLUTIONS.len()).chain((0..first).rev()) {
        let shown = TimeRange::new(range.start.max(oldest_ms[tier]), end);
        let parts = view.tiers.of(tier, Aggregate::Last);
        let is_there =
            shown.start <= shown.end && parts.iter().any(|part| part.time_range().overlaps(&shown));
        if is_there {
            stretches.push((tier, shown));
        }
        let Some(first_ms) = parts.iter().map(|part| part.time_range().start).min() else { continue };
        // A bucket stands at its last sample; what else is in it must not be counted again.
        let resolution_ms = RESOLUTIONS[tier].1;
        let bucket = first_ms.max(oldest_ms[tier]).div_euclid(resolution_ms);
        let start_ms = bucket.saturating_mul(resolution_ms);
        end = end.min(start_ms.saturating_sub(1));
    }
    stretches
}
