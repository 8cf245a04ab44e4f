//! What happened, in order: every change of an alert, every decision to tell or not to tell, every
//! attempt and its end, every silence, reload and failing rule.
//!
//! An event is written in the transaction of the change that it tells of, so it is neither lost by
//! a crash nor told of a change that one took back.
//!
//! Bounds: the last [`EVENTS_MAX`] events are kept; an event about many alerts shows the first
//! [`ALERTS_PER_EVENT_MAX`] and says how many there are.

mod filter;
mod latest;
mod shipper;
mod sieve;

pub use filter::{EventFilter, HistoryPage, LIMIT_MAX};
pub(crate) use latest::latest;
pub(crate) use shipper::{Shipper, SinkMetrics};

use crate::{
    alert::Fingerprint,
    journal::{Change, Table},
    notify::NotifiedAlert,
    stored, timestamp,
};
use model::Labels;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Events kept; the oldest go first.
pub const EVENTS_MAX: u64 = 100_000;
/// Alerts shown by one event.
pub const ALERTS_PER_EVENT_MAX: usize = 20;

/// What an event tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A rule found an element that is not there for long enough yet.
    Pending,
    /// The element went before the alert fired.
    Cleared,
    /// An alert began to fire.
    Firing,
    /// An alert is over.
    Resolved,
    /// Silences, alerts or a time interval mute an alert in a group.
    Muted,
    /// Nothing mutes it any more.
    Unmuted,
    /// A notification was decided and put into the outbox.
    Decided,
    /// A group was looked at and its receiver needs to hear nothing; `reason` says why.
    Withheld,
    /// An attempt to deliver failed.
    AttemptFailed,
    /// The receiver has taken the notification.
    Delivered,
    /// It was refused for good, or its time was up.
    GivenUp,
    /// It was stopped because it is no longer true, or goes by old settings.
    Superseded,
    /// A test notification was asked for.
    Tested,
    /// A silence was made or changed.
    SilenceSet,
    /// A silence was ended by somebody.
    SilenceExpired,
    /// An alert begins and ends too often.
    Flapping,
    /// It has calmed down.
    Settled,
    /// The evaluation of a rule began to fail.
    RuleFailing,
    /// It works again.
    RuleRecovered,
    /// Rules and configuration were read again.
    Reloaded,
    /// They were read and refused.
    ReloadRejected,
}

impl EventKind {
    /// The name in the API.
    pub fn as_str(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => String::new(),
        }
    }

    /// The kind of that name.
    ///
    /// # Errors
    /// When there is none; the message lists the names.
    pub fn parse(name: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_value(Value::String(name.to_owned()))
    }
}

/// One of the alerts that an event is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventAlert {
    /// Who it is.
    pub fingerprint: String,
    /// `firing` or `resolved`.
    pub status: String,
    /// Its labels.
    #[serde(with = "stored::labels")]
    pub labels: Labels,
}

/// See the module. Fields that say nothing are left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up from 1 within an installation.
    pub id: u64,
    /// When.
    pub at_ms: i64,
    /// What.
    pub kind: EventKind,
    /// Of the alert, or those that the alerts of a notification have in common.
    #[serde(with = "stored::labels", default = "Labels::empty", skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// The alert, when the event is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The alerts of a notification, the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<EventAlert>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alerts_total: usize,
    /// Who is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// By which of the receiver's ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// Alertmanager's name of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_key: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Which attempt, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The notification, the same for all its events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// Ids of silences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<String>,
    /// Fingerprints of alerts that inhibit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inhibited_by: Vec<String>,
    /// File and name of a rule group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_group: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Event {
    /// An event of `kind`, without an id yet.
    pub fn new(kind: EventKind, at_ms: i64) -> Self {
        Event {
            id: 0,
            at_ms,
            kind,
            labels: Labels::empty(),
            fingerprint: None,
            alerts: Vec::new(),
            alerts_total: 0,
            receiver: None,
            integration: None,
            group_key: None,
            reason: None,
            error: None,
            attempt: None,
            duration_ms: None,
            notification: None,
            silences: Vec::new(),
            inhibited_by: Vec::new(),
            rule_group: None,
        }
    }

    pub(crate) fn labels(mut self, labels: &Labels) -> Self {
        self.labels = labels.clone();
        self
    }

    /// About the alert with these labels.
    pub(crate) fn alert(mut self, labels: &Labels) -> Self {
        self.fingerprint = Some(Fingerprint::of(labels).to_string());
        self.labels(labels)
    }

    pub(crate) fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn error(mut self, error: impl Into<String>) -> Self {
        self.error = Some(error.into());
        self
    }

    pub(crate) fn to(mut self, receiver: &str, integration: &str, group_key: &str) -> Self {
        self.receiver = Some(receiver.to_owned());
        self.integration = Some(integration.to_owned()).filter(|text| !text.is_empty());
        self.group_key = Some(group_key.to_owned()).filter(|text| !text.is_empty());
        self
    }

    /// About `alerts`, of which the first are shown.
    pub(crate) fn about(mut self, alerts: &[NotifiedAlert]) -> Self {
        let shown = alerts.iter().take(ALERTS_PER_EVENT_MAX).map(|alert| EventAlert {
            fingerprint: alert.alert.fingerprint().to_string(),
            status: alert.status().to_owned(),
            labels: alert.alert.labels.clone(),
        });
        self.alerts = shown.collect();
        self.alerts_total = alerts.len();
        self
    }

    /// Whether the event is about the alert.
    pub fn concerns(&self, alert: Fingerprint) -> bool {
        let text = alert.to_string();
        match &self.fingerprint {
            Some(fingerprint) => *fingerprint == text,
            None if self.alerts.is_empty() => Fingerprint::of(&self.labels) == alert,
            None => self.alerts.iter().any(|other| other.fingerprint == text),
        }
    }

    /// As the API and the log stream show it: with the time in words.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(fields) = &mut json {
            fields.insert("at".to_owned(), Value::String(timestamp::millis(self.at_ms)));
        }
        json
    }
}

/// Takes what happened and gives it numbers.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// The oldest id that is kept.
    first: u64,
    /// The id of the next event.
    next: u64,
    fresh: Vec<Event>,
}

impl Recorder {
    /// Goes on after the ids that are stored.
    pub(crate) fn restored(stored: Option<(u64, u64)>) -> Self {
        let (first, last) = stored.unwrap_or((1, 0));
        Recorder { first, next: last + 1, fresh: Vec::new() }
    }

    pub(crate) fn record(&mut self, mut event: Event) {
        self.next = self.next.max(1);
        event.id = self.next;
        self.next += 1;
        self.fresh.push(event);
    }

    /// The changes that write `events` as the next ones, when it is not certain yet that they happen.
    pub(crate) fn planned(&self, events: impl Iterator<Item = Event>) -> impl Iterator<Item = Change> {
        let write = |(id, event)| Change::put(Table::History, key(id), &Event { id, ..event });
        (self.next.max(1)..).zip(events).map(write)
    }

    /// Takes it that so many planned events are written, or may be.
    pub(crate) fn skip_planned(&mut self, count: usize) {
        self.next = self.next.max(1) + count as u64;
    }

    /// The changes that write the fresh events and remove those beyond the bound.
    pub(crate) fn take(&mut self, changes: &mut Vec<Change>) {
        for event in std::mem::take(&mut self.fresh) {
            changes.push(Change::put(Table::History, key(event.id), &event));
        }
        (self.first, self.next) = (self.first.max(1), self.next.max(1));
        while self.next - self.first > EVENTS_MAX {
            changes.push(Change::remove(Table::History, key(self.first)));
            self.first += 1;
        }
    }

    #[cfg(test)]
    pub(crate) fn fresh(&self) -> &[Event] {
        &self.fresh
    }
}

/// The key of an event in its table; keys are in the order of ids.
pub(crate) fn key(id: u64) -> String {
    format!("{id:020}")
}

#[cfg(test)]
mod tests;
