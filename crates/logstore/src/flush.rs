//! Writes memory to parts.
//!
//! The memory is frozen together with a rotation of the log, so the rows of earlier segments are
//! exactly the frozen ones; one manifest write then lists the parts and moves the log's start. A
//! crash before it replays the log, a crash after it finds the parts.

use crate::{
    Logstore,
    logstore::{Frozen, State, io_error, lock, log_error, read, write},
    memory::{Memory, MemorySnapshot, metadata_of},
    part::{Part, PartId, reader::ReadError, writer::PartWriter},
    stream::storage_order,
};
use std::sync::{Arc, OnceLock};
use store::StoreError;

/// Most chunks stay as a flush has written them; what is left of lines beside their columns is so
/// little that a high level costs 2 % of the time, and it gains 3 % of the bytes.
const FLUSH_ZSTD_LEVEL: i32 = 6;
const NS_PER_DAY: i64 = 86_400_000_000_000;

/// The day a time belongs to; parts never mix days, so that retention drops whole parts.
pub(crate) fn day_of(timestamp_ns: i64) -> i64 {
    timestamp_ns.div_euclid(NS_PER_DAY)
}

/// One row of a memory, by what it is sorted by.
struct SortKey {
    day: i64,
    stream_rank: u32,
    timestamp_ns: i64,
    block: u32,
    position: u32,
}

impl Logstore {
    /// Writes all rows that are in memory now to parts.
    pub(crate) fn flush_memory(&self) -> Result<(), StoreError> {
        let _flushing = lock(&self.flushing);
        self.freeze()?;
        loop {
            let Some(frozen) = read(&self.state).frozen.first().cloned() else { return Ok(()) };
            self.write_frozen(&frozen)?;
        }
    }

    fn freeze(&self) -> Result<(), StoreError> {
        let mut appender = lock(&self.appender);
        if !appender.has_unflushed {
            return Ok(());
        }
        let next_segment = self.log.rotate().map_err(log_error)?;
        appender.has_unflushed = false;
        let mut state = write(&self.state);
        let next = state.memory.successor();
        let mut memory = std::mem::replace(&mut state.memory, next);
        let snapshot = memory.snapshot();
        let ledger = appender.ledger.encode();
        let frozen = Frozen { memory, snapshot, next_segment, ledger, parts: OnceLock::new() };
        state.frozen.push(Arc::new(frozen));
        Ok(())
    }

    fn write_frozen(&self, frozen: &Arc<Frozen>) -> Result<(), StoreError> {
        if frozen.parts.get().is_none() {
            let parts = self.write_snapshot(&frozen.snapshot, &frozen.memory)?;
            frozen.parts.get_or_init(|| parts);
        }
        let parts = frozen.parts.get().map(Vec::as_slice).unwrap_or_default();
        self.publish(
            |manifest| {
                manifest.parts.extend(parts.iter().map(|part| part.id));
                manifest.replay_from = frozen.next_segment;
                manifest.ledger.clone_from(&frozen.ledger);
            },
            |state| {
                state.add_parts(parts);
                state.frozen.retain(|other| !Arc::ptr_eq(other, frozen));
            },
        )?;
        self.log.remove_before(frozen.next_segment).map_err(log_error)
    }

    fn write_snapshot(
        &self,
        snapshot: &MemorySnapshot,
        memory: &Memory,
    ) -> Result<Vec<Arc<Part>>, StoreError> {
        let keys = sorted_keys(snapshot);
        let mut parts = Vec::new();
        for day in keys.chunk_by(|a, b| a.day == b.day) {
            let share = memory.line_bytes() * day.len() as u64 / memory.rows().max(1);
            let part = self.write_part(day[0].day, &[], share, FLUSH_ZSTD_LEVEL, |writer| {
                write_day(writer, snapshot, day).map_err(ReadError::Io)
            })?;
            parts.extend(part);
        }
        Ok(parts)
    }

    /// Writes one part that takes the place of `inputs`: `fill` pushes its rows. `None` when there
    /// were none.
    pub(crate) fn write_part(
        &self,
        day: i64,
        inputs: &[Arc<Part>],
        raw_bytes: u64,
        zstd_level: i32,
        fill: impl FnOnce(&mut PartWriter) -> Result<(), ReadError>,
    ) -> Result<Option<Arc<Part>>, StoreError> {
        let id = self.take_part_id();
        let id = PartId { id, rank: inputs.first().map_or(id, |first| first.id.rank), day };
        let tmp = format!("{}{}", id.name(), disk::TMP_SUFFIX);
        let written = (|| {
            let mut writer = PartWriter::new(self.parts_dir.sub(&tmp)?, self.shape, raw_bytes, zstd_level)?;
            fill(&mut writer)?;
            let written = writer.finish(id.rank, replaced_by(inputs))?;
            if written.rows > 0 {
                self.parts_dir.publish(&tmp, &id.name())?;
            }
            Ok::<_, ReadError>(written)
        })();
        match written {
            Ok(written) if written.rows > 0 => {
                let dir = self.parts_dir.sub(&id.name())?;
                let part = Part::open(dir, id, &self.registry, &self.damage).map_err(read_error)?;
                Ok(Some(Arc::new(part)))
            }
            Ok(_) => {
                self.remove_leftover(&tmp);
                Ok(None)
            }
            Err(error) => {
                self.remove_leftover(&tmp);
                Err(read_error(error))
            }
        }
    }

    /// Removes a folder that nothing refers to; what cannot be removed now goes at the next start.
    pub(crate) fn remove_leftover(&self, name: &str) {
        if let Err(error) = self.parts_dir.remove_all(name) {
            tracing::warn!(name, %error, "leftover folder stays until the next start");
        }
    }
}

/// Most ids of replaced parts that a part names: those of the latest.
const REPLACED_MAX: usize = 4096;

/// Ids of the inputs, and of what they have replaced, which may not be removed yet.
fn replaced_by(inputs: &[Arc<Part>]) -> Vec<u64> {
    let mut ids: Vec<u64> =
        inputs.iter().flat_map(|part| part.table.replaces.iter().copied().chain([part.id.id])).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    ids.truncate(REPLACED_MAX);
    ids
}

impl State {
    pub(crate) fn add_parts(&mut self, parts: &[Arc<Part>]) {
        let mut all: Vec<Arc<Part>> = self.parts.iter().chain(parts).cloned().collect();
        all.sort_by_key(|part| (part.id.day, part.id.rank));
        self.parts = Arc::new(all);
    }
}

pub(crate) fn read_error(error: ReadError) -> StoreError {
    match error {
        ReadError::Damaged(damaged) => damaged.into(),
        ReadError::Io(error) => io_error(error),
    }
}

/// All rows by day, stream in storage order, time, arrival.
fn sorted_keys(snapshot: &MemorySnapshot) -> Vec<SortKey> {
    let streams = &snapshot.streams;
    let mut order: Vec<u32> = (0..streams.len() as u32).collect();
    order.sort_by(|&a, &b| storage_order(&streams[a as usize].labels, &streams[b as usize].labels));
    let mut ranks = vec![0; order.len()];
    for (rank, &stream) in order.iter().enumerate() {
        ranks[stream as usize] = rank as u32;
    }
    let rows = snapshot.blocks.iter().map(|block| block.len()).sum();
    let mut keys = Vec::with_capacity(rows);
    for (block_index, block) in snapshot.blocks.iter().enumerate() {
        for position in 0..block.len() {
            let row = block.ordered(position);
            keys.push(SortKey {
                day: day_of(row.timestamp_ns),
                stream_rank: ranks[row.stream as usize],
                timestamp_ns: row.timestamp_ns,
                block: block_index as u32,
                position: position as u32,
            });
        }
    }
    // Stable, and blocks are visited in order of arrival.
    keys.sort_by_key(|key| (key.day, key.stream_rank, key.timestamp_ns));
    keys
}

fn write_day(writer: &mut PartWriter, snapshot: &MemorySnapshot, day: &[SortKey]) -> std::io::Result<()> {
    let mut current = None;
    for key in day {
        let row = snapshot.blocks[key.block as usize].ordered(key.position as usize);
        if current != Some(row.stream) {
            current = Some(row.stream);
            writer.stream(&snapshot.streams[row.stream as usize].labels)?;
        }
        writer.row(row.timestamp_ns, row.line, metadata_of(&row))?;
    }
    Ok(())
}
