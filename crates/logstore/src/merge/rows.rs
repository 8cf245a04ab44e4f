//! Sorts the rows of chunks into new ones, and copies the chunks that are to be copied.
//!
//! Every chunk is a sorted source of rows; a source is decoded when its first row is due. Bounds:
//! the decoded chunks that overlap at one row, which is one of each input unless rows arrived far
//! out of order; of copied chunks, four bytes for each (chunk, term) pair.

use crate::{
    logstore::View,
    part::{
        Part,
        index::CopiedTerms,
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

/// A merge under way.
pub(super) struct Merge<'a> {
    /// Streams of all inputs, in storage order.
    streams: Vec<Labels>,
    /// By input and the part's stream: its place among all.
    ranks: Vec<Vec<u32>>,
    inputs: &'a [Arc<Part>],
    view: &'a View,
    sources: Vec<Source>,
}

/// One chunk of an input.
struct Source {
    input: usize,
    chunk: usize,
    state: SourceState,
    row: usize,
}

enum SourceState {
    /// To be copied, with its terms.
    Copy(CopiedTerms),
    /// Not yet decoded.
    Waiting,
    Open(Box<Decoded>),
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

/// A row's place in the output; the source's number breaks ties by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    rank: u32,
    timestamp_ns: i64,
    source: usize,
}

impl Ord for Place {
    /// Reversed, because the heap yields the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |place: &Place| (place.rank, place.timestamp_ns, place.source);
        key(other).cmp(&key(self))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a> Merge<'a> {
    /// A merge of `inputs` into `writer` that copies the chunks marked in `copies`.
    pub(super) fn new(
        inputs: &'a [Arc<Part>],
        view: &'a View,
        copies: Vec<Vec<bool>>,
        writer: &mut PartWriter,
    ) -> Result<Self, ReadError> {
        let mut streams: Vec<Labels> =
            inputs.iter().flat_map(|part| part.table.streams.iter().cloned()).collect();
        streams.sort_by(storage_order);
        streams.dedup();
        let rank_of: HashMap<&Labels, u32> =
            streams.iter().enumerate().map(|(rank, labels)| (labels, rank as u32)).collect();
        let ranks = inputs
            .iter()
            .map(|part| part.table.streams.iter().map(|labels| rank_of[labels]).collect())
            .collect();
        let mut sources = Vec::new();
        for (input, (part, copies)) in inputs.iter().zip(copies).enumerate() {
            for (chunk, terms) in writer.copied_terms(part, &copies)?.into_iter().enumerate() {
                let state = terms.map_or(SourceState::Waiting, SourceState::Copy);
                sources.push(Source { input, chunk, state, row: 0 });
            }
        }
        Ok(Merge { streams, ranks, inputs, view, sources })
    }

    /// Writes everything.
    pub(super) fn write(mut self, writer: &mut PartWriter) -> Result<(), ReadError> {
        let mut heap: BinaryHeap<Place> =
            (0..self.sources.len()).filter_map(|source| self.first_place(source)).collect();
        let mut current = None;
        let mut metadata = Vec::new();
        while let Some(place) = heap.pop() {
            if self.copy(place.source, writer)? {
                continue;
            }
            self.open(place.source)?;
            let source = &mut self.sources[place.source];
            let mut place = Some(place);
            // The same source goes on while its next row is still the first of all.
            while let Some(here) = place
                && heap.peek().is_none_or(|other| here >= *other)
            {
                if current != Some(here.rank) {
                    writer.stream(&self.streams[here.rank as usize])?;
                    current = Some(here.rank);
                }
                if let Some(line) = source.line(&mut metadata) {
                    writer.row(here.timestamp_ns, line, LabelsRef::from_trusted_bytes(&metadata))?;
                }
                source.advance();
                place = source.place(here.source);
            }
            heap.extend(place);
        }
        Ok(())
    }

    /// Where a source begins, by the chunk table.
    fn first_place(&self, source: usize) -> Option<Place> {
        let Source { input, chunk, .. } = self.sources[source];
        let run = self.inputs[input].table.chunks[chunk].runs.first()?;
        let rank = self.ranks[input][run.stream as usize];
        Some(Place { rank, timestamp_ns: run.oldest_ns, source })
    }

    /// Copies a source that is to be copied.
    fn copy(&mut self, source: usize, writer: &mut PartWriter) -> Result<bool, ReadError> {
        let source = &mut self.sources[source];
        let SourceState::Copy(terms) = &mut source.state else { return Ok(false) };
        let part = &self.inputs[source.input];
        let copied = writer.copy_chunk(part, source.chunk, std::mem::take(terms));
        copied.inspect_err(|error| part.note_damage(source.chunk, error))?;
        Ok(true)
    }

    /// Decodes a source that is not yet.
    fn open(&mut self, source: usize) -> Result<(), ReadError> {
        let Source { input, chunk, ref state, .. } = self.sources[source];
        if matches!(state, SourceState::Waiting) {
            let decoded = self.decode(input, chunk);
            let decoded = decoded.inspect_err(|error| self.inputs[input].note_damage(chunk, error))?;
            self.sources[source].state = SourceState::Open(Box::new(decoded));
        }
        Ok(())
    }

    fn decode(&self, input: usize, chunk: usize) -> Result<Decoded, ReadError> {
        let reader = ChunkReader::new(&self.inputs[input], chunk);
        let starts = reader.frame_starts();
        let frames = (0..reader.meta.frames.len())
            .map(|frame| reader.frame(frame, starts[frame]))
            .collect::<Result<Vec<_>, _>>()?;
        let runs = reader.meta.runs.iter().zip(run_rows(reader.meta));
        let runs = runs.map(|(run, rows)| (rows, self.ranks[input][run.stream as usize])).collect();
        let mut decoded = Decoded {
            times: reader.times()?,
            runs,
            run: 0,
            frames,
            frame: 0,
            metadata: reader.metadata()?,
            deleted: Vec::new(),
        };
        self.mark_deleted(input, &reader, &mut decoded);
        Ok(decoded)
    }

    fn mark_deleted(&self, input: usize, reader: &ChunkReader<'_>, decoded: &mut Decoded) {
        let part = &self.inputs[input];
        for (run, rows) in reader.meta.runs.iter().zip(run_rows(reader.meta)) {
            let labels = &part.table.streams[run.stream as usize];
            let range = TimeRange::new(run.oldest_ns, run.newest_ns);
            let cut_ns = self.view.cuts.of(part.streams[run.stream as usize].rule);
            if run.oldest_ns < cut_ns {
                decoded.deleted.resize(decoded.times.len(), false);
                for row in rows.clone() {
                    decoded.deleted[row] = decoded.times[row] < cut_ns;
                }
            }
            let covering: Vec<&Arc<Tombstone>> = self
                .view
                .tombstones
                .iter()
                .filter(|tombstone| tombstone.may_cover(part.id.id, labels, range))
                .collect();
            if covering.is_empty() {
                continue;
            }
            decoded.deleted.resize(decoded.times.len(), false);
            for frame in &decoded.frames {
                let first = rows.start.max(frame.first_row);
                for row in first..rows.end.min(frame.first_row + frame.rows()) {
                    let line = frame.line(row - frame.first_row);
                    decoded.deleted[row] |=
                        covering.iter().any(|tombstone| tombstone.covers(decoded.times[row], line));
                }
            }
        }
    }
}

impl Source {
    fn place(&self, source: usize) -> Option<Place> {
        let SourceState::Open(chunk) = &self.state else { return None };
        let timestamp_ns = *chunk.times.get(self.row)?;
        Some(Place { rank: chunk.runs[chunk.run].1, timestamp_ns, source })
    }

    /// The current row's line and, in `metadata`, its metadata; `None` when it is deleted.
    fn line(&self, metadata: &mut Vec<u8>) -> Option<&[u8]> {
        let SourceState::Open(chunk) = &self.state else { return None };
        if chunk.deleted.get(self.row).copied().unwrap_or(false) {
            return None;
        }
        chunk.metadata.put(self.row, metadata);
        let frame = &chunk.frames[chunk.frame];
        Some(frame.line(self.row - frame.first_row))
    }

    /// On to the next row; the chunk is let go after the last.
    fn advance(&mut self) {
        self.row += 1;
        let SourceState::Open(chunk) = &mut self.state else { return };
        if self.row >= chunk.times.len() {
            self.state = SourceState::Waiting;
            return;
        }
        if self.row >= chunk.runs[chunk.run].0.end {
            chunk.run += 1;
        }
        let frame = &chunk.frames[chunk.frame];
        if self.row >= frame.first_row + frame.rows() {
            chunk.frame += 1;
        }
    }
}
