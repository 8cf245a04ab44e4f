//! Scans: which blocks and chunks may hold what a request wants, and the rows they do hold.
//!
//! A unit is one block of memory or one chunk of a part. The index rules chunks out when the scan
//! is made; what is left is decided row by row when a unit is read.

use crate::{
    Logstore,
    condition::Condition,
    filters::Filters,
    flush::read_error,
    logstore::View,
    memory::MemorySnapshot,
    part::{
        Part,
        lines::{ReadyLines, Verdict},
        reader::{ChunkReader, MetadataColumns, ReadError},
        section::SectionCache,
        table::range_of,
    },
    probe::run_rows,
    retention::Cuts,
    selector::Selector,
    stream::{Stream, line_id},
    tombstone::Tombstone,
};
use model::{LabelsRef, TimeRange};
use roaring::RoaringBitmap;
use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};
use store::{
    Direction, GroupRequest, LogRequest, LogScan, QueryContext, Row, RowGroup, RowSink, ScanUnit, Shape,
    ShapeSink, Shaped, ShapedRow, StoreError, StreamId, WantedValues,
};

/// Rows between two looks at the context.
pub(crate) const CHECK_ROWS: usize = 4096;

/// See the module.
pub(crate) struct Scan {
    pub(crate) view: View,
    /// Half-open.
    pub(crate) range: TimeRange,
    direction: Direction,
    pub(crate) filters: Filters,
    units: Vec<ScanUnit>,
    sources: Vec<Source>,
    pub(crate) sections: SectionCache,
}

/// Where a unit's rows are.
enum Source {
    Block {
        memory: usize,
        block: usize,
        /// Stretches of the block's order, one for each selected stream, narrowed to the range.
        runs: Vec<Range<usize>>,
    },
    Chunk {
        part: usize,
        chunk: usize,
        /// Selected runs of the chunk.
        runs: Vec<usize>,
    },
}

impl Logstore {
    pub(crate) fn scan_request(
        &self,
        request: &LogRequest,
        context: &QueryContext,
    ) -> Result<Scan, StoreError> {
        let view = self.view();
        let range = request.range;
        let mut found: Vec<(ScanUnit, u64, Source)> = Vec::new();
        let selector = Selector::new(&request.matchers);
        let condition = Condition::of_request(request);
        let question = self.caches.question();
        for (index, part) in view.parts.iter().enumerate() {
            context.check()?;
            if part.range.start >= range.end || part.range.end < range.start {
                continue;
            }
            let candidates = part.candidates(&condition, &question);
            for (unit, source) in part_units(index, part, candidates, &selector, range, &view.cuts) {
                found.push((unit, part.id.rank, source));
            }
        }
        for (index, memory) in view.memories.iter().enumerate() {
            context.check()?;
            for (unit, source) in memory_units(index, memory, &selector, range, &view.cuts) {
                found.push((unit, u64::MAX, source));
            }
        }
        // Stable, so that of units that begin together the older arrivals come first.
        match request.direction {
            Direction::Forward => found.sort_by_key(|(unit, rank, _)| (unit.range.start, *rank)),
            Direction::Backward => {
                found.reverse();
                found.sort_by_key(|(unit, rank, _)| std::cmp::Reverse((unit.range.end, *rank)));
            }
        }
        let (units, sources) = found.into_iter().map(|(unit, _, source)| (unit, source)).unzip();
        let filters = Filters::new(&request.filters);
        let sections = SectionCache::new(self.caches.clone());
        Ok(Scan { view, range, direction: request.direction, filters, units, sources, sections })
    }
}

/// The units of a part's candidates; `None` for all chunks.
fn part_units(
    index: usize,
    part: &Part,
    candidates: Option<RoaringBitmap>,
    selector: &Selector<'_>,
    range: TimeRange,
    cuts: &Cuts,
) -> Vec<(ScanUnit, Source)> {
    let candidates: Vec<usize> = match candidates {
        Some(found) => found.iter().map(|chunk| chunk as usize).collect(),
        None => (0..part.table.chunks.len()).collect(),
    };
    let mut units = Vec::new();
    for chunk in candidates {
        let Some(meta) = part.table.chunks.get(chunk) else { continue };
        let is_wanted = |run: &crate::part::table::Run| {
            let stream = &part.streams[run.stream as usize];
            let start = range.start.max(cuts.of(stream.rule));
            run.oldest_ns < range.end && run.newest_ns >= start && selector.selects(stream)
        };
        let runs: Vec<usize> =
            meta.runs.iter().enumerate().filter(|(_, run)| is_wanted(run)).map(|(run, _)| run).collect();
        if runs.is_empty() {
            continue;
        }
        let wanted = || runs.iter().map(|&run| &meta.runs[run]);
        let unit = ScanUnit {
            range: clip(range_of(wanted()), range),
            rows_max: wanted().map(|run| u64::from(run.rows)).sum(),
            bytes: wanted().map(|run| run.bytes).sum(),
            is_ordered: runs.len() == 1,
        };
        units.push((unit, Source::Chunk { part: index, chunk, runs }));
    }
    units
}

/// The closed `rows` as far as they lie in the half-open `wanted`.
fn clip(rows: TimeRange, wanted: TimeRange) -> TimeRange {
    TimeRange::new(rows.start.max(wanted.start), rows.end.min(wanted.end.saturating_sub(1)))
}

fn memory_units(
    index: usize,
    memory: &MemorySnapshot,
    selector: &Selector<'_>,
    range: TimeRange,
    cuts: &Cuts,
) -> Vec<(ScanUnit, Source)> {
    let selected = selector.select(memory.streams.iter().map(|stream| &**stream));
    let mut units = Vec::new();
    for (block_index, block) in memory.blocks.iter().enumerate() {
        let mut unit =
            ScanUnit { range: TimeRange::new(i64::MAX, i64::MIN), rows_max: 0, bytes: 0, is_ordered: false };
        let mut runs = Vec::new();
        for (stream, run) in block.runs() {
            let start = range.start.max(cuts.of(memory.streams[stream as usize].rule));
            let run = if selected[stream as usize] { block.narrow(&run, start, range.end) } else { 0..0 };
            if run.is_empty() {
                continue;
            }
            unit.range.start = unit.range.start.min(block.ordered(run.start).timestamp_ns);
            unit.range.end = unit.range.end.max(block.ordered(run.end - 1).timestamp_ns);
            unit.rows_max += run.len() as u64;
            unit.bytes += run.clone().map(|at| block.ordered(at).line.len() as u64).sum::<u64>();
            runs.push(run);
        }
        unit.is_ordered = runs.len() == 1;
        if !runs.is_empty() {
            units.push((unit, Source::Block { memory: index, block: block_index, runs }));
        }
    }
    units
}

impl LogScan for Scan {
    fn units(&self) -> &[ScanUnit] {
        &self.units
    }

    fn read(&self, index: usize, context: &QueryContext, sink: &mut dyn RowSink) -> Result<(), StoreError> {
        self.read_within(index, TimeRange::ALL, context, sink)
    }

    fn read_within(
        &self,
        index: usize,
        within: TimeRange,
        context: &QueryContext,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        let range = self.range_within(within);
        match &self.sources[index] {
            Source::Block { memory, block, runs } => {
                self.read_block(&self.view.memories[*memory], *block, runs, range, context, sink)
            }
            Source::Chunk { part, chunk, runs } => {
                let (part, sink) = (&self.view.parts[*part], &mut Sink::Lines(sink));
                settle(part, *chunk, self.read_chunk(part, *chunk, runs, range, context, sink))
            }
        }
    }

    fn read_shaped(
        &self,
        index: usize,
        context: &QueryContext,
        sink: &mut dyn ShapeSink,
    ) -> Result<(), StoreError> {
        match &self.sources[index] {
            Source::Block { memory, block, runs } => {
                let mut by_line = |row: Row<'_>| sink.row(row);
                let memory = &self.view.memories[*memory];
                self.read_block(memory, *block, runs, self.range, context, &mut by_line)
            }
            Source::Chunk { part, chunk, runs } => {
                let (part, sink) = (&self.view.parts[*part], &mut Sink::Shapes(sink));
                settle(part, *chunk, self.read_chunk(part, *chunk, runs, self.range, context, sink))
            }
        }
    }

    fn count(
        &self,
        index: usize,
        request: &GroupRequest<'_>,
        context: &QueryContext,
        sink: &mut dyn FnMut(RowGroup<'_>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        match &self.sources[index] {
            Source::Block { memory, block, runs } => {
                self.count_block(&self.view.memories[*memory], *block, runs, request, context, sink)
            }
            Source::Chunk { part, chunk, runs } => {
                let part = &self.view.parts[*part];
                settle(part, *chunk, self.count_chunk(part, *chunk, runs, request, context, sink))
            }
        }
    }
}

/// A chunk that cannot be read is noted, and the rest is served.
fn settle(part: &Part, chunk: usize, result: Result<(), ChunkError>) -> Result<(), StoreError> {
    match result {
        Err(ChunkError::Read(ReadError::Damaged(damaged))) => {
            part.note_damage(chunk, &ReadError::Damaged(damaged));
            Ok(())
        }
        Err(ChunkError::Read(error)) => Err(read_error(error)),
        Err(ChunkError::Store(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ChunkError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<store::StopReason> for ChunkError {
    fn from(reason: store::StopReason) -> Self {
        ChunkError::Store(reason.into())
    }
}

impl Scan {
    /// The scan's half-open range as far as it lies in the closed `within`.
    fn range_within(&self, within: TimeRange) -> TimeRange {
        let end = self.range.end.min(within.end.saturating_add(1));
        TimeRange::new(self.range.start.max(within.start), end)
    }

    fn read_block(
        &self,
        memory: &MemorySnapshot,
        block: usize,
        runs: &[Range<usize>],
        range: TimeRange,
        context: &QueryContext,
        sink: &mut dyn RowSink,
    ) -> Result<(), StoreError> {
        let block = &memory.blocks[block];
        for run in runs {
            let stream = &memory.streams[block.ordered(run.start).stream as usize];
            let run =
                if range == self.range { run.clone() } else { block.narrow(run, range.start, range.end) };
            for slice in in_direction(run, CHECK_ROWS, self.direction) {
                let bytes = slice.clone().map(|at| block.ordered(at).line.len() as u64).sum();
                context.charge_read(slice.len() as u64, bytes)?;
                for at in in_direction(slice, 1, self.direction).map(|slice| slice.start) {
                    let row = block.ordered(at);
                    if self.filters.pass(row.line)
                        && emit(stream, row.timestamp_ns, row.line, row.metadata, sink).is_break()
                    {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Yields the rows of these runs that lie in the half-open `range`.
    pub(crate) fn read_chunk(
        &self,
        part: &Part,
        chunk: usize,
        runs: &[usize],
        range: TimeRange,
        context: &QueryContext,
        sink: &mut Sink<'_>,
    ) -> Result<(), ChunkError> {
        context.check()?;
        let reader = ChunkReader::keeping(part, chunk, &self.sections);
        let is_due = |run: &usize| {
            let run = &reader.meta.runs[*run];
            run.oldest_ns < range.end && run.newest_ns >= range.start
        };
        let runs: Vec<usize> = runs.iter().copied().filter(is_due).collect();
        if runs.is_empty() {
            return Ok(());
        }
        let mut rows = ChunkRows::new(self, part, &reader, &runs, range)?;
        let starts = reader.frame_starts();
        for frame in in_direction(0..reader.meta.frames.len(), 1, self.direction).map(|frame| frame.start) {
            let (first, end) = (starts[frame], starts[frame + 1]);
            if !rows.wanted.iter().any(|wanted| wanted.start < end && first < wanted.end) {
                continue;
            }
            let meta = &reader.meta.frames[frame];
            context.charge_read(u64::from(meta.rows), u64::from(meta.bytes))?;
            if rows.emit(&reader, frame, first..end, sink)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Who takes the rows of a chunk.
pub(crate) enum Sink<'a> {
    Lines(&'a mut dyn RowSink),
    Shapes(&'a mut dyn ShapeSink),
}

/// What is known of a chunk's rows while its frames are read.
struct ChunkRows<'a> {
    scan: &'a Scan,
    /// Read when a run's bounds or a row ask for them.
    times: Option<Vec<i64>>,
    /// Rows of selected runs within the range, ascending, with the run's stream and deletions.
    wanted: Vec<Range<usize>>,
    streams: Vec<(&'a Arc<Stream>, Vec<&'a Tombstone>)>,
    metadata: Option<MetadataColumns>,
    line: Vec<u8>,
    /// Where values end in `line`.
    ends: Vec<usize>,
    scratch: Vec<u8>,
}

impl<'a> ChunkRows<'a> {
    fn new(
        scan: &'a Scan,
        part: &'a Part,
        reader: &ChunkReader<'_>,
        runs: &[usize],
        range: TimeRange,
    ) -> Result<Self, ReadError> {
        let mut times = None;
        let all: Vec<Range<usize>> = run_rows(reader.meta).collect();
        let mut wanted = Vec::with_capacity(runs.len());
        let mut streams = Vec::with_capacity(runs.len());
        for &run in runs {
            let (meta, rows) = (&reader.meta.runs[run], all[run].clone());
            let stream = &part.streams[meta.stream as usize];
            let oldest_ns = range.start.max(scan.view.cuts.of(stream.rule));
            let is_whole = meta.oldest_ns >= oldest_ns && meta.newest_ns < range.end;
            wanted.push(if is_whole {
                rows
            } else {
                narrow(rows, get_or_read(&mut times, || reader.times())?, oldest_ns, range.end)
            });
            let closed = TimeRange::new(meta.oldest_ns, meta.newest_ns);
            let tombstones = scan.view.tombstones.iter().map(|tombstone| &**tombstone);
            let covering =
                tombstones.filter(|tombstone| tombstone.may_cover(part.id.id, &stream.labels, closed));
            streams.push((stream, covering.collect()));
        }
        Ok(ChunkRows {
            scan,
            times,
            wanted,
            streams,
            metadata: None,
            line: Vec::new(),
            ends: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Yields the rows of one frame, which are `rows` of the chunk.
    fn emit(
        &mut self,
        reader: &ChunkReader<'_>,
        frame: usize,
        rows: Range<usize>,
        sink: &mut Sink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let begin = self.wanted.partition_point(|wanted| wanted.end <= rows.start);
        let beyond = self.wanted.partition_point(|wanted| wanted.start < rows.end).max(begin);
        let of_frame = self.wanted[begin..beyond].iter().map(|wanted| clamp(wanted, &rows));
        let of_frame: Vec<Range<usize>> = of_frame.collect();
        let (Some(first), Some(last)) = (of_frame.first(), of_frame.last()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let head = reader.head(frame)?;
        let judgement = self.scan.filters.judge(&head);
        if judgement.is_hopeless() {
            return Ok(ControlFlow::Continue(()));
        }
        let lines = reader.coded(frame, head)?;
        let mut found = judgement.rows(&lines, first.start..last.end.max(first.start));
        if found.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let lines = reader.ready(frame, lines)?;
        self.scan.filters.narrow(&lines, &mut found);
        let mut shapes = vec![None; lines.templates()];
        for run in in_direction(0..of_frame.len(), 1, self.scan.direction).map(|run| run.start) {
            let wanted = &of_frame[run];
            let start = found.partition_point(|&(row, _)| (row as usize) < wanted.start);
            let end = found.partition_point(|&(row, _)| (row as usize) < wanted.end).max(start);
            for at in in_direction(start..end, 1, self.scan.direction).map(|at| at.start) {
                let (index, verdict) = (found[at].0 as usize, found[at].1);
                if let Sink::Shapes(sink) = sink
                    && verdict == Verdict::Yes
                    && self.streams[begin + run].1.is_empty()
                {
                    let row = (index, rows.start + index, begin + run);
                    match self.emit_shaped(reader, &lines, &mut shapes, row, *sink)? {
                        Shaped::Taken => continue,
                        Shaped::Break => return Ok(ControlFlow::Break(())),
                        Shaped::WantsLine => {}
                    }
                }
                self.line.clear();
                lines.put(index, &mut self.line);
                if verdict == Verdict::Maybe && !self.scan.filters.pass(&self.line) {
                    continue;
                }
                if self.emit_row(reader, rows.start + index, begin + run, sink)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Yields the values that are wanted of a row: its place in the frame, in the chunk, and its run.
    /// `shapes` are the answers about the frame's templates so far.
    fn emit_shaped(
        &mut self,
        reader: &ChunkReader<'_>,
        lines: &ReadyLines,
        shapes: &mut [Option<Option<WantedValues>>],
        (index, row, run): (usize, usize, usize),
        sink: &mut dyn ShapeSink,
    ) -> Result<Shaped, ReadError> {
        let Some(template) = lines.template_of(index) else { return Ok(Shaped::WantsLine) };
        let wanted =
            shapes[template].get_or_insert_with(|| sink.shape(Shape { texts: &lines.texts(template)? }));
        let Some(wanted) = wanted else { return Ok(Shaped::WantsLine) };
        self.line.clear();
        self.ends.clear();
        lines.put_variables(index, template, &wanted.places, &mut self.line, &mut self.ends);
        let Ok(text) = std::str::from_utf8(&self.line) else { return Ok(Shaped::WantsLine) };
        get_or_read(&mut self.metadata, || reader.metadata())?.put(row, &mut self.scratch);
        let stream = self.streams[run].0;
        let row = ShapedRow {
            stream: StreamId(stream.number),
            labels: &stream.labels,
            timestamp_ns: get_or_read(&mut self.times, || reader.times())?[row],
            metadata: LabelsRef::from_trusted_bytes(&self.scratch),
            text,
            ends: &self.ends,
        };
        Ok(sink.shaped(wanted.shape, row))
    }

    /// Yields `self.line`, which is that of a row of run `run`, unless it is deleted.
    fn emit_row(
        &mut self,
        reader: &ChunkReader<'_>,
        row: usize,
        run: usize,
        sink: &mut Sink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let time = get_or_read(&mut self.times, || reader.times())?[row];
        let (stream, tombstones) = &self.streams[run];
        if tombstones.iter().any(|tombstone| tombstone.covers(time, &self.line)) {
            return Ok(ControlFlow::Continue(()));
        }
        get_or_read(&mut self.metadata, || reader.metadata())?.put(row, &mut self.scratch);
        Ok(match sink {
            Sink::Lines(sink) => emit(stream, time, &self.line, &self.scratch, *sink),
            Sink::Shapes(sink) => {
                emit(stream, time, &self.line, &self.scratch, &mut |row: Row<'_>| sink.row(row))
            }
        })
    }
}

/// What is kept, read when it is not there yet.
pub(crate) fn get_or_read<T>(
    kept: &mut Option<T>,
    read: impl FnOnce() -> Result<T, ReadError>,
) -> Result<&T, ReadError> {
    match kept {
        Some(there) => Ok(there),
        None => Ok(kept.insert(read()?)),
    }
}

/// Those of a run's `rows` whose times lie in `start_ns..end_ns`.
pub(crate) fn narrow(rows: Range<usize>, times: &[i64], start_ns: i64, end_ns: i64) -> Range<usize> {
    let of_run = &times[rows.clone()];
    let first = rows.start + of_run.partition_point(|&time| time < start_ns);
    let end = rows.start + of_run.partition_point(|&time| time < end_ns);
    first..end.max(first)
}

/// Those of `wanted` that lie in `rows`, counted from its first.
pub(crate) fn clamp(wanted: &Range<usize>, rows: &Range<usize>) -> Range<usize> {
    let start = wanted.start.clamp(rows.start, rows.end);
    start - rows.start..wanted.end.clamp(start, rows.end) - rows.start
}

fn emit(
    stream: &Stream,
    timestamp_ns: i64,
    line: &[u8],
    metadata: &[u8],
    sink: &mut dyn RowSink,
) -> ControlFlow<()> {
    // Lines are valid UTF-8 when they are taken and checksummed ever after.
    let Ok(text) = std::str::from_utf8(line) else { return ControlFlow::Continue(()) };
    sink.row(Row {
        stream: StreamId(stream.number),
        labels: &stream.labels,
        timestamp_ns,
        line: text,
        metadata: LabelsRef::from_trusted_bytes(metadata),
        id: &|| line_id(stream.hash, timestamp_ns, line, metadata),
    })
}

/// Stretches of up to `step` of `range`, the last first when backward.
pub(crate) fn in_direction(
    range: Range<usize>,
    step: usize,
    direction: Direction,
) -> impl Iterator<Item = Range<usize>> {
    let count = range.len().div_ceil(step);
    (0..count).map(move |index| {
        let index = if direction == Direction::Forward { index } else { count - 1 - index };
        let start = range.start + index * step;
        start..(start + step).min(range.end)
    })
}
