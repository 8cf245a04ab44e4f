//! Merges small parts of a day into larger ones, compressed harder, with deletions applied.
//!
//! Only parts that are neighbours in rank are merged, so equal times keep their order of arrival.
//! Bounds: one decoded chunk of every merged part in memory, at most [`INPUTS_MAX`] parts.

use crate::{
    Logstore,
    logstore::lock,
    part::{
        Part,
        reader::{ChunkReader, Frame, MetadataColumns, ReadError},
        writer::PartWriter,
    },
    probe::run_rows,
    stream::storage_order,
    tombstone::Tombstone,
};
use model::{Labels, LabelsRef, TimeRange};
use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    ops::Range,
    sync::Arc,
};
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
            Merge::new(inputs, tombstones)?.write(writer)
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

/// A merge under way.
struct Merge<'a> {
    /// Streams of all inputs, in storage order.
    streams: Vec<Labels>,
    cursors: Vec<Cursor<'a>>,
}

/// Where a part's reading stands.
struct Cursor<'a> {
    part: &'a Part,
    /// By the part's stream: its place among all.
    ranks: Vec<u32>,
    tombstones: &'a [Arc<Tombstone>],
    next_chunk: usize,
    chunk: Option<Decoded>,
    row: usize,
}

/// One chunk, decoded whole.
struct Decoded {
    times: Vec<i64>,
    /// Rows of each run, and the rank of its stream.
    runs: Vec<(Range<usize>, u32)>,
    run: usize,
    frames: Vec<Frame>,
    frame: usize,
    metadata: MetadataColumns,
    deleted: Vec<bool>,
}

/// A row's place in the output; the input's index breaks ties by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    rank: u32,
    timestamp_ns: i64,
    input: usize,
}

impl Ord for Place {
    /// Reversed, because the heap yields the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |place: &Place| (place.rank, place.timestamp_ns, place.input);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Merge<'a> {
    fn new(inputs: &'a [Arc<Part>], tombstones: &'a [Arc<Tombstone>]) -> Result<Self, ReadError> {
        let mut streams: Vec<Labels> =
            inputs.iter().flat_map(|part| part.table.streams.iter().cloned()).collect();
        streams.sort_by(storage_order);
        streams.dedup();
        let rank_of: HashMap<&Labels, u32> =
            streams.iter().enumerate().map(|(rank, labels)| (labels, rank as u32)).collect();
        let mut cursors = Vec::with_capacity(inputs.len());
        for part in inputs {
            let ranks = part.table.streams.iter().map(|labels| rank_of[labels]).collect();
            let mut cursor = Cursor { part, ranks, tombstones, next_chunk: 0, chunk: None, row: 0 };
            cursor.load()?;
            cursors.push(cursor);
        }
        Ok(Merge { streams, cursors })
    }

    fn write(mut self, writer: &mut PartWriter) -> Result<(), ReadError> {
        let mut heap: BinaryHeap<Place> = BinaryHeap::new();
        for (input, cursor) in self.cursors.iter().enumerate() {
            heap.extend(cursor.place(input));
        }
        let mut current = None;
        let mut metadata = Vec::new();
        while let Some(place) = heap.pop() {
            let cursor = &mut self.cursors[place.input];
            let mut place = Some(place);
            // The same input goes on while its next row is still the first of all.
            while let Some(here) = place
                && heap.peek().is_none_or(|other| here >= *other)
            {
                if current != Some(here.rank) {
                    writer.stream(&self.streams[here.rank as usize])?;
                    current = Some(here.rank);
                }
                if let Some(line) = cursor.line(&mut metadata) {
                    writer.row(here.timestamp_ns, line, LabelsRef::from_trusted_bytes(&metadata))?;
                }
                cursor.advance()?;
                place = cursor.place(here.input);
            }
            heap.extend(place);
        }
        Ok(())
    }
}

impl Cursor<'_> {
    fn place(&self, input: usize) -> Option<Place> {
        let chunk = self.chunk.as_ref()?;
        Some(Place { rank: chunk.runs[chunk.run].1, timestamp_ns: chunk.times[self.row], input })
    }

    /// The current row's line and, in `metadata`, its metadata; `None` when it is deleted.
    fn line(&self, metadata: &mut Vec<u8>) -> Option<&[u8]> {
        let chunk = self.chunk.as_ref()?;
        if chunk.deleted.get(self.row).copied().unwrap_or(false) {
            return None;
        }
        chunk.metadata.put(self.row, metadata);
        let frame = &chunk.frames[chunk.frame];
        Some(frame.line(self.row - frame.first_row))
    }

    fn advance(&mut self) -> Result<(), ReadError> {
        self.row += 1;
        let Some(chunk) = &mut self.chunk else { return Ok(()) };
        if self.row >= chunk.times.len() {
            return self.load();
        }
        if self.row >= chunk.runs[chunk.run].0.end {
            chunk.run += 1;
        }
        let frame = &chunk.frames[chunk.frame];
        if self.row >= frame.first_row + frame.rows() {
            chunk.frame += 1;
        }
        Ok(())
    }

    /// Decodes the next chunk.
    fn load(&mut self) -> Result<(), ReadError> {
        self.row = 0;
        self.chunk = None;
        if self.next_chunk < self.part.table.chunks.len() {
            let decoded = self.decode(self.next_chunk);
            if let Err(error) = &decoded {
                self.part.note_damage(self.next_chunk, error);
            }
            self.chunk = Some(decoded?);
            self.next_chunk += 1;
        }
        Ok(())
    }

    fn decode(&self, chunk: usize) -> Result<Decoded, ReadError> {
        let reader = ChunkReader::new(self.part, chunk);
        let starts = reader.frame_starts();
        let frames = (0..reader.meta.frames.len())
            .map(|frame| reader.frame(frame, starts[frame]))
            .collect::<Result<Vec<_>, _>>()?;
        let runs = reader.meta.runs.iter().zip(run_rows(reader.meta));
        let runs = runs.map(|(run, rows)| (rows, self.ranks[run.stream as usize])).collect();
        let mut decoded = Decoded {
            times: reader.times()?,
            runs,
            run: 0,
            frames,
            frame: 0,
            metadata: reader.metadata()?,
            deleted: Vec::new(),
        };
        self.mark_deleted(&reader, &mut decoded);
        Ok(decoded)
    }

    fn mark_deleted(&self, reader: &ChunkReader<'_>, decoded: &mut Decoded) {
        for (run, rows) in reader.meta.runs.iter().zip(run_rows(reader.meta)) {
            let labels = &self.part.table.streams[run.stream as usize];
            let range = TimeRange::new(run.oldest_ns, run.newest_ns);
            let covering: Vec<&Arc<Tombstone>> = self
                .tombstones
                .iter()
                .filter(|tombstone| tombstone.may_cover(self.part.id.id, labels, range))
                .collect();
            if covering.is_empty() {
                continue;
            }
            decoded.deleted.resize(decoded.times.len(), false);
            for frame in &decoded.frames {
                let first = rows.start.max(frame.first_row);
                for row in first..rows.end.min(frame.first_row + frame.rows()) {
                    let line = frame.line(row - frame.first_row);
                    decoded.deleted[row] =
                        covering.iter().any(|tombstone| tombstone.covers(decoded.times[row], line));
                }
            }
        }
    }
}
