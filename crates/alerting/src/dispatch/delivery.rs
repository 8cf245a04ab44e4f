//! A notification: its start, its attempts, its end.

use super::{Dispatcher, GroupId, outbox::UnderWay};
use crate::route::RouteId;
use crate::{
    alert::Fingerprint,
    config::{Config, Receiver},
    history::{Event, EventKind},
    journal::{Change, Table},
    notify::{Message, dedup::Entry},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// See the module. The whole of it is in the outbox, so that it goes out unchanged after a crash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Number within this installation.
    pub id: u64,
    /// The same for every attempt, and for the same notification of another server.
    pub idempotency_key: String,
    /// The receiver's name.
    pub receiver: String,
    /// The integration's key.
    pub integration: String,
    /// Who is reached, whatever the receiver is called.
    #[serde(default)]
    pub target: String,
    /// What is told.
    pub message: Message,
    /// Alerts told as firing.
    pub firing: BTreeSet<Fingerprint>,
    /// Alerts told as resolved, or that would be if the receiver wanted to know.
    pub resolved: BTreeSet<Fingerprint>,
    /// An end of more incidents than one notification closes: the next one closes others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closes_more: bool,
    /// When it is given up. The next flush of the group decides anew.
    pub expires_at_ms: i64,
    /// The route's.
    pub repeat_interval_ms: i64,
}

/// What the owner of a dispatcher does once the changes are durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Deliver; report with [`Dispatcher::finished`].
    Deliver(Arc<Delivery>, Arc<Receiver>, usize),
    /// Make no further attempt. One under way goes on to its end, because a receiver that has
    /// taken it must be known to have; report with [`Dispatcher::finished`] all the same.
    Stop(u64),
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The receiver has taken it.
    Delivered,
    /// It was refused, or time was up.
    GivenUp {
        /// Which of both, in words.
        why: String,
        /// An attempt has left it open whether the receiver has taken it, or a part.
        may_be_taken: bool,
    },
    /// It was stopped before it succeeded.
    Stopped {
        /// As above.
        may_be_taken: bool,
    },
}

/// An attempt that failed and will be followed by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Counts from 1.
    pub attempt: u32,
    /// How long it took.
    pub duration_ms: u64,
    /// What went wrong.
    pub error: String,
}

impl Finished {
    /// Whether the receiver may have been told nevertheless.
    fn may_be_taken(&self) -> bool {
        match self {
            Finished::Delivered => false,
            Finished::GivenUp { may_be_taken, .. } | Finished::Stopped { may_be_taken } => *may_be_taken,
        }
    }
}

impl Delivery {
    /// Whether `other` tells of the same episodes of the same alerts and ends the same incidents. Values
    /// and words that have changed meanwhile are not worth another notification.
    pub(crate) fn same_content(&self, other: &Delivery) -> bool {
        let episodes = |delivery: &Delivery| -> Vec<(Fingerprint, i64, bool)> {
            let alerts = delivery.message.alerts.iter();
            alerts.map(|it| (it.alert.fingerprint(), it.alert.starts_at_ms, it.resolved)).collect()
        };
        (&self.firing, &self.resolved) == (&other.firing, &other.resolved)
            && episodes(self) == episodes(other)
            && (!self.firing.is_empty() || self.message.incidents == other.message.incidents)
    }

    /// What it tells of, or would tell if the receiver wanted to know.
    pub(super) fn alerts(&self) -> impl Iterator<Item = Fingerprint> {
        self.firing.iter().chain(&self.resolved).copied()
    }

    /// The incident that it opens, or that it updates.
    pub(super) fn opens(&self) -> Option<&String> {
        self.message.named_incidents().first().filter(|_| !self.firing.is_empty())
    }

    /// The incidents that it closes.
    pub(super) fn closes(&self) -> &[String] {
        let is_end = self.firing.is_empty() && !self.message.alerts.is_empty();
        if is_end { self.message.named_incidents() } else { &[] }
    }

    fn tells_an_end(&self) -> bool {
        self.message.alerts.iter().any(|alert| alert.resolved)
    }

    fn event(&self, kind: EventKind, at_ms: i64) -> Event {
        let event = Event::new(kind, at_ms)
            .labels(&self.message.common_labels())
            .about(&self.message.alerts)
            .to(&self.receiver, &self.integration, &self.message.group_key);
        Event { notification: Some(self.idempotency_key.clone()), ..event }
    }
}

/// A key that depends only on what is told to whom, and how often it was told before.
pub(crate) fn idempotency_key(message: &Message, integration: &str, sequence: u64) -> String {
    let mut text = format!("{integration}\0{}\0{sequence}", message.group_key);
    for alert in &message.alerts {
        text.push_str(&format!(
            "\0{}{}{}",
            alert.alert.fingerprint(),
            alert.status(),
            alert.alert.starts_at_ms
        ));
    }
    format!("ntf_{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes()))
}

/// The integration of a key such as `team/webhook/0`, if it is configured.
fn integration(config: &Config, receiver: &str, key: &str) -> Option<(Arc<Receiver>, usize)> {
    let receiver = config.receivers.get(receiver)?;
    let at = receiver.integrations.iter().position(|integration| integration.key(&receiver.name) == key)?;
    Some((receiver.clone(), at))
}

impl Dispatcher {
    /// Puts a delivery into the outbox and asks for it to be made.
    pub(super) fn start_delivery(
        &mut self,
        delivery: Delivery,
        group: Option<GroupId>,
        receiver: Arc<Receiver>,
        at: usize,
    ) {
        let delivery = Arc::new(delivery);
        self.changes.push(Change::put_shared(Table::Outbox, outbox_key(delivery.id), delivery.clone()));
        self.effects.push(Effect::Deliver(delivery.clone(), receiver, at));
        self.outbox.insert(delivery, group);
    }

    pub(super) fn stop_delivery(&mut self, id: u64) {
        if let Some(under_way) = self.outbox.get_mut(id).filter(|under_way| !under_way.stopping) {
            under_way.stopping = true;
            self.effects.push(Effect::Stop(id));
        }
    }

    /// After a restart: takes over what is in the outbox, before there are groups: an alert that is
    /// over and about to be told as firing has one.
    pub(super) fn take_over_deliveries(&mut self, stored: Vec<Delivery>, now_ms: i64) {
        self.next_delivery = stored.iter().map(|delivery| delivery.id + 1).max().unwrap_or(1);
        for delivery in stored {
            let found = integration(&self.config, &delivery.receiver, &delivery.integration);
            if found.is_some() && delivery.expires_at_ms > now_ms {
                let id = delivery.id;
                self.outbox.insert(Arc::new(delivery), None);
                self.outbox.get_mut(id).into_iter().for_each(|under_way| under_way.resumed = true);
            } else {
                self.note_doubt(&delivery);
                self.changes.push(Change::remove(Table::Outbox, outbox_key(delivery.id)));
                self.history.record(delivery.event(EventKind::Superseded, now_ms));
            }
        }
    }

    /// After a restart: asks again for everything in the outbox.
    pub(super) fn resume_deliveries(&mut self) {
        self.relink_deliveries();
        for id in self.outbox.ids() {
            let Some(delivery) = self.outbox.get(id).map(|under_way| under_way.delivery.clone()) else {
                continue;
            };
            let found = integration(&self.config, &delivery.receiver, &delivery.integration);
            if let Some((receiver, at)) = found {
                self.effects.push(Effect::Deliver(delivery, receiver, at));
            }
        }
    }

    fn relink_deliveries(&mut self) {
        if self.outbox.len() == 0 {
            return;
        }
        let groups = self.groups_by_key();
        self.outbox.relink(|delivery| groups.get(&waiting_for(delivery)).cloned());
    }

    /// After a reload: deliveries whose integration is what it was go on untouched, the others are
    /// stopped, and their groups decide anew.
    pub(super) fn review_deliveries(&mut self, earlier: &Config) {
        for id in self.outbox.ids() {
            let Some(under_way) = self.outbox.get(id) else { continue };
            let (receiver, key) =
                (under_way.delivery.receiver.clone(), under_way.delivery.integration.clone());
            let before = integration(earlier, &receiver, &key);
            let now = integration(&self.config, &receiver, &key);
            let is_same = before.zip(now).is_some_and(|((old, old_at), (new, new_at))| {
                old.integrations[old_at] == new.integrations[new_at]
            });
            if !is_same {
                self.stop_delivery(id);
            }
        }
        self.relink_deliveries();
        self.stop_beginnings_without_end();
    }

    /// Stops what would tell a beginning for a group that is gone: nobody would tell the end. Where
    /// another group reaches the same target it decides anew. What tells an end goes on.
    fn stop_beginnings_without_end(&mut self) {
        for id in self.outbox.ids() {
            let is_without_end = |it: &UnderWay| it.group.is_none() && !it.delivery.tells_an_end();
            if self.outbox.get(id).is_some_and(is_without_end) {
                self.stop_delivery(id);
            }
        }
    }

    /// Every group by receiver and group key.
    fn groups_by_key(&self) -> HashMap<(String, String), GroupId> {
        let named = |id: &GroupId| {
            let route = self.config.routes.get(RouteId(id.0));
            ((route.receiver.clone(), route.group_key(&id.1)), id.clone())
        };
        self.groups.keys().map(named).collect()
    }

    /// Notes an attempt that failed.
    pub fn attempt_failed(&mut self, id: u64, failed: FailedAttempt, now_ms: i64) {
        let Some(under_way) = self.outbox.get_mut(id) else { return };
        under_way.failures = failed.attempt;
        under_way.last_error = Some(failed.error.clone());
        let event = under_way.delivery.event(EventKind::AttemptFailed, now_ms).error(failed.error);
        let numbers = (Some(failed.attempt), Some(failed.duration_ms));
        self.history.record(Event { attempt: numbers.0, duration_ms: numbers.1, ..event });
    }

    /// Takes the end of a delivery.
    pub fn finished(&mut self, id: u64, outcome: &Finished, now_ms: i64) {
        let Some(under_way) = self.outbox.remove(id) else { return };
        self.changes.push(Change::remove(Table::Outbox, outbox_key(id)));
        let delivered = *outcome == Finished::Delivered;
        let mut is_followed = under_way.is_followed() || delivered && under_way.delivery.closes_more;
        let delivery = &under_way.delivery;
        let attempt = Some(under_way.failures + 1);
        let event = match outcome {
            Finished::Delivered => Event { attempt, ..delivery.event(EventKind::Delivered, now_ms) },
            Finished::GivenUp { why, .. } => delivery.event(EventKind::GivenUp, now_ms).error(why.as_str()),
            Finished::Stopped { .. } => delivery.event(EventKind::Superseded, now_ms),
        };
        self.history.record(event.reason(delivery.message.reason.as_str()));
        if delivered && delivery.closes_more {
            self.note_closed(delivery);
        } else if delivered {
            is_followed |= self.note_told(delivery, now_ms);
        } else if under_way.resumed || outcome.may_be_taken() && self.is_doubt_of_use(delivery) {
            self.note_doubt(delivery);
        }
        self.adopt_moved_from(&under_way, delivered);
        for waiting in &under_way.waiting {
            if let Some(group) = self.groups.get_mut(waiting) {
                group.flush_again();
                self.wake(now_ms);
            }
        }
        let Some(group_id) = under_way.group else { return };
        let Some(group) = self.groups.get_mut(&group_id) else { return };
        if is_followed {
            group.flush_again();
            self.wake(now_ms);
        } else if let Some(resolved) = group.delivery_ended(id, delivered) {
            self.let_go(&group_id, &resolved, now_ms);
        }
    }

    /// Writes what a receiver knows now into the notification log. Returns whether the group has an incident
    /// of another to take over and to close.
    pub(super) fn note_told(&mut self, delivery: &Delivery, now_ms: i64) -> bool {
        let mut closed: BTreeSet<String> = delivery.closes().iter().cloned().collect();
        let key = self.note(delivery, |entry| {
            closed.extend(entry.closed.iter().cloned());
            entry.told(&delivery.firing, &delivery.resolved, now_ms);
            if let Some(opened) = delivery.opens() {
                entry.unsure.remove(opened);
            }
        });
        let is_left = self.close_elsewhere(delivery, &key, &closed);
        self.doubt_incidents(delivery);
        is_left
    }

    /// Of an end that closes more incidents than one notification can, these are done.
    fn note_closed(&mut self, delivery: &Delivery) {
        self.note(delivery, |entry| {
            entry.closed.extend(delivery.message.incidents.iter().flatten().cloned());
            entry.sequence += 1;
        });
        self.doubt_incidents(delivery);
    }

    /// Whether a doubt about a notification is worth what comes of it, an end that may be told for nothing: an
    /// incident would stay open for ever, and an end that was told would hide that its alert fires again. Who
    /// has no incidents, and never answers, is not to be owed the end of everything that ever fired.
    fn is_doubt_of_use(&self, delivery: &Delivery) -> bool {
        let own = integration(&self.config, &delivery.receiver, &delivery.integration);
        delivery.firing.is_empty()
            || delivery.tells_an_end()
            || own.is_none_or(|(receiver, at)| receiver.integrations[at].ties_incidents())
    }

    /// Of a notification of which an attempt had no clear answer, or one whose end an earlier process did
    /// not see, it is never known whether it was taken. What still fires is told again, and the end of what
    /// is over; so is what fires once more after an end.
    fn note_doubt(&mut self, delivery: &Delivery) {
        self.note(delivery, |entry| {
            entry.silenced.extend(delivery.resolved.intersection(&entry.open));
            entry.silenced.extend(delivery.firing.difference(&entry.open));
            entry.open.extend(&delivery.firing);
        });
        self.doubt_incidents(delivery);
    }

    /// Changes the entry that a delivery belongs to, and returns its key.
    fn note(&mut self, delivery: &Delivery, change: impl FnOnce(&mut Entry)) -> String {
        let message = &delivery.message;
        let key = Entry::key(&delivery.integration, &message.group_key);
        self.told.change(&key, |entry| {
            entry.group_key.clone_from(&message.group_key);
            entry.integration.clone_from(&delivery.integration);
            entry.target.clone_from(&delivery.target);
            entry.repeat_interval_ms = delivery.repeat_interval_ms;
            if !delivery.firing.is_empty() {
                entry.begin(message);
            }
            change(entry);
        });
        key
    }

    /// A target that hears the end of an alert knows it, whichever group told the beginning.
    /// Otherwise the next beginning would pass for one that has been told. Not so where an edit has come
    /// between, and an incident beside those that are `closed` would be forgotten: that is left, and told.
    fn close_elsewhere(&mut self, delivery: &Delivery, entry_key: &str, closed: &BTreeSet<String>) -> bool {
        let mut known: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
        for alert in &delivery.resolved {
            for (key, entry) in self.told.holders(*alert) {
                let is_other = key != entry_key && entry.target == delivery.target;
                if is_other && !self.is_told_elsewhere(entry, *alert) {
                    known.entry(key.to_owned()).or_default().insert(*alert);
                }
            }
        }
        let mut is_left = false;
        for (key, alerts) in known {
            if self.leaves_incidents(&key, &alerts, closed) {
                is_left = true;
            } else {
                self.told.close(&key, &alerts);
            }
        }
        is_left
    }

    pub(super) fn record_decision(&mut self, delivery: &Delivery, now_ms: i64) {
        let event = delivery.event(EventKind::Decided, now_ms).reason(delivery.message.reason.as_str());
        self.history.record(event);
    }
}

/// Receiver and group key of the group that waits for a delivery.
fn waiting_for(delivery: &Delivery) -> (String, String) {
    (delivery.receiver.clone(), delivery.message.group_key.clone())
}

fn outbox_key(id: u64) -> String {
    format!("{id:020}")
}
