//! Writes the batches of one group. Nothing is asked but which batches are known: an exact repeat
//! has the key of what it repeats and is merged with it.

use super::{ClickHouseLogs, job::Job};
use crate::{
    batches,
    error::Error,
    schema::{LOGS, STREAMS},
    series_tables::Known,
};
use hashbrown::HashMap;
use model::BatchId;
use store::{Commit, Receipt};

/// How batches of lines are recorded.
const SIGNAL: &str = "logs";

impl ClickHouseLogs {
    /// Stores a group of batches; all are answered for, or none.
    pub(super) fn write(&self, mut jobs: Vec<Job>) -> Result<Vec<Receipt>, Error> {
        let ids: Vec<Option<&BatchId>> = jobs.iter().map(|job| job.id.as_ref()).collect();
        let repeated = batches::repeated(&self.client, SIGNAL, &ids)?;
        let mut rows = Vec::new();
        let mut fresh_ids: Vec<BatchId> = Vec::new();
        let mut fresh_count = 0;
        let mut named: HashMap<u128, Known> = HashMap::new();
        let mut names = Vec::new();
        for (job, _) in jobs.iter_mut().zip(&repeated).filter(|(_, repeated)| !**repeated) {
            fresh_count += 1;
            fresh_ids.extend(job.id.clone());
            self.name_streams(job, &mut named, &mut names);
            match rows.is_empty() {
                true => rows = std::mem::take(&mut job.rows),
                false => rows.append(&mut job.rows),
            }
        }
        let fresh_ids: Vec<&BatchId> = fresh_ids.iter().collect();
        let token = self.client.token(&fresh_ids, fresh_count);
        // Names first: a line is never without its stream.
        for (table, rows) in [(STREAMS, names), (LOGS, rows)] {
            if !rows.is_empty() {
                self.client.insert(table.name, table.columns, rows, &token)?;
            }
        }
        batches::record(&self.client, SIGNAL, &fresh_ids, &token)?;
        let mut known = crate::lock(&self.known);
        for (id, one) in named {
            known.set(id, one);
        }
        let receipt = |(job, repeated): (Job, bool)| match repeated {
            true => Receipt { stored: 0, duplicate: true, rejected: Vec::new(), commit: Commit::done() },
            false => {
                let (stored, rejected) = (job.stored, job.rejected);
                Receipt { stored, duplicate: false, rejected, commit: Commit::done() }
            }
        };
        Ok(jobs.into_iter().zip(repeated).map(receipt).collect())
    }

    fn name_streams(&self, job: &Job, named: &mut HashMap<u128, Known>, names: &mut Vec<u8>) {
        let known = crate::lock(&self.known);
        for stream in &job.streams {
            let one = named
                .entry(stream.id)
                .or_insert_with(|| known.get(stream.id).unwrap_or_else(|| Known::new(i64::MIN)));
            for day in &stream.days {
                if one.add_day(*day) {
                    super::STREAMS_TABLE.put(names, *day, stream.id, stream.labels.as_ref());
                }
            }
        }
    }
}
