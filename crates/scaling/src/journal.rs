//! State and outbox on disk: one `redb` file, one transaction per decision.
//!
//! | table | key | value (JSON) |
//! |---|---|---|
//! | `states` | policy uid | [`crate::State`] |
//! | `decisions` | policy uid | the last [`crate::Decision`] |
//! | `outbox` | policy uid | the delivery that is not accepted yet; a newer one replaces it |
//!
//! A commit is on disk when it returns: a number that was used is never used again.

use durable::File;
use redb::{ReadableTable, TableDefinition, TableError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "scaling.redb";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum JournalError {
    #[error("scaling journal: {0}")]
    Storage(Box<redb::Error>),
    #[error("scaling journal: record `{key}` of table `{table}`: {error}")]
    Record { table: &'static str, key: String, error: serde_json::Error },
    #[error("failed to create `{path}`: {error}")]
    Folder { path: String, error: std::io::Error },
}

fn storage(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Storage(Box::new(error.into()))
}

/// What a record is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Table {
    States,
    Decisions,
    Outbox,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::States => "states",
            Table::Decisions => "decisions",
            Table::Outbox => "outbox",
        }
    }

    fn definition(self) -> TableDefinition<'static, &'static str, &'static str> {
        TableDefinition::new(self.name())
    }
}

/// One record to write, or to remove when there is no value.
pub(crate) struct Change(Table, String, Option<String>);

impl Change {
    pub(crate) fn put(table: Table, uid: &str, record: &impl Serialize) -> Self {
        let text = serde_json::to_string(record).expect("records have string keys and finite shapes");
        Change(table, uid.to_owned(), Some(text))
    }

    #[cfg(test)]
    fn remove(table: Table, uid: &str) -> Self {
        Change(table, uid.to_owned(), None)
    }
}

impl From<redb::Error> for JournalError {
    fn from(error: redb::Error) -> Self {
        storage(error)
    }
}

/// See the module.
pub(crate) struct Journal(File);

impl Journal {
    /// Opens or creates `scaling.redb` in `folder`. A damaged one is set aside as `scaling.redb.damaged`.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| JournalError::Folder { path: folder.display().to_string(), error })?;
        Ok(Journal(File::open(&folder.join(FILE), "how far decisions are numbered: they begin at 1 again")?))
    }

    /// Writes all of `changes` or none; they are durable on return.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), JournalError> {
        Ok(self.0.write(|transaction| {
            for Change(table, uid, value) in changes {
                let mut table = transaction.open_table(table.definition())?;
                match value {
                    Some(value) => drop(table.insert(uid.as_str(), value.as_str())?),
                    None => drop(table.remove(uid.as_str())?),
                }
            }
            Ok(())
        })?)
    }

    /// Removes the delivery of this number from the outbox, unless a newer one has taken its place.
    pub(crate) fn remove_delivery(&self, uid: &str, sequence: u64) -> Result<(), JournalError> {
        #[derive(Deserialize)]
        struct Numbered {
            sequence: u64,
        }
        Ok(self.0.write(|transaction| {
            let mut outbox = transaction.open_table(Table::Outbox.definition())?;
            let is_newer = |text: &str| {
                serde_json::from_str(text).is_ok_and(|stored: Numbered| stored.sequence > sequence)
            };
            if !outbox.get(uid)?.is_some_and(|stored| is_newer(stored.value())) {
                outbox.remove(uid)?;
            }
            Ok(())
        })?)
    }

    /// Every record of a table by policy uid.
    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        table: Table,
    ) -> Result<BTreeMap<String, T>, JournalError> {
        self.0.read(|transaction| {
            let rows = match transaction.open_table(table.definition()) {
                Ok(rows) => rows,
                Err(TableError::TableDoesNotExist(_)) => return Ok(BTreeMap::new()),
                Err(error) => return Err(storage(error)),
            };
            let mut records = BTreeMap::new();
            for row in rows.iter().map_err(storage)? {
                let (key, value) = row.map_err(storage)?;
                let key = key.value().to_owned();
                let record = serde_json::from_str(value.value()).map_err(|error| JournalError::Record {
                    table: table.name(),
                    key: key.clone(),
                    error,
                })?;
                records.insert(key, record);
            }
            Ok(records)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let changes = [Change::put(Table::States, "a", &1), Change::put(Table::States, "b", &2)];
        Journal::open(folder.path()).unwrap().commit(&changes).unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        journal.commit(&[Change::remove(Table::States, "a")]).unwrap();
        assert_eq!(journal.load::<u8>(Table::States).unwrap(), BTreeMap::from([("b".to_owned(), 2)]));
        assert!(journal.load::<u8>(Table::Outbox).unwrap().is_empty());
    }

    #[test]
    fn a_newer_delivery_stays_in_the_outbox() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path()).unwrap();
        let delivery = serde_json::json!({"sequence": 2, "body": ""});
        journal.commit(&[Change::put(Table::Outbox, "a", &delivery)]).unwrap();
        for (removed, left) in [(1, 1), (2, 0), (2, 0)] {
            journal.remove_delivery("a", removed).unwrap();
            assert_eq!(journal.load::<serde_json::Value>(Table::Outbox).unwrap().len(), left, "{removed}");
        }
    }
}
