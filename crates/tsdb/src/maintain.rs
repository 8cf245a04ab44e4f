//! Upkeep: sealing when due, merging, deletion; retention is in `retain`.

use crate::{
    codec::Effort,
    part::{Origin, Part, PartWriter, merge, name_of},
    publish::{Leftover, replaced_before},
    query::matching_any,
    store_impl::{Tsdb, lock},
    tiers::Place,
    windows::Window,
};
use disk::Dir;
use model::{Matcher, TimeRange};
use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};
use store::{QueryContext, RetentionClock, StoreError};

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
pub(crate) struct Maintenance {
    pub(crate) next_part_id: u64,
    /// First log segment that is not covered by the generation being sealed.
    pub(crate) wal_before: u64,
    /// Windows of the generation being sealed that are published.
    pub(crate) sealed_windows: Vec<TimeRange>,
    /// Whether the last seal failed for want of room.
    pub(crate) seal_waits_for_room: bool,
    pub(crate) clock: RetentionClock,
    /// Raw samples before this are too old by the time that is believed: merges leave them out.
    pub(crate) kept_from_ms: i64,
    /// Parts that could not be removed yet.
    pub(crate) leftovers: Vec<Leftover>,
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
            seal_waits_for_room: false,
            clock: RetentionClock::default(),
            kept_from_ms: i64::MIN,
            leftovers: Vec::new(),
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
        let believed_ms = maintenance.clock.believe(now_ms, || self.newest_ms());
        // Or the first merge or fold with one of them would fail, again and again.
        self.set_lost_aside(&mut maintenance);
        // What fails keeps none of the other steps from being done, and the first failure is told.
        let mut done = self.forget_old(&mut maintenance, now_ms, believed_ms);
        // Before anything that needs room: on a full disk this is what makes some.
        done = done.and(self.hold_to_size(&mut maintenance, believed_ms));
        let sealed = match self.is_seal_due(is_idle, now_ms) {
            true => self.seal(&mut maintenance),
            false => Ok(()),
        };
        // A merge would take the room that the seal has not found.
        let merged = sealed.and_then(|()| self.merge_due(&mut maintenance, is_idle, now_ms));
        done = done.and(merged).and(self.hold_to_size(&mut maintenance, believed_ms));
        if now_ms.saturating_sub(maintenance.indexes_checked_ms) >= INDEX_IDLE_MS {
            maintenance.indexes_checked_ms = now_ms;
            let view = self.view();
            view.parts.iter().chain(view.tiers.iter()).for_each(Part::forget_idle_index);
        }
        self.report_damage();
        done.and(self.remove_leftovers(&mut maintenance).map_or(Ok(()), |error| Err(error.into())))
    }

    fn is_seal_due(&self, is_idle: bool, now_ms: i64) -> bool {
        let view = self.view();
        let Some(begun_ms) = view.head.begun_ms() else { return view.sealing.is_some() };
        let bytes = view.head.sample_bytes();
        let seal_at = self.seal_at_bytes(view.head.read().len() as usize);
        view.sealing.is_some()
            || bytes > seal_at
            || is_idle && bytes >= IDLE_SEAL_BYTES
            || now_ms.saturating_sub(begun_ms) > self.options.head_age_max_ms
    }

    pub(crate) fn dir_of(&self, place: Place) -> Option<&Dir> {
        match place {
            Place::Raw => Some(&self.parts_dir),
            Place::Tier(tier, aggregate) => self.tier_dirs.as_ref().map(|dirs| dirs.of(tier, aggregate)),
        }
    }

    /// Takes parts whose index cannot be read out of view; their folders are kept under another name.
    fn set_lost_aside(&self, maintenance: &mut Maintenance) {
        for place in Place::all() {
            let view = self.view();
            let lost = view.list(place).iter().filter(|part| part.is_lost()).map(Part::id);
            self.drop_from(maintenance, place, &lost.collect::<Vec<_>>());
        }
    }

    /// Merges what is due, raw parts before those of tiers.
    fn merge_due(&self, maintenance: &mut Maintenance, is_idle: bool, now_ms: i64) -> Result<(), StoreError> {
        for place in Place::all() {
            if let Some(parts) = parts_to_merge(self.view().list(place), place, is_idle, now_ms) {
                return self.merge_parts(maintenance, place, &parts);
            }
        }
        Ok(())
    }

    fn merge_parts(
        &self,
        maintenance: &mut Maintenance,
        place: Place,
        parts: &[Part],
    ) -> Result<(), StoreError> {
        let Some(dir) = self.dir_of(place) else { return Ok(()) };
        self.remove_unshown(maintenance)?;
        let mut writer = PartWriter::new(dir, maintenance.take_id(), Effort::Thorough)?;
        let kept = match place {
            Place::Raw => TimeRange::new(maintenance.kept_from_ms, i64::MAX),
            Place::Tier(..) => TimeRange::ALL,
        };
        for skipped in merge(parts, kept, &mut writer)? {
            self.note_damage(&skipped.to_string());
        }
        let merged_ids: Vec<u64> = parts.iter().map(Part::id).collect();
        if writer.is_empty() {
            self.drop_from(maintenance, place, &merged_ids);
            return Ok(());
        }
        let replaces = merged_ids.iter().copied().chain(replaced_before(maintenance, parts)).collect();
        let origin = Origin {
            wal_before: parts.iter().map(|part| part.meta().origin.wal_before).max().unwrap_or(0),
            level: parts.iter().map(|part| part.meta().origin.level).max().unwrap_or(0) + 1,
            replaces,
            folds: Vec::new(),
        };
        let merged = self.publish_all(maintenance, [(place, writer, origin)])?;
        self.change_view(|view| {
            let list = view.list_mut(place);
            let others = list.iter().filter(|part| !merged_ids.contains(&part.id())).cloned();
            *list = others.chain(merged.into_iter().map(|(_, part)| part)).collect();
        });
        self.done.merges.fetch_add(1, Relaxed);
        self.cache.clear();
        self.remove_parts(maintenance, place, parts.iter().cloned());
        Ok(())
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
        self.remove_unnamed(&mut maintenance)?;
        // Only parts can be deleted from: what comes afterwards is in the next head and stays.
        self.seal(&mut maintenance)?;
        for place in Place::all() {
            self.delete_from(place, selectors, range)?;
        }
        Ok(())
    }

    /// Of a bucket in a tier the time of its last sample decides.
    fn delete_from(
        &self,
        place: Place,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
    ) -> Result<(), StoreError> {
        for part in self.view().list(place).iter().filter(|part| part.time_range().overlaps(&range)) {
            let series = matching_any(part, selectors, &QueryContext::default())?;
            if series.is_empty() {
                continue;
            }
            let changed = part.with_deletion(series, range)?;
            self.change_view(|view| {
                let replace =
                    |part: &Part| if part.id() == changed.id() { changed.clone() } else { part.clone() };
                let list = view.list_mut(place);
                *list = list.iter().map(replace).collect();
            });
        }
        Ok(())
    }

    fn report_damage(&self) {
        let view = self.view();
        for part in view.parts.iter().chain(view.tiers.iter()).filter(|part| part.is_damaged()) {
            self.note_damage(&format!("part `{}` has blocks that cannot be read", name_of(part.id())));
        }
    }
}

/// Parts that should become one.
fn parts_to_merge(list: &[Part], place: Place, is_idle: bool, now_ms: i64) -> Option<Vec<Part>> {
    let mut windows: BTreeMap<Window, Vec<&Part>> = BTreeMap::new();
    for part in list {
        let window = match place {
            Place::Raw => Window::around(part.time_range()),
            Place::Tier(..) => Window::wide(part.time_range()),
        };
        windows.entry(window).or_default().push(part);
    }
    let mut windows: Vec<_> = windows.into_iter().collect();
    // The newest first: it is asked for most.
    windows.sort_by_key(|(window, _)| std::cmp::Reverse(window.range().end));
    windows.iter().find_map(|(window, parts)| {
        let is_cold = now_ms.saturating_sub(window.range().end) > COLD_MS;
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
