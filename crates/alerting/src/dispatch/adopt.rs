//! What a target already knows when an edit of the routing moves alerts to another group, or the
//! group to another name of the receiver: it is taken over, so that nothing is told again and the end
//! of everything is.

use super::{Delivery, Dispatcher, GroupId, flush::Address, outbox::UnderWay};
use crate::{alert::Fingerprint, notify::dedup::Entry, route::RouteId};
use std::collections::{BTreeMap, BTreeSet};

impl Dispatcher {
    /// After an edit, takes over at once what is certain: before those who told of it tell of what is left
    /// to them.
    pub(super) fn adopt_moved(&mut self) {
        for group in self.groups.keys().cloned().collect::<Vec<_>>() {
            self.adopt_into(&group);
        }
    }

    /// The same, when it is known how a notification has ended that told of alerts which are now elsewhere.
    pub(super) fn adopt_moved_from(&mut self, under_way: &UnderWay, delivered: bool) {
        let own = under_way.group.as_ref().and_then(|own| self.groups.get(own));
        let moved = under_way.delivery.alerts().filter(|alert| !own.is_some_and(|own| own.contains(*alert)));
        let moved: Vec<Fingerprint> = moved.collect();
        let mut groups: BTreeMap<GroupId, Vec<Fingerprint>> = BTreeMap::new();
        for alert in moved {
            self.groups_of(alert).into_iter().for_each(|group| groups.entry(group).or_default().push(alert));
        }
        let waiting = under_way.waiting.iter().chain(&under_way.adopters);
        groups.keys().chain(waiting).for_each(|group| self.adopt_into(group));
        if delivered {
            groups.iter().for_each(|(group, alerts)| self.note_ends(group, &under_way.delivery, alerts));
        }
    }

    /// Takes it that the target of a notification knows the ends that it told of a group's alerts: the group
    /// does not tell them again beside what still fires.
    fn note_ends(&mut self, group: &GroupId, told: &Delivery, alerts: &[Fingerprint]) {
        let config = self.config.clone();
        let route = config.routes.get(RouteId(group.0));
        let Some(receiver) = config.receivers.get(&route.receiver) else { return };
        let Some(held) = self.groups.get(group) else { return };
        let told_ends = told.message.alerts.iter().filter(|alert| alert.resolved);
        let told_ends: BTreeSet<Fingerprint> = told_ends.map(|it| it.alert.fingerprint()).collect();
        let is_end = |alert: &&Fingerprint| told_ends.contains(alert) && held.contains(**alert);
        let ends: BTreeSet<Fingerprint> = alerts.iter().filter(is_end).copied().collect();
        for integration in receiver.integrations.iter().filter(|own| own.target() == told.target) {
            let key = Entry::key(&integration.key(&receiver.name), &route.group_key(&group.1));
            let Some(entry) = self.told.get(&key) else { continue };
            let fresh: Vec<Fingerprint> = ends.difference(&entry.open).copied().collect();
            if !fresh.is_empty() {
                self.told.change(&key, |entry| entry.resolved.extend(fresh));
            }
        }
    }

    /// Where an alert belongs by the present routes.
    fn groups_of(&self, alert: Fingerprint) -> Vec<GroupId> {
        let Some(labels) = self.alerts.get(&alert).map(|alert| &alert.labels) else { return Vec::new() };
        let routes = self.config.routes.matching(labels).into_iter();
        routes.map(|id| (id.0, self.config.routes.get(id).group_labels(labels))).collect()
    }

    /// Takes over what is certain for each integration of a group. All alerts of the group are looked at:
    /// not again at each end of thousands of notifications, but when that has ended which was in the way.
    fn adopt_into(&mut self, group: &GroupId) {
        let config = self.config.clone();
        let route = config.routes.get(RouteId(group.0));
        let Some(receiver) = config.receivers.get(&route.receiver) else { return };
        let group_key = &*route.group_key(&group.1);
        for at in 0..receiver.integrations.len() {
            let to = Address { group, group_key, route, receiver, at };
            let (key, target) = (to.integration().key(&receiver.name), to.integration().target());
            if self.outbox.of_group(&key, group_key).is_none() && !self.outbox.is_held_up(group, at) {
                self.adopt_unless_unsettled(&to, &key, &target);
            }
        }
    }

    fn adopt_unless_unsettled(&mut self, to: &Address<'_>, integration: &str, target: &str) {
        let Some(alerts) = self.groups.get(to.group).map(|it| it.alerts().collect::<Vec<_>>()) else {
            return;
        };
        #[cfg(test)]
        {
            self.looks += 1;
        }
        match self.unsettled(to, integration, target, &alerts) {
            Some((id, _)) => self.outbox.hold_up(to.group, to.at, id),
            None => self.adopt(to, integration, target, &alerts),
        }
    }

    /// A notification that must have ended before it is known what a target knows of the alerts of a group:
    /// an edit may have left one whose group is gone, or has lost alerts of which it tells to this one,
    /// or (false) one by which a group that has lost alerts tells that all is over.
    pub(super) fn unsettled(
        &self,
        to: &Address<'_>,
        integration: &str,
        target: &str,
        alerts: &[Fingerprint],
    ) -> Option<(u64, bool)> {
        let entry_key = Entry::key(integration, to.group_key);
        alerts.iter().find_map(|alert| {
            let stray = self.outbox.about(*alert).find(|it| self.is_stray(it, *alert, target, to.group));
            let end = || {
                let mut left = self.left_by_others(*alert, target, &entry_key);
                left.find_map(|(_, entry)| self.end_under_way(entry))
            };
            let stray = stray.map(|under_way| (under_way.delivery.id, true));
            stray.or_else(|| Some((end()?.delivery.id, false)))
        })
    }

    fn is_stray(&self, under_way: &UnderWay, alert: Fingerprint, target: &str, group: &GroupId) -> bool {
        let own = under_way.group.as_ref();
        let holds_it = |own: &GroupId| self.groups.get(own).is_some_and(|group| group.contains(alert));
        under_way.delivery.target == target && own != Some(group) && !own.is_some_and(holds_it)
    }

    /// Other entries than that of `own` by which a target holds an alert open that belongs to their groups
    /// no more, with their keys.
    fn left_by_others(
        &self,
        alert: Fingerprint,
        target: &str,
        own: &str,
    ) -> impl Iterator<Item = (&str, &Entry)> {
        let holders = self.told.holders(alert).filter(move |(key, it)| *key != own && it.target == target);
        holders.filter(move |(_, it)| !self.is_told_elsewhere(it, alert))
    }

    /// Takes over what the target of an integration was told by others of the alerts of a group.
    pub(super) fn adopt(
        &mut self,
        to: &Address<'_>,
        integration: &str,
        target: &str,
        alerts: &[Fingerprint],
    ) {
        let entry_key = Entry::key(integration, to.group_key);
        let own = self.told.get(&entry_key);
        let mut known: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
        for alert in alerts.iter().filter(|alert| !own.is_some_and(|own| own.open.contains(*alert))) {
            for (key, _) in self.left_by_others(*alert, target, &entry_key) {
                known.entry(key.to_owned()).or_default().insert(*alert);
            }
        }
        if known.is_empty() {
            return;
        }
        let mut adopted = own.cloned().unwrap_or_default();
        let ties_incidents = to.integration().ties_incidents();
        if ties_incidents {
            let own: Vec<_> = adopted.open_incidents().map(|it| adopted.with_sureness(it)).collect();
            adopted.join_incidents(own.into_iter().chain(self.taken_over(to.group_key, target, &known)));
        }
        for (key, alerts) in &known {
            let Some(entry) = self.told.get(key) else { continue };
            adopted.at_ms = adopted.at_ms.max(entry.at_ms);
            adopted.sequence = adopted.sequence.max(entry.sequence);
            adopted.repeat_interval_ms = entry.repeat_interval_ms;
            adopted.silenced.extend(entry.silenced.intersection(alerts));
            adopted.open.extend(alerts);
            // One that was muted meanwhile is open, but the last notification left it out.
            adopted.firing.extend(entry.firing.intersection(alerts));
            adopted.resolved.retain(|alert| !alerts.contains(alert));
        }
        adopted.group_key = to.group_key.to_owned();
        adopted.integration = integration.to_owned();
        adopted.target = target.to_owned();
        for (key, alerts) in known {
            if ties_incidents {
                self.told.name_incidents(&key);
            }
            self.told.close(&key, &alerts);
        }
        self.told.change(&entry_key, |entry| *entry = adopted);
    }

    /// The incidents that a group goes on with, given the alerts that it takes from others: from each that
    /// of its own name if there is one, otherwise the first, and from one that keeps nothing of which this
    /// target hears all that no third keeps open.
    fn taken_over(
        &self,
        group_key: &str,
        target: &str,
        known: &BTreeMap<String, BTreeSet<Fingerprint>>,
    ) -> Vec<(String, bool)> {
        let mut taken = Vec::new();
        let moved: BTreeSet<Fingerprint> = known.values().flatten().copied().collect();
        for (key, alerts) in known {
            let Some(entry) = self.told.get(key) else { continue };
            if self.told.names(key, group_key) && entry.relies_on(group_key) {
                taken.push(entry.with_sureness(group_key));
            } else {
                let seen_by = entry.open_incidents().take(self.incident_bounds.shared_max);
                taken.extend(seen_by.map(|incident| entry.with_sureness(incident)));
            }
            let is_kept = |alert: &Fingerprint| !alerts.contains(alert) && self.is_heard(target, *alert);
            if !entry.open.iter().any(is_kept) {
                let is_left = |incident: &&str| !self.is_held_open(incident, key, target, &moved);
                let left = entry.open_incidents().filter(is_left);
                taken.extend(left.map(|incident| entry.with_sureness(incident)));
            }
        }
        taken
    }

    /// Whether an alert still belongs to the group that writes to this entry.
    pub(super) fn is_told_elsewhere(&self, entry: &Entry, alert: Fingerprint) -> bool {
        let Some(labels) = self.alerts.get(&alert).map(|alert| &alert.labels) else { return false };
        self.config.routes.matching(labels).into_iter().any(|route_id| {
            let route = self.config.routes.get(route_id);
            let group_labels = route.group_labels(labels);
            let receiver = self.config.receivers.get(&route.receiver);
            route.group_key(&group_labels) == entry.group_key
                && self.groups.get(&(route_id.0, group_labels)).is_some_and(|group| group.contains(alert))
                && receiver
                    .is_some_and(|it| it.integrations.iter().any(|i| i.key(&it.name) == entry.integration))
        })
    }
}
