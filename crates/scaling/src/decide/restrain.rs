//! What holds a move back: modes and guards, cooldowns, rate limits.

use super::{Reason, State};
use crate::policy::{Amount, Direction, Limit, Mode, Policy, Select};

/// The part of the move from `reference` to `wanted` that is allowed, and what cut it.
pub(super) fn restrained(
    policy: &Policy,
    state: &State,
    wanted: u32,
    reference: u32,
    modes: &[Mode],
    now_ms: i64,
) -> (u32, Option<Reason>) {
    if wanted == reference {
        return (reference, None);
    }
    let growing = wanted > reference;
    if let Some(reason) = paused(modes, growing).or_else(|| cooling(policy, state, growing, now_ms)) {
        return (reference, Some(reason));
    }
    let direction = if growing { &policy.scale_out } else { &policy.scale_in };
    let allowed = match bound(direction, state, reference, growing, now_ms) {
        Some(bound) if growing => wanted.min(bound.max(reference)),
        Some(bound) => wanted.max(bound.min(reference)),
        None => wanted,
    };
    (allowed, (allowed != wanted).then_some(Reason::RateLimited))
}

fn paused(modes: &[Mode], growing: bool) -> Option<Reason> {
    modes.iter().find_map(|mode| match mode {
        Mode::Paused => Some(Reason::Paused),
        Mode::PausedIn if !growing => Some(Reason::PausedIn),
        Mode::PausedOut if growing => Some(Reason::PausedOut),
        _ => None,
    })
}

/// Growing waits for the last growth; shrinking for the last move of either kind.
fn cooling(policy: &Policy, state: &State, growing: bool, now_ms: i64) -> Option<Reason> {
    let recent =
        |at_ms: Option<i64>, cooldown_ms: i64| at_ms.is_some_and(|at_ms| now_ms - at_ms < cooldown_ms);
    if growing {
        return recent(state.last_out_ms, policy.scale_out.cooldown_ms).then_some(Reason::CooldownOut);
    }
    let last = state.last_in_ms.max(state.last_out_ms);
    recent(last, policy.scale_in.cooldown_ms).then_some(Reason::CooldownIn)
}

/// The furthest size that the limits allow, `None` when there are none.
fn bound(direction: &Direction, state: &State, reference: u32, growing: bool, now_ms: i64) -> Option<u32> {
    if direction.select == Select::Disabled {
        return Some(reference);
    }
    let bounds = direction.limits.iter().map(|limit| limit_bound(limit, state, reference, growing, now_ms));
    // The limit that allows most is the largest bound when growing, the smallest when shrinking.
    let furthest_is_largest = growing == (direction.select == Select::Max);
    if furthest_is_largest { bounds.max() } else { bounds.min() }
}

/// What one limit allows, counted from the size at the start of its period.
fn limit_bound(limit: &Limit, state: &State, reference: u32, growing: bool, now_ms: i64) -> u32 {
    let changed = state.changed_since(now_ms - limit.period_ms, growing);
    let start = if growing { reference.saturating_sub(changed) } else { reference.saturating_add(changed) };
    let change = match limit.amount {
        Amount::Count(count) => u32::try_from(count).unwrap_or(0),
        // At least one, or a small target could never move.
        Amount::Percent(percent) if growing => (f64::from(start) * percent / 100.0).ceil().max(1.0) as u32,
        Amount::Percent(percent) => (f64::from(start) * percent / 100.0).floor().max(1.0) as u32,
    };
    if growing { start.saturating_add(change) } else { start.saturating_sub(change) }
}
