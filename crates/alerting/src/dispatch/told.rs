//! All entries of the notification log, and who holds an alert open: what a receiver was told as
//! firing and not yet as resolved. The index keeps the question cheap when there are many groups, and
//! an entry that changes many times within a transaction is written once.

use crate::{
    alert::Fingerprint,
    journal::{Change, Table},
    notify::dedup::Entry,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::Hash,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct NotificationLog {
    entries: BTreeMap<String, Entry>,
    open: HashMap<Fingerprint, BTreeSet<String>>,
    /// Entries by the incidents that they name.
    by_incident: HashMap<String, BTreeSet<String>>,
    /// Keys of entries that have changed, or are gone, since they were written.
    unwritten: BTreeSet<String>,
}

impl NotificationLog {
    pub(crate) fn restored(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        let mut log = NotificationLog::default();
        for (key, mut entry) in entries {
            // Earlier versions kept what another group had taken over, and never told it again.
            entry.firing.retain(|alert| entry.open.contains(alert));
            log.index(&key, &entry.open, &entry.incidents);
            log.entries.insert(key, entry);
        }
        log
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The same, with the key as it is kept.
    pub(crate) fn find(&self, key: &str) -> Option<(&str, &Entry)> {
        self.entries.get_key_value(key).map(|(key, entry)| (key.as_str(), entry))
    }

    /// Entries that hold an alert open, with their keys, in order of these.
    pub(crate) fn holders(&self, alert: Fingerprint) -> impl Iterator<Item = (&str, &Entry)> {
        let keys = self.open.get(&alert).into_iter().flatten();
        keys.filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }

    /// Entries that name an incident, with their keys, last keys first: groups are told in order of theirs,
    /// so that of thousands that end at one time the last are those that do not yet.
    pub(crate) fn sharers(&self, incident: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let keys = self.by_incident.get(incident).into_iter().flatten().rev();
        keys.filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }

    /// Whether the entry of `key` names `incident` as open, be it by its own name.
    pub(crate) fn names(&self, key: &str, incident: &str) -> bool {
        let Some(entry) = self.entries.get(key) else { return false };
        let is_named = || self.by_incident.get(incident).is_some_and(|keys| keys.contains(key));
        let is_its_own = || entry.incidents.is_empty() && entry.group_key == incident;
        !entry.closed.contains(incident) && (is_named() || is_its_own())
    }

    /// Lets an entry name its incident although that has its own name: another has it in common now.
    pub(crate) fn name_incidents(&mut self, key: &str) {
        let is_nameless = |entry: &Entry| entry.incidents.is_empty() && !entry.open.is_empty();
        if self.entries.get(key).is_some_and(is_nameless) {
            self.change(key, |entry| entry.incidents.push(entry.group_key.clone()));
        }
    }

    /// Changes an entry, or a new one.
    pub(crate) fn change(&mut self, key: &str, change: impl FnOnce(&mut Entry)) {
        let mut entry = self.entries.remove(key).unwrap_or_default();
        let (open, incidents) = (entry.open.clone(), entry.incidents.clone());
        change(&mut entry);
        if open != entry.open {
            open.difference(&entry.open).for_each(|alert| forget(&mut self.open, alert, key));
            self.index(key, entry.open.difference(&open), &[]);
        }
        if incidents != entry.incidents {
            incidents.iter().for_each(|incident| forget(&mut self.by_incident, incident, key));
            self.index(key, [], &entry.incidents);
        }
        self.put_changed(key, entry);
    }

    /// Takes it that the receiver knows of the end of `alerts`, although this entry did not tell it. Costs
    /// what they are, however many others are open.
    pub(crate) fn close(&mut self, key: &str, alerts: &BTreeSet<Fingerprint>) {
        let Some(mut entry) = self.entries.remove(key) else { return };
        let incidents = entry.close(alerts);
        incidents.iter().for_each(|incident| forget(&mut self.by_incident, incident, key));
        alerts.iter().for_each(|alert| forget(&mut self.open, alert, key));
        self.put_changed(key, entry);
    }

    /// Forgets entries that serve no purpose any more, and of the others what is open and held no
    /// more, whose end nobody is left to tell: when such an alert comes back, that is news.
    pub(crate) fn collect(&mut self, is_held: impl Fn(Fingerprint) -> bool, now_ms: i64) {
        let expired = self.entries.iter().filter(|(_, entry)| entry.is_expired(&is_held, now_ms));
        for key in expired.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.remove(&key);
        }
        let mut gone: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
        for (alert, keys) in self.open.iter().filter(|(alert, _)| !is_held(**alert)) {
            for key in keys {
                gone.entry(key.clone()).or_default().insert(*alert);
            }
        }
        for (key, alerts) in gone {
            self.close(&key, &alerts);
        }
    }

    /// What must be written.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let keys = std::mem::take(&mut self.unwritten).into_iter();
        let written = keys.map(|key| match self.entries.get(&key) {
            Some(entry) => Change::put(Table::Notifications, key, entry),
            None => Change::remove(Table::Notifications, key),
        });
        written.collect()
    }

    fn put_changed(&mut self, key: &str, entry: Entry) {
        self.entries.insert(key.to_owned(), entry);
        self.unwritten.insert(key.to_owned());
    }

    fn index<'e>(
        &mut self,
        key: &str,
        open: impl IntoIterator<Item = &'e Fingerprint>,
        incidents: &[String],
    ) {
        for alert in open {
            self.open.entry(*alert).or_default().insert(key.to_owned());
        }
        for incident in incidents {
            self.by_incident.entry(incident.clone()).or_default().insert(key.to_owned());
        }
    }

    fn remove(&mut self, key: &str) {
        let Some(entry) = self.entries.remove(key) else { return };
        entry.open.iter().for_each(|alert| forget(&mut self.open, alert, key));
        entry.incidents.iter().for_each(|incident| forget(&mut self.by_incident, incident, key));
        self.unwritten.insert(key.to_owned());
    }
}

/// Takes an entry's key out of an index.
fn forget<K: Hash + Eq>(index: &mut HashMap<K, BTreeSet<String>>, of: &K, key: &str) {
    let is_last = index.get_mut(of).is_some_and(|keys| {
        keys.remove(key);
        keys.is_empty()
    });
    if is_last {
        index.remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharers_follow_the_entries() {
        let mut log = NotificationLog::default();
        for key in ["a", "b"] {
            log.change(key, |entry| {
                entry.open.insert(Fingerprint(1));
                entry.join_incidents([("x".to_owned(), true)]);
            });
        }
        assert_eq!(log.sharers("x").map(|(key, _)| key).collect::<Vec<_>>(), ["b", "a"]);
        log.close("a", &BTreeSet::from([Fingerprint(1)]));
        assert_eq!(log.sharers("x").map(|(key, _)| key).collect::<Vec<_>>(), ["b"]);
        log.collect(|_| false, i64::MAX / 2);
        assert!(log.by_incident.is_empty());
    }

    #[test]
    fn holders_follow_the_entries() {
        let (one, two) = (Fingerprint(1), Fingerprint(2));
        let mut log = NotificationLog::default();
        log.change("a", |entry| entry.open.extend([one, two]));
        log.change("b", |entry| entry.open.extend([two]));
        let holders = |log: &NotificationLog, alert| log.holders(alert).count();
        assert_eq!((holders(&log, one), holders(&log, two)), (1, 2));
        log.change("a", |entry| entry.open.retain(|alert| *alert == one));
        assert_eq!((holders(&log, one), holders(&log, two)), (1, 1));
        assert_eq!(log.take_changes().len(), 2, "each is written once");
        let written = |log: &mut NotificationLog, held: &[Fingerprint], now_ms| {
            log.collect(|alert| held.contains(&alert), now_ms);
            log.take_changes().len()
        };
        assert_eq!(written(&mut log, &[one], i64::MAX / 2), 1, "`a` is owed the end of one");
        log.change("a", |entry| entry.open.extend([two]));
        assert_eq!((written(&mut log, &[one], 0), holders(&log, two)), (1, 0), "two is gone");
        assert_eq!((written(&mut log, &[], i64::MAX / 2), holders(&log, one), log.open.len()), (1, 0, 0));
    }
}
