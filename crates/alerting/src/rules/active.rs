//! The state machine of one alerting rule, as Prometheus defines it.
//!
//! | event | effect |
//! |---|---|
//! | an element appears | pending; firing once `for` has passed since (at once when it is 0) |
//! | it is there again | value and annotations are refreshed |
//! | it goes while pending | forgotten |
//! | it goes while firing | goes on firing for `keep_firing_for`, then resolved |
//! | resolved | kept for [`RESOLVED_KEPT_MS`]; an element that comes back is pending anew |
//!
//! The table moves only by [`ActiveAlerts::step`], which is called with the result of a query that
//! succeeded: a failing query leaves everything as it is.

use crate::{Annotations, stored};
use model::{Labels, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long a resolved alert is kept and told, so that a receiver that was away hears of it.
pub const RESOLVED_KEPT_MS: i64 = 15 * 60_000;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Resolved, kept for a while.
    Inactive,
    /// There, but not yet for long enough.
    Pending,
    /// Told.
    Firing,
}

impl AlertState {
    /// The name in the API and in `alertstate`.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertState::Inactive => "inactive",
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
        }
    }
}

/// One alert of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlert {
    /// Identity, `alertname` included.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// Expanded annotations.
    pub annotations: Annotations,
    /// Where it stands.
    pub state: AlertState,
    /// The element's last value.
    #[serde(with = "stored::value")]
    pub value: Value,
    /// When the element appeared.
    pub active_at_ms: i64,
    /// When it began to fire.
    pub fired_at_ms: Option<i64>,
    /// When it was resolved.
    pub resolved_at_ms: Option<i64>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since_ms: Option<i64>,
    /// When its beginning, or its end once it is resolved, was last handed on.
    pub last_sent_ms: Option<i64>,
    /// The element that it stands for: a hash of its labels.
    #[serde(default)]
    pub element: u64,
    /// Since when it is only kept because its data is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_since_ms: Option<i64>,
}

impl ActiveAlert {
    /// Whether the alert must be handed on at `now_ms`: at a change at once, then as a reminder.
    pub fn needs_sending(&self, now_ms: i64, resend_delay_ms: i64) -> bool {
        match (self.state, self.last_sent_ms) {
            (AlertState::Pending, _) => false,
            (_, None) => true,
            // One that was sent in the future was sent before the clock was set back.
            (_, Some(sent)) => sent + resend_delay_ms < now_ms || sent > now_ms,
        }
    }

    /// Whether its beginning was told and its end was not: also of one that a longer `for` has made
    /// pending again.
    pub(crate) fn is_open(&self) -> bool {
        match self.state {
            AlertState::Firing => true,
            AlertState::Pending => self.last_sent_ms.is_some(),
            AlertState::Inactive => false,
        }
    }

    /// Ends it. The end has not been sent.
    pub(crate) fn resolve(&mut self, now_ms: i64) {
        self.state = AlertState::Inactive;
        self.resolved_at_ms = Some(now_ms);
        self.last_sent_ms = None;
    }
}

/// An element of a rule's result, with its labels and annotations expanded.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The alert's identity.
    pub labels: Labels,
    /// Expanded annotations.
    pub annotations: Annotations,
    /// The element's value.
    pub value: Value,
    /// A hash of the element's labels.
    pub element: u64,
}

/// The times of a rule that steer its alerts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// The rule's `for`.
    pub for_ms: i64,
    /// The rule's `keep_firing_for`.
    pub keep_firing_for_ms: i64,
}

/// All alerts of one rule, by labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ActiveAlerts {
    alerts: BTreeMap<Labels, ActiveAlert>,
    grace: Option<Grace>,
    /// Stored alerts whose data has not come since the start.
    awaited: BTreeSet<Labels>,
}

/// The time after a start in which data may only not have been sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// When this server came back.
    pub since_ms: i64,
    /// When what has not come by then counts as missing.
    pub until_ms: i64,
}

impl ActiveAlerts {
    /// A table as it was stored. While the grace lasts, an element that is missing is no recovery
    /// before its data has come: while this server was away nobody sent it any.
    pub fn restored(alerts: impl IntoIterator<Item = ActiveAlert>, grace: Grace) -> Self {
        let alerts: BTreeMap<_, _> = alerts.into_iter().map(|alert| (alert.labels.clone(), alert)).collect();
        let is_active = |(_, alert): &(&Labels, &ActiveAlert)| alert.state != AlertState::Inactive;
        let awaited = alerts.iter().filter(is_active).map(|(labels, _)| labels.clone()).collect();
        ActiveAlerts { alerts, grace: Some(grace), awaited }
    }

    /// In order of labels.
    pub fn iter(&self) -> impl Iterator<Item = &ActiveAlert> {
        self.alerts.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut ActiveAlert> {
        self.alerts.values_mut()
    }

    /// Forgets everything, as when a rule breaks its limit.
    pub fn clear(&mut self) {
        self.alerts.clear();
    }

    /// Since when this server is back, if that is so lately that what is missing may only not have
    /// been sent yet.
    pub(crate) fn back_since(&self, now_ms: i64) -> Option<i64> {
        self.grace.filter(|grace| now_ms < grace.until_ms).map(|grace| grace.since_ms)
    }

    /// Whether the data of this alert may be on its way: it was stored, and none has come since.
    pub(crate) fn is_awaited(&self, labels: &Labels, now_ms: i64) -> bool {
        self.back_since(now_ms).is_some() && self.awaited.contains(labels)
    }

    /// Notes that data has come since the start: the alert is like any other from now on.
    pub(crate) fn has_come(&mut self, labels: &Labels) {
        self.awaited.remove(labels);
    }

    /// Takes the result of an evaluation at `now_ms` and returns how many alerts are pending or
    /// firing. `candidates` have distinct labels. What is missing among `kept` stays as it is:
    /// there is no data that could say anything else.
    pub fn step(
        &mut self,
        candidates: Vec<Candidate>,
        kept: &BTreeSet<Labels>,
        timing: Timing,
        now_ms: i64,
    ) -> usize {
        let mut present = BTreeSet::new();
        for candidate in candidates {
            present.insert(candidate.labels.clone());
            self.see(candidate, now_ms);
        }
        // Of the others it is known that their data is there.
        self.awaited.retain(|labels| present.contains(labels) || kept.contains(labels));
        let mut active = 0;
        self.alerts.retain(|labels, alert| {
            let kept = if present.contains(labels) {
                alert.keep_firing_since_ms = None;
                alert.no_data_since_ms = None;
                promote(alert, timing, now_ms);
                true
            } else if kept.contains(labels) && alert.state != AlertState::Inactive {
                alert.no_data_since_ms.get_or_insert(now_ms);
                true
            } else {
                miss(alert, timing, now_ms)
            };
            active += usize::from(kept && alert.state != AlertState::Inactive);
            kept
        });
        active
    }

    fn see(&mut self, candidate: Candidate, now_ms: i64) {
        match self.alerts.get_mut(&candidate.labels) {
            Some(known) if known.state != AlertState::Inactive => {
                known.value = candidate.value;
                known.element = candidate.element;
                known.annotations = candidate.annotations;
            }
            _ => {
                let fresh = ActiveAlert {
                    labels: candidate.labels.clone(),
                    annotations: candidate.annotations,
                    state: AlertState::Pending,
                    value: candidate.value,
                    active_at_ms: now_ms,
                    fired_at_ms: None,
                    resolved_at_ms: None,
                    keep_firing_since_ms: None,
                    last_sent_ms: None,
                    element: candidate.element,
                    no_data_since_ms: None,
                };
                self.alerts.insert(candidate.labels, fresh);
            }
        }
    }
}

/// Moves an alert whose element is there along `for`; a `for` that a reload made longer takes a
/// firing alert back.
fn promote(alert: &mut ActiveAlert, timing: Timing, now_ms: i64) {
    if alert.active_at_ms > now_ms {
        // The clock was set back. What fires has waited; what waits begins now.
        let waited_ms = if alert.state == AlertState::Firing { timing.for_ms } else { 0 };
        alert.active_at_ms = now_ms - waited_ms;
    }
    let held_long_enough = now_ms - alert.active_at_ms >= timing.for_ms;
    match (alert.state, held_long_enough) {
        (AlertState::Pending, true) => {
            alert.state = AlertState::Firing;
            alert.fired_at_ms = Some(now_ms);
        }
        (AlertState::Firing, false) => {
            alert.state = AlertState::Pending;
            alert.fired_at_ms = None;
        }
        _ => {}
    }
}

/// What an alert whose element is not there becomes; false when it is forgotten.
fn miss(alert: &mut ActiveAlert, timing: Timing, now_ms: i64) -> bool {
    match alert.state {
        AlertState::Pending if alert.is_open() => {
            alert.resolve(now_ms);
            true
        }
        AlertState::Pending => false,
        AlertState::Inactive => {
            // Should the clock have been set back since: an end that lies ahead would be none yet.
            for at in [&mut alert.fired_at_ms, &mut alert.resolved_at_ms] {
                *at = at.map(|at| at.min(now_ms));
            }
            alert.resolved_at_ms.is_some_and(|resolved| now_ms - resolved <= RESOLVED_KEPT_MS)
        }
        AlertState::Firing => {
            if timing.keep_firing_for_ms > 0 {
                let since = alert.keep_firing_since_ms.map_or(now_ms, |since| since.min(now_ms));
                alert.keep_firing_since_ms = Some(since);
                if now_ms - since < timing.keep_firing_for_ms {
                    return true;
                }
            }
            alert.resolve(now_ms);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    /// Plays one letter per minute: `x` the element is there, `.` it is not. Writes the state
    /// after each: `-` none, `p` pending, `F` firing, `k` kept firing, `r` resolved.
    fn play(script: &str, timing: Timing) -> String {
        let mut table = ActiveAlerts::default();
        let labels = Labels::from_pairs([("alertname", "a")]);
        let mut states = String::new();
        for (minute, letter) in script.chars().enumerate() {
            let there = (letter == 'x').then(|| Candidate {
                labels: labels.clone(),
                annotations: Annotations::empty(),
                value: Value::Float(1.0),
                element: 0,
            });
            table.step(there.into_iter().collect(), &BTreeSet::new(), timing, minute as i64 * MINUTE);
            states.push(match table.iter().next() {
                None => '-',
                Some(alert) => match (alert.state, alert.keep_firing_since_ms) {
                    (AlertState::Pending, _) => 'p',
                    (AlertState::Firing, None) => 'F',
                    (AlertState::Firing, Some(_)) => 'k',
                    (AlertState::Inactive, _) => 'r',
                },
            });
        }
        states
    }

    #[test]
    fn life_of_an_alert() {
        let minutes =
            |for_: i64, keep: i64| Timing { for_ms: for_ * MINUTE, keep_firing_for_ms: keep * MINUTE };
        for (timing, script, expected) in [
            (minutes(0, 0), ".xx.", "-FFr"),
            (minutes(2, 0), "xxxx.", "ppFFr"),
            (minutes(2, 0), "xx.xxx.", "pp-ppFr"),
            (minutes(0, 2), "x...x", "Fkkrp".replace('p', "F").as_str()),
            (minutes(0, 2), "x.x...", "FkFkkr"),
            (minutes(1, 0), "xx.x", "pFrp"),
        ] {
            assert_eq!(play(script, timing), expected, "{script}");
        }
    }

    #[test]
    fn a_resolved_alert_is_kept_a_quarter_of_an_hour() {
        let states = play(&format!("x{}", ".".repeat(18)), Timing::default());
        assert_eq!(states, format!("F{}--", "r".repeat(16)));
    }

    #[test]
    fn a_longer_for_takes_a_firing_alert_back() {
        let mut table = ActiveAlerts::default();
        let there = || {
            vec![Candidate {
                labels: Labels::from_pairs([("alertname", "a")]),
                annotations: Annotations::empty(),
                value: Value::Float(1.0),
                element: 0,
            }]
        };
        table.step(there(), &BTreeSet::new(), Timing::default(), 0);
        table.step(there(), &BTreeSet::new(), Timing { for_ms: 5 * MINUTE, keep_firing_for_ms: 0 }, MINUTE);
        assert_eq!(table.iter().next().unwrap().state, AlertState::Pending);
    }

    fn there() -> Vec<Candidate> {
        let labels = Labels::from_pairs([("alertname", "a")]);
        vec![Candidate { labels, annotations: Annotations::empty(), value: Value::Float(1.0), element: 0 }]
    }

    /// Hands on what must be, and returns the state.
    fn handed_on(table: &mut ActiveAlerts, now_ms: i64) -> Option<(AlertState, bool)> {
        let alert = table.iter_mut().next()?;
        let is_sent = alert.needs_sending(now_ms, MINUTE);
        if is_sent {
            alert.last_sent_ms = Some(now_ms);
        }
        Some((alert.state, is_sent))
    }

    #[test]
    fn one_that_a_longer_for_has_taken_back_is_told_to_be_over() {
        let mut table = ActiveAlerts::default();
        let longer = Timing { for_ms: 5 * MINUTE, keep_firing_for_ms: 0 };
        table.step(there(), &BTreeSet::new(), Timing::default(), 0);
        assert_eq!(handed_on(&mut table, 0), Some((AlertState::Firing, true)));
        table.step(there(), &BTreeSet::new(), longer, MINUTE);
        assert_eq!(handed_on(&mut table, MINUTE), Some((AlertState::Pending, false)));
        assert!(table.iter().all(ActiveAlert::is_open));
        table.step(vec![], &BTreeSet::new(), longer, 2 * MINUTE);
        assert_eq!(handed_on(&mut table, 2 * MINUTE), Some((AlertState::Inactive, true)));
    }

    #[test]
    fn an_alert_that_was_over_before_the_clock_was_set_back_stays_over() {
        let (mut table, timing) = (ActiveAlerts::default(), Timing::default());
        let there = Candidate {
            labels: Labels::from_pairs([("alertname", "a")]),
            annotations: Annotations::empty(),
            value: Value::Float(1.0),
            element: 0,
        };
        table.step(vec![there], &BTreeSet::new(), timing, 100 * MINUTE);
        table.step(Vec::new(), &BTreeSet::new(), timing, 101 * MINUTE);
        table.iter_mut().for_each(|alert| alert.last_sent_ms = Some(101 * MINUTE));
        for minute in 40..60 {
            table.step(Vec::new(), &BTreeSet::new(), timing, minute * MINUTE);
            for alert in table.iter() {
                let (began, over) = (alert.fired_at_ms.unwrap(), alert.resolved_at_ms.unwrap());
                assert!(began <= over && over == 40 * MINUTE, "{alert:?}");
            }
        }
        assert_eq!(table.iter().count(), 0, "it is forgotten in time");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_up_neither_beginnings_nor_ends() {
        let timing = Timing { for_ms: MINUTE, keep_firing_for_ms: 0 };
        let mut table = ActiveAlerts::default();
        for minute in [60, 61] {
            table.step(there(), &BTreeSet::new(), timing, minute * MINUTE);
        }
        assert_eq!(handed_on(&mut table, 61 * MINUTE), Some((AlertState::Firing, true)));
        table.step(there(), &BTreeSet::new(), timing, MINUTE);
        assert_eq!(handed_on(&mut table, MINUTE), Some((AlertState::Firing, true)));
        table.step(vec![], &BTreeSet::new(), timing, MINUTE);
        assert_eq!(handed_on(&mut table, MINUTE), Some((AlertState::Inactive, true)));
        let mut waiting = ActiveAlerts::default();
        for minute in [60, 1, 2] {
            waiting.step(there(), &BTreeSet::new(), timing, minute * MINUTE);
        }
        assert_eq!(handed_on(&mut waiting, 2 * MINUTE), Some((AlertState::Firing, true)));
    }

    #[test]
    fn sending_is_prompt_at_changes_and_strictly_later_than_the_delay() {
        let mut table = ActiveAlerts::default();
        let labels = Labels::from_pairs([("alertname", "a")]);
        let there =
            Candidate { labels, annotations: Annotations::empty(), value: Value::Float(1.0), element: 0 };
        table.step(vec![there], &BTreeSet::new(), Timing::default(), 0);
        let alert = table.iter_mut().next().unwrap();
        assert!(alert.needs_sending(0, MINUTE));
        alert.last_sent_ms = Some(0);
        assert!(!alert.needs_sending(MINUTE, MINUTE) && alert.needs_sending(MINUTE + 1, MINUTE));
        table.step(vec![], &BTreeSet::new(), Timing::default(), MINUTE);
        assert!(table.iter().next().unwrap().needs_sending(MINUTE, MINUTE), "a resolve is sent at once");
    }

    #[test]
    fn what_has_no_data_is_not_over() {
        let mut table = ActiveAlerts::default();
        let labels = Labels::from_pairs([("alertname", "a")]);
        let there = Candidate {
            labels: labels.clone(),
            annotations: Annotations::empty(),
            value: Value::Float(1.0),
            element: 0,
        };
        table.step(vec![there.clone()], &BTreeSet::new(), Timing::default(), 0);
        let kept = BTreeSet::from([labels]);
        table.step(vec![], &kept, Timing::default(), MINUTE);
        let alert = table.iter().next().unwrap();
        assert_eq!((alert.state, alert.no_data_since_ms), (AlertState::Firing, Some(MINUTE)));
        table.step(vec![there], &BTreeSet::new(), Timing::default(), 2 * MINUTE);
        assert_eq!(table.iter().next().unwrap().no_data_since_ms, None);
        table.step(vec![], &BTreeSet::new(), Timing::default(), 3 * MINUTE);
        assert_eq!(table.iter().next().unwrap().state, AlertState::Inactive);
    }
}
