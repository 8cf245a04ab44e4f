//! All entries of the notification log, and who holds an alert open: what a receiver was told as
//! firing and not yet as resolved. The index keeps the question cheap when there are many groups.

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
}

impl NotificationLog {
    pub(crate) fn restored(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        let mut log = NotificationLog::default();
        for (key, mut entry) in entries {
            // Earlier versions kept what another group had taken over, and never told it again.
            entry.firing.retain(|alert| entry.open.contains(alert));
            log.put(key, entry);
        }
        log
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Entries that hold an alert open, with their keys, in order of these.
    pub(crate) fn holders(&self, alert: Fingerprint) -> impl Iterator<Item = (&str, &Entry)> {
        let keys = self.open.get(&alert).into_iter().flatten();
        keys.filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }

    /// Entries that name an incident, with their keys.
    pub(crate) fn sharers(&self, incident: &str) -> impl Iterator<Item = (&str, &Entry)> {
        let keys = self.by_incident.get(incident).into_iter().flatten();
        keys.filter_map(|key| Some((key.as_str(), self.entries.get(key)?)))
    }

    /// Changes an entry, or a new one, and returns what must be written.
    pub(crate) fn change(&mut self, key: &str, change: impl FnOnce(&mut Entry)) -> Change {
        let mut entry = self.take(key).unwrap_or_default();
        change(&mut entry);
        let written = Change::put(Table::Notifications, key, &entry);
        self.put(key.to_owned(), entry);
        written
    }

    /// Forgets entries that serve no purpose any more, and of the others what is open and held no
    /// more, whose end nobody is left to tell: when such an alert comes back, that is news. Returns
    /// what must be written.
    pub(crate) fn collect(&mut self, is_held: impl Fn(Fingerprint) -> bool, now_ms: i64) -> Vec<Change> {
        let expired = self.entries.iter().filter(|(_, entry)| entry.is_expired(&is_held, now_ms));
        let expired: Vec<String> = expired.map(|(key, _)| key.clone()).collect();
        for key in &expired {
            self.take(key);
        }
        let mut gone: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
        for (alert, keys) in self.open.iter().filter(|(alert, _)| !is_held(**alert)) {
            for key in keys {
                gone.entry(key.clone()).or_default().insert(*alert);
            }
        }
        let closed = gone.into_iter().map(|(key, alerts)| self.change(&key, |entry| entry.close(&alerts)));
        let closed: Vec<_> = closed.collect();
        let removed = expired.into_iter().map(|key| Change::remove(Table::Notifications, key));
        removed.chain(closed).collect()
    }

    fn put(&mut self, key: String, entry: Entry) {
        for alert in &entry.open {
            self.open.entry(*alert).or_default().insert(key.clone());
        }
        for incident in &entry.incidents {
            self.by_incident.entry(incident.clone()).or_default().insert(key.clone());
        }
        self.entries.insert(key, entry);
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        for alert in &entry.open {
            forget(&mut self.open, alert, key);
        }
        for incident in &entry.incidents {
            forget(&mut self.by_incident, incident, key);
        }
        Some(entry)
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
                entry.join_incidents(&["x".to_owned()]);
            });
        }
        assert_eq!(log.sharers("x").map(|(key, _)| key).collect::<Vec<_>>(), ["a", "b"]);
        log.change("a", |entry| entry.close(&BTreeSet::from([Fingerprint(1)])));
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
        assert!(log.collect(|alert| alert == one, i64::MAX / 2).len() == 1, "`a` is owed the end of one");
        log.change("a", |entry| entry.open.extend([two]));
        assert_eq!((log.collect(|alert| alert == one, 0).len(), holders(&log, two)), (1, 0), "two is gone");
        let written = log.collect(|_| false, i64::MAX / 2);
        assert_eq!((written.len(), holders(&log, one), log.open.len()), (1, 0, 0));
    }
}
