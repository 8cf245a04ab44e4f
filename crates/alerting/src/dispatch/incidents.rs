//! Which incidents a notification is about, for receivers that tie an end to its beginning by a key.
//!
//! An incident has the name of the group that was told first. When an edit of the routing moves its
//! alerts to other groups, these go on with it: a group that takes over from several has several
//! incidents, and one whose alerts go to several groups is closed by the last of them. An end of many
//! incidents closes them in parts, each of which is known to be done.

use super::{Delivery, Dispatcher, GroupId, outbox::UnderWay};
use crate::{alert::Fingerprint, notify::dedup::Entry};
use std::collections::{BTreeSet, HashSet};

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
    /// whether the incident goes on.
    pub(super) fn wait_for_beginning(&mut self, end: &Delivery, group: &GroupId) -> Option<u64> {
        let incidents = end.message.incidents.as_ref().filter(|_| end.firing.is_empty())?;
        let incidents: HashSet<&String> = incidents.iter().collect();
        let id = self.outbox.ids().into_iter().find(|id| {
            self.outbox.get(*id).is_some_and(|under_way| {
                let Delivery { target, message, firing, .. } = &*under_way.delivery;
                let own = message.incidents.as_ref().and_then(|own| own.first());
                let begun = own.unwrap_or(&message.group_key);
                !firing.is_empty() && *target == end.target && incidents.contains(begun)
            })
        })?;
        self.outbox.get_mut(id)?.waiting.insert(group.clone());
        Some(id)
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
        let receivers = self.config.receivers.values();
        let integrations = receivers.flat_map(|it| it.integrations.iter().map(move |own| (it, own)));
        let reaching = integrations.filter(|(_, integration)| integration.target() == target);
        let named_so = reaching.filter_map(|(receiver, integration)| {
            let other_key = Entry::key(&integration.key(&receiver.name), incident);
            let entry = self.told.get(&other_key)?;
            (other_key != key && entry.incidents.is_empty()).then_some(entry)
        });
        let sharers = self.told.sharers(incident).filter(|(other_key, _)| *other_key != key);
        named_so.chain(sharers.map(|(_, entry)| entry)).any(|entry| {
            entry.target == target
                && !self.is_being_closed(entry)
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
