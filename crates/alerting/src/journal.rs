//! The durable memory: one `redb` file, one transaction per transition.
//!
//! | table | key | value (JSON) |
//! |---|---|---|
//! | `alerts` | fingerprint | [`crate::alert::Alert`] |
//! | `silences` | id | [`crate::silence::Silence`] |
//! | `notifications` | group key and receiver | what the receiver was told last |
//! | `outbox` | delivery id | a notification that was decided and not yet delivered |
//! | `rule_groups` | file and group | active alerts of each rule of the group |
//! | `history` | event id | [`crate::history::Event`] |
//! | `cursors` | name | how far a reader of the history has come |
//! | `rule_texts` | source | [`crate::rules::Offer`] |
//! | `meta` | `format` | [`FORMAT`] |
//!
//! A commit is on disk when it returns, so neither kill -9 nor a power cut forgets an alert or
//! tells it twice. JSON keeps records readable by later releases: fields may be added, with a
//! default.

use crate::history::EVENTS_MAX;
use durable::File;
use redb::{ReadOnlyTable, ReadableTable, TableDefinition, TableError};
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, collections::HashSet, fmt, path::Path, sync::Arc};

/// Version of the record layout.
const FORMAT: &str = "1";
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

const FILE: &str = "alerting.redb";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum JournalError {
    #[error("journal: {0}")]
    Storage(Box<redb::Error>),
    #[error("journal: record `{key}` of table `{table}`: {error}")]
    Record { table: &'static str, key: String, error: serde_json::Error },
    #[error("journal has format `{0}`, this program writes `{FORMAT}`")]
    Format(String),
    #[error("failed to create `{path}`: {error}")]
    Folder { path: String, error: std::io::Error },
}

fn storage(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Storage(Box::new(error.into()))
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Table {
    Alerts,
    Silences,
    Notifications,
    Outbox,
    RuleGroups,
    History,
    Cursors,
    RuleTexts,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Alerts => "alerts",
            Table::Silences => "silences",
            Table::Notifications => "notifications",
            Table::Outbox => "outbox",
            Table::RuleGroups => "rule_groups",
            Table::History => "history",
            Table::Cursors => "cursors",
            Table::RuleTexts => "rule_texts",
        }
    }

    fn definition(self) -> TableDefinition<'static, &'static str, &'static str> {
        TableDefinition::new(self.name())
    }
}

/// One record to write, or to remove when `value` is `None`.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub(crate) struct Change {
    table: Table,
    key: String,
    value: Option<Record>,
}

/// What is written.
#[derive(Clone, Debug)]
enum Record {
    Text(String),
    Shared(Arc<dyn Write>),
}

/// What is put into words only when it is written.
trait Write: fmt::Debug + Send + Sync {
    fn text(&self) -> String;
}

impl<T: Serialize + fmt::Debug + Send + Sync> Write for T {
    fn text(&self) -> String {
        serde_json::to_string(self).expect("records have string keys and finite shapes")
    }
}

impl Record {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Record::Text(text) => Cow::Borrowed(text),
            Record::Shared(record) => Cow::Owned(record.text()),
        }
    }
}

#[cfg(test)]
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Change {
    pub(crate) fn put(table: Table, key: impl Into<String>, record: &impl Serialize) -> Self {
        let value = serde_json::to_string(record).expect("records have string keys and finite shapes");
        Change { table, key: key.into(), value: Some(Record::Text(value)) }
    }

    /// As [`Change::put`], for a record that may have megabytes: it is not put into words while others
    /// wait for the dispatcher.
    pub(crate) fn put_shared<T: Serialize + fmt::Debug + Send + Sync + 'static>(
        table: Table,
        key: impl Into<String>,
        record: Arc<T>,
    ) -> Self {
        Change { table, key: key.into(), value: Some(Record::Shared(record)) }
    }

    pub(crate) fn remove(table: Table, key: impl Into<String>) -> Self {
        Change { table, key: key.into(), value: None }
    }

    /// What removes the record of this change.
    pub(crate) fn removal(&self) -> Self {
        Change::remove(self.table, self.key.as_str())
    }
}

/// Leaves out changes that a later one of the same record makes good, and all but the last `events_max`
/// events of the history, whose records are never the same. Removals from it stay, so that its bound
/// holds, but for those of events that were never written: behind so many there are no others.
pub(crate) fn keep_last(changes: &mut Vec<Change>, events_max: usize) {
    let (mut later, mut events, mut removals) = (HashSet::new(), 0, 0);
    changes.reverse();
    changes.retain(|change| {
        let is_event = change.table == Table::History && change.value.is_some();
        events += usize::from(is_event);
        (!is_event || events <= events_max) && later.insert((change.table, change.key.clone()))
    });
    changes.reverse();
    changes.retain(|change| {
        let is_removal = change.table == Table::History && change.value.is_none();
        removals += u64::from(is_removal);
        !is_removal || removals <= EVENTS_MAX
    });
}

impl From<redb::Error> for JournalError {
    fn from(error: redb::Error) -> Self {
        storage(error)
    }
}

/// See the module.
pub(crate) struct Journal {
    file: File,
    /// Most changes that a transaction may have, as on a full disk (none) or one that is almost so.
    #[cfg(test)]
    pub(crate) room: std::sync::atomic::AtomicUsize,
    /// The next transaction is said to have failed, and has not, as when only the last fsync does.
    #[cfg(test)]
    pub(crate) fails_when_written: std::sync::atomic::AtomicBool,
}

impl Journal {
    /// Opens or creates `alerting.redb` in `folder`. A damaged one is set aside as `alerting.redb.damaged`.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| JournalError::Folder { path: folder.display().to_string(), error })?;
        let file = File::open(&folder.join(FILE), "silences, and what receivers were told before")?;
        let found = file.write(|transaction| {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("format")?.map(|format| format.value().to_owned());
            if found.is_none() {
                meta.insert("format", FORMAT)?;
            }
            Ok(found)
        })?;
        match found {
            Some(format) if format != FORMAT => Err(JournalError::Format(format)),
            _ => Ok(Journal {
                file,
                #[cfg(test)]
                room: usize::MAX.into(),
                #[cfg(test)]
                fails_when_written: false.into(),
            }),
        }
    }

    /// Writes all of `changes` or none; they are durable on return.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), JournalError> {
        if changes.is_empty() {
            return Ok(());
        }
        #[cfg(test)]
        if changes.len() > self.room.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(storage(redb::Error::Io(std::io::ErrorKind::StorageFull.into())));
        }
        self.file.write(|transaction| {
            // Changes of one table mostly stand together: it is opened once for all of them.
            for run in changes.chunk_by(|a, b| a.table == b.table) {
                let mut table = transaction.open_table(run[0].table.definition())?;
                for change in run {
                    match &change.value {
                        Some(value) => drop(table.insert(change.key.as_str(), &*value.text())?),
                        None => drop(table.remove(change.key.as_str())?),
                    }
                }
            }
            Ok::<_, redb::Error>(())
        })?;
        #[cfg(test)]
        if self.fails_when_written.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Err(storage(redb::Error::Io(std::io::ErrorKind::Other.into())));
        }
        Ok(())
    }

    /// Every record of a table, in order of key.
    pub(crate) fn load<T: DeserializeOwned>(&self, table: Table) -> Result<Vec<(String, T)>, JournalError> {
        let mut records = Vec::new();
        self.visit(table, |rows| {
            for row in rows.iter().map_err(storage)? {
                let (key, value) = row.map_err(storage)?;
                records.push((key.value().to_owned(), record(table, key.value(), value.value())?));
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// One record.
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, JournalError> {
        let mut found = None;
        self.visit(table, |rows| {
            if let Some(value) = rows.get(key).map_err(storage)? {
                found = Some(record(table, key, value.value())?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The first record of a table.
    pub(crate) fn first<T: DeserializeOwned>(&self, table: Table) -> Result<Option<T>, JournalError> {
        let mut found = None;
        self.visit(table, |rows| {
            if let Some((key, value)) = rows.first().map_err(storage)? {
                found = Some(record(table, key.value(), value.value())?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The first and the last key of a table.
    pub(crate) fn bounds(&self, table: Table) -> Result<Option<(String, String)>, JournalError> {
        let mut found = None;
        self.visit(table, |rows| {
            let (first, last) = (rows.first().map_err(storage)?, rows.last().map_err(storage)?);
            found = first
                .zip(last)
                .map(|((first, _), (last, _))| (first.value().to_owned(), last.value().to_owned()));
            Ok(())
        })?;
        Ok(found)
    }

    /// At most `limit` records with a key behind `key`, in order.
    pub(crate) fn after<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
        limit: usize,
    ) -> Result<Vec<T>, JournalError> {
        let mut records = Vec::new();
        self.visit(table, |rows| {
            let behind = (std::ops::Bound::Excluded(key), std::ops::Bound::Unbounded);
            for row in rows.range::<&str>(behind).map_err(storage)?.take(limit) {
                let (key, value) = row.map_err(storage)?;
                records.push(record(table, key.value(), value.value())?);
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Gives `see` the records before `key`, the last one first, until it returns false. Those whose
    /// text is not `worth` it are passed over unread.
    pub(crate) fn walk_back<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &str,
        worth: impl Fn(&str) -> bool,
        mut see: impl FnMut(T) -> bool,
    ) -> Result<(), JournalError> {
        self.visit(table, |rows| {
            for row in rows.range::<&str>(..key).map_err(storage)?.rev() {
                let (key, value) = row.map_err(storage)?;
                if worth(value.value()) && !see(record(table, key.value(), value.value())?) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Runs `visit` on a snapshot of a table; not at all when there is no such table yet.
    fn visit(
        &self,
        table: Table,
        visit: impl FnOnce(&ReadOnlyTable<&'static str, &'static str>) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        self.file.read(|transaction| match transaction.open_table(table.definition()) {
            Ok(rows) => visit(&rows),
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            Err(error) => Err(storage(error)),
        })
    }
}

fn record<T: DeserializeOwned>(table: Table, key: &str, text: &str) -> Result<T, JournalError> {
    serde_json::from_str(text).map_err(|error| JournalError::Record {
        table: table.name(),
        key: key.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_reopening_and_removal_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        {
            let journal = Journal::open(folder.path()).unwrap();
            let puts = ["a", "b"].map(|key| Change::put(Table::Silences, key, &[1, 2]));
            journal.commit(&puts).unwrap();
            journal
                .commit(&[Change::remove(Table::Silences, "a"), Change::put(Table::Outbox, "a", &"x")])
                .unwrap();
        }
        let journal = Journal::open(folder.path()).unwrap();
        assert_eq!(journal.load::<Vec<u8>>(Table::Silences).unwrap(), [("b".to_owned(), vec![1, 2])]);
        assert_eq!(journal.load::<String>(Table::Outbox).unwrap().len(), 1);
        assert!(journal.load::<String>(Table::Alerts).unwrap().is_empty());
        assert!(journal.load::<u8>(Table::Outbox).unwrap_err().to_string().contains("`outbox`"));
    }

    #[test]
    fn only_the_last_change_of_a_record_is_kept() {
        let put = |key: &str, value: u8| Change::put(Table::Alerts, key, &value);
        let gone = Change::remove(Table::Silences, "a");
        let mut changes = vec![put("a", 1), put("b", 1), put("a", 2), gone.clone(), put("b", 2), put("a", 3)];
        keep_last(&mut changes, 0);
        assert_eq!(changes, [gone, put("b", 2), put("a", 3)]);
        let event = |number: u8| Change::put(Table::History, number.to_string(), &number);
        let mut changes = vec![event(1), put("a", 1), event(2), event(3)];
        keep_last(&mut changes, 2);
        assert_eq!(changes, [put("a", 1), event(2), event(3)]);
        let old = |number: u8| Change::remove(Table::History, number.to_string());
        let mut changes = vec![event(7), old(1), event(8), old(2), event(9), old(3)];
        keep_last(&mut changes, 2);
        assert_eq!(changes, [old(1), event(8), old(2), event(9), old(3)], "what is on disk goes");
    }
}
