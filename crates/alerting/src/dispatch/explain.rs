//! Why an alert did or did not reach someone: for each route that takes it, the way there, its
//! group and timers, what mutes it, and for each integration what it knows and what is on its way.

use super::{Dispatcher, mutes::Moment, outbox::UnderWay};
use crate::{
    Annotations,
    alert::{Alert, Fingerprint},
    config::Receiver,
    notify::dedup::Entry,
    route::{Route, RouteId, key_of},
    silence::Silence,
    stored, timestamp,
};
use model::Labels;
use serde::Serialize;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// `pending`, `firing`, `resolved`, or `unknown` for labels that no alert has.
    pub state: &'static str,
    /// Its identity in the API.
    pub fingerprint: String,
    /// Its labels.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
    /// Its annotations.
    pub annotations: Annotations,
    /// Since when it is in that state.
    pub since_ms: Option<i64>,
    /// For one that is pending: when it fires if nothing changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires_at_ms: Option<i64>,
    /// Every route that takes it.
    pub routes: Vec<RouteExplanation>,
}

/// One route that takes the alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteExplanation {
    /// From the root.
    pub path: Vec<RouteStep>,
    /// Who is told.
    pub receiver: String,
    /// Alertmanager's name of the group.
    pub group_key: String,
    /// The labels that make the group.
    #[serde(with = "stored::labels")]
    pub group_labels: Labels,
    /// From a group's first alert to its first notification.
    pub group_wait_ms: i64,
    /// Between notifications of a group that changes.
    pub group_interval_ms: i64,
    /// Between notifications of a group that does not.
    pub repeat_interval_ms: i64,
    /// Alerts in the group.
    pub group_size: usize,
    /// When the group is looked at next; `None` when the alert is in no group.
    pub next_flush_ms: Option<i64>,
    /// Silences that mute it.
    pub silenced_by: Vec<Silence>,
    /// Alerts that inhibit it.
    pub inhibited_by: Vec<InhibitorExplanation>,
    /// Time intervals that mute the route now.
    pub muted_by_intervals: Vec<String>,
    /// Each of the receiver's ways of telling.
    pub integrations: Vec<IntegrationExplanation>,
}

/// One step from the root of the routing tree.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteStep {
    /// As in group keys: `{}` for the root.
    pub matchers: String,
    /// The route's receiver.
    pub receiver: String,
}

/// An alert that inhibits another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InhibitorExplanation {
    /// Its identity.
    pub fingerprint: String,
    /// Its labels.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
}

/// What one integration knows of the alert.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntegrationExplanation {
    /// Such as `team/webhook/0`.
    pub integration: String,
    /// In one sentence.
    pub verdict: String,
    /// Whether it takes the alert to be firing.
    pub holds_open: bool,
    /// When the group was told last.
    pub told_at_ms: Option<i64>,
    /// When the group is told again if nothing changes.
    pub repeats_at_ms: Option<i64>,
    /// What is on its way.
    pub delivery: Option<DeliveryExplanation>,
}

/// A notification on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeliveryExplanation {
    /// The same for all its events in the history.
    pub notification: String,
    /// Attempts that failed.
    pub failed_attempts: u32,
    /// Why the last one did.
    pub last_error: Option<String>,
    /// When it is given up.
    pub expires_at_ms: i64,
}

impl Dispatcher {
    /// Explains the alerts that `wanted` takes, at most `limit`, in order of fingerprint.
    pub fn explain(&self, wanted: impl Fn(&Alert) -> bool, limit: usize, now_ms: i64) -> Vec<Explanation> {
        let moment = self.moment(now_ms);
        let found = self.alerts.values().filter(|alert| wanted(alert)).take(limit);
        found
            .map(|alert| {
                let resolved = alert.is_resolved(now_ms);
                Explanation {
                    state: if resolved { "resolved" } else { "firing" },
                    since_ms: Some(if resolved { alert.ends_at_ms } else { alert.starts_at_ms }),
                    annotations: alert.annotations.clone(),
                    ..self.explain_labels(&alert.labels, &moment)
                }
            })
            .collect()
    }

    /// Explains where alerts with these labels go, whether there are any or not.
    pub fn explain_where<'l>(
        &self,
        labels: impl Iterator<Item = &'l Labels>,
        now_ms: i64,
    ) -> Vec<Explanation> {
        let moment = self.moment(now_ms);
        labels.map(|labels| self.explain_labels(labels, &moment)).collect()
    }

    fn explain_labels(&self, labels: &Labels, moment: &Moment<'_>) -> Explanation {
        let routes = self.config.routes.matching(labels);
        Explanation {
            state: "unknown",
            fingerprint: Fingerprint::of(labels).to_string(),
            labels: labels.clone(),
            annotations: Annotations::empty(),
            since_ms: None,
            fires_at_ms: None,
            routes: routes.into_iter().map(|id| self.explain_route(id, labels, moment)).collect(),
        }
    }

    fn explain_route(&self, id: RouteId, labels: &Labels, moment: &Moment<'_>) -> RouteExplanation {
        let route = self.config.routes.get(id);
        let group_labels = route.group_labels(labels);
        let group = self.groups.get(&(id.0, group_labels.clone()));
        let mutes = moment.mutes_of(labels);
        let step = |id: RouteId| {
            let route = self.config.routes.get(id);
            RouteStep { matchers: key_of(&route.matchers), receiver: route.receiver.clone() }
        };
        let inhibitor_of = |fingerprint: &Fingerprint| InhibitorExplanation {
            fingerprint: fingerprint.to_string(),
            labels: self.alerts.get(fingerprint).map(|alert| alert.labels.clone()).unwrap_or_default(),
        };
        let mut explained = RouteExplanation {
            path: self.config.routes.path(id).into_iter().map(step).collect(),
            receiver: route.receiver.clone(),
            group_key: route.group_key(&group_labels),
            group_labels,
            group_wait_ms: route.group_wait_ms,
            group_interval_ms: route.group_interval_ms,
            repeat_interval_ms: route.repeat_interval_ms,
            group_size: group.map_or(0, super::AlertGroup::len),
            next_flush_ms: group.map(|group| group.next_flush_ms),
            silenced_by: mutes.silences.iter().filter_map(|id| self.silences.get(id)).cloned().collect(),
            inhibited_by: mutes.inhibitors.iter().map(inhibitor_of).collect(),
            muted_by_intervals: moment.intervals(id).to_vec(),
            integrations: Vec::new(),
        };
        if let Some(receiver) = self.config.receivers.get(&route.receiver) {
            let alert = Fingerprint::of(labels);
            let one = |at| self.explain_integration(receiver, at, route, &explained, alert, moment.now_ms);
            let integrations = (0..receiver.integrations.len()).map(one).collect();
            explained.integrations = integrations;
        }
        explained
    }

    fn explain_integration(
        &self,
        receiver: &Receiver,
        at: usize,
        route: &Route,
        explained: &RouteExplanation,
        alert: Fingerprint,
        now_ms: i64,
    ) -> IntegrationExplanation {
        let integration = receiver.integrations[at].key(&receiver.name);
        let entry = self.told.get(&Entry::key(&integration, &explained.group_key));
        let holds_open = entry.is_some_and(|entry| entry.open.contains(&alert));
        let under_way = self.outbox.of_group(&integration, &explained.group_key);
        let repeats_at_ms = entry
            .filter(|entry| !entry.firing.is_empty())
            .map(|entry| entry.at_ms.saturating_add(route.repeat_interval_ms));
        let delivery = under_way.map(|under_way| DeliveryExplanation {
            notification: under_way.delivery.idempotency_key.clone(),
            failed_attempts: under_way.failures,
            last_error: under_way.last_error.clone(),
            expires_at_ms: under_way.delivery.expires_at_ms,
        });
        let fires = self.alerts.get(&alert).is_some_and(|alert| !alert.is_resolved(now_ms));
        let known = Known { alert, fires, holds_open, entry, under_way, repeats_at_ms };
        IntegrationExplanation {
            verdict: known.verdict(explained),
            integration,
            holds_open,
            told_at_ms: entry.map(|entry| entry.at_ms),
            repeats_at_ms,
            delivery,
        }
    }
}

/// What a verdict is made of.
struct Known<'a> {
    alert: Fingerprint,
    fires: bool,
    holds_open: bool,
    entry: Option<&'a Entry>,
    under_way: Option<&'a UnderWay>,
    repeats_at_ms: Option<i64>,
}

impl Known<'_> {
    fn verdict(&self, route: &RouteExplanation) -> String {
        let concerns = |under_way: &&UnderWay| {
            let delivery = &under_way.delivery;
            delivery.firing.contains(&self.alert) || delivery.resolved.contains(&self.alert)
        };
        if let Some(under_way) = self.under_way.filter(concerns) {
            return on_its_way(under_way);
        }
        if self.fires
            && let Some(muted) = muted(route)
        {
            return if self.holds_open {
                format!("told before; now {muted}")
            } else {
                format!("not told: {muted}")
            };
        }
        let told = self.entry.map(|entry| timestamp::millis(entry.at_ms)).unwrap_or_default();
        match (self.fires, self.holds_open, route.next_flush_ms) {
            (true, true, _) => {
                let repeats = self.repeats_at_ms.map(timestamp::millis).unwrap_or_default();
                format!("told as firing at {told}; told again after {repeats} unless something changes")
            }
            (true, false, Some(flush_ms)) => {
                format!("waits for its group, which is told at {}", timestamp::millis(flush_ms))
            }
            (false, true, Some(flush_ms)) => {
                format!("its end is told when its group is looked at, at {}", timestamp::millis(flush_ms))
            }
            (false, _, _) if self.entry.is_some_and(|entry| entry.resolved.contains(&self.alert)) => {
                format!("told as resolved at {told}")
            }
            _ => "was never told of it".to_owned(),
        }
    }
}

fn on_its_way(under_way: &UnderWay) -> String {
    let expires = timestamp::millis(under_way.delivery.expires_at_ms);
    match &under_way.last_error {
        Some(error) => {
            format!(
                "on its way until {expires}: {} attempts failed, the last with: {error}",
                under_way.failures
            )
        }
        None => format!("on its way until {expires}"),
    }
}

/// What mutes the alert, in words.
fn muted(route: &RouteExplanation) -> Option<String> {
    if let Some(silence) = route.silenced_by.first() {
        let until = timestamp::millis(silence.ends_at_ms);
        return Some(format!(
            "silenced by `{}` ({}, by `{}`) until {until}",
            silence.id, silence.comment, silence.created_by
        ));
    }
    if let Some(inhibitor) = route.inhibited_by.first() {
        return Some(format!("inhibited by {}", inhibitor.labels));
    }
    let interval = route.muted_by_intervals.first()?;
    Some(format!("muted by the time interval `{interval}`"))
}

#[cfg(test)]
mod tests;
