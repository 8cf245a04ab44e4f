//! A flush: what is muted, what each integration of the receiver must be told, and what may leave
//! the group.

use super::{
    Dispatcher, GroupId,
    delivery::{Delivery, idempotency_key},
    group::{AlertGroup, PendingFlush},
};
use crate::{
    alert::Fingerprint,
    config::{Config, Receiver},
    inhibit::Inhibitor,
    journal::{Change, Table},
    notify::{
        Message, NotifiedAlert, Reason,
        dedup::{Entry, Now, decide},
        message::sort,
    },
    route::{Route, RouteId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A delivery is tried for at least this long, however short the group's interval.
const DELIVERY_MS_MIN: i64 = 10_000;

/// The alerts of a group at the moment of a flush.
struct Snapshot {
    alerts: Vec<NotifiedAlert>,
    muted: BTreeSet<Fingerprint>,
}

impl Dispatcher {
    pub(super) fn flush_due(&mut self, now_ms: i64) {
        let due: Vec<GroupId> = self
            .groups
            .iter()
            .filter(|(_, group)| group.next_flush_ms <= now_ms)
            .map(|(id, _)| id.clone())
            .collect();
        if due.is_empty() {
            return;
        }
        // Inhibition is the same question for every group of this moment.
        let config = self.config.clone();
        let mut snapshots = Vec::new();
        let inhibitor = Inhibitor::new(&config.inhibit_rules, self.alerts.values(), now_ms);
        for id in due {
            let snapshot = self.snapshot(&id, &inhibitor, now_ms);
            snapshots.push((id, snapshot));
        }
        drop(inhibitor);
        for (id, snapshot) in snapshots {
            self.flush(&id, snapshot, &config, now_ms);
        }
    }

    fn snapshot(&self, id: &GroupId, inhibitor: &Inhibitor<'_>, now_ms: i64) -> Snapshot {
        let alerts = self.groups[id].alerts().filter_map(|fingerprint| self.alerts.get(&fingerprint));
        let mut alerts: Vec<_> = alerts
            .map(|alert| NotifiedAlert { alert: alert.clone(), resolved: alert.is_resolved(now_ms) })
            .collect();
        sort(&mut alerts);
        let is_muted = |alert: &&NotifiedAlert| {
            let labels = &alert.alert.labels;
            !inhibitor.inhibitors_of(labels).is_empty() || !self.silences.muting(labels, now_ms).is_empty()
        };
        let muted = alerts.iter().filter(is_muted).map(|alert| alert.alert.fingerprint()).collect();
        Snapshot { alerts, muted }
    }

    fn flush(&mut self, id: &GroupId, snapshot: Snapshot, config: &Arc<Config>, now_ms: i64) {
        let route = config.routes.get(RouteId(id.0));
        let Some(group) = self.groups.get_mut(id) else { return };
        group.begin_flush(route.group_interval_ms, now_ms);
        let group_key = route.group_key(&group.labels);
        if is_muted_by_time(config, route, now_ms) {
            return self.keep_for_later(id, &snapshot, route, now_ms);
        }
        let mut pending = PendingFlush::default();
        for alert in snapshot.alerts.iter().filter(|alert| alert.resolved) {
            pending.resolved.insert(alert.alert.fingerprint(), alert.alert.updated_at_ms);
        }
        if let Some(receiver) = config.receivers.get(&route.receiver) {
            for at in 0..receiver.integrations.len() {
                let message = Message {
                    receiver: receiver.name.clone(),
                    group_key: group_key.clone(),
                    group_labels: id.1.clone(),
                    alerts: Vec::new(),
                    reason: Reason::First,
                };
                pending.deliveries.extend(self.tell(receiver, at, route, &snapshot, message, now_ms));
            }
        }
        if pending.deliveries.is_empty() {
            self.let_go(id, &pending.resolved, now_ms);
        } else if let Some(group) = self.groups.get_mut(id) {
            group.set_pending(pending);
        }
    }

    /// Decides for one integration, and returns the delivery that must succeed, if any.
    fn tell(
        &mut self,
        receiver: &Arc<Receiver>,
        at: usize,
        route: &Route,
        snapshot: &Snapshot,
        mut message: Message,
        now_ms: i64,
    ) -> Option<u64> {
        let integration = &receiver.integrations[at];
        let key = integration.key(&receiver.name);
        let entry_key = Entry::key(&key, &message.group_key);
        self.adopt(&entry_key, &key, &message.group_key, &integration.target(), snapshot);
        let entry = self.log.get(&entry_key);
        let audible = snapshot.alerts.iter().filter(|alert| is_audible(alert, &snapshot.muted, entry));
        let (resolved, firing): (Vec<_>, Vec<_>) = audible.cloned().partition(|alert| alert.resolved);
        let fingerprints = |alerts: &[NotifiedAlert]| -> BTreeSet<Fingerprint> {
            alerts.iter().map(|alert| alert.alert.fingerprint()).collect()
        };
        let (firing_set, resolved_set) = (fingerprints(&firing), fingerprints(&resolved));
        let now = Now {
            firing: &firing_set,
            resolved: &resolved_set,
            send_resolved: integration.send_resolved,
            repeat_interval_ms: route.repeat_interval_ms,
            now_ms,
        };
        let reason = decide(entry, now);
        let under_way = self.under_way(&key, &message.group_key);
        let Some(reason) = reason else {
            // Whatever was on its way is no longer true.
            under_way.into_iter().for_each(|id| self.cancel_delivery(id));
            return None;
        };
        message.reason = reason;
        message.alerts = firing;
        if integration.send_resolved {
            message.alerts.extend(resolved);
            sort(&mut message.alerts);
        }
        let sequence = entry.map_or(0, |entry| entry.sequence);
        let delivery = Delivery {
            id: self.next_delivery,
            idempotency_key: idempotency_key(&message, &key, sequence),
            receiver: receiver.name.clone(),
            integration: key,
            message,
            firing: firing_set,
            resolved: resolved_set,
            expires_at_ms: now_ms + route.group_interval_ms.max(DELIVERY_MS_MIN),
            repeat_interval_ms: route.repeat_interval_ms,
        };
        if delivery.message.alerts.is_empty() {
            // The receiver does not want to hear of ends; for the log they count as told.
            under_way.into_iter().for_each(|id| self.cancel_delivery(id));
            self.note_told(&delivery, now_ms);
            return None;
        }
        for id in under_way {
            if self.outbox.get(&id).is_some_and(|other| other.same_content(&delivery)) {
                return Some(id);
            }
            self.cancel_delivery(id);
        }
        let id = delivery.id;
        self.next_delivery += 1;
        self.start_delivery(delivery, receiver.clone(), at);
        Some(id)
    }

    fn under_way(&self, integration: &str, group_key: &str) -> Vec<u64> {
        let same = |delivery: &&Delivery| {
            delivery.integration == integration && delivery.message.group_key == group_key
        };
        self.outbox.values().filter(same).map(|delivery| delivery.id).collect()
    }

    /// A group without a log entry may be an old one under a new name, because a route or a
    /// receiver was edited: what its target already knows is then taken over.
    fn adopt(
        &mut self,
        entry_key: &str,
        integration: &str,
        group_key: &str,
        target: &str,
        snapshot: &Snapshot,
    ) {
        if self.log.contains_key(entry_key) {
            return;
        }
        let here: BTreeSet<_> = snapshot.alerts.iter().map(|alert| alert.alert.fingerprint()).collect();
        let mut adopted = Entry::default();
        let mut emptied = Vec::new();
        for (key, entry) in &self.log {
            let known: BTreeSet<_> = entry.open.intersection(&here).copied().collect();
            if entry.target != target || known.is_empty() || self.is_told_elsewhere(entry, &known) {
                continue;
            }
            adopted.at_ms = adopted.at_ms.max(entry.at_ms);
            adopted.sequence = adopted.sequence.max(entry.sequence);
            adopted.repeat_interval_ms = entry.repeat_interval_ms;
            adopted.open.extend(&known);
            emptied.push((key.clone(), known));
        }
        if emptied.is_empty() {
            return;
        }
        adopted.firing.clone_from(&adopted.open);
        adopted.group_key = group_key.to_owned();
        adopted.integration = integration.to_owned();
        adopted.target = target.to_owned();
        for (key, known) in emptied {
            if let Some(entry) = self.log.get_mut(&key) {
                entry.open.retain(|alert| !known.contains(alert));
                self.changes.push(Change::put(Table::Notifications, key, entry));
            }
        }
        self.changes.push(Change::put(Table::Notifications, entry_key, &adopted));
        self.log.insert(entry_key.to_owned(), adopted);
    }

    /// Whether one of `alerts` still belongs to the group that writes to this entry.
    fn is_told_elsewhere(&self, entry: &Entry, alerts: &BTreeSet<Fingerprint>) -> bool {
        let holds_one = |group: &AlertGroup| group.alerts().any(|alert| alerts.contains(&alert));
        self.groups.iter().filter(|(_, group)| holds_one(group)).any(|((route, labels), _)| {
            let route = self.config.routes.get(RouteId(*route));
            let receiver = self.config.receivers.get(&route.receiver);
            route.group_key(labels) == entry.group_key
                && receiver
                    .is_some_and(|it| it.integrations.iter().any(|i| i.key(&it.name) == entry.integration))
        })
    }

    /// During a time interval that mutes, nothing is told and nothing that must be told is lost:
    /// only alerts that no receiver holds open may leave.
    fn keep_for_later(&mut self, id: &GroupId, snapshot: &Snapshot, route: &Route, now_ms: i64) {
        let over = snapshot.alerts.iter().filter(|alert| alert.resolved);
        let unknown = over.filter(|alert| !self.is_open(route, &id.1, alert.alert.fingerprint()));
        let leaving = unknown.map(|alert| (alert.alert.fingerprint(), alert.alert.updated_at_ms)).collect();
        self.let_go(id, &leaving, now_ms);
    }

    /// Takes alerts out of a group, unless they have changed since the flush.
    pub(super) fn let_go(&mut self, id: &GroupId, resolved: &BTreeMap<Fingerprint, i64>, now_ms: i64) {
        let Some(group) = self.groups.get_mut(id) else { return };
        for (fingerprint, updated_at_ms) in resolved {
            let unchanged = self
                .alerts
                .get(fingerprint)
                .is_none_or(|alert| alert.updated_at_ms == *updated_at_ms && alert.is_resolved(now_ms));
            if unchanged {
                group.remove(*fingerprint);
            }
        }
    }
}

/// A muted alert is not told, except for its end to a receiver that holds it open: it would do so
/// for ever.
fn is_audible(alert: &NotifiedAlert, muted: &BTreeSet<Fingerprint>, entry: Option<&Entry>) -> bool {
    let fingerprint = alert.alert.fingerprint();
    let holds_open = || entry.is_some_and(|entry| entry.open.contains(&fingerprint));
    !muted.contains(&fingerprint) || alert.resolved && holds_open()
}

fn is_muted_by_time(config: &Config, route: &Route, now_ms: i64) -> bool {
    let within =
        |name: &String| config.time_intervals.get(name).is_some_and(|interval| interval.contains(now_ms));
    let inactive = !route.active_time_intervals.is_empty() && !route.active_time_intervals.iter().any(within);
    inactive || route.mute_time_intervals.iter().any(within)
}
