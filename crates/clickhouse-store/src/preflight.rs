//! Before anything is stored: is the server there, new enough, and are we allowed to use it?

use crate::{
    client::Client,
    error::{Error, OpenError},
    schema::{self, Table},
};

/// The oldest release that marks a failure in the middle of an answer, which reads rely on.
const OLDEST: (u32, u32) = (25, 11);
/// "Database … does not exist".
const UNKNOWN_DATABASE: u32 = 81;

/// Checks the server and makes what is absent; returns its clock in nanoseconds since the epoch.
pub(crate) fn check(client: &Client) -> Result<u64, OpenError> {
    make_database(client)?;
    let mut answer = client.query("SELECT version(), toUInt64(toUnixTimestamp64Nano(now64(9)))", None)?;
    let (version, now_ns) = (answer.text_value()?, answer.u64()?);
    if !is_new_enough(&version) {
        return Err(OpenError::TooOld { found: version, oldest: format!("{}.{}", OLDEST.0, OLDEST.1) });
    }
    for table in schema::TABLES {
        make_table(client, table)?;
    }
    tracing::info!(version, database = client.database(), "ClickHouse is ready");
    Ok(now_ns)
}

/// A user without the right to create databases may still use one that is there.
fn make_database(client: &Client) -> Result<(), OpenError> {
    match client.query("SELECT 1", None).and_then(crate::answer::Answer::finish) {
        Err(Error::Server { code: UNKNOWN_DATABASE, .. }) => {
            let name = client.database().replace('`', "``");
            Ok(client.execute_outside(&format!("CREATE DATABASE IF NOT EXISTS `{name}`"))?)
        }
        outcome => Ok(outcome?),
    }
}

/// Creates the table when it is absent, then reads and writes no rows: both need the grant and the
/// columns. A table that somebody made with another engine, such as a replicated one, is as good.
fn make_table(client: &Client, table: &Table) -> Result<(), OpenError> {
    let refused = |error: Error| match error {
        error @ Error::Unreachable { .. } => OpenError::from(error),
        error => OpenError::Table { table: table.name.to_owned(), reason: error.to_string() },
    };
    let exists =
        client.query(&format!("EXISTS TABLE {}", table.name), None).and_then(|mut answer| answer.u8());
    if exists.map_err(refused)? == 0 {
        client.execute(&table.create()).map_err(refused)?;
    }
    let (name, columns) = (table.name, table.columns);
    client
        .execute(&format!("INSERT INTO {name} ({columns}) SELECT {columns} FROM {name} LIMIT 0"))
        .map_err(refused)
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, expected) in
            [("26.9.2.1", true), ("25.11.1", true), ("25.9.1", false), ("18.16.1", false), ("", false)]
        {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
