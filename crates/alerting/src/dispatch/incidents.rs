//! Which incidents a notification is about, for receivers that tie an end to its beginning by a key.
//!
//! An incident has the name of the group that was told first. When an edit of the routing moves its
//! alerts to other groups, these go on with it: a group that takes over from several has several
//! incidents, and one whose alerts go to several groups is closed by the last of them.

use super::{Delivery, Dispatcher, GroupId};
use crate::{alert::Fingerprint, notify::dedup::Entry};
use std::collections::BTreeSet;

impl Dispatcher {
    /// The incidents of a notification that would change the entry of `key`; see
    /// [`crate::notify::Message::incidents`].
    pub(super) fn incidents(
        &self,
        key: &str,
        target: &str,
        firing: &BTreeSet<Fingerprint>,
        resolved: &BTreeSet<Fingerprint>,
    ) -> Option<Vec<String>> {
        let own = self.told.get(key);
        let mut incidents = own.map(|entry| entry.open_incidents().to_vec()).unwrap_or_default();
        if !firing.is_empty() {
            let has_others = own.is_some_and(|entry| !entry.incidents.is_empty());
            return (has_others && !incidents.is_empty()).then_some(incidents);
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
        let is_alone = abandoned.is_empty() && own.is_none_or(|entry| entry.incidents.is_empty());
        let abandoned = abandoned.into_iter().filter_map(|key| self.told.get(key));
        incidents.extend(abandoned.flat_map(|entry| entry.open_incidents().to_vec()));
        let mut seen = BTreeSet::new();
        incidents.retain(|incident| seen.insert(incident.clone()));
        let is_shared = incidents.iter().any(|incident| self.told.sharers(incident).next().is_some());
        if is_alone && !is_shared {
            return None;
        }
        incidents.retain(|incident| !self.is_held_open(incident, key, target, resolved));
        Some(incidents)
    }

    /// An end waits for a beginning under way of an incident that it would close: only then is it known
    /// whether the incident goes on.
    pub(super) fn wait_for_beginning(&mut self, end: &Delivery, group: &GroupId) -> Option<u64> {
        let incidents = end.message.incidents.as_ref().filter(|_| end.firing.is_empty())?;
        let id = self.outbox.ids().into_iter().find(|id| {
            self.outbox.get(*id).is_some_and(|under_way| {
                let Delivery { target, message, firing, .. } = &under_way.delivery;
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
    fn is_held_open(
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
        let under_way = self.outbox.of_group(&entry.integration, &entry.group_key);
        under_way.is_some_and(|under_way| !under_way.stopping && under_way.delivery.firing.is_empty())
    }

    /// Whether some group tells `target` of the end of an alert.
    fn is_heard(&self, target: &str, alert: Fingerprint) -> bool {
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
