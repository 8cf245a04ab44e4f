//! What is due every few seconds: flushes by age, retention, merges; and deletions on request.

use crate::{
    Logstore,
    flush::day_of,
    logstore::{lock, read},
    part::Part,
    tombstone::Tombstone,
};
use model::{Matcher, TimeRange};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use store::{LineFilter, LogStats, StoreError};

impl Logstore {
    pub(crate) fn maintain_at(&self, now_ns: i64) -> Result<(), StoreError> {
        self.oldest_ns.store(self.options.limits.oldest_ns(now_ns), Relaxed);
        if self.is_flush_due(now_ns) {
            self.flush_memory()?;
        }
        self.drop_old_parts()?;
        self.merge_all(day_of(now_ns))?;
        self.drop_settled_tombstones()?;
        self.registry.forget_unused();
        Ok(())
    }

    fn is_flush_due(&self, now_ns: i64) -> bool {
        let state = read(&self.state);
        let is_old = |since_ns: i64| now_ns.saturating_sub(since_ns) >= self.options.flush_age_ns;
        !state.frozen.is_empty()
            || state.memory.since_ns().is_some_and(is_old)
            || state.memory.bytes() >= self.options.memory_bytes_max / 2
    }

    /// Drops parts whose newest row is too old, and the oldest parts while there are too many
    /// bytes.
    fn drop_old_parts(&self) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        let parts = read(&self.state).parts.clone();
        let oldest_ns = self.oldest_ns.load(Relaxed);
        let mut excess = match self.options.size_bytes_max {
            None => 0,
            Some(bytes_max) => self.disk_bytes(&parts).saturating_sub(bytes_max),
        };
        let mut by_age: Vec<&Arc<Part>> = parts.iter().collect();
        by_age.sort_by_key(|part| part.range.end);
        let mut doomed = Vec::new();
        for part in by_age {
            if part.range.end < oldest_ns || excess > 0 {
                excess = excess.saturating_sub(part.disk_bytes);
                doomed.push(part.id);
            }
        }
        if doomed.is_empty() {
            return Ok(());
        }
        let is_doomed = |id: u64| doomed.iter().any(|part| part.id == id);
        self.publish(
            |manifest| manifest.parts.retain(|part| !is_doomed(part.id)),
            |state| state.remove_parts(is_doomed),
        )?;
        for part in &doomed {
            self.cache.forget(part.id);
            self.remove_leftover(&part.name());
        }
        Ok(())
    }

    fn disk_bytes(&self, parts: &[Arc<Part>]) -> u64 {
        parts.iter().map(|part| part.disk_bytes).sum::<u64>() + self.log.bytes()
    }

    /// Forgets deletions that no part is left for.
    fn drop_settled_tombstones(&self) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        let (parts, tombstones) = {
            let state = read(&self.state);
            (state.parts.clone(), state.tombstones.clone())
        };
        let is_needed = |tombstone: &Arc<Tombstone>| {
            parts.iter().any(|part| {
                part.table.streams.iter().any(|labels| tombstone.may_cover(part.id.id, labels, part.range))
            })
        };
        let needed: Vec<Arc<Tombstone>> = tombstones.iter().filter(|t| is_needed(t)).cloned().collect();
        if needed.len() == tombstones.len() {
            return Ok(());
        }
        self.publish(
            |manifest| manifest.tombstones.clone_from(&needed),
            |state| state.tombstones = Arc::new(needed.clone()),
        )
    }

    /// Flushes, so that every row that exists is in a part, and then marks rows of all parts as
    /// deleted. Merges wait, so that none brings a deleted row back under a new number.
    pub(crate) fn delete_rows(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        self.flush_memory()?;
        let tombstone = Arc::new(Tombstone::new(self.take_part_id(), matchers, range, filters));
        self.publish(
            |manifest| manifest.tombstones.push(tombstone.clone()),
            |state| {
                let mut all = state.tombstones.to_vec();
                all.push(tombstone.clone());
                state.tombstones = Arc::new(all);
            },
        )
    }

    pub(crate) fn figures(&self) -> LogStats {
        let state = read(&self.state);
        let memories = || state.frozen.iter().map(|frozen| &frozen.memory).chain([&state.memory]);
        let parts = &state.parts;
        LogStats {
            streams: self.registry.len() as u64,
            chunks: parts.iter().map(|part| part.table.chunks.len() as u64).sum::<u64>()
                + memories().map(|memory| memory.blocks()).sum::<u64>(),
            entries: parts.iter().map(|part| part.rows).sum::<u64>()
                + memories().map(|memory| memory.rows()).sum::<u64>(),
            bytes: parts.iter().map(|part| part.line_bytes).sum::<u64>()
                + memories().map(|memory| memory.line_bytes()).sum::<u64>(),
            disk_bytes: self.disk_bytes(parts),
            index_bytes: parts.iter().map(|part| part.index_bytes).sum(),
            wal_bytes: self.log.bytes(),
            parts: parts.len() as u64,
            damage: self.damage.list(),
        }
    }
}
