//! Merges small parts of a day into larger ones, with deletions applied.
//!
//! Chunks that are good already are copied as they are ([`copies`]); the rows of all others are
//! sorted into new ones ([`rows`]). Only parts that are neighbours in rank are merged, so equal
//! times keep their order of arrival. Bounds: at most [`INPUTS_MAX`] parts; see also [`rows`].

mod copies;
mod rows;

use crate::{Logstore, logstore::lock, part::Part, tombstone::Tombstone};
use std::{ops::Range, sync::Arc};
use store::StoreError;

/// Most parts merged at once.
const INPUTS_MAX: usize = 16;
/// A merge must make a part at least this many times as large as its largest input, so that every
/// row is rewritten a logarithmic number of times.
const GROWTH_MIN: u64 = 3;
/// Level of merged lines: they stay.
const MERGE_ZSTD_LEVEL: i32 = 6;

impl Logstore {
    /// Merges until nothing is worth it.
    pub(crate) fn merge_all(&self, today: i64) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        loop {
            let view = self.view();
            let Some(inputs) = choose(&view.parts, self.options.part_bytes_max, today) else {
                return Ok(());
            };
            if !self.merge(&view.parts[inputs], &view.tombstones)? {
                return Ok(());
            }
        }
    }

    /// Merges neighbours; whether the parts have changed.
    fn merge(&self, inputs: &[Arc<Part>], tombstones: &[Arc<Tombstone>]) -> Result<bool, StoreError> {
        let raw_bytes = inputs.iter().map(|part| part.line_bytes).sum();
        let (day, rank) = (inputs[0].id.day, inputs[0].id.rank);
        let merged = self.write_part(day, Some(rank), raw_bytes, MERGE_ZSTD_LEVEL, |writer| {
            let copies = copies::copyable(inputs, tombstones, writer.shape());
            rows::Merge::new(inputs, tombstones, copies, writer)?.write(writer)
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
            self.cache.forget(part.id.id);
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

/// The longest stretch of neighbours worth merging: of one day, whole, not too large together, and
/// enough larger than the largest. Parts of days that are over are merged down to one.
fn choose(parts: &[Arc<Part>], bytes_max: u64, today: i64) -> Option<Range<usize>> {
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
            let is_over = part.id.day + 1 < today;
            if end > start && (total >= largest.saturating_mul(GROWTH_MIN) || is_over) {
                best = Some(start..end + 1);
            }
        }
        if best.is_some() {
            return best;
        }
    }
    None
}
