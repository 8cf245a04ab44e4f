//! Streams known to this process, each with a number that is the same in memory and in every part.
//!
//! Bounds: as many streams as [`crate::LogstoreOptions::streams_max`] are taken by appends; those
//! that no part and no buffer names any more are forgotten by maintenance.

use crate::retention::{RuleNumber, Rules};
use hashbrown::HashTable;
use model::{Labels, LabelsRef};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering::Relaxed},
};

/// A stream of log lines.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Unique within this process.
    pub(crate) number: u64,
    pub(crate) labels: Labels,
    /// Hash of the labels, the same for ever: part of every line's id.
    pub(crate) hash: u64,
    /// How long its lines are kept.
    pub(crate) rule: RuleNumber,
    /// Newest instant of it in a part; rows after it cannot be in any part.
    newest_in_parts_ns: AtomicI64,
}

impl Stream {
    pub(crate) fn newest_in_parts_ns(&self) -> i64 {
        self.newest_in_parts_ns.load(Relaxed)
    }

    pub(crate) fn note_in_parts(&self, newest_ns: i64) {
        self.newest_in_parts_ns.fetch_max(newest_ns, Relaxed);
    }
}

/// Labels that name a service, the likeliest first: lines of one service resemble each other, so
/// its streams are stored side by side.
const SERVICE_LABELS: [&str; 9] = [
    "service_name",
    "service",
    "app",
    "application",
    "app_name",
    "app_kubernetes_io_name",
    "container",
    "job",
    "unit",
];

/// The order of streams within a part.
pub(crate) fn storage_order(a: &Labels, b: &Labels) -> std::cmp::Ordering {
    service_of(a).cmp(service_of(b)).then_with(|| a.cmp(b))
}

fn service_of(labels: &Labels) -> &str {
    SERVICE_LABELS.iter().find_map(|name| labels.get(name)).unwrap_or("")
}

/// Every stream, by labels.
pub(crate) struct Registry {
    known: Mutex<Known>,
    rules: Rules,
}

#[derive(Default)]
struct Known {
    by_labels: HashTable<Arc<Stream>>,
    next: u64,
}

impl Registry {
    pub(crate) fn new(rules: Rules) -> Registry {
        Registry { known: Mutex::default(), rules }
    }

    /// How long lines are kept.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The stream of these labels; made known unless `streams_max` are.
    pub(crate) fn get_or_add(&self, labels: LabelsRef<'_>, streams_max: usize) -> Option<Arc<Stream>> {
        let hash = labels.stable_hash();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |stream: &Arc<Stream>| stream.labels.as_ref() == labels;
        if let Some(stream) = known.by_labels.find(hash, is_same) {
            return Some(stream.clone());
        }
        if known.by_labels.len() >= streams_max {
            return None;
        }
        let labels = labels.to_owned();
        let stream = Arc::new(Stream {
            number: known.next,
            hash,
            rule: self.rules.rule_of(&labels),
            labels,
            newest_in_parts_ns: AtomicI64::new(i64::MIN),
        });
        known.next += 1;
        known.by_labels.insert_unique(hash, stream.clone(), |stream| stream.hash);
        Some(stream)
    }

    /// Forgets streams that nothing but this table holds.
    pub(crate) fn forget_unused(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.by_labels.retain(|stream| Arc::strong_count(stream) > 1);
    }

    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).by_labels.len()
    }
}

/// What is the same for all rows of a stream at one instant, mixed for [`row_hash`] (the finalizer
/// of SplitMix64).
fn row_seed(stream_hash: u64, timestamp_ns: i64) -> u64 {
    let mut mixed = stream_hash ^ (timestamp_ns as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Hash of all that makes a row itself: stream, time, line and metadata.
pub(crate) fn row_hash(stream_hash: u64, timestamp_ns: i64, line: &[u8], metadata: &[u8]) -> u64 {
    let seed = row_seed(stream_hash, timestamp_ns);
    let line = xxhash_rust::xxh3::xxh3_64_with_seed(line, seed);
    if metadata.is_empty() { line } else { xxhash_rust::xxh3::xxh3_64_with_seed(metadata, line) }
}

/// A line's id: its time (sign bit flipped, so that ids ascend with time) above [`row_hash`]. It
/// does not depend on where the line is stored.
pub(crate) fn line_id(stream_hash: u64, timestamp_ns: i64, line: &[u8], metadata: &[u8]) -> u128 {
    let time = timestamp_ns as u64 ^ (1 << 63);
    u128::from(time) << 64 | u128::from(row_hash(stream_hash, timestamp_ns, line, metadata))
}
