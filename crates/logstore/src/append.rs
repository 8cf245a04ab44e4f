//! Appends: judge every entry, log those that are new, then show them.

use crate::{
    Logstore,
    logstore::{Appender, View, lock, log_error, read, write},
    memory::hash_of,
    probe,
    stream::Stream,
};
use hashbrown::HashTable;
use model::{BatchId, LabelsRef, LogBatch, LogEntryRef};
use std::sync::Arc;
use store::{Commit, Receipt, RejectReason, Rejection, StoreError, reject};

/// An entry that passed every limit.
#[derive(Clone)]
pub(crate) struct Accepted<'a> {
    pub(crate) stream: Arc<Stream>,
    pub(crate) entry: LogEntryRef<'a>,
    /// Of the row; see [`crate::stream::row_hash`].
    pub(crate) hash: u64,
}

impl Logstore {
    pub(crate) fn append_batch(
        &self,
        batch: &LogBatch,
        id: Option<&BatchId>,
        now_ns: i64,
    ) -> Result<Receipt, StoreError> {
        self.make_room()?;
        let receipt = {
            let mut appender = lock(&self.appender);
            if id.is_some_and(|id| appender.ledger.contains(id)) {
                let commit = appender.last_commit.clone();
                return Ok(Receipt { stored: 0, duplicate: true, rejected: Vec::new(), commit });
            }
            let mut rejected = Vec::new();
            let accepted = self.judge(batch, now_ns, &mut rejected);
            let stored = accepted.len() as u64;
            let new = self.without_repeats(accepted)?;
            if !new.is_empty() || id.is_some() {
                self.log_rows(&mut appender, id, &new)?;
                let mut state = write(&self.state);
                for row in &new {
                    state.memory.insert(&row.stream, row.hash, &row.entry, now_ns);
                }
            }
            Receipt { stored, duplicate: false, rejected, commit: appender.last_commit.clone() }
        };
        if read(&self.state).memory.bytes() >= self.options.memory_bytes_max / 2
            && let Err(error) = self.flush_memory()
        {
            // The rows are in the log and in memory; maintenance tries again.
            tracing::warn!(%error, "flush of log rows failed");
        }
        Ok(receipt)
    }

    /// Waits for a flush when memory is full, so that senders are held back, not rows lost.
    fn make_room(&self) -> Result<(), StoreError> {
        let is_full = || {
            let state = read(&self.state);
            let frozen: usize = state.frozen.iter().map(|frozen| frozen.memory.bytes()).sum();
            state.memory.bytes() + frozen >= self.options.memory_bytes_max
        };
        if is_full() { self.flush_memory() } else { Ok(()) }
    }

    fn judge<'a>(
        &self,
        batch: &'a LogBatch,
        now_ns: i64,
        rejected: &mut Vec<Rejection>,
    ) -> Vec<Accepted<'a>> {
        let mut accepted = Vec::with_capacity(batch.entry_count());
        for view in batch.streams() {
            let labels = view.labels();
            let is_valid = !labels.is_empty() && LabelsRef::from_bytes(labels.as_bytes()).is_some();
            let has_stream = is_valid && view.entries().len() > 0;
            let stream =
                if has_stream { self.registry.get_or_add(labels, self.options.streams_max) } else { None };
            for entry in view.entries() {
                let problem = match &stream {
                    None if is_valid => Some(RejectReason::TooManySeries),
                    None => Some(RejectReason::InvalidLabels),
                    Some(stream) => self.problem_of(stream, &entry, now_ns),
                };
                match (&stream, problem) {
                    (Some(stream), None) => {
                        let hash = hash_of(stream, &entry);
                        accepted.push(Accepted { stream: stream.clone(), entry, hash });
                    }
                    (_, reason) => {
                        let reason = reason.unwrap_or(RejectReason::InvalidLabels);
                        reject(rejected, reason, 1, || format!("{labels} at {}", entry.timestamp_ns));
                    }
                }
            }
        }
        accepted
    }

    fn problem_of(&self, stream: &Stream, entry: &LogEntryRef<'_>, now_ns: i64) -> Option<RejectReason> {
        let metadata = entry.metadata.as_bytes();
        if entry.line.len() > self.options.line_bytes_max {
            Some(RejectReason::LineTooLong)
        } else if !metadata.is_empty() && LabelsRef::from_bytes(metadata).is_none() {
            Some(RejectReason::InvalidLabels)
        } else {
            self.registry.rules().limits(stream.rule).check_ns(entry.timestamp_ns, now_ns).err()
        }
    }

    /// Those that are neither repeated within the batch nor stored already.
    fn without_repeats<'a>(&self, accepted: Vec<Accepted<'a>>) -> Result<Vec<Accepted<'a>>, StoreError> {
        let mut is_repeat = repeats_within(&accepted);
        let view = {
            let state = read(&self.state);
            for (row, is_repeat) in accepted.iter().zip(&mut is_repeat) {
                *is_repeat = *is_repeat
                    || state.memory.contains(&row.stream, row.hash, &row.entry)
                    || state
                        .frozen
                        .iter()
                        .any(|frozen| frozen.memory.contains(&row.stream, row.hash, &row.entry));
            }
            View {
                memories: Vec::new(),
                parts: state.parts.clone(),
                tombstones: state.tombstones.clone(),
                cuts: state.cuts.clone(),
            }
        };
        probe::mark_stored(&view, &accepted, &mut is_repeat);
        Ok(accepted.into_iter().zip(is_repeat).filter(|(_, repeat)| !repeat).map(|(row, _)| row).collect())
    }

    /// Logs the rows as one record; nothing has changed when this fails.
    fn log_rows(
        &self,
        appender: &mut Appender,
        id: Option<&BatchId>,
        rows: &[Accepted<'_>],
    ) -> Result<(), StoreError> {
        appender.record.begin(id);
        for group in rows.chunk_by(|a, b| Arc::ptr_eq(&a.stream, &b.stream)) {
            appender.record.stream(group[0].stream.labels.as_ref(), group.len());
            group.iter().for_each(|row| appender.record.row(row.entry));
        }
        let (commit, handle) = Commit::pending();
        let done = move |result| handle.complete(result);
        self.log.append(&[appender.record.bytes()], done).map_err(log_error)?;
        if let Some(id) = id {
            appender.ledger.record(id);
        }
        appender.last_commit = commit;
        appender.has_unflushed = true;
        Ok(())
    }
}

/// Which rows have an exact copy earlier in the batch.
fn repeats_within(rows: &[Accepted<'_>]) -> Vec<bool> {
    let mut seen: HashTable<(u64, u32)> = HashTable::with_capacity(rows.len());
    let mut repeats = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let hash = row.hash;
        let is_same = |&(other_hash, other): &(u64, u32)| {
            let other = &rows[other as usize];
            other_hash == hash
                && other.stream.number == row.stream.number
                && other.entry.timestamp_ns == row.entry.timestamp_ns
                && other.entry.line == row.entry.line
                && other.entry.metadata.as_bytes() == row.entry.metadata.as_bytes()
        };
        let is_repeat = seen.find(hash, is_same).is_some();
        if !is_repeat {
            seen.insert_unique(hash, (hash, index as u32), |entry| entry.0);
        }
        repeats.push(is_repeat);
    }
    repeats
}
