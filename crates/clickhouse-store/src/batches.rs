//! Which numbered batches are stored, so that a retry is stored once, whichever aggregator it
//! comes to. A batch is recorded after its rows; when an aggregator dies between the two, the retry
//! is written again and merged with what is there.

use crate::{client::Client, error::Error, row_binary::put_string, schema::BATCHES, sql};
use model::BatchId;
use std::collections::HashSet;

/// Whether each of the batches has been stored before, or comes earlier in this very list.
pub(crate) fn repeated(client: &Client, signal: &str, ids: &[Option<&BatchId>]) -> Result<Vec<bool>, Error> {
    let mut seen = stored(client, signal, ids.iter().copied().flatten())?;
    Ok(ids.iter().map(|id| id.is_some_and(|id| !seen.insert(id.clone()))).collect())
}

fn stored<'a>(
    client: &Client,
    signal: &str,
    ids: impl Iterator<Item = &'a BatchId>,
) -> Result<HashSet<BatchId>, Error> {
    let wanted: Vec<String> =
        ids.map(|id| format!("({},{},{})", sql::string(id.agent.as_bytes()), id.boot, id.sequence)).collect();
    let mut found = HashSet::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut answer = client.query(
        &format!(
            "SELECT agent, boot, sequence FROM {} WHERE signal = {} AND (agent, boot, sequence) IN ({})",
            BATCHES.name,
            sql::string(signal.as_bytes()),
            wanted.join(",")
        ),
        None,
    )?;
    while answer.has_row()? {
        found.insert(BatchId { agent: answer.text_value()?, boot: answer.u64()?, sequence: answer.u64()? });
    }
    Ok(found)
}

/// Records batches whose rows are stored.
pub(crate) fn record(client: &Client, signal: &str, ids: &[&BatchId], token: &str) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::new();
    for id in ids {
        put_string(&mut rows, signal.as_bytes());
        put_string(&mut rows, id.agent.as_bytes());
        rows.extend_from_slice(&id.boot.to_le_bytes());
        rows.extend_from_slice(&id.sequence.to_le_bytes());
    }
    // Both signals share the table, and their numbers may be the same.
    client.insert(BATCHES.name, BATCHES.columns, rows, &format!("{signal}:{token}"))
}
