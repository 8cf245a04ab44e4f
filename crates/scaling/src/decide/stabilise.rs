//! The most cautious recommendation of a window counts: the smallest when growing, the largest
//! when shrinking.

use super::{Reason, State};
use crate::policy::Policy;

/// Notes the recommendation of `now_ms`. A hold is noted as well: it keeps the window from
/// looking quieter than it was.
pub(super) fn prepare(policy: &Policy, state: &mut State, recommended: u32, now_ms: i64) {
    let window_ms = policy.scale_in.stabilization_ms.max(policy.scale_out.stabilization_ms);
    let gap_ms = policy.scale_in.stabilization_ms.max(2 * policy.interval_ms);
    state.recommend(recommended, window_ms, gap_ms, now_ms);
}

/// The size to have by the recommendations of the windows, and what held it.
pub(super) fn stabilised(
    policy: &Policy,
    state: &State,
    recommended: u32,
    reference: u32,
    now_ms: i64,
) -> (u32, Option<Reason>) {
    let limited = |size: u32| (size, (size != recommended).then_some(Reason::Stabilised));
    if recommended > reference {
        let since_ms = now_ms - policy.scale_out.stabilization_ms;
        let lowest = state.recommendations_since(since_ms).min().unwrap_or(recommended);
        return limited(lowest.min(recommended).max(reference));
    }
    if recommended < reference {
        // Right after a start or a gap there is no full window to judge by.
        if state.watched_ms(now_ms) < policy.scale_in.stabilization_ms {
            return (reference, Some(Reason::Stabilised));
        }
        let since_ms = now_ms - policy.scale_in.stabilization_ms;
        let highest = state.recommendations_since(since_ms).max().unwrap_or(reference);
        return limited(highest.max(recommended).min(reference));
    }
    (reference, None)
}
