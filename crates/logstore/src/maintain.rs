//! What is due every few seconds: flushes by age, retention, merges; and deletions on request.

use crate::{
    Logstore,
    logstore::{lock, read, write},
    part::Part,
    tombstone::Tombstone,
};
use model::{Matcher, TimeRange};
use std::sync::Arc;
use store::{LineFilter, LogStats, StoreError};

impl Logstore {
    pub(crate) fn maintain_at(&self, now_ns: i64, believed_ns: i64) -> Result<(), StoreError> {
        {
            let mut state = write(&self.state);
            let newest_ns = state.newest_ns().unwrap_or(believed_ns);
            state.cuts = self.registry.rules().cuts(believed_ns, newest_ns);
        }
        if self.is_flush_due(now_ns) {
            self.flush_memory()?;
        }
        self.drop_old_parts()?;
        self.merge_all(now_ns)?;
        self.rewrite_expired()?;
        self.drop_settled_tombstones()?;
        self.registry.forget_unused();
        Ok(())
    }

    fn is_flush_due(&self, now_ns: i64) -> bool {
        let state = read(&self.state);
        let (memory, age_ns) = (&state.memory, self.options.flush_age_ns);
        let is_old = |since_ns: i64| now_ns.saturating_sub(since_ns) >= age_ns;
        let is_due = lock(&self.watch).is_due(memory.rows(), memory.bytes(), now_ns, age_ns);
        is_due
            || !state.frozen.is_empty()
            || memory.since_ns().is_some_and(is_old)
            || memory.bytes() >= self.options.memory_bytes_max / 2
    }

    /// Drops parts all of whose rows are too old, and the oldest parts while there are too many
    /// bytes.
    fn drop_old_parts(&self) -> Result<(), StoreError> {
        let _merging = lock(&self.merging);
        let (parts, cuts) = {
            let state = read(&self.state);
            (state.parts.clone(), state.cuts.clone())
        };
        let is_old = |part: &Part| part.shares.iter().all(|share| share.newest_ns < cuts.of(share.rule));
        let mut excess = match self.options.size_bytes_max {
            None => 0,
            Some(bytes_max) => self.disk_bytes(&parts).saturating_sub(bytes_max),
        };
        let mut by_age: Vec<&Arc<Part>> = parts.iter().collect();
        by_age.sort_by_key(|part| part.range.end);
        let mut doomed = Vec::new();
        for part in by_age {
            if is_old(part) || excess > 0 {
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
            self.caches.forget(part.id);
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
            newest_ns: state.newest_ns(),
            damage: self.damage.list(),
        }
    }
}
