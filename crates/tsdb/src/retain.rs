//! Retention: what is too old or too much goes, by age and by size, and leaves its buckets in the tiers.

use crate::{
    maintain::Maintenance,
    part::Part,
    store_impl::{Tsdb, lock},
    tiers::{Place, RESOLUTIONS, SIZE_SHARE},
    windows::Window,
};
use model::TimeRange;
use std::{collections::BTreeMap, io::ErrorKind};
use store::{Aggregate, StoreError};

impl Tsdb {
    /// Hides samples beyond the retention, and drops parts that have no others by the time that is
    /// believed; raw ones leave their buckets in the tiers.
    pub(crate) fn forget_old(
        &self,
        maintenance: &mut Maintenance,
        now_ms: i64,
        believed_ms: i64,
    ) -> Result<(), StoreError> {
        self.show_at(now_ms);
        let believed_ms = believed_ms.min(now_ms);
        let oldest_ms = self.options.limits.oldest_ms(believed_ms);
        // With tiers nothing may go but by a fold.
        maintenance.kept_from_ms = if self.options.tiers.is_wanted() { i64::MIN } else { oldest_ms };
        lock(&self.extras).forget_before(oldest_ms);
        let mut expired: BTreeMap<Window, Vec<Part>> = BTreeMap::new();
        for part in self.view().parts.iter().filter(|part| part.time_range().end < oldest_ms) {
            expired.entry(Window::around(part.time_range())).or_default().push(part.clone());
        }
        // Until a seal that failed is complete, a crash brings back from the log what it wrote.
        let folded = match !self.options.tiers.is_wanted() || self.view().sealing.is_none() {
            true => expired.values().try_for_each(|parts| self.fold(maintenance, parts, believed_ms)),
            false => Ok(()),
        };
        for place in Place::tiers() {
            let Place::Tier(tier, _) = place else { continue };
            let Some(oldest_ms) = self.options.tiers.oldest_ms(tier, believed_ms) else { continue };
            let is_over = |part: &&Part| part.time_range().end < oldest_ms;
            let over: Vec<u64> = self.view().list(place).iter().filter(is_over).map(Part::id).collect();
            self.drop_from(maintenance, place, &over);
        }
        folded
    }

    /// Drops the oldest parts while all of them take more than is allowed. Raw parts leave their
    /// buckets in the tiers, which for their part may take a share only.
    pub(crate) fn hold_to_size(&self, maintenance: &mut Maintenance, now_ms: i64) -> Result<(), StoreError> {
        let Some(size_bytes_max) = self.options.size_bytes_max else { return Ok(()) };
        self.hold_tiers_to_size(maintenance, size_bytes_max / SIZE_SHARE);
        let view = self.view();
        // Nothing can be folded before, and dropping a part would not help what keeps the seal.
        if self.options.tiers.is_wanted() && view.sealing.is_some() && !maintenance.seal_waits_for_room {
            return Ok(());
        }
        let mut by_age: Vec<&Part> = view.parts.iter().collect();
        by_age.sort_unstable_by_key(|part| part.time_range().end);
        let tier_bytes = view.tiers.iter().map(|part| part.meta().bytes()).sum::<u64>();
        let raw_bytes = by_age.iter().map(|part| part.meta().bytes()).sum::<u64>();
        let mut bytes = self.log.bytes() + tier_bytes + raw_bytes;
        for part in by_age {
            if bytes <= size_bytes_max {
                break;
            }
            bytes -= part.meta().bytes();
            let folded = match view.sealing.is_none() {
                true => self.fold(maintenance, std::slice::from_ref(part), now_ms),
                false => Err(StoreError::Full("a seal waits for room".to_owned())),
            };
            match folded {
                Ok(()) => {}
                // Room must be made even when there is none left to write buckets to.
                Err(error) if is_full(&error) => {
                    tracing::warn!(part = part.id(), "dropped for its size without a trace in the tiers");
                    self.drop_parts(maintenance, &[part.id()]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Drops the oldest buckets, the finest first, while tiers take more than their share.
    fn hold_tiers_to_size(&self, maintenance: &mut Maintenance, bytes_max: u64) {
        loop {
            let view = self.view();
            if view.tiers.iter().map(|part| part.meta().bytes()).sum::<u64>() <= bytes_max {
                return;
            }
            let ends = |tier: usize| {
                let lists = Aggregate::ALL.map(|aggregate| view.tiers.of(tier, aggregate).clone());
                lists
                    .into_iter()
                    .flat_map(|list| list.iter().map(|part| part.time_range().end).collect::<Vec<_>>())
            };
            let oldest = (0..RESOLUTIONS.len()).find_map(|tier| ends(tier).min().map(|end| (tier, end)));
            let Some((tier, end)) = oldest else { return };
            // All aggregates of a stretch of time go together.
            let end = Window::wide(TimeRange::new(end, end)).range().end;
            for aggregate in Aggregate::ALL {
                let is_over = |part: &&Part| part.time_range().end <= end;
                let list = view.tiers.of(tier, aggregate);
                let over: Vec<u64> = list.iter().filter(is_over).map(Part::id).collect();
                self.drop_from(maintenance, Place::Tier(tier, aggregate), &over);
            }
        }
    }

    /// Takes raw parts out of view, then off the disk.
    pub(crate) fn drop_parts(&self, maintenance: &mut Maintenance, ids: &[u64]) {
        self.drop_from(maintenance, Place::Raw, ids);
    }

    /// Takes parts out of view, then off the disk. A damaged one is kept aside instead.
    pub(crate) fn drop_from(&self, maintenance: &mut Maintenance, place: Place, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let dropped: Vec<Part> =
            self.view().list(place).iter().filter(|part| ids.contains(&part.id())).cloned().collect();
        self.change_view(|view| {
            let list = view.list_mut(place);
            *list = list.iter().filter(|part| !ids.contains(&part.id())).cloned().collect();
        });
        self.remove_parts(maintenance, place, dropped);
    }
}

/// Whether room is all that was missing.
pub(crate) fn is_full(error: &StoreError) -> bool {
    match error {
        StoreError::Full(_) => true,
        StoreError::Io(error) => matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
        _ => false,
    }
}
