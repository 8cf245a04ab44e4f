//! What the API shows: alerts with what mutes them, and groups.

use super::{Dispatcher, mutes::muting_intervals};
use crate::{
    alert::{Alert, Fingerprint},
    inhibit::Inhibitor,
    route::RouteId,
};
use model::Labels;

/// An alert with its state at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView {
    /// The alert.
    pub alert: Alert,
    /// Receivers whose routes take it, in order of the routes.
    pub receivers: Vec<String>,
    /// What mutes it.
    pub status: AlertStatus,
}

/// What mutes an alert; nothing when all lists are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertStatus {
    /// Ids of silences.
    pub silenced_by: Vec<String>,
    /// Alerts.
    pub inhibited_by: Vec<Fingerprint>,
    /// Time intervals, when they mute every route that takes it (in a group: the group's).
    pub muted_by: Vec<String>,
}

impl AlertStatus {
    /// `active` or `suppressed`.
    pub fn state(&self) -> &'static str {
        let is_muted =
            !self.silenced_by.is_empty() || !self.inhibited_by.is_empty() || !self.muted_by.is_empty();
        if is_muted { "suppressed" } else { "active" }
    }
}

/// A group with its alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupView {
    /// What its alerts have in common by the route's grouping.
    pub labels: Labels,
    /// Who is told.
    pub receiver: String,
    /// When it is looked at next.
    pub next_flush_ms: i64,
    /// Those that fire.
    pub alerts: Vec<AlertView>,
}

impl Dispatcher {
    /// Every alert that is not over, in order of fingerprint.
    pub fn alerts(&self, now_ms: i64) -> Vec<AlertView> {
        let inhibitor = Inhibitor::new(&self.config.inhibit_rules, self.alerts.values(), now_ms);
        let firing = self.alerts.values().filter(|alert| !alert.is_resolved(now_ms));
        firing.map(|alert| self.view(alert, &inhibitor, now_ms)).collect()
    }

    /// Every group with an alert that is not over, by labels, then receiver.
    pub fn groups(&self, now_ms: i64) -> Vec<GroupView> {
        let inhibitor = Inhibitor::new(&self.config.inhibit_rules, self.alerts.values(), now_ms);
        let mut groups = Vec::new();
        for ((route, labels), group) in &self.groups {
            let alerts = group.alerts().filter_map(|fingerprint| self.alerts.get(&fingerprint));
            let firing = alerts.filter(|alert| !alert.is_resolved(now_ms));
            let intervals = muting_intervals(&self.config, self.config.routes.get(RouteId(*route)), now_ms);
            let view = |alert| {
                let mut view = self.view(alert, &inhibitor, now_ms);
                view.status.muted_by.clone_from(&intervals);
                view
            };
            let alerts: Vec<_> = firing.map(view).collect();
            if !alerts.is_empty() {
                let receiver = self.config.routes.get(RouteId(*route)).receiver.clone();
                groups.push(GroupView {
                    labels: labels.clone(),
                    receiver,
                    next_flush_ms: group.next_flush_ms,
                    alerts,
                });
            }
        }
        groups.sort_by(|a, b| (&a.labels, &a.receiver).cmp(&(&b.labels, &b.receiver)));
        groups
    }

    /// Alerts that fire and that `matchers` take: what a silence with them would mute.
    pub fn matching(&self, matchers: &[model::Matcher], now_ms: i64) -> Vec<AlertView> {
        let inhibitor = Inhibitor::new(&self.config.inhibit_rules, self.alerts.values(), now_ms);
        let wanted = self.alerts.values().filter(|alert| {
            !alert.is_resolved(now_ms) && crate::matchers::all_match(matchers, &alert.labels)
        });
        wanted.map(|alert| self.view(alert, &inhibitor, now_ms)).collect()
    }

    fn view(&self, alert: &Alert, inhibitor: &Inhibitor<'_>, now_ms: i64) -> AlertView {
        let routes = self.config.routes.matching(&alert.labels);
        let routes: Vec<_> = routes.into_iter().map(|id| self.config.routes.get(id)).collect();
        let intervals: Vec<_> =
            routes.iter().map(|route| muting_intervals(&self.config, route, now_ms)).collect();
        let is_muted_everywhere = intervals.iter().all(|names| !names.is_empty());
        let mut muted_by = if is_muted_everywhere { intervals.concat() } else { Vec::new() };
        muted_by.sort_unstable();
        muted_by.dedup();
        AlertView {
            receivers: routes.iter().map(|route| route.receiver.clone()).collect(),
            status: AlertStatus {
                silenced_by: self.silences.muting(&alert.labels, now_ms),
                inhibited_by: inhibitor.inhibitors_of(&alert.labels),
                muted_by,
            },
            alert: alert.clone(),
        }
    }
}
