//! Merges small parts of a day into larger ones, with deletions and retention applied.
//!
//! Chunks that are good already are copied as they are ([`copies`]); the rows of all others are
//! sorted into new ones ([`rows`]). Only parts that are neighbours in rank are merged, so equal
//! times keep their order of arrival. Bounds: at most [`INPUTS_MAX`] parts; see also [`rows`].

mod copies;
mod rows;

use crate::{
    Logstore,
    flush::day_of,
    logstore::{View, lock},
    part::Part,
};
use std::{collections::BTreeSet, ops::Range, sync::Arc};
use store::StoreError;

/// Most parts merged at once.
const INPUTS_MAX: usize = 16;
/// A merge must make a part at least this many times as large as its largest input, so that every
/// row is rewritten a logarithmic number of times.
const GROWTH_MIN: u64 = 4;
/// A part is written anew when more than this share of it has expired.
const EXPIRED_SHARE: u64 = 4;
/// Level of merged lines: they stay.
const MERGE_ZSTD_LEVEL: i32 = 6;

impl Logstore {
    /// Merges until nothing is worth it.
    pub(crate) fn merge_all(&self, now_ns: i64) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        let settled = {
            let view = self.view();
            let ranks = view.parts.iter().map(|part| (part.id.day, part.id.rank));
            lock(&self.days).settled(ranks, day_of(now_ns), now_ns)
        };
        loop {
            let view = self.view();
            let Some(inputs) = choose(&view.parts, self.options.part_bytes_max, &settled) else {
                return Ok(());
            };
            if !self.merge(&view.parts[inputs], &view)? {
                return Ok(());
            }
        }
    }

    /// Writes parts anew that lines have been deleted from, or of which a good part belongs to
    /// rules that keep none of it any longer.
    pub(crate) fn rewrite_expired(&self) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        let view = self.view();
        for part in view.parts.iter().filter(|part| !part.is_damaged()) {
            let expired = part.shares.iter().filter(|share| share.newest_ns < view.cuts.of(share.rule));
            let expired_bytes: u64 = expired.map(|share| share.bytes).sum();
            if expired_bytes > part.line_bytes / EXPIRED_SHARE || is_deleted_from(part, &view) {
                self.merge(std::slice::from_ref(part), &view)?;
            }
        }
        Ok(())
    }

    /// Merges neighbours; whether the parts have changed.
    fn merge(&self, inputs: &[Arc<Part>], view: &View) -> Result<bool, StoreError> {
        let raw_bytes = inputs.iter().map(|part| part.line_bytes).sum();
        let day = inputs[0].id.day;
        let merged = self.write_part(day, inputs, raw_bytes, MERGE_ZSTD_LEVEL, |writer| {
            let copies = copies::copyable(inputs, view, writer.shape());
            rows::Merge::new(inputs, view, copies, writer)?.write(writer)
        });
        let merged = match merged {
            Err(StoreError::Damaged(reason)) => {
                // The part is marked, and no longer merged.
                tracing::warn!(reason, "merge stopped at damaged data");
                return Ok(false);
            }
            other => other?,
        };
        let is_input = |id: u64| inputs.iter().any(|part| part.id.id == id);
        let merged: Vec<Arc<Part>> = merged.into_iter().collect();
        self.publish(
            |manifest| {
                manifest.parts.retain(|part| !is_input(part.id));
                manifest.parts.extend(merged.iter().map(|part| part.id));
            },
            |state| {
                state.remove_parts(is_input);
                state.add_parts(&merged);
            },
        )?;
        for part in inputs {
            self.caches.forget(part.id.id);
            self.remove_leftover(&part.id.name());
        }
        Ok(true)
    }
}

impl crate::logstore::State {
    pub(crate) fn remove_parts(&mut self, is_doomed: impl Fn(u64) -> bool) {
        let kept = self.parts.iter().filter(|part| !is_doomed(part.id.id)).cloned().collect();
        self.parts = Arc::new(kept);
    }
}

/// Whether a deletion may have rows of the part.
fn is_deleted_from(part: &Part, view: &View) -> bool {
    view.tombstones.iter().any(|tombstone| {
        part.table.streams.iter().any(|labels| tombstone.may_cover(part.id.id, labels, part.range))
    })
}

/// The longest stretch of neighbours worth merging: of one day, whole, not too large together, and
/// enough larger than the largest. Parts of settled days are merged down to as few as can be.
fn choose(parts: &[Arc<Part>], bytes_max: u64, settled: &BTreeSet<i64>) -> Option<Range<usize>> {
    let is_open = |part: &Part| part.line_bytes < bytes_max / 2 && !part.is_damaged();
    for start in 0..parts.len() {
        let mut best = None;
        let (mut total, mut largest) = (0, 0);
        for (end, part) in parts.iter().enumerate().skip(start).take(INPUTS_MAX) {
            total += part.line_bytes;
            largest = largest.max(part.line_bytes);
            if part.id.day != parts[start].id.day || !is_open(part) || total > bytes_max {
                break;
            }
            let is_settled = settled.contains(&part.id.day);
            if end > start && (total >= largest.saturating_mul(GROWTH_MIN) || is_settled) {
                best = Some(start..end + 1);
            }
        }
        if best.is_some() {
            return best;
        }
    }
    None
}
