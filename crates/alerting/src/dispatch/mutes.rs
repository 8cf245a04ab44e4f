//! What keeps an alert from being told in a group: silences, other alerts, times.

use super::Dispatcher;
use crate::{
    alert::Fingerprint,
    config::Config,
    history::{Event, EventKind},
    inhibit::Inhibitor,
    route::Route,
};
use model::Labels;

/// See the module; nothing does when all are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mutes {
    /// Ids.
    pub(crate) silences: Vec<String>,
    /// Alerts.
    pub(crate) inhibitors: Vec<Fingerprint>,
    /// Names of the intervals that mute the route now.
    pub(crate) intervals: Vec<String>,
}

impl Mutes {
    pub(crate) fn is_empty(&self) -> bool {
        self.silences.is_empty() && self.inhibitors.is_empty() && self.intervals.is_empty()
    }

    fn event(&self, at_ms: i64) -> Event {
        let mut reasons = Vec::new();
        if !self.silences.is_empty() {
            reasons.push("silenced");
        }
        if !self.inhibitors.is_empty() {
            reasons.push("inhibited");
        }
        if !self.intervals.is_empty() {
            reasons.push("muted by time interval");
        }
        let mut event = Event::new(EventKind::Muted, at_ms).reason(reasons.join(", "));
        event.silences.clone_from(&self.silences);
        event.inhibited_by = self.inhibitors.iter().map(ToString::to_string).collect();
        if !self.intervals.is_empty() {
            event = event.reason(format!("muted by time interval `{}`", self.intervals.join("`, `")));
        }
        event
    }
}

/// Names of the intervals that mute a route now: those that do, or those outside which it is.
pub(crate) fn muting_intervals(config: &Config, route: &Route, now_ms: i64) -> Vec<String> {
    let within =
        |name: &&String| config.time_intervals.get(*name).is_some_and(|interval| interval.contains(now_ms));
    let muting = route.mute_time_intervals.iter().filter(within).cloned();
    let is_inactive = !route.active_time_intervals.is_empty()
        && !route.active_time_intervals.iter().any(|name| within(&name));
    let outside = route.active_time_intervals.iter().filter(|_| is_inactive).cloned();
    muting.chain(outside).collect()
}

impl Dispatcher {
    /// What mutes an alert whatever the route.
    pub(super) fn mutes_of(&self, labels: &Labels, inhibitor: &Inhibitor<'_>, now_ms: i64) -> Mutes {
        Mutes {
            silences: self.silences.muting(labels, now_ms),
            inhibitors: inhibitor.inhibitors_of(labels),
            intervals: Vec::new(),
        }
    }

    /// Tells the history what has changed in a group since its last flush.
    pub(super) fn record_mutes(
        &mut self,
        receiver: &str,
        group_key: &str,
        fresh: Vec<(Fingerprint, Mutes)>,
        gone: Vec<Fingerprint>,
        now_ms: i64,
    ) {
        for (alert, mutes) in fresh {
            let Some(alert) = self.alerts.get(&alert) else { continue };
            self.history.record(mutes.event(now_ms).labels(&alert.labels).to(receiver, "", group_key));
        }
        for alert in gone {
            let Some(alert) = self.alerts.get(&alert) else { continue };
            let event = Event::new(EventKind::Unmuted, now_ms).labels(&alert.labels);
            self.history.record(event.to(receiver, "", group_key));
        }
    }
}
