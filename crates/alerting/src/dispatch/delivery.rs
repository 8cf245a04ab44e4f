//! A notification on its way: decided, durable, not yet known to have arrived.

use super::Dispatcher;
use crate::{
    alert::Fingerprint,
    config::Receiver,
    journal::{Change, Table},
    notify::{Message, dedup::Entry},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, sync::Arc};

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
    /// What is told.
    pub message: Message,
    /// Alerts told as firing.
    pub firing: BTreeSet<Fingerprint>,
    /// Alerts told as resolved, or that would be if the receiver wanted to know.
    pub resolved: BTreeSet<Fingerprint>,
    /// When it is given up. The next flush of the group decides anew.
    pub expires_at_ms: i64,
    /// The route's.
    pub repeat_interval_ms: i64,
}

/// What the owner of a dispatcher does once the changes are durable.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Deliver; report with [`Dispatcher::finished`].
    Deliver(Box<Delivery>, Arc<Receiver>, usize),
    /// Stop trying.
    Cancel(u64),
}

/// How a delivery ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The receiver has taken it.
    Delivered,
    /// It was refused, or time was up; the text says why.
    GivenUp(String),
}

impl Delivery {
    /// Whether `other` tells the same.
    pub(crate) fn same_content(&self, other: &Delivery) -> bool {
        (&self.firing, &self.resolved, &self.message.alerts)
            == (&other.firing, &other.resolved, &other.message.alerts)
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

impl Dispatcher {
    /// The integration of a key such as `team/webhook/0`, if it is still configured.
    fn integration(&self, receiver: &str, key: &str) -> Option<(Arc<Receiver>, usize)> {
        let receiver = self.config.receivers.get(receiver)?;
        let at =
            receiver.integrations.iter().position(|integration| integration.key(&receiver.name) == key)?;
        Some((receiver.clone(), at))
    }

    /// Puts a delivery into the outbox and asks for it to be made.
    pub(super) fn start_delivery(&mut self, delivery: Delivery, receiver: Arc<Receiver>, at: usize) {
        self.changes.push(Change::put(Table::Outbox, outbox_key(delivery.id), &delivery));
        self.effects.push(Effect::Deliver(Box::new(delivery.clone()), receiver, at));
        self.outbox.insert(delivery.id, delivery);
    }

    pub(super) fn cancel_delivery(&mut self, id: u64) {
        if self.outbox.remove(&id).is_some() {
            self.changes.push(Change::remove(Table::Outbox, outbox_key(id)));
            self.effects.push(Effect::Cancel(id));
        }
    }

    /// Asks again for everything in the outbox, after a restart or a reload. A delivery already
    /// under way is cancelled first: it may go by old settings.
    pub(super) fn resume_deliveries(&mut self, now_ms: i64) {
        let waiting: Vec<_> = self.outbox.values().cloned().collect();
        for delivery in waiting {
            self.cancel_delivery(delivery.id);
            let found = self.integration(&delivery.receiver, &delivery.integration);
            if let Some((receiver, at)) = found.filter(|_| delivery.expires_at_ms > now_ms) {
                self.start_delivery(delivery, receiver, at);
            }
        }
    }

    /// Takes the end of a delivery. One that is not in the outbox was cancelled and changes
    /// nothing.
    pub fn finished(&mut self, id: u64, outcome: &Finished, now_ms: i64) {
        let Some(delivery) = self.outbox.remove(&id) else { return };
        self.changes.push(Change::remove(Table::Outbox, outbox_key(id)));
        let delivered = *outcome == Finished::Delivered;
        if delivered {
            self.note_told(&delivery, now_ms);
        }
        let mut left = Vec::new();
        for (group_id, group) in &mut self.groups {
            if let Some(resolved) = group.delivery_ended(id, delivered) {
                left.push((group_id.clone(), resolved));
            }
        }
        for (group_id, resolved) in left {
            self.let_go(&group_id, &resolved, now_ms);
        }
    }

    /// Writes what a receiver knows now into the notification log.
    pub(super) fn note_told(&mut self, delivery: &Delivery, now_ms: i64) {
        let key = Entry::key(&delivery.integration, &delivery.message.group_key);
        let target = self
            .integration(&delivery.receiver, &delivery.integration)
            .map(|(receiver, at)| receiver.integrations[at].target());
        let entry = self.log.entry(key.clone()).or_insert_with(|| Entry {
            group_key: delivery.message.group_key.clone(),
            integration: delivery.integration.clone(),
            ..Entry::default()
        });
        entry.target = target.unwrap_or_default();
        entry.repeat_interval_ms = delivery.repeat_interval_ms;
        entry.told(&delivery.firing, &delivery.resolved, now_ms);
        self.changes.push(Change::put(Table::Notifications, key, entry));
    }
}

fn outbox_key(id: u64) -> String {
    format!("{id:020}")
}
