//! A flush: what is muted, what each integration of the receiver must be told, and what may leave
//! the group.

use super::{
    Dispatcher, GroupId,
    delivery::{Delivery, idempotency_key},
    group::PendingFlush,
    incidents::Concerned,
    mutes::{Moment, Mutes},
};
use crate::{
    alert::{Alert, Fingerprint},
    config::{Config, Integration, OnMute, Receiver},
    history::{Event, EventKind},
    notify::{
        Message, NotifiedAlert,
        dedup::{Entry, Now, decide},
    },
    route::{Route, RouteId},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Groups flushed at one tick; the next tick goes on at once. Between ticks others are served.
const FLUSHES_MAX: usize = 100;
/// A delivery is tried for at least this long, however short the group's interval.
const DELIVERY_MS_MIN: i64 = 10_000;

/// The alerts of a group at the moment of a flush.
pub(super) struct Snapshot {
    /// In the order of a message.
    pub(super) alerts: Vec<NotifiedAlert>,
    /// Of `alerts`, in the same order.
    pub(super) ids: Vec<Fingerprint>,
    muted: BTreeMap<Fingerprint, Mutes>,
    /// Names of the intervals that mute the route.
    intervals: Vec<String>,
}

impl Snapshot {
    /// Each alert with its identity.
    fn each(&self) -> impl Iterator<Item = (Fingerprint, &NotifiedAlert)> + Clone {
        self.ids.iter().copied().zip(&self.alerts)
    }

    /// Those that are over.
    fn over(&self) -> impl Iterator<Item = (Fingerprint, &Alert)> {
        self.each().filter(|(_, alert)| alert.resolved).map(|(id, alert)| (id, &alert.alert))
    }
}

/// Groups that are due at one moment, as they are then.
#[derive(Default)]
pub(crate) struct Due {
    groups: Vec<(Snapshot, GroupId)>,
    /// No other is.
    is_all: bool,
}

/// Where a flush speaks to.
pub(super) struct Address<'a> {
    pub(super) group: &'a GroupId,
    pub(super) group_key: &'a str,
    pub(super) route: &'a Route,
    pub(super) receiver: &'a Arc<Receiver>,
    pub(super) at: usize,
}

impl Address<'_> {
    pub(super) fn integration(&self) -> &Integration {
        &self.receiver.integrations[self.at]
    }
}

impl Dispatcher {
    /// Whether a group may be due.
    pub(crate) fn has_due(&self, now_ms: i64) -> bool {
        self.next_due_ms <= now_ms
    }

    /// The groups that are due, and what mutes their alerts.
    pub(crate) fn due(&self, now_ms: i64) -> Due {
        if !self.has_due(now_ms) {
            return Due::default();
        }
        let (due, is_all) = self.longest_due(now_ms);
        // What mutes alerts is the same question for every group of this moment.
        let moment = self.moment(now_ms);
        let groups = due.into_iter().map(|id| (self.snapshot(&id, &moment), id)).collect();
        Due { groups, is_all }
    }

    /// Flushes the groups that are due.
    pub(super) fn flush_due(&mut self, due: Due, now_ms: i64) {
        if !self.has_due(now_ms) {
            return;
        }
        let config = self.config.clone();
        for (snapshot, id) in due.groups {
            self.flush(&id, snapshot, &config, now_ms);
        }
        self.next_due_ms = if due.is_all { self.earliest_due_ms() } else { now_ms };
    }

    /// At most [`FLUSHES_MAX`] groups that are due, those that have waited longest: groups with
    /// short intervals never keep the others from their turn. And whether these are all.
    fn longest_due(&self, now_ms: i64) -> (Vec<GroupId>, bool) {
        let due = self.groups.iter().filter(|(_, group)| group.is_due(now_ms));
        let mut due: Vec<_> = due.map(|(id, group)| (group.due_ms(), id)).collect();
        let is_all = due.len() <= FLUSHES_MAX;
        if !is_all {
            due.select_nth_unstable(FLUSHES_MAX);
            due.truncate(FLUSHES_MAX);
        }
        due.sort_unstable_by_key(|(_, id)| *id);
        (due.into_iter().map(|(_, id)| id.clone()).collect(), is_all)
    }

    fn snapshot(&self, id: &GroupId, moment: &Moment<'_>) -> Snapshot {
        let now_ms = moment.now_ms;
        let alerts = self.in_order(&self.groups[id]);
        let notified = alerts.map(|(id, alert)| {
            let resolved = self.is_over(id, alert, now_ms);
            (id, NotifiedAlert { alert: alert.clone(), resolved })
        });
        let (ids, alerts): (Vec<_>, Vec<_>) = notified.unzip();
        let mutes = |(id, alert): (&Fingerprint, &NotifiedAlert)| {
            let mutes = moment.mutes_of(&alert.alert.labels);
            (!mutes.is_empty()).then_some((*id, mutes))
        };
        let muted = ids.iter().zip(&alerts).filter_map(mutes).collect();
        Snapshot { alerts, ids, muted, intervals: moment.intervals(RouteId(id.0)).to_vec() }
    }

    fn flush(&mut self, id: &GroupId, mut snapshot: Snapshot, config: &Arc<Config>, now_ms: i64) {
        let route = config.routes.get(RouteId(id.0));
        let Some(group) = self.groups.get_mut(id) else { return };
        group.begin_flush(route.group_interval_ms, now_ms);
        let group_key = route.group_key(&group.labels);
        for (id, alert) in snapshot.over() {
            self.note_state(id, alert, Some("not renewed"), now_ms);
        }
        let is_muted_by_time = !snapshot.intervals.is_empty();
        if is_muted_by_time {
            for alert in &snapshot.ids {
                let mutes = snapshot.muted.entry(*alert).or_default();
                mutes.intervals.clone_from(&snapshot.intervals);
            }
        }
        if let Some(group) = self.groups.get_mut(id) {
            let (fresh, gone) = group.mute(snapshot.muted.clone());
            self.record_mutes(&route.receiver, &group_key, fresh, gone, now_ms);
        }
        if is_muted_by_time {
            return self.keep_for_later(id, &snapshot, route, now_ms);
        }
        let mut pending = PendingFlush::default();
        pending.resolved.extend(snapshot.over().map(|(id, alert)| (id, alert.updated_at_ms)));
        if let Some(receiver) = config.receivers.get(&route.receiver) {
            for at in 0..receiver.integrations.len() {
                let address = Address { group: id, group_key: &group_key, route, receiver, at };
                pending.deliveries.extend(self.tell(&address, &snapshot, now_ms));
            }
        }
        if pending.deliveries.is_empty() {
            self.let_go(id, &pending.resolved, now_ms);
        } else if let Some(group) = self.groups.get_mut(id) {
            group.set_pending(pending);
        }
    }

    /// Decides for one integration, and returns the delivery that must end first, if any.
    fn tell(&mut self, to: &Address<'_>, snapshot: &Snapshot, now_ms: i64) -> Option<u64> {
        let (receiver, integration) = (to.receiver, to.integration());
        let key = integration.key(&receiver.name);
        let under_way = self.outbox.of_group(&key, to.group_key);
        let under_way = under_way.map(|under_way| (under_way.delivery.id, under_way.stopping));
        if let Some((id, true)) = under_way {
            // What this receiver knows is known when the attempt under way has ended.
            return Some(id);
        }
        let target = integration.target();
        if under_way.is_none() {
            if let Some(id) = self.wait_for_unsettled(to, &key, &target, &snapshot.ids) {
                return Some(id);
            }
            self.adopt(to, &key, &target, &snapshot.ids);
        }
        let entry_key = Entry::key(&key, to.group_key);
        self.note_silenced(&entry_key, snapshot);
        if integration.on_mute == OnMute::StaySilent {
            self.close_unheard(&entry_key, snapshot);
        }
        let delivery = self.decided(to, &key, target, snapshot, now_ms);
        let Some(delivery) = delivery else {
            let id = under_way.map(|(id, _)| id);
            if id.is_some_and(|id| self.outdate(id, integration, snapshot)) {
                return id;
            }
            // Whatever was on its way is no longer true.
            id.into_iter().for_each(|id| self.stop_delivery(id));
            self.record_withheld(to, &key, snapshot, now_ms);
            return id;
        };
        if let Some((id, _)) = under_way {
            let is_same =
                self.outbox.get(id).is_some_and(|under_way| under_way.delivery.same_content(&delivery));
            if !is_same {
                self.stop_delivery(id);
            }
            return Some(id);
        }
        if integration.ties_incidents()
            && let Some(id) = self.wait_for_opposite(&delivery, to.group)
        {
            return Some(id);
        }
        if delivery.message.alerts.is_empty() {
            // The receiver does not want to hear of ends; for the log they count as told.
            self.note_told(&delivery, now_ms);
            return None;
        }
        if let Some(group) = self.groups.get_mut(to.group) {
            group.withhold(to.at, None);
        }
        let id = delivery.id;
        self.next_delivery += 1;
        self.record_decision(&delivery, now_ms);
        self.start_delivery(delivery, Some(to.group.clone()), receiver.clone(), to.at);
        Some(id)
    }

    /// Lets a notification go on of whose alerts nothing can be said but that they are over, and
    /// returns whether it is one: its receiver, which could not be reached for a while, hears of the
    /// beginning and then of the end. Not so where a sign of life would come from the dead.
    fn outdate(&mut self, id: u64, integration: &Integration, snapshot: &Snapshot) -> bool {
        let over = snapshot.over().map(|(id, _)| id);
        let unmuted: BTreeSet<_> = over.filter(|alert| !snapshot.muted.contains_key(alert)).collect();
        let Some(under_way) = self.outbox.get_mut(id) else { return false };
        let begun = &under_way.delivery.firing;
        let has_ended = !begun.is_empty() && begun.is_subset(&unmuted);
        under_way.outdated = has_ended && !integration.always_repeats();
        under_way.outdated
    }

    /// What the integration must be told now, if anything.
    fn decided(
        &self,
        to: &Address<'_>,
        key: &str,
        target: String,
        snapshot: &Snapshot,
        now_ms: i64,
    ) -> Option<Delivery> {
        let integration = to.integration();
        let entry_key = Entry::key(key, to.group_key);
        let entry = self.told.get(&entry_key);
        let audible = snapshot.each().filter(|(id, alert)| is_audible(*id, alert, &snapshot.muted, entry));
        let fingerprints = |resolved: bool| -> BTreeSet<Fingerprint> {
            audible.clone().filter(|(_, alert)| alert.resolved == resolved).map(|(id, _)| id).collect()
        };
        let (firing_set, resolved_set) = (fingerprints(false), fingerprints(true));
        let now = Now {
            firing: &firing_set,
            resolved: &resolved_set,
            send_resolved: integration.send_resolved,
            repeat_interval_ms: to.route.repeat_interval_ms,
            always: integration.always_repeats(),
            now_ms,
        };
        let reason = decide(entry, now)?;
        // Only now: mostly there is nothing to tell of thousands.
        let told = audible.filter(|(_, alert)| integration.send_resolved || !alert.resolved);
        let alerts = told.map(|(_, alert)| alert.clone()).collect();
        let concerned = if integration.ties_incidents() {
            self.concerned(&entry_key, &target, &firing_set, &resolved_set)
        } else {
            Concerned::default()
        };
        let message = Message {
            receiver: to.receiver.name.clone(),
            group_key: to.group_key.to_owned(),
            group_labels: to.group.1.clone(),
            alerts,
            reason,
            incidents: concerned.incidents,
        };
        let sequence = entry.map_or(0, |entry| entry.sequence);
        Some(Delivery {
            id: self.next_delivery,
            idempotency_key: idempotency_key(&message, key, sequence),
            receiver: to.receiver.name.clone(),
            integration: key.to_owned(),
            target,
            message,
            firing: firing_set,
            resolved: resolved_set,
            closes_more: concerned.has_more,
            expires_at_ms: now_ms + to.route.group_interval_ms.max(DELIVERY_MS_MIN),
            repeat_interval_ms: to.route.repeat_interval_ms,
        })
    }

    /// Until this notification has ended it is not known what the target knows of the alerts.
    fn wait_for_unsettled(
        &mut self,
        to: &Address<'_>,
        integration: &str,
        target: &str,
        alerts: &[Fingerprint],
    ) -> Option<u64> {
        let (id, is_stray) = self.unsettled(to, integration, target, alerts)?;
        self.outbox.get_mut(id)?.waiting.insert(to.group.clone());
        if is_stray {
            self.stop_delivery(id);
        }
        Some(id)
    }

    /// Remembers open alerts that a silence mutes now, so that its end is told.
    fn note_silenced(&mut self, entry_key: &str, snapshot: &Snapshot) {
        let Some(entry) = self.told.get(entry_key) else { return };
        let is_silenced = |(id, alert): &(Fingerprint, &NotifiedAlert)| {
            let by_silence = snapshot.muted.get(id).is_some_and(|mutes| !mutes.silences.is_empty());
            by_silence && !alert.resolved && entry.open.contains(id) && !entry.silenced.contains(id)
        };
        let fresh: Vec<_> = snapshot.each().filter(is_silenced).map(|(id, _)| id).collect();
        if !fresh.is_empty() {
            self.told.change(entry_key, |entry| entry.silenced.extend(fresh));
        }
    }

    /// Ends of muted alerts that a receiver does not want to hear of count as told, so that the next
    /// beginning is.
    fn close_unheard(&mut self, entry_key: &str, snapshot: &Snapshot) {
        let Some(entry) = self.told.get(entry_key) else { return };
        let over = snapshot.over().map(|(id, _)| id);
        let unheard: BTreeSet<_> =
            over.filter(|alert| snapshot.muted.contains_key(alert) && entry.open.contains(alert)).collect();
        if !unheard.is_empty() {
            self.told.close(entry_key, &unheard);
        }
    }

    /// Tells the history once why an integration hears nothing.
    fn record_withheld(&mut self, to: &Address<'_>, key: &str, snapshot: &Snapshot, now_ms: i64) {
        let is_known = self.told.get(&Entry::key(key, to.group_key)).is_some();
        let mut firing = snapshot.each().filter(|(_, alert)| !alert.resolved).peekable();
        let why = if firing.peek().is_none() {
            "nothing fires"
        } else if firing.all(|(id, _)| snapshot.muted.contains_key(&id)) {
            "all that fires is muted"
        } else if is_known {
            "told already"
        } else {
            "nothing to tell"
        };
        let is_new = self.groups.get_mut(to.group).is_some_and(|group| group.withhold(to.at, Some(why)));
        if is_new {
            let event = Event::new(EventKind::Withheld, now_ms).labels(&to.group.1).about(&snapshot.alerts);
            self.history.record(event.to(&to.receiver.name, key, to.group_key).reason(why));
        }
    }

    /// During a time interval that mutes, nothing is told and nothing that must be told is lost:
    /// only alerts that no receiver holds open may leave.
    fn keep_for_later(&mut self, id: &GroupId, snapshot: &Snapshot, route: &Route, now_ms: i64) {
        let unknown = snapshot.over().filter(|(alert, _)| !self.is_open(route, &id.1, *alert));
        let leaving = unknown.map(|(alert, it)| (alert, it.updated_at_ms)).collect();
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
fn is_audible(
    id: Fingerprint,
    alert: &NotifiedAlert,
    muted: &BTreeMap<Fingerprint, Mutes>,
    entry: Option<&Entry>,
) -> bool {
    let holds_open = || entry.is_some_and(|entry| entry.open.contains(&id));
    !muted.contains_key(&id) || alert.resolved && holds_open()
}
