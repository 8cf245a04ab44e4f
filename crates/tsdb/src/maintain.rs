//! Upkeep: sealing when due, merging, retention, deletion.

use crate::{
    codec::Effort,
    part::{Origin, Part, PartWriter, merge, name_of},
    query::matching_any,
    seal::{range_of, window_of},
    store_impl::{Tsdb, View, lock},
};
use disk::TMP_SUFFIX;
use model::{Matcher, TimeRange};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use store::StoreError;

/// Parts of one window and level that are merged together.
const MERGE_FAN: usize = 4;
/// Most samples of a merge that tidies up a window, so that it ends within a minute or so.
const TIDY_SAMPLES_MAX: u64 = 200_000_000;
/// A quiet window is tidied up when its smaller parts have at least 1/this of its largest.
const TIDY_RATIO: u64 = 20;
/// A window this long past takes few samples any more: its parts become one.
const COLD_MS: i64 = 2 * 3_600_000;
/// With hardly a sample for this long the store is idle and tidies up.
const IDLE_MS: i64 = 8_000;
/// Samples a second that leave a store idle: a server's own metrics and a host or two never end.
const IDLE_SAMPLES_PER_S: u64 = 200;
/// Arrivals are judged over at least this long.
const JUDGED_MS: i64 = 1_000;
/// An idle store seals a head of this size, since its log takes ten times the room of a part.
const IDLE_SEAL_BYTES: u64 = 512 << 10;
/// Index memory of parts that no query has used for this long is given back.
const INDEX_IDLE_MS: i64 = 300_000;

/// What maintenance remembers between calls.
#[derive(Debug)]
pub(crate) struct Maintenance {
    pub(crate) next_part_id: u64,
    /// First log segment that is not covered by the generation being sealed.
    pub(crate) wal_before: u64,
    /// Windows of the generation being sealed that are published.
    pub(crate) sealed_windows: Vec<i64>,
    appended_seen: u64,
    seen_ms: i64,
    busy_ms: i64,
    indexes_checked_ms: i64,
}

impl Maintenance {
    pub(crate) fn new(next_part_id: u64) -> Self {
        Maintenance {
            next_part_id,
            wal_before: 0,
            sealed_windows: Vec::new(),
            appended_seen: 0,
            seen_ms: i64::MIN,
            busy_ms: i64::MIN,
            indexes_checked_ms: i64::MIN,
        }
    }

    pub(crate) fn take_id(&mut self) -> u64 {
        self.next_part_id += 1;
        self.next_part_id - 1
    }

    /// How long hardly any sample has come.
    fn idle_ms(&mut self, appended: u64, now_ms: i64) -> i64 {
        let is_first = self.busy_ms == i64::MIN;
        let elapsed_ms = now_ms.saturating_sub(self.seen_ms);
        if is_first || elapsed_ms >= JUDGED_MS {
            let arrived = appended.saturating_sub(self.appended_seen);
            let quiet = IDLE_SAMPLES_PER_S.saturating_mul(elapsed_ms.unsigned_abs()) / 1_000;
            if is_first || arrived > quiet {
                self.busy_ms = now_ms;
            }
            self.appended_seen = appended;
            self.seen_ms = now_ms;
        }
        now_ms.saturating_sub(self.busy_ms)
    }
}

impl Tsdb {
    pub(crate) fn maintain_all(&self, now_ms: i64) -> Result<(), StoreError> {
        let mut maintenance = lock(&self.maintenance);
        let is_idle = maintenance.idle_ms(self.appended.load(Relaxed), now_ms) >= IDLE_MS;
        self.forget_old(now_ms)?;
        // Before anything that needs room: on a full disk this is what makes some.
        self.hold_to_size()?;
        if self.is_seal_due(is_idle, now_ms) {
            self.seal(&mut maintenance)?;
        }
        if let Some(parts) = parts_to_merge(&self.view(), is_idle, now_ms) {
            self.merge_parts(&mut maintenance, &parts)?;
        }
        self.hold_to_size()?;
        if now_ms.saturating_sub(maintenance.indexes_checked_ms) >= INDEX_IDLE_MS {
            maintenance.indexes_checked_ms = now_ms;
            self.view().parts.iter().for_each(Part::forget_idle_index);
        }
        self.report_damage();
        Ok(())
    }

    fn is_seal_due(&self, is_idle: bool, now_ms: i64) -> bool {
        let view = self.view();
        let Some(begun_ms) = view.head.begun_ms() else { return view.sealing.is_some() };
        let bytes = view.head.sample_bytes();
        let seal_at = self.seal_at_bytes(view.head.read().len());
        view.sealing.is_some()
            || bytes > seal_at
            || is_idle && bytes >= IDLE_SEAL_BYTES
            || now_ms.saturating_sub(begun_ms) > self.options.head_age_max_ms
    }

    /// Hides samples beyond the retention and drops parts that have no others.
    fn forget_old(&self, now_ms: i64) -> Result<(), StoreError> {
        let oldest_ms = self.options.limits.oldest_ms(now_ms);
        self.oldest_ms.fetch_max(oldest_ms, Relaxed);
        lock(&self.extras).forget_before(oldest_ms);
        let expired: Vec<u64> =
            self.view().parts.iter().filter(|part| part.time_range().end < oldest_ms).map(Part::id).collect();
        self.drop_parts(&expired)
    }

    /// Drops the oldest parts while all of them take more than is allowed.
    fn hold_to_size(&self) -> Result<(), StoreError> {
        let Some(size_bytes_max) = self.options.size_bytes_max else { return Ok(()) };
        let view = self.view();
        let mut by_age: Vec<&Part> = view.parts.iter().collect();
        by_age.sort_unstable_by_key(|part| part.time_range().end);
        let mut bytes = self.log.bytes() + by_age.iter().map(|part| part.meta().bytes()).sum::<u64>();
        let mut doomed = Vec::new();
        for part in by_age {
            if bytes <= size_bytes_max {
                break;
            }
            bytes -= part.meta().bytes();
            doomed.push(part.id());
        }
        self.drop_parts(&doomed)
    }

    /// Takes parts out of view, then off the disk. A damaged one is kept aside instead.
    fn drop_parts(&self, ids: &[u64]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let dropped: Vec<Part> =
            self.view().parts.iter().filter(|part| ids.contains(&part.id())).cloned().collect();
        self.change_view(|view| {
            view.parts = view.parts.iter().filter(|part| !ids.contains(&part.id())).cloned().collect();
        });
        for part in dropped {
            self.remove_part(part.id(), part.is_damaged())?;
        }
        Ok(self.parts_dir.sync_dir()?)
    }

    /// Renames first, so that a crash never leaves half a part under its own name.
    pub(crate) fn remove_part(&self, id: u64, is_damaged: bool) -> Result<(), StoreError> {
        let name = name_of(id);
        if is_damaged {
            return Ok(self.parts_dir.rename(&name, &format!("{name}.damaged"))?);
        }
        let tmp = format!("{name}{TMP_SUFFIX}");
        self.parts_dir.rename(&name, &tmp)?;
        self.parts_dir.sync_dir()?;
        Ok(self.parts_dir.remove_all(&tmp)?)
    }

    fn merge_parts(&self, maintenance: &mut Maintenance, parts: &[Part]) -> Result<(), StoreError> {
        let id = maintenance.take_id();
        let mut writer = PartWriter::new(&self.parts_dir, id, Effort::Thorough)?;
        let kept = self.visible(TimeRange::ALL);
        for skipped in merge(parts, kept, &mut writer)? {
            self.note_damage(&skipped.to_string());
        }
        let replaces: Vec<u64> = parts.iter().map(Part::id).collect();
        if writer.is_empty() {
            return self.drop_parts(&replaces);
        }
        let origin = Origin {
            wal_before: parts.iter().map(|part| part.meta().origin.wal_before).max().unwrap_or(0),
            level: parts.iter().map(|part| part.meta().origin.level).max().unwrap_or(0) + 1,
            replaces: replaces.clone(),
        };
        writer.publish(origin)?;
        let merged = Part::open(&self.parts_dir, id, self.cache.clone())?;
        self.change_view(|view| {
            let others = view.parts.iter().filter(|part| !replaces.contains(&part.id())).cloned();
            view.parts = others.chain([merged]).collect();
        });
        self.cache.clear();
        for part in parts {
            self.remove_part(part.id(), part.is_damaged())?;
        }
        Ok(self.parts_dir.sync_dir()?)
    }

    /// Deletes samples of the series that any of `selectors` matches.
    pub(crate) fn delete_samples(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<(), StoreError> {
        if selectors.is_empty() || range.start > range.end {
            return Ok(());
        }
        let mut maintenance = lock(&self.maintenance);
        // Only parts can be deleted from: what comes afterwards is in the next head and stays.
        self.seal(&mut maintenance)?;
        for part in self.view().parts.iter().filter(|part| part.time_range().overlaps(&range)) {
            let series = matching_any(part, selectors)?;
            if series.is_empty() {
                continue;
            }
            let changed = part.with_deletion(series, range)?;
            self.change_view(|view| {
                let replace =
                    |part: &Part| if part.id() == changed.id() { changed.clone() } else { part.clone() };
                view.parts = view.parts.iter().map(replace).collect();
            });
        }
        Ok(())
    }

    fn report_damage(&self) {
        for part in self.view().parts.iter().filter(|part| part.is_damaged()) {
            self.note_damage(&format!("part `{}` has blocks that cannot be read", name_of(part.id())));
        }
    }
}

/// Parts that should become one.
fn parts_to_merge(view: &View, is_idle: bool, now_ms: i64) -> Option<Vec<Part>> {
    let mut windows: BTreeMap<i64, Vec<&Part>> = BTreeMap::new();
    for part in view.parts.iter() {
        windows.entry(window_of(part.time_range().start)).or_default().push(part);
    }
    // The newest first: it is asked for most.
    windows.iter().rev().find_map(|(&window, parts)| {
        let is_cold = now_ms.saturating_sub(range_of(window).end) > COLD_MS;
        let chosen = choose(parts, is_idle || is_cold)?;
        Some(chosen.into_iter().cloned().collect())
    })
}

/// Whether merging all parts of a window is worth copying them: a trickle of late samples is not.
fn is_untidy(parts: &[&Part], samples: u64) -> bool {
    match parts {
        // Coded in haste, or with deleted samples to leave out.
        [only] => only.meta().origin.level == 0 || only.has_deletions(),
        _ => {
            let largest = parts.iter().map(|part| part.meta().samples).max().unwrap_or(0);
            parts.len() >= MERGE_FAN || (samples - largest).saturating_mul(TIDY_RATIO) >= largest
        }
    }
}

/// Of the parts of one window, those to merge.
fn choose<'a>(parts: &[&'a Part], is_quiet: bool) -> Option<Vec<&'a Part>> {
    let samples: u64 = parts.iter().map(|part| part.meta().samples).sum();
    if is_quiet && is_untidy(parts, samples) && samples <= TIDY_SAMPLES_MAX {
        return Some(parts.to_vec());
    }
    let levels = parts.iter().map(|part| part.meta().origin.level).collect::<std::collections::BTreeSet<_>>();
    levels.into_iter().find_map(|level| {
        let peers: Vec<&Part> =
            parts.iter().copied().filter(|part| part.meta().origin.level == level).collect();
        (peers.len() >= MERGE_FAN).then_some(peers)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trickle_of_own_metrics_leaves_the_store_idle() {
        let mut maintenance = Maintenance::new(1);
        assert_eq!(maintenance.idle_ms(1_000_000, 10_000), 0);
        for second in 1..=9 {
            maintenance.idle_ms(1_000_000 + second * 100, 10_000 + second as i64 * 1_000);
        }
        assert_eq!(maintenance.idle_ms(1_000_900, 19_000), 9_000);
        assert_eq!(maintenance.idle_ms(1_002_000, 20_000), 0, "a thousand samples in a second are a load");
    }
}
