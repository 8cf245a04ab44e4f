//! What keeps an alert from being told in a group: silences, other alerts, times.

use super::Dispatcher;
use crate::{
    alert::Fingerprint,
    history::{Event, EventKind},
    inhibit::Inhibitor,
    route::{Route, RouteId},
    silence::ActiveSilences,
};
use model::Labels;
use std::collections::BTreeSet;

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

/// What mutes alerts at one moment, found once for many questions.
pub(crate) struct Moment<'a> {
    pub(crate) now_ms: i64,
    silences: ActiveSilences<'a>,
    inhibitor: Inhibitor<'a>,
    /// By route: names of the intervals that mute it, or outside all of which it is.
    intervals: Vec<Vec<String>>,
}

impl Moment<'_> {
    /// What mutes an alert whatever the route.
    pub(super) fn mutes_of(&self, labels: &Labels) -> Mutes {
        Mutes {
            silences: self.silences.muting(labels),
            inhibitors: self.inhibitor.inhibitors_of(labels),
            intervals: Vec::new(),
        }
    }

    /// Names of the intervals that mute a route.
    pub(super) fn intervals(&self, route: RouteId) -> &[String] {
        &self.intervals[route.0]
    }
}

fn muting_intervals(route: &Route, is_within: impl Fn(&String) -> bool) -> Vec<String> {
    let muting = route.mute_time_intervals.iter().filter(|name| is_within(name)).cloned();
    let is_inactive =
        !route.active_time_intervals.is_empty() && !route.active_time_intervals.iter().any(&is_within);
    let outside = route.active_time_intervals.iter().filter(|_| is_inactive).cloned();
    muting.chain(outside).collect()
}

impl Dispatcher {
    /// What mutes alerts at `now_ms`.
    pub(super) fn moment(&self, now_ms: i64) -> Moment<'_> {
        // A time zone is looked up once for an interval, however many routes name it.
        let intervals = self.config.time_intervals.iter();
        let within: BTreeSet<&String> =
            intervals.filter(|(_, interval)| interval.contains(now_ms)).map(|(name, _)| name).collect();
        let routes = self.config.routes.iter();
        Moment {
            now_ms,
            silences: self.silences.active(now_ms),
            inhibitor: Inhibitor::new(
                &self.config.inhibit_rules,
                &self.inhibit_candidates,
                &self.alerts,
                now_ms,
            ),
            intervals: routes
                .map(|(_, route)| muting_intervals(route, |name| within.contains(name)))
                .collect(),
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
            self.history.record(mutes.event(now_ms).alert(&alert.labels).to(receiver, "", group_key));
        }
        for alert in gone {
            let Some(alert) = self.alerts.get(&alert) else { continue };
            let event = Event::new(EventKind::Unmuted, now_ms).alert(&alert.labels);
            self.history.record(event.to(receiver, "", group_key));
        }
    }
}
