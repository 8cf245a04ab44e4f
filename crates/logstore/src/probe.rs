//! Whether rows that arrive late are stored in a part already.
//!
//! Only rows that are not newer than their stream's newest row in any part are looked for, and
//! only in chunks whose run of the stream reaches their time; of such a chunk only the times are
//! read, and lines only where a time is equal.

use crate::{
    append::Accepted,
    logstore::View,
    part::{
        Part,
        reader::{ChunkReader, ReadError},
        table::ChunkMeta,
    },
};
use std::{collections::HashMap, ops::Range};

/// Marks rows of which a part has an exact copy that is not deleted. A chunk that cannot be read
/// is taken not to have them: a repeat is better than a loss.
pub(crate) fn mark_stored(view: &View, rows: &[Accepted<'_>], is_repeat: &mut [bool]) {
    let mut late: HashMap<u64, Vec<usize>> = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        if !is_repeat[index] && row.entry.timestamp_ns <= row.stream.newest_in_parts_ns() {
            late.entry(row.stream.number).or_default().push(index);
        }
    }
    if late.is_empty() {
        return;
    }
    for part in view.parts.iter() {
        let wanted: Vec<Option<&Vec<usize>>> =
            part.streams.iter().map(|stream| late.get(&stream.number)).collect();
        if wanted.iter().all(Option::is_none) {
            continue;
        }
        for chunk in 0..part.table.chunks.len() {
            if let Err(error) = mark_in_chunk(view, part, chunk, &wanted, rows, is_repeat) {
                part.note_damage(chunk, &error);
            }
        }
    }
}

fn mark_in_chunk(
    view: &View,
    part: &Part,
    chunk: usize,
    wanted: &[Option<&Vec<usize>>],
    rows: &[Accepted<'_>],
    is_repeat: &mut [bool],
) -> Result<(), ReadError> {
    let meta = &part.table.chunks[chunk];
    let reader = ChunkReader::new(part, chunk);
    let mut times = None;
    let mut lines = Lines::default();
    for (run, range) in meta.runs.iter().zip(run_rows(meta)) {
        let Some(late) = wanted[run.stream as usize] else { continue };
        for &index in late {
            let time = rows[index].entry.timestamp_ns;
            if is_repeat[index] || time < run.oldest_ns || time > run.newest_ns {
                continue;
            }
            if times.is_none() {
                times = Some(reader.times()?);
            }
            let run_times = &times.as_deref().unwrap_or_default()[range.clone()];
            let first = range.start + run_times.partition_point(|&stored| stored < time);
            let last = range.start + run_times.partition_point(|&stored| stored <= time);
            for row in first..last {
                is_repeat[index] |= lines.is_same(&reader, row, &rows[index])?
                    && !is_deleted(view, part, run.stream, &rows[index]);
            }
        }
    }
    Ok(())
}

fn is_deleted(view: &View, part: &Part, stream: u32, row: &Accepted<'_>) -> bool {
    let labels = &part.streams[stream as usize].labels;
    let time = row.entry.timestamp_ns;
    let instant = model::TimeRange::new(time, time);
    view.tombstones.iter().any(|tombstone| {
        tombstone.may_cover(part.id.id, labels, instant) && tombstone.covers(time, row.entry.line.as_bytes())
    })
}

/// The rows of every run.
pub(crate) fn run_rows(meta: &ChunkMeta) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    meta.runs.iter().map(move |run| {
        let range = start..start + run.rows as usize;
        start = range.end;
        range
    })
}

/// Lines and metadata of a chunk, read when first asked for.
#[derive(Default)]
struct Lines {
    lengths: Option<Vec<u32>>,
    metadata: Option<crate::part::reader::MetadataColumns>,
    frame: Option<crate::part::reader::Frame>,
    scratch: Vec<u8>,
}

impl Lines {
    fn is_same(
        &mut self,
        reader: &ChunkReader<'_>,
        row: usize,
        wanted: &Accepted<'_>,
    ) -> Result<bool, ReadError> {
        if self.lengths.is_none() {
            self.lengths = Some(reader.lengths()?);
        }
        let lengths = self.lengths.as_deref().unwrap_or_default();
        if lengths[row] as usize != wanted.entry.line.len() {
            return Ok(false);
        }
        let holds = |frame: &crate::part::reader::Frame| {
            (frame.first_row..frame.first_row + frame.rows()).contains(&row)
        };
        if !self.frame.as_ref().is_some_and(holds) {
            let starts = reader.frame_starts();
            let index = starts.partition_point(|&start| start <= row) - 1;
            self.frame = Some(reader.frame(index, starts[index])?);
        }
        let Some(frame) = &self.frame else { return Ok(false) };
        if frame.line(row - frame.first_row) != wanted.entry.line.as_bytes() {
            return Ok(false);
        }
        if self.metadata.is_none() {
            self.metadata = Some(reader.metadata()?);
        }
        if let Some(metadata) = &self.metadata {
            metadata.put(row, &mut self.scratch);
        }
        Ok(self.scratch == wanted.entry.metadata.as_bytes())
    }
}
