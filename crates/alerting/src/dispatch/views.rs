//! What the API shows: alerts with what mutes them, and groups. All of it is borrowed, so that
//! thousands of alerts can be written out without a copy of each.

use super::{Dispatcher, mutes::Moment};
use crate::{
    alert::{Alert, Fingerprint},
    order,
    route::RouteId,
};
use model::{Labels, Matcher};

/// An alert with its state at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertView<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Receivers whose routes take it, in order of the routes. Empty in a group: there the groups say.
    pub receivers: Vec<&'a str>,
    /// What mutes it.
    pub status: AlertStatus,
}

/// What mutes an alert; nothing when all lists are empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertStatus {
    /// Ids of silences.
    pub silenced_by: Vec<String>,
    /// The alert by which the first rule does.
    pub inhibited_by: Vec<Fingerprint>,
    /// Time intervals that mute the group it is seen in. Outside groups it is muted by none: time
    /// mutes routes.
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
pub struct GroupView<'a> {
    /// What its alerts have in common by the route's grouping.
    pub labels: &'a Labels,
    /// Who is told.
    pub receiver: &'a str,
    /// When it is looked at next.
    pub next_flush_ms: i64,
    /// A time interval mutes it.
    pub muted: bool,
    /// Those that fire.
    pub alerts: Vec<AlertView<'a>>,
}

impl Dispatcher {
    /// Every alert that is not over, in order of fingerprint.
    pub fn alerts(&self, now_ms: i64) -> Vec<AlertView<'_>> {
        self.matching(&[], now_ms)
    }

    /// Alerts that fire and that `matchers` take: what a silence with them would mute.
    pub fn matching(&self, matchers: &[Matcher], now_ms: i64) -> Vec<AlertView<'_>> {
        let moment = self.moment(now_ms);
        let wanted = self.alerts.iter().filter(|(_, alert)| {
            !alert.is_resolved(now_ms) && crate::matchers::all_match(matchers, &alert.labels)
        });
        wanted.map(|(fingerprint, alert)| self.view(*fingerprint, alert, &moment)).collect()
    }

    /// Every group with an alert that is not over, by labels, then receiver; its alerts in the order
    /// in which they are told.
    pub fn groups(&self, now_ms: i64) -> Vec<GroupView<'_>> {
        let moment = self.moment(now_ms);
        let mut groups = Vec::new();
        for ((route, labels), group) in &self.groups {
            let firing = self.in_order(group).filter(|(_, alert)| !alert.is_resolved(now_ms));
            let intervals = moment.intervals(RouteId(*route));
            let view = |(fingerprint, alert)| {
                let status = AlertStatus { muted_by: intervals.to_vec(), ..status(alert, &moment) };
                AlertView { alert, fingerprint, receivers: Vec::new(), status }
            };
            // Collecting makes room for four, which thousands of groups of one alert do not need.
            let mut alerts = Vec::with_capacity(group.len());
            alerts.extend(firing.map(view));
            if !alerts.is_empty() {
                groups.push(GroupView {
                    labels,
                    receiver: &self.config.routes.get(RouteId(*route)).receiver,
                    next_flush_ms: group.next_flush_ms,
                    muted: !intervals.is_empty(),
                    alerts,
                });
            }
        }
        groups.sort_by_cached_key(|group| (order::LabelSetKey::of(group.labels), group.receiver));
        groups
    }

    fn view<'a>(&'a self, fingerprint: Fingerprint, alert: &'a Alert, moment: &Moment<'_>) -> AlertView<'a> {
        let routes = self.config.routes.matching(&alert.labels);
        AlertView {
            alert,
            fingerprint,
            receivers: routes.iter().map(|id| self.config.routes.get(*id).receiver.as_str()).collect(),
            status: status(alert, moment),
        }
    }
}

/// What mutes an alert, whatever the route.
fn status(alert: &Alert, moment: &Moment<'_>) -> AlertStatus {
    let mut mutes = moment.mutes_of(&alert.labels);
    // Alertmanager looks no further than the first rule that inhibits.
    mutes.inhibitors.truncate(1);
    AlertStatus { silenced_by: mutes.silences, inhibited_by: mutes.inhibitors, muted_by: Vec::new() }
}
