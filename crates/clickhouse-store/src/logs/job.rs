//! A batch of lines as rows of the table, encoded on the thread that brought it.

use super::DAY_NS;
use crate::{
    arrival::{ArrivalClock, rank},
    group::Weigh,
    row_binary::{put_labels, put_string},
    series_tables::id_of,
};
use model::{BatchId, Labels, LabelsRef, LogBatch, LogEntryRef};
use store::{AgeLimits, RejectReason, Rejection, reject};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

pub(super) struct Job {
    pub(super) id: Option<BatchId>,
    pub(super) streams: Vec<JobStream>,
    /// In `RowBinary`.
    pub(super) rows: Vec<u8>,
    pub(super) stored: u64,
    pub(super) rejected: Vec<Rejection>,
}

pub(super) struct JobStream {
    pub(super) id: u128,
    pub(super) labels: Labels,
    /// Days that it has lines in, without repeats.
    pub(super) days: Vec<i64>,
}

impl Weigh for Job {
    fn weight(&self) -> usize {
        self.stored as usize
    }
}

impl Job {
    pub(super) fn new(
        batch: &LogBatch,
        id: Option<&BatchId>,
        limits: AgeLimits,
        arrivals: &ArrivalClock,
        now_ns: i64,
    ) -> Self {
        let mut job = Job {
            id: id.cloned(),
            streams: Vec::new(),
            rows: Vec::with_capacity(batch.line_bytes() + batch.entry_count() * 48),
            stored: 0,
            rejected: Vec::new(),
        };
        let mut arrival = arrivals.reserve(batch.entry_count() as u64);
        for stream in batch.streams() {
            let labels = stream.labels();
            let is_valid = !labels.is_empty() && is_valid(labels);
            let mut own = JobStream { id: id_of(labels), labels: labels.to_owned(), days: Vec::new() };
            for entry in stream.entries() {
                let verdict = match is_valid && self::is_valid(entry.metadata) {
                    true => limits.check_ns(entry.timestamp_ns, now_ns),
                    false => Err(RejectReason::InvalidLabels),
                };
                match verdict {
                    Ok(()) => job.put(&mut own, entry, arrival),
                    Err(reason) => {
                        reject(&mut job.rejected, reason, 1, || {
                            format!("{labels} at {}", entry.timestamp_ns)
                        });
                    }
                }
                arrival += 1;
            }
            if !own.days.is_empty() {
                job.streams.push(own);
            }
        }
        job
    }

    fn put(&mut self, stream: &mut JobStream, entry: LogEntryRef<'_>, arrival: u64) {
        let line = entry.line.as_bytes();
        let out = &mut self.rows;
        out.extend(stream.id.to_le_bytes());
        out.extend(entry.timestamp_ns.to_le_bytes());
        out.extend(content_hash(line, entry.metadata).to_le_bytes());
        out.extend(rank(arrival).to_le_bytes());
        out.extend((line.len() as u32).to_le_bytes());
        put_string(out, line);
        put_labels(out, entry.metadata);
        let day = entry.timestamp_ns.div_euclid(DAY_NS);
        // Lines come in order of time, mostly.
        if stream.days.last() != Some(&day) && !stream.days.contains(&day) {
            stream.days.push(day);
        }
        self.stored += 1;
    }
}

fn is_valid(labels: LabelsRef<'_>) -> bool {
    LabelsRef::from_bytes(labels.as_bytes()).is_some()
}

/// Tells lines of one stream and instant apart: the third column of the key.
pub(super) fn content_hash(line: &[u8], metadata: LabelsRef<'_>) -> u64 {
    xxh3_64(line) ^ xxh3_64_with_seed(metadata.as_bytes(), 1).rotate_left(32)
}

/// The id of a line, from all that it is.
pub(super) fn row_id(stream: u128, timestamp_ns: i64, line: &[u8], metadata: LabelsRef<'_>) -> u128 {
    let mut parts = [0u8; 56];
    parts[..16].copy_from_slice(&stream.to_le_bytes());
    parts[16..24].copy_from_slice(&timestamp_ns.to_le_bytes());
    parts[24..40].copy_from_slice(&xxh3_128(line).to_le_bytes());
    parts[40..].copy_from_slice(&xxh3_128(metadata.as_bytes()).to_le_bytes());
    xxh3_128(&parts)
}
