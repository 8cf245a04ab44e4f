//! Alerts that begin and end again and again: told once that they do, instead of each time.
//!
//! An alert flaps when it has begun [`BEGINS`] times within [`WINDOW_MS`], and has calmed down when
//! the last change is [`QUIET_MS`] ago. Where the configuration asks for it, the end of one that
//! flaps is held back until it has been quiet for that long.
//!
//! Bounds: [`ALERTS_MAX`] alerts are watched; those that have been quiet make room.

use crate::alert::Fingerprint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// So many beginnings...
pub(super) const BEGINS: usize = 4;
/// ...within so long.
const WINDOW_MS: i64 = 3_600_000;
/// Without a change for so long, an alert has calmed down.
const QUIET_MS: i64 = 30 * 60_000;
const ALERTS_MAX: usize = 100_000;
/// By so much a clock that is kept right may be set back.
const CLOCK_STEP_MS: i64 = 1_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Flapping {
    /// When each alert began, lately.
    begins: BTreeMap<Fingerprint, VecDeque<i64>>,
    /// When each alert that flaps changed last.
    flapping: BTreeMap<Fingerprint, i64>,
}

impl Flapping {
    /// Notes a change; true when the alert flaps from now on.
    pub(crate) fn changed(&mut self, alert: Fingerprint, fires: bool, now_ms: i64) -> bool {
        if let Some(last) = self.flapping.get_mut(&alert) {
            *last = now_ms;
            return false;
        }
        if !fires || !self.begins.contains_key(&alert) && self.begins.len() >= ALERTS_MAX {
            return false;
        }
        let begins = self.begins.entry(alert).or_default();
        begins.push_back(now_ms);
        begins.retain(|at| now_ms - at <= WINDOW_MS);
        if begins.len() < BEGINS {
            return false;
        }
        self.begins.remove(&alert);
        self.flapping.insert(alert, now_ms);
        true
    }

    /// Whether the end of an alert is not told yet: it flaps, and has not been over for `hold_ms`.
    pub(crate) fn holds_back(&self, alert: Fingerprint, hold_ms: i64, now_ms: i64) -> bool {
        // A change that lies ahead was before the clock was set back, not only put right.
        let is_recent = |last: &i64| (-CLOCK_STEP_MS..hold_ms).contains(&(now_ms - last));
        hold_ms > 0 && self.flapping.get(&alert).is_some_and(is_recent)
    }

    /// Alerts that have calmed down, which are forgotten.
    pub(crate) fn settle(&mut self, now_ms: i64) -> BTreeSet<Fingerprint> {
        self.begins.retain(|_, begins| begins.back().is_some_and(|at| now_ms - at <= WINDOW_MS));
        let calm: BTreeSet<_> = self
            .flapping
            .iter()
            .filter(|(_, last)| now_ms - **last >= QUIET_MS)
            .map(|(alert, _)| *alert)
            .collect();
        self.flapping.retain(|alert, _| !calm.contains(alert));
        calm
    }

    pub(crate) fn len(&self) -> usize {
        self.flapping.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    #[test]
    fn four_beginnings_in_an_hour_are_flapping() {
        let alert = Fingerprint(1);
        let mut flapping = Flapping::default();
        for (minute, fires, expected) in [
            (0, true, false),
            (5, false, false),
            (10, true, false),
            (62, true, false),
            (65, true, false),
            (68, true, true),
            (70, false, false),
        ] {
            assert_eq!(flapping.changed(alert, fires, minute * MINUTE), expected, "minute {minute}");
        }
        assert!(flapping.holds_back(alert, 10 * MINUTE, 79 * MINUTE));
        assert!(
            !flapping.holds_back(alert, 10 * MINUTE, 80 * MINUTE)
                && !flapping.holds_back(alert, 0, 71 * MINUTE)
        );
        assert!(!flapping.holds_back(alert, 10 * MINUTE, 9 * MINUTE), "the clock was set back");
        assert!(flapping.settle(99 * MINUTE).is_empty());
        assert_eq!(flapping.settle(100 * MINUTE), BTreeSet::from([alert]));
        assert_eq!(flapping.len(), 0);
    }
}
