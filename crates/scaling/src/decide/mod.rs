//! The decision: a pure function of policy, state and inputs.
//!
//! 1. What is there now? Unknown holds; below the floor moves up to it, even without data.
//! 2. Each check proposes a size, abstains, or lacks data ([`checks`]). The highest proposal wins.
//! 3. Without all data nothing shrinks; without any, nothing moves, until the fallback.
//! 4. The most cautious recommendation of a window counts ([`stabilise`]).
//! 5. Modes, guards, cooldowns and rate limits hold moves back ([`restrain`]).
//!
//! The reference of every comparison is the size that was last asked for while the target is
//! still getting there ([`SETTLE_MS`]), else the size that is measured: a slow target does not make
//! us ask twice or take back. In a dry run nothing is asked for, so it is always what is measured, and
//! no decision leaves a move behind for the next one to count from.

mod checks;
mod restrain;
mod stabilise;
mod state;

pub use checks::{CheckOutcome, Measured};
pub use state::State;

use crate::policy::{Mode, Policy};
use checks::Proposal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How long a target may take to become what was asked for.
const SETTLE_MS: i64 = 300_000;

/// What was measured for one decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// When.
    pub now_ms: i64,
    /// The present size.
    pub current: Measured,
    /// One per check, in order.
    pub checks: Vec<Measured>,
    /// Names of alerts that fire.
    pub firing_alerts: BTreeSet<String>,
}

/// Which way a decision moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// More.
    Out,
    /// Fewer.
    In,
    /// As it is.
    None,
}

/// What a decision came from, or what held it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Reason {
    Metric,
    Stabilised,
    RateLimited,
    CooldownOut,
    CooldownIn,
    CurrentUnknown,
    NoDataHold,
    Fallback,
    BelowMin,
    Paused,
    PausedIn,
    PausedOut,
}

impl Reason {
    /// The name in deliveries and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Metric => "metric",
            Reason::Stabilised => "stabilised",
            Reason::RateLimited => "rate_limited",
            Reason::CooldownOut => "cooldown_out",
            Reason::CooldownIn => "cooldown_in",
            Reason::CurrentUnknown => "current_unknown",
            Reason::NoDataHold => "no_data_hold",
            Reason::Fallback => "fallback",
            Reason::BelowMin => "below_min",
            Reason::Paused => "paused",
            Reason::PausedIn => "paused_in",
            Reason::PausedOut => "paused_out",
        }
    }
}

/// What was decided and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When.
    pub at_ms: i64,
    /// Which way.
    pub action: Action,
    /// The measured size, when it is known.
    pub current: Option<u32>,
    /// The size to have; absolute. `None` while the present one is not known.
    pub desired: Option<u32>,
    /// What the checks alone would have.
    pub recommended: Option<u32>,
    /// The floor in force.
    pub min: u32,
    /// The ceiling in force.
    pub max: u32,
    /// Where the size comes from.
    pub reason: Reason,
    /// What kept it from the recommendation.
    pub limited_by: Option<Reason>,
    /// One per check.
    pub checks: Vec<CheckOutcome>,
}

/// Decides, and returns the state that the next decision starts from.
pub fn decide(policy: &Policy, state: &State, inputs: &Inputs) -> (Decision, State) {
    let mut state = state.clone();
    let now_ms = inputs.now_ms;
    let (min, max) = policy.bounds(now_ms);
    let current = checks::size(&inputs.current);
    let hold = Decision {
        at_ms: now_ms,
        action: Action::None,
        current,
        desired: None,
        recommended: None,
        min,
        max,
        reason: Reason::CurrentUnknown,
        limited_by: None,
        checks: Vec::new(),
    };
    let Some(current) = current else {
        state.interrupted(now_ms);
        return (Decision { checks: checks::outcomes(policy, inputs, None), ..hold }, state);
    };
    let is_carried_out = policy.mode != Mode::DryRun;
    let reference = if is_carried_out { state.reference(current, now_ms) } else { current };
    let outcomes = checks::outcomes(policy, inputs, Some((current, reference)));
    let (recommended, reason) = recommend(policy, &mut state, &outcomes, reference, (min, max), now_ms);
    let mut decision = Decision {
        desired: Some(reference),
        recommended: Some(recommended),
        reason,
        checks: outcomes,
        ..hold
    };
    stabilise::prepare(policy, &mut state, recommended, now_ms);
    let (wanted, limited_by) = if reason == Reason::BelowMin {
        (recommended, None)
    } else {
        stabilise::stabilised(policy, &state, recommended, reference, now_ms)
    };
    let modes = modes_in_force(policy, inputs);
    let (desired, restrained_by) = restrain::restrained(policy, &state, wanted, reference, &modes, now_ms);
    decision.limited_by = restrained_by.or(limited_by);
    decision.desired = Some(desired);
    decision.action = match desired.cmp(&reference) {
        std::cmp::Ordering::Greater => Action::Out,
        std::cmp::Ordering::Less => Action::In,
        std::cmp::Ordering::Equal => Action::None,
    };
    if is_carried_out && decision.action != Action::None {
        state.moved(reference, desired, now_ms);
    }
    (decision, state)
}

/// The size that data, or the lack of it, asks for, within bounds.
fn recommend(
    policy: &Policy,
    state: &mut State,
    outcomes: &[CheckOutcome],
    reference: u32,
    (min, max): (u32, u32),
    now_ms: i64,
) -> (u32, Reason) {
    let missing = outcomes.iter().any(|outcome| matches!(outcome.proposal, Proposal::NoData));
    let failed = policy
        .checks
        .iter()
        .zip(outcomes)
        .any(|(check, outcome)| check.fail_on_no_data && matches!(outcome.proposal, Proposal::NoData));
    let highest = outcomes.iter().filter_map(CheckOutcome::proposed).max();
    let none_usable = outcomes.iter().all(|outcome| matches!(outcome.proposal, Proposal::NoData));
    if none_usable || failed {
        let since_ms = *state.no_data_since_ms.get_or_insert(now_ms);
        if reference < min {
            return (min, Reason::BelowMin);
        }
        let fallback = policy.fallback.filter(|fallback| now_ms - since_ms >= fallback.after_ms);
        return match fallback {
            Some(fallback) => (reference.max(fallback.replicas.min(max)), Reason::Fallback),
            None => (reference, Reason::NoDataHold),
        };
    }
    state.no_data_since_ms = None;
    // When every check abstains, the size stays.
    let mut raw = highest.unwrap_or(reference);
    let mut reason = Reason::Metric;
    if missing && raw < reference {
        raw = reference;
        reason = Reason::NoDataHold;
    }
    if missing && reference > max {
        return (reference, Reason::NoDataHold);
    }
    if reference < min && raw <= min {
        return (min, Reason::BelowMin);
    }
    (raw.clamp(min, max), reason)
}

/// The policy's mode and those of guards whose alert fires.
fn modes_in_force(policy: &Policy, inputs: &Inputs) -> Vec<Mode> {
    let guards = policy.guards.iter().filter(|guard| inputs.firing_alerts.contains(&guard.alert));
    std::iter::once(policy.mode).chain(guards.map(|guard| guard.effect)).collect()
}

#[cfg(test)]
mod tests;
