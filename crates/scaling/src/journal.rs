//! State and outbox on disk: one `redb` file, one transaction per decision.
//!
//! | table | key | value (JSON) |
//! |---|---|---|
//! | `states` | policy uid | [`crate::State`] |
//! | `decisions` | policy uid | the last [`crate::Decision`] |
//! | `outbox` | policy uid | the delivery that is not accepted yet; a newer one replaces it |
//!
//! A commit is on disk when it returns: a number that was used is never used again.

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableError,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, path::Path};

const FILE: &str = "scaling.redb";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum JournalError {
    #[error("scaling journal: {0}")]
    Storage(#[from] Box<redb::Error>),
    #[error("scaling journal: record `{key}` of table `{table}`: {error}")]
    Record { table: &'static str, key: String, error: serde_json::Error },
    #[error("failed to create `{path}`: {error}")]
    Folder { path: String, error: std::io::Error },
}

fn storage(error: impl Into<redb::Error>) -> JournalError {
    JournalError::Storage(Box::new(error.into()))
}

/// Opens or creates the file. Damage must not keep the server from starting: the file is renamed,
/// the loss is told, and a fresh one begins.
#[allow(clippy::disallowed_methods, reason = "sets a damaged file aside; nothing durable hangs on it")]
fn open_or_set_aside(path: &Path) -> Result<Database, JournalError> {
    // One that was emptied would be taken for a new one.
    let is_emptied = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0);
    let error = if is_emptied {
        StorageError::Corrupted("the file is empty".to_owned())
    } else {
        match Database::create(path) {
            Err(DatabaseError::Storage(error)) if is_damage(&error) => error,
            opened => return opened.map_err(storage),
        }
    };
    let aside = path.with_extension("redb.damaged");
    tracing::error!(%error, aside = %aside.display(), "the scaling journal is damaged and was set aside; decisions are numbered from 1 again");
    std::fs::rename(path, &aside).map_err(|error| storage(StorageError::Io(error)))?;
    Database::create(path).map_err(storage)
}

fn is_damage(error: &StorageError) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        StorageError::Corrupted(_) => true,
        StorageError::Io(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
        _ => false,
    }
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

    pub(crate) fn remove(table: Table, uid: &str) -> Self {
        Change(table, uid.to_owned(), None)
    }
}

/// See the module.
pub(crate) struct Journal(Database);

impl Journal {
    /// Opens or creates `scaling.redb` in `folder`. A damaged one is set aside as `scaling.redb.damaged`.
    pub(crate) fn open(folder: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(folder)
            .map_err(|error| JournalError::Folder { path: folder.display().to_string(), error })?;
        Ok(Journal(open_or_set_aside(&folder.join(FILE))?))
    }

    /// Writes all of `changes` or none; they are durable on return.
    pub(crate) fn commit(&self, changes: &[Change]) -> Result<(), JournalError> {
        let transaction = self.0.begin_write().map_err(storage)?;
        for Change(table, uid, value) in changes {
            let mut table = transaction.open_table(table.definition()).map_err(storage)?;
            match value {
                Some(value) => drop(table.insert(uid.as_str(), value.as_str()).map_err(storage)?),
                None => drop(table.remove(uid.as_str()).map_err(storage)?),
            }
        }
        transaction.commit().map_err(storage)
    }

    /// Every record of a table by policy uid.
    pub(crate) fn load<T: DeserializeOwned>(
        &self,
        table: Table,
    ) -> Result<BTreeMap<String, T>, JournalError> {
        let transaction = self.0.begin_read().map_err(storage)?;
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
    fn a_damaged_file_is_set_aside() {
        for damage in [&b"noise noise noise noise noise noise noise noise"[..], &[0; 70_001], &[]] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(FILE), damage).unwrap();
            drop(Journal::open(folder.path()).unwrap());
            let aside = folder.path().join(format!("{FILE}.damaged"));
            assert_eq!(std::fs::read(aside).unwrap(), damage);
            Journal::open(folder.path()).unwrap();
        }
    }
}
