//! Which incidents a notification is about, for receivers that tie an end to its beginning by a key.
//!
//! An incident has the name of the group that was told first. When an edit of the routing moves its
//! alerts to other groups, these go on with it: a group that takes over from several has several
//! incidents, and one whose alerts go to several groups is closed by the last of them. An end of many
//! incidents closes them in parts, each of which is known to be done.

use super::{Delivery, Dispatcher, GroupId, outbox::UnderWay};
use crate::{
    alert::Fingerprint,
    config::{Integration, Receiver},
    notify::dedup::Entry,
};
use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

/// How many incidents are dealt with at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct IncidentBounds {
    /// Incidents that one notification closes: a request each, one after the other, within an attempt.
    pub(super) closed_at_once_max: usize,
    /// Incidents that a group goes on with, of an entry that keeps alerts: one is enough to be seen by,
    /// and when thousands of groups part each cannot have all.
    pub(super) shared_max: usize,
}

impl Default for IncidentBounds {
    fn default() -> Self {
        IncidentBounds { closed_at_once_max: 50, shared_max: 16 }
    }
}

/// What a notification is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Concerned {
    /// See [`crate::notify::Message::incidents`].
    pub(super) incidents: Option<Vec<String>>,
    /// There are more to close.
    pub(super) has_more: bool,
}

impl Dispatcher {
    /// The incidents of a notification that would change the entry of `key`.
    pub(super) fn concerned(
        &self,
        key: &str,
        target: &str,
        firing: &BTreeSet<Fingerprint>,
        resolved: &BTreeSet<Fingerprint>,
    ) -> Concerned {
        let own = self.told.get(key);
        let own_is_named = own.is_some_and(|entry| !entry.incidents.is_empty());
        let is_left = firing.is_empty() && own.is_some_and(|it| self.is_left_to_others(it, resolved));
        let own_open = own.filter(|_| !is_left).into_iter().flat_map(Entry::open_incidents);
        if !firing.is_empty() {
            let open: Vec<_> = own_open.map(str::to_owned).collect();
            let is_named = own_is_named && !open.is_empty();
            return Concerned { incidents: is_named.then_some(open), has_more: false };
        }
        // An end closes what was opened by groups that are gone, too.
        let mut abandoned = BTreeSet::new();
        for alert in resolved {
            for (other_key, entry) in self.told.holders(*alert) {
                let is_other = other_key != key && entry.target == target;
                if is_other && !self.is_told_elsewhere(entry, *alert) {
                    abandoned.insert(other_key);
                }
            }
        }
        let is_alone = abandoned.is_empty() && !own_is_named && !is_left;
        let closed = own.map(|entry| &entry.closed);
        let abandoned = abandoned.into_iter().filter_map(|key| self.told.get(key));
        let mut seen: HashSet<&str> = closed.into_iter().flatten().map(String::as_str).collect();
        let mut incidents: Vec<&str> = own_open.chain(abandoned.flat_map(Entry::open_incidents)).collect();
        incidents.retain(|incident| seen.insert(incident));
        let is_shared = |incident: &&str| self.told.sharers(incident).next().is_some();
        if is_alone && !incidents.iter().any(is_shared) {
            return Concerned::default();
        }
        let closing = incidents.into_iter().filter(|it| !self.is_held_open(it, key, target, resolved));
        let at_once_max = self.incident_bounds.closed_at_once_max;
        let mut closing: Vec<_> = closing.take(at_once_max + 1).map(str::to_owned).collect();
        let has_more = closing.len() > at_once_max;
        closing.truncate(at_once_max);
        Concerned { incidents: Some(closing), has_more }
    }

    /// Whether other groups go on with the incidents of an entry, although they have not yet taken over the
    /// alerts that an edit has moved to them.
    fn is_left_to_others(&self, entry: &Entry, resolved: &BTreeSet<Fingerprint>) -> bool {
        let mut left = entry.open.iter().filter(|alert| !resolved.contains(alert));
        left.any(|alert| !self.is_told_elsewhere(entry, *alert) && self.is_heard(&entry.target, *alert))
    }

    /// An end waits for a beginning under way of an incident that it would close: only then is it known
    /// whether the incident goes on. So does a beginning for an end of its incident, which it may have to
    /// open anew.
    pub(super) fn wait_for_opposite(&mut self, delivery: &Delivery, group: &GroupId) -> Option<u64> {
        let opening = delivery.closes().iter().find_map(|it| self.outbox.opening(&delivery.target, it));
        let closing = || self.outbox.closing(&delivery.target, delivery.opens()?);
        let id = opening.or_else(closing)?;
        self.outbox.get_mut(id)?.waiting.insert(group.clone());
        Some(id)
    }

    /// Takes it that the target of an end has closed its incidents for all groups that have them in common.
    pub(super) fn doubt_incidents(&mut self, end: &Delivery) {
        if end.closes().is_empty() {
            return;
        }
        let closed: BTreeSet<String> = end.closes().iter().cloned().collect();
        let mut keys = BTreeSet::from([Entry::key(&end.integration, &end.message.group_key)]);
        // Otherwise nobody had the incident in common when the end was decided.
        if end.message.incidents.is_some() {
            let naming = closed.iter().flat_map(|incident| self.naming(incident, &end.target));
            keys.extend(naming.map(|(key, _)| key.to_owned()));
        }
        for key in keys {
            self.told.change(&key, |entry| entry.doubt(&closed));
        }
    }

    /// Whether an entry that holds nothing open but `alerts`, which are over, has an incident that is not
    /// `closed` and that no other keeps open.
    pub(super) fn leaves_incidents(
        &self,
        key: &str,
        alerts: &BTreeSet<Fingerprint>,
        closed: &BTreeSet<String>,
    ) -> bool {
        let Some(entry) = self.told.get(key).filter(|entry| entry.open.is_subset(alerts)) else {
            return false;
        };
        let target = &entry.target;
        let is_left =
            |incident: &str| !closed.contains(incident) && !self.is_held_open(incident, key, target, alerts);
        self.reaching(target).any(|(_, own)| own.ties_incidents()) && entry.open_incidents().any(is_left)
    }

    /// The integrations that reach a target, with their receivers.
    fn reaching(&self, target: &str) -> impl Iterator<Item = (&Arc<Receiver>, &Integration)> {
        let receivers = self.config.receivers.values();
        let integrations = receivers.flat_map(|it| it.integrations.iter().map(move |own| (it, own)));
        integrations.filter(move |(_, integration)| integration.target() == target)
    }

    /// Entries of a target that name an incident, be it by their own name, with their keys.
    fn naming(&self, incident: &str, target: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let keys = self.reaching(target).map(|(it, own)| Entry::key(&own.key(&it.name), incident));
        let named_so = keys.filter_map(|key| self.told.find(&key));
        let named_so = named_so.filter(|(_, entry)| entry.incidents.is_empty());
        named_so.chain(self.told.sharers(incident)).filter(move |(_, entry)| entry.target == target)
    }

    /// Whether alerts beside those of the entry of `key` and those that are over keep an incident
    /// open, and somebody will tell their end.
    pub(super) fn is_held_open(
        &self,
        incident: &str,
        key: &str,
        target: &str,
        resolved: &BTreeSet<Fingerprint>,
    ) -> bool {
        self.naming(incident, target).filter(|(other_key, _)| *other_key != key).any(|(_, entry)| {
            !self.is_being_closed(entry)
                && entry.relies_on(incident)
                && entry.open.iter().any(|alert| !resolved.contains(alert) && self.is_heard(target, *alert))
        })
    }

    /// Whether the receiver is about to be told that all is over: it leaves to others what they close.
    fn is_being_closed(&self, entry: &Entry) -> bool {
        self.end_under_way(entry).is_some_and(|under_way| !under_way.stopping)
    }

    /// By which the receiver is told that all of an entry's group is over.
    pub(super) fn end_under_way(&self, entry: &Entry) -> Option<&UnderWay> {
        let under_way = self.outbox.of_group(&entry.integration, &entry.group_key);
        under_way.filter(|under_way| under_way.delivery.firing.is_empty())
    }

    /// Whether some group tells `target` of the end of an alert.
    pub(super) fn is_heard(&self, target: &str, alert: Fingerprint) -> bool {
        let Some(labels) = self.alerts.get(&alert).map(|alert| &alert.labels) else { return false };
        self.config.routes.matching(labels).into_iter().any(|route_id| {
            let route = self.config.routes.get(route_id);
            let receiver = self.config.receivers.get(&route.receiver);
            let group = (route_id.0, route.group_labels(labels));
            self.groups.get(&group).is_some_and(|group| group.contains(alert))
                && receiver.is_some_and(|it| {
                    it.integrations.iter().any(|own| own.send_resolved && own.target() == target)
                })
        })
    }
}

#[cfg(test)]
mod tests;
