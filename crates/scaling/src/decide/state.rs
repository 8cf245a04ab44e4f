//! What a policy remembers from decision to decision. It survives restarts.
//!
//! Bounds: [`RECOMMENDATIONS_MAX`] recommendations and [`MOVES_MAX`] moves.

use super::SETTLE_MS;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const RECOMMENDATIONS_MAX: usize = 10_000;
const MOVES_MAX: usize = 1_000;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Number of the last delivery.
    pub sequence: u64,
    /// What was recommended, and when.
    recommendations: VecDeque<(i64, u32)>,
    /// Moves: when, from, to.
    moves: VecDeque<(i64, u32, u32)>,
    /// Since when there has been a recommendation without a gap.
    watching_since_ms: Option<i64>,
    /// The last growth.
    pub last_out_ms: Option<i64>,
    /// The last shrinking.
    pub last_in_ms: Option<i64>,
    /// Since when no check has had data.
    pub no_data_since_ms: Option<i64>,
    /// Changes of direction so far; many are a sign of thrashing.
    pub direction_changes: u64,
}

impl State {
    /// The size last asked for while the target may still be getting there, else the measured one.
    pub(super) fn reference(&self, current: u32, now_ms: i64) -> u32 {
        match self.moves.back() {
            Some((at_ms, _, to)) if now_ms - at_ms < SETTLE_MS => *to,
            _ => current,
        }
    }

    /// Notes that nothing could be judged, so that a window does not count as watched.
    pub(super) fn interrupted(&mut self, _now_ms: i64) {
        self.watching_since_ms = None;
    }

    pub(super) fn recommend(&mut self, size: u32, window_ms: i64, gap_ms: i64, now_ms: i64) {
        let last_ms = self.recommendations.back().map(|(at_ms, _)| *at_ms);
        let continues = last_ms.is_some_and(|last_ms| now_ms - last_ms <= gap_ms);
        if !continues {
            self.watching_since_ms = None;
        }
        self.watching_since_ms.get_or_insert(now_ms);
        self.recommendations.push_back((now_ms, size));
        let is_old = |(at_ms, _): &(i64, u32)| *at_ms < now_ms - window_ms;
        while self.recommendations.len() > RECOMMENDATIONS_MAX
            || self.recommendations.front().is_some_and(is_old)
        {
            self.recommendations.pop_front();
        }
    }

    pub(super) fn recommendations_since(&self, since_ms: i64) -> impl Iterator<Item = u32> {
        self.recommendations.iter().filter(move |(at_ms, _)| *at_ms >= since_ms).map(|(_, size)| *size)
    }

    pub(super) fn watched_ms(&self, now_ms: i64) -> i64 {
        self.watching_since_ms.map_or(0, |since_ms| now_ms - since_ms)
    }

    /// How much was added (or taken) by moves after `since_ms`.
    pub(super) fn changed_since(&self, since_ms: i64, growing: bool) -> u32 {
        let same_way =
            self.moves.iter().filter(|(at_ms, from, to)| *at_ms > since_ms && (to > from) == growing);
        same_way.map(|(_, from, to)| from.abs_diff(*to)).fold(0, u32::saturating_add)
    }

    pub(super) fn moved(&mut self, from: u32, to: u32, now_ms: i64) {
        let growing = to > from;
        if self.moves.back().is_some_and(|(_, before, after)| (after > before) != growing) {
            self.direction_changes += 1;
        }
        self.moves.push_back((now_ms, from, to));
        if self.moves.len() > MOVES_MAX {
            self.moves.pop_front();
        }
        if growing {
            self.last_out_ms = Some(now_ms);
        } else {
            self.last_in_ms = Some(now_ms);
        }
        self.sequence += 1;
    }
}
