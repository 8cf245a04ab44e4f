//! What the API shows: alerts with what mutes them, and groups.

use super::Dispatcher;
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
}

impl AlertStatus {
    /// `active` or `suppressed`.
    pub fn state(&self) -> &'static str {
        if self.silenced_by.is_empty() && self.inhibited_by.is_empty() { "active" } else { "suppressed" }
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
            let alerts: Vec<_> = firing.map(|alert| self.view(alert, &inhibitor, now_ms)).collect();
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

    fn view(&self, alert: &Alert, inhibitor: &Inhibitor<'_>, now_ms: i64) -> AlertView {
        let routes = self.config.routes.matching(&alert.labels);
        AlertView {
            receivers: routes.into_iter().map(|id| self.config.routes.get(id).receiver.clone()).collect(),
            status: AlertStatus {
                silenced_by: self.silences.muting(&alert.labels, now_ms),
                inhibited_by: inhibitor.inhibitors_of(&alert.labels),
            },
            alert: alert.clone(),
        }
    }
}
