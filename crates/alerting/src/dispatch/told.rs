//! All entries of the notification log, and who holds an alert open: what a receiver was told as
//! firing and not yet as resolved. The index keeps the question cheap when there are many groups.

use crate::{
    alert::Fingerprint,
    journal::{Change, Table},
    notify::dedup::Entry,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct NotificationLog {
    entries: BTreeMap<String, Entry>,
    open: HashMap<Fingerprint, BTreeSet<String>>,
}

impl NotificationLog {
    pub(crate) fn restored(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        let mut log = NotificationLog::default();
        for (key, entry) in entries {
            log.put(key, entry);
        }
        log
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// Entries that hold one of `alerts` open, in order of key.
    pub(crate) fn holders(&self, alerts: impl Iterator<Item = Fingerprint>) -> BTreeSet<String> {
        alerts.filter_map(|alert| self.open.get(&alert)).flatten().cloned().collect()
    }

    /// Changes an entry, or a new one, and returns what must be written.
    pub(crate) fn change(&mut self, key: &str, change: impl FnOnce(&mut Entry)) -> Change {
        let mut entry = self.take(key).unwrap_or_default();
        change(&mut entry);
        let written = Change::put(Table::Notifications, key, &entry);
        self.put(key.to_owned(), entry);
        written
    }

    /// Forgets entries that serve no purpose any more and returns what must be written.
    pub(crate) fn collect(&mut self, is_held: impl Fn(Fingerprint) -> bool, now_ms: i64) -> Vec<Change> {
        let expired = self.entries.iter().filter(|(_, entry)| entry.is_expired(&is_held, now_ms));
        let keys: Vec<String> = expired.map(|(key, _)| key.clone()).collect();
        for key in &keys {
            self.take(key);
        }
        keys.into_iter().map(|key| Change::remove(Table::Notifications, key)).collect()
    }

    fn put(&mut self, key: String, entry: Entry) {
        for alert in &entry.open {
            self.open.entry(*alert).or_default().insert(key.clone());
        }
        self.entries.insert(key, entry);
    }

    fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        for alert in &entry.open {
            let is_last = self.open.get_mut(alert).is_some_and(|keys| {
                keys.remove(key);
                keys.is_empty()
            });
            if is_last {
                self.open.remove(alert);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_follow_the_entries() {
        let (one, two) = (Fingerprint(1), Fingerprint(2));
        let mut log = NotificationLog::default();
        log.change("a", |entry| entry.open.extend([one, two]));
        log.change("b", |entry| entry.open.extend([two]));
        let holders = |log: &NotificationLog, alert| log.holders([alert].into_iter()).len();
        assert_eq!((holders(&log, one), holders(&log, two)), (1, 2));
        log.change("a", |entry| entry.open.retain(|alert| *alert == one));
        assert_eq!((holders(&log, one), holders(&log, two)), (1, 1));
        assert!(log.collect(|alert| alert == one, i64::MAX / 2).len() == 1, "`a` is owed the end of one");
        let written = log.collect(|_| false, i64::MAX / 2);
        assert_eq!((written.len(), holders(&log, one), log.open.len()), (1, 0, 0));
    }
}
