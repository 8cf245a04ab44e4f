//! Counts the rows of a unit by group.
//!
//! Where the templates of a frame decide which rows match, no line is made and the frame's dense
//! section stays unread; times, lengths and metadata are read only as far as the request tells
//! rows apart by them. Invariant: the counts are those of the rows that a read yields.

use crate::{
    memory::MemorySnapshot,
    part::{
        Part,
        lines::{EncodedLines, Judgement, Verdict},
        reader::{ChunkReader, MetadataColumns, ReadError},
    },
    probe::run_rows,
    scan::{CHECK_ROWS, ChunkError, Scan, Sink, clamp, get_or_read, in_direction, narrow},
    stream::Stream,
};
use hashbrown::HashMap;
use model::{LabelsRef, TimeRange};
use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};
use store::{Direction, GroupRequest, GroupRows, QueryContext, Row, RowGroup, StoreError, StreamId};

/// Takes groups; `Break` ends the unit.
pub(crate) type GroupSink<'a> = dyn FnMut(RowGroup<'_>) -> ControlFlow<()> + 'a;

impl Scan {
    pub(crate) fn count_block(
        &self,
        memory: &MemorySnapshot,
        block: usize,
        runs: &[Range<usize>],
        request: &GroupRequest<'_>,
        context: &QueryContext,
        sink: &mut GroupSink<'_>,
    ) -> Result<(), StoreError> {
        let block = &memory.blocks[block];
        let is_one_group = request.metadata.is_some_and(<[String]>::is_empty);
        for run in runs {
            let stream = &memory.streams[block.ordered(run.start).stream as usize];
            let mut groups: HashMap<&[u8], (Vec<i64>, Vec<u32>)> = HashMap::new();
            for slice in in_direction(run.clone(), CHECK_ROWS, Direction::Forward) {
                let bytes = slice.clone().map(|at| block.ordered(at).line.len() as u64).sum();
                context.charge_read(slice.len() as u64, bytes)?;
                for row in slice.map(|at| block.ordered(at)).filter(|row| self.filters.pass(row.line)) {
                    let key = if is_one_group { &[][..] } else { row.metadata };
                    let (times, lengths) = groups.entry(key).or_default();
                    times.push(row.timestamp_ns);
                    lengths.push(row.line.len() as u32);
                }
            }
            for (metadata, (times_ns, line_bytes)) in &groups {
                let rows = GroupRows::Each { times_ns, line_bytes };
                if sink(group(stream, metadata, rows)).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn count_chunk(
        &self,
        part: &Part,
        chunk: usize,
        runs: &[usize],
        request: &GroupRequest<'_>,
        context: &QueryContext,
        sink: &mut GroupSink<'_>,
    ) -> Result<(), ChunkError> {
        context.check()?;
        if self.has_deletions(part, chunk, runs) {
            return self.count_rows_read(part, chunk, runs, context, sink);
        }
        let reader = ChunkReader::keeping(part, chunk, &self.sections);
        let mut count = ChunkCount::new(self, part, &reader, runs, request)?;
        let starts = reader.frame_starts();
        for (frame, meta) in reader.meta.frames.iter().enumerate() {
            let rows = starts[frame]..starts[frame + 1];
            if !count.runs.iter().any(|run| run.rows.start < rows.end && rows.start < run.rows.end) {
                continue;
            }
            context.charge_read(u64::from(meta.rows), u64::from(meta.bytes))?;
            if count.frame(frame, rows, sink)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whether some rows of these runs may be deleted, which only their lines tell.
    fn has_deletions(&self, part: &Part, chunk: usize, runs: &[usize]) -> bool {
        let meta = &part.table.chunks[chunk];
        runs.iter().map(|&run| &meta.runs[run]).any(|run| {
            let labels = &part.streams[run.stream as usize].labels;
            let range = TimeRange::new(run.oldest_ns, run.newest_ns);
            self.view.tombstones.iter().any(|tombstone| tombstone.may_cover(part.id.id, labels, range))
        })
    }

    fn count_rows_read(
        &self,
        part: &Part,
        chunk: usize,
        runs: &[usize],
        context: &QueryContext,
        sink: &mut GroupSink<'_>,
    ) -> Result<(), ChunkError> {
        let mut rows = |row: Row<'_>| {
            let line_bytes = [row.line.len() as u32];
            let rows = GroupRows::Each { times_ns: &[row.timestamp_ns], line_bytes: &line_bytes };
            sink(RowGroup { stream: row.stream, labels: row.labels, metadata: row.metadata, rows })
        };
        self.read_chunk(part, chunk, runs, self.range, context, &mut Sink::Lines(&mut rows))
    }
}

fn group<'a>(stream: &'a Stream, metadata: &'a [u8], rows: GroupRows<'a>) -> RowGroup<'a> {
    let metadata = LabelsRef::from_trusted_bytes(metadata);
    RowGroup { stream: StreamId(stream.number), labels: &stream.labels, metadata, rows }
}

/// A run of a chunk, as far as it lies in the scan's range.
struct CountedRun<'a> {
    stream: &'a Arc<Stream>,
    rows: Range<usize>,
    /// Set when the request does not tell its rows apart by time: a time among theirs.
    one_time_ns: Option<i64>,
}

/// What is known of a chunk while its rows are counted.
struct ChunkCount<'a> {
    scan: &'a Scan,
    reader: &'a ChunkReader<'a>,
    runs: Vec<CountedRun<'a>>,
    /// Read when a run's bounds or a row that is counted ask for them.
    times: Option<Vec<i64>>,
    /// Read when a row is counted and its bytes are asked for.
    lengths: Option<Vec<u32>>,
    with_bytes: bool,
    metadata_names: Option<&'a [String]>,
    /// Read when a row is counted.
    metadata: Option<MetadataColumns>,
    buffers: Buffers,
}

/// Those of a frame's rows that are counted.
enum Matching {
    /// Each of them, ascending.
    Rows(Vec<u32>),
    /// As many as a judgement says, which is sure of all of them.
    Judged(Box<(Judgement, EncodedLines)>),
}

#[derive(Default)]
struct Buffers {
    line: Vec<u8>,
    metadata: Vec<u8>,
    times: Vec<i64>,
    lengths: Vec<u32>,
}

impl<'a> ChunkCount<'a> {
    fn new(
        scan: &'a Scan,
        part: &'a Part,
        reader: &'a ChunkReader<'a>,
        runs: &[usize],
        request: &GroupRequest<'a>,
    ) -> Result<Self, ReadError> {
        let all: Vec<Range<usize>> = run_rows(reader.meta).collect();
        let mut times = None;
        let mut counted = Vec::with_capacity(runs.len());
        for &run in runs {
            let (meta, mut rows) = (&reader.meta.runs[run], all[run].clone());
            let stream = &part.streams[meta.stream as usize];
            let start_ns = scan.range.start.max(scan.view.cuts.of(stream.rule));
            let is_whole = meta.oldest_ns >= start_ns && meta.newest_ns < scan.range.end;
            let wanted = TimeRange::new(
                meta.oldest_ns.max(start_ns),
                meta.newest_ns.min(scan.range.end.saturating_sub(1)),
            );
            let one_time_ns =
                (wanted.start <= wanted.end && (request.is_one_time)(wanted)).then_some(wanted.start);
            if !is_whole {
                rows = narrow(rows, get_or_read(&mut times, || reader.times())?, start_ns, scan.range.end);
            }
            counted.push(CountedRun { stream, rows, one_time_ns });
        }
        Ok(ChunkCount {
            scan,
            reader,
            runs: counted,
            times,
            lengths: None,
            with_bytes: request.with_bytes,
            metadata_names: request.metadata,
            metadata: None,
            buffers: Buffers::default(),
        })
    }

    /// Counts the rows of one frame, which are `rows` of the chunk.
    fn frame(
        &mut self,
        frame: usize,
        rows: Range<usize>,
        sink: &mut GroupSink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let begin = self.runs.partition_point(|run| run.rows.end <= rows.start);
        let beyond = self.runs.partition_point(|run| run.rows.start < rows.end).max(begin);
        let of_frame: Vec<Range<usize>> =
            self.runs[begin..beyond].iter().map(|run| clamp(&run.rows, &rows)).collect();
        let (Some(first), Some(last)) = (of_frame.first(), of_frame.last()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let all = first.start..last.end.max(first.start);
        let Some(matching) = self.matching(frame, all)? else {
            return Ok(ControlFlow::Continue(()));
        };
        for (run, wanted) in (begin..).zip(of_frame) {
            let flow = match &matching {
                Matching::Rows(found) => {
                    let start = found.partition_point(|&row| (row as usize) < wanted.start);
                    let end = found.partition_point(|&row| (row as usize) < wanted.end).max(start);
                    self.emit(run, rows.start, &found[start..end], sink)?
                }
                Matching::Judged(judged) => {
                    let (judgement, lines) = &**judged;
                    let count = judgement.count(lines, wanted.clone());
                    self.emit_count(run, rows.start + wanted.start, count, sink)?
                }
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Those of `rows` (indexes into the frame) that pass the filters, if any may.
    fn matching(&mut self, frame: usize, rows: Range<usize>) -> Result<Option<Matching>, ReadError> {
        let filters = &self.scan.filters;
        if filters.is_empty() {
            return Ok(Some(Matching::Rows(rows.map(|row| row as u32).collect())));
        }
        let head = self.reader.head(frame)?;
        let judgement = filters.judge(&head);
        if judgement.is_hopeless() {
            return Ok(None);
        }
        let lines = self.reader.coded(frame, head)?;
        if judgement.is_certain() && self.are_alike()? {
            return Ok(Some(Matching::Judged(Box::new((judgement, lines)))));
        }
        let mut found = judgement.rows(&lines, rows);
        if found.iter().any(|(_, verdict)| *verdict == Verdict::Maybe) {
            let lines = self.reader.ready(frame, lines)?;
            filters.narrow(&lines, &mut found);
            let line = &mut self.buffers.line;
            found.retain(|&(row, verdict)| {
                verdict == Verdict::Yes || {
                    line.clear();
                    lines.put(row as usize, line);
                    filters.pass(line)
                }
            });
        }
        Ok(Some(Matching::Rows(found.into_iter().map(|(row, _)| row).collect())))
    }

    /// Whether the request tells no two rows of a run apart and asks for their number alone.
    fn are_alike(&mut self) -> Result<bool, ReadError> {
        if self.with_bytes || self.runs.iter().any(|run| run.one_time_ns.is_none()) {
            return Ok(false);
        }
        Ok(self.metadata()?.is_same_for_all())
    }

    fn metadata(&mut self) -> Result<&MetadataColumns, ReadError> {
        get_or_read(&mut self.metadata, || self.reader.metadata_named(self.metadata_names))
    }

    /// Yields the number of a run's rows; `row` is any row of the chunk.
    fn emit_count(
        &mut self,
        run: usize,
        row: usize,
        rows: u64,
        sink: &mut GroupSink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let run = &self.runs[run];
        let Some(timestamp_ns) = run.one_time_ns.filter(|_| rows > 0) else {
            return Ok(ControlFlow::Continue(()));
        };
        let metadata = get_or_read(&mut self.metadata, || self.reader.metadata_named(self.metadata_names))?;
        metadata.put(row, &mut self.buffers.metadata);
        let rows = GroupRows::OneTime { timestamp_ns, rows, bytes: 0 };
        Ok(sink(group(run.stream, &self.buffers.metadata, rows)))
    }

    /// Yields the groups of a run's rows, which are `found` counted from `first_row`.
    fn emit(
        &mut self,
        run: usize,
        first_row: usize,
        found: &[u32],
        sink: &mut GroupSink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        if found.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if self.metadata()?.is_same_for_all() {
            return self.emit_group(run, first_row, found, sink);
        }
        for rows in self.metadata()?.grouped(first_row, found) {
            let flow = self.emit_group(run, first_row, &rows, sink)?;
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn emit_group(
        &mut self,
        run: usize,
        first_row: usize,
        found: &[u32],
        sink: &mut GroupSink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let metadata = get_or_read(&mut self.metadata, || self.reader.metadata_named(self.metadata_names))?;
        let Buffers { metadata: set, times, lengths, .. } = &mut self.buffers;
        let run = &self.runs[run];
        metadata.put(first_row + found[0] as usize, set);
        let rows = found.iter().map(|&row| first_row + row as usize);
        lengths.clear();
        if self.with_bytes {
            let all = get_or_read(&mut self.lengths, || self.reader.lengths())?;
            lengths.extend(rows.clone().map(|row| all[row]));
        }
        let rows = match run.one_time_ns {
            Some(timestamp_ns) => GroupRows::OneTime {
                timestamp_ns,
                rows: found.len() as u64,
                bytes: lengths.iter().map(|&length| u64::from(length)).sum(),
            },
            None => {
                let all = get_or_read(&mut self.times, || self.reader.times())?;
                times.clear();
                times.extend(rows.map(|row| all[row]));
                GroupRows::Each { times_ns: times, line_bytes: lengths }
            }
        };
        Ok(sink(group(run.stream, set, rows)))
    }
}
