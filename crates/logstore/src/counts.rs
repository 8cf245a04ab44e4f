//! Rows and bytes by bucket and group, and other figures that touch no line.
//!
//! A run of a chunk that lies in one bucket and has no deletions is answered from the chunk table;
//! else its times and lengths are read, and the columns that the grouping asks for. Lines are read
//! only where a deletion must be decided.

use crate::{
    Logstore,
    flush::read_error,
    logstore::View,
    memory::{Block, MemorySnapshot},
    part::{
        Part,
        columns::Column,
        reader::{ChunkReader, ReadError},
        table::Run,
        writer::LEVEL_NAME,
    },
    probe::run_rows,
    scan::narrow,
    selector::Selector,
    stream::Stream,
};
use hashbrown::HashMap;
use model::{Labels, LabelsRef, TimeRange};
use std::{
    num::NonZero,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use store::{CountBucket, CountRequest, QueryContext, StoreError};

impl Logstore {
    pub(crate) fn count_rows(
        &self,
        request: &CountRequest,
        context: &QueryContext,
    ) -> Result<Vec<CountBucket>, StoreError> {
        if request.step_ns <= 0 {
            return Err(StoreError::Invalid(format!(
                "step of {} ns is not longer than zero",
                request.step_ns
            )));
        }
        let view = self.view();
        let range = request.range;
        let selector = Selector::new(&request.matchers);
        let mut tally = Tally::new(request, range);
        let mut open = Vec::new();
        for part in
            view.parts.iter().filter(|part| part.range.start < range.end && part.range.end >= range.start)
        {
            tally.part(&view, part, &selector, context, &mut open)?;
        }
        tally.open_chunks(&view, &open, context)?;
        for memory in &view.memories {
            tally.memory(&view, memory, &selector, context)?;
        }
        Ok(tally.finish())
    }
}

/// Rows below which a second thread costs more than it saves.
const ROWS_PER_WORKER: u64 = 50_000;

/// Counts so far.
struct Tally<'a> {
    request: &'a CountRequest,
    /// What is counted, half-open.
    range: TimeRange,
    groups: HashMap<Labels, u32>,
    counts: HashMap<(u32, u64), (u64, u64)>,
    /// The count last added to, not yet in `counts`.
    last: ((u32, u64), (u64, u64)),
}

/// How the rows of one stream are grouped.
struct Grouping<'a> {
    /// Labels asked for that the stream has.
    own: Vec<(&'a str, &'a str)>,
    /// Labels asked for that only the rows' metadata can have.
    from_rows: Vec<&'a str>,
    /// The group of all rows, when it is known.
    group: Option<u32>,
}

impl<'a> Grouping<'a> {
    fn new(by: &'a [String], stream: &'a Stream) -> Self {
        let own = by.iter().filter_map(|name| Some((name.as_str(), stream.labels.get(name)?))).collect();
        let from_rows =
            by.iter().map(String::as_str).filter(|name| stream.labels.get(name).is_none()).collect();
        Grouping { own, from_rows, group: None }
    }

    fn labels<'v>(&self, values: impl Iterator<Item = &'v [u8]>) -> Labels {
        let values: Vec<String> = values.map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let rows = self.from_rows.iter().copied().zip(values.iter().map(String::as_str));
        Labels::from_pairs(self.own.iter().copied().chain(rows))
    }
}

impl<'a> Tally<'a> {
    fn new(request: &'a CountRequest, range: TimeRange) -> Self {
        Tally { request, range, groups: HashMap::new(), counts: HashMap::new(), last: ((0, 0), (0, 0)) }
    }

    fn bucket(&self, timestamp_ns: i64) -> u64 {
        timestamp_ns.abs_diff(self.request.range.start) / self.request.step_ns.unsigned_abs()
    }

    fn group(&mut self, labels: Labels) -> u32 {
        let next = self.groups.len() as u32;
        *self.groups.entry(labels).or_insert(next)
    }

    #[inline]
    fn add(&mut self, group: u32, bucket: u64, rows: u64, bytes: u64) {
        if self.last.0 != (group, bucket) {
            self.settle();
            self.last.0 = (group, bucket);
        }
        self.last.1.0 += rows;
        self.last.1.1 += bytes;
    }

    fn settle(&mut self) {
        let (key, (rows, bytes)) = std::mem::take(&mut self.last);
        if rows > 0 {
            let count = self.counts.entry(key).or_default();
            *count = (count.0 + rows, count.1 + bytes);
        }
    }

    fn finish(mut self) -> Vec<CountBucket> {
        self.settle();
        let mut names: Vec<Option<Labels>> = vec![None; self.groups.len()];
        for (labels, number) in self.groups {
            names[number as usize] = Some(labels);
        }
        let bucket = |((group, bucket), (rows, bytes)): ((u32, u64), (u64, u64))| {
            let group = names[group as usize].clone().unwrap_or_default();
            CountBucket { group, bucket, rows, bytes }
        };
        let mut buckets: Vec<CountBucket> = self.counts.into_iter().map(bucket).collect();
        buckets.sort_unstable_by(|a, b| (&a.group, a.bucket).cmp(&(&b.group, b.bucket)));
        buckets
    }

    fn memory(
        &mut self,
        view: &View,
        memory: &MemorySnapshot,
        selector: &Selector<'_>,
        context: &QueryContext,
    ) -> Result<(), StoreError> {
        let selected = selector.select(memory.streams.iter().map(|stream| &**stream));
        for block in &memory.blocks {
            context.check()?;
            for (stream, run) in block.runs().into_iter().filter(|(stream, _)| selected[*stream as usize]) {
                let stream = &memory.streams[stream as usize];
                let start_ns = self.range.start.max(view.cuts.of(stream.rule));
                let grouping = Grouping::new(&self.request.by, stream);
                let rows = block.narrow(&run, start_ns, self.range.end);
                if grouping.from_rows.is_empty() {
                    self.count_block_run(block, rows, &grouping);
                    continue;
                }
                let mut known: HashMap<&[u8], u32> = HashMap::new();
                for at in rows {
                    let row = block.ordered(at);
                    let group = *known.entry(row.metadata).or_insert_with(|| {
                        let metadata = LabelsRef::from_trusted_bytes(row.metadata);
                        let value = |name: &&str| metadata.get(name).unwrap_or("").as_bytes();
                        self.group(grouping.labels(grouping.from_rows.iter().map(value)))
                    });
                    self.add(group, self.bucket(row.timestamp_ns), 1, row.line.len() as u64);
                }
            }
        }
        Ok(())
    }

    /// Counts rows of one stream in memory, which ascend by time and are one group.
    fn count_block_run(&mut self, block: &Block, rows: Range<usize>, grouping: &Grouping<'_>) {
        if rows.is_empty() {
            return;
        }
        let group = self.group(grouping.labels(std::iter::empty()));
        let first = self.bucket(block.ordered(rows.start).timestamp_ns);
        if first == self.bucket(block.ordered(rows.end - 1).timestamp_ns) {
            let bytes = rows.clone().map(|at| block.ordered(at).line.len() as u64).sum();
            return self.add(group, first, rows.len() as u64, bytes);
        }
        for row in rows.map(|at| block.ordered(at)) {
            self.add(group, self.bucket(row.timestamp_ns), 1, row.line.len() as u64);
        }
    }

    /// Counts those runs of a part that its table can tell of; notes chunks with others in `open`.
    fn part<'p>(
        &mut self,
        view: &View,
        part: &'p Arc<Part>,
        selector: &Selector<'_>,
        context: &QueryContext,
        open: &mut Vec<OpenChunk<'p>>,
    ) -> Result<(), StoreError>
    where
        'a: 'p,
    {
        let selected = selector.select(part.streams.iter().map(|stream| &**stream));
        let mut groupings: Vec<Option<Grouping<'p>>> = part.streams.iter().map(|_| None).collect();
        for (chunk, meta) in part.table.chunks.iter().enumerate() {
            context.check()?;
            let mut runs = Vec::new();
            for (number, run) in meta.runs.iter().enumerate() {
                let stream = &part.streams[run.stream as usize];
                let start_ns = self.range.start.max(view.cuts.of(stream.rule));
                let is_in_range = run.oldest_ns < self.range.end && run.newest_ns >= start_ns;
                if !selected[run.stream as usize] || !is_in_range {
                    continue;
                }
                let grouping = groupings[run.stream as usize]
                    .get_or_insert_with(|| Grouping::new(&self.request.by, stream));
                let is_told = deletions(view, part, run, stream).is_empty()
                    && self.count_by_table(part, run, grouping, start_ns);
                if !is_told {
                    runs.push(number);
                }
            }
            if !runs.is_empty() {
                open.push(OpenChunk { part, chunk, runs });
            }
        }
        Ok(())
    }

    /// Counts what the tables could not tell of, on several threads where there is much of it.
    fn open_chunks(
        &mut self,
        view: &View,
        open: &[OpenChunk<'_>],
        context: &QueryContext,
    ) -> Result<(), StoreError> {
        let rows: u64 = open.iter().map(OpenChunk::rows).sum();
        let useful = (rows / ROWS_PER_WORKER).clamp(1, open.len().max(1) as u64);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(useful as usize);
        let next = AtomicUsize::new(0);
        if threads <= 1 {
            return self.work(view, open, &next, context);
        }
        let (request, range) = (self.request, self.range);
        let work = || {
            let mut tally = Tally::new(request, range);
            tally.work(view, open, &next, context).map(|()| tally)
        };
        let tallies: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for tally in tallies {
            // A panic goes on in the caller.
            self.merge(tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    }

    /// Counts chunks until none is left.
    fn work(
        &mut self,
        view: &View,
        open: &[OpenChunk<'_>],
        next: &AtomicUsize,
        context: &QueryContext,
    ) -> Result<(), StoreError> {
        while let Some(chunk) = open.get(next.fetch_add(1, Relaxed)) {
            context.check()?;
            match self.chunk(view, chunk, context) {
                Ok(()) => {}
                Err(ReadError::Damaged(damaged)) => {
                    chunk.part.note_damage(chunk.chunk, &ReadError::Damaged(damaged));
                }
                Err(error) => return Err(read_error(error)),
            }
        }
        Ok(())
    }

    fn merge(&mut self, mut other: Tally<'_>) {
        other.settle();
        let mut groups = vec![0; other.groups.len()];
        for (labels, number) in other.groups {
            groups[number as usize] = self.group(labels);
        }
        for ((group, bucket), (rows, bytes)) in other.counts {
            self.add(groups[group as usize], bucket, rows, bytes);
        }
    }

    /// Counts the open runs of a chunk by their rows.
    fn chunk(&mut self, view: &View, open: &OpenChunk<'_>, context: &QueryContext) -> Result<(), ReadError> {
        let OpenChunk { part, chunk, runs } = open;
        let reader = ChunkReader::new(part, *chunk);
        let all: Vec<Range<usize>> = run_rows(reader.meta).collect();
        let sections = Sections::read(&reader, &self.request.by)?;
        for &number in runs {
            let (run, rows) = (&reader.meta.runs[number], all[number].clone());
            let stream = &part.streams[run.stream as usize];
            let start_ns = self.range.start.max(view.cuts.of(stream.rule));
            let grouping = Grouping::new(&self.request.by, stream);
            // A stopped query is noticed before the next chunk.
            let bytes = u64::from(run.rows) * 2;
            if context.charge_read(u64::from(run.rows), bytes).is_err() {
                return Ok(());
            }
            let deletions = deletions(view, part, run, stream);
            let deleted = deleted_rows(&reader, &deletions, &sections.times, rows.clone())?;
            self.count_by_row(&sections, &grouping, rows, &deleted, start_ns);
        }
        Ok(())
    }

    /// Counts a run by the chunk table, if that can tell.
    fn count_by_table(&mut self, part: &Part, run: &Run, grouping: &mut Grouping<'_>, start_ns: i64) -> bool {
        let bucket = self.bucket(run.oldest_ns);
        let is_whole = run.oldest_ns >= start_ns
            && run.newest_ns < self.range.end
            && bucket == self.bucket(run.newest_ns);
        if !is_whole {
            return false;
        }
        match grouping.from_rows.as_slice() {
            [] => {
                let group = match grouping.group {
                    Some(group) => group,
                    None => self.group(grouping.labels(std::iter::empty())),
                };
                grouping.group = Some(group);
                self.add(group, bucket, u64::from(run.rows), run.bytes);
                true
            }
            [name] if *name == LEVEL_NAME && !run.levels.is_empty() => {
                for count in &run.levels {
                    let level = part.table.levels[count.level as usize].as_bytes();
                    let group = self.group(grouping.labels(std::iter::once(level)));
                    self.add(group, bucket, u64::from(count.rows), count.bytes);
                }
                true
            }
            _ => false,
        }
    }

    fn count_by_row(
        &mut self,
        sections: &Sections,
        grouping: &Grouping<'_>,
        rows: Range<usize>,
        deleted: &[bool],
        start_ns: i64,
    ) {
        let columns: Vec<Option<&Column>> =
            grouping.from_rows.iter().map(|name| sections.columns.get(*name)).collect();
        let wanted = narrow(rows.clone(), &sections.times, start_ns, self.range.end);
        let is_deleted = |row: usize| deleted.get(row - rows.start).copied().unwrap_or(false);
        let (times, lengths) = (&sections.times[wanted.clone()], &sections.lengths[wanted.clone()]);
        if columns.iter().all(Option::is_none) && deleted.is_empty() {
            let group = self.group(grouping.labels(columns.iter().map(|_| &[][..])));
            return self.for_each_bucket(times, |tally, bucket, rows| {
                let bytes = lengths[rows.clone()].iter().map(|&length| u64::from(length)).sum();
                tally.add(group, bucket, rows.len() as u64, bytes);
            });
        }
        let Kinds { of_rows, groups } = self.kinds(&columns, grouping, wanted.clone());
        let mut counts = vec![(0, 0); groups.len()];
        self.for_each_bucket(times, |tally, bucket, rows| {
            for row in rows.filter(|row| !is_deleted(wanted.start + row)) {
                let count = &mut counts[of_rows[row] as usize];
                *count = (count.0 + 1, count.1 + u64::from(lengths[row]));
            }
            for (&group, count) in groups.iter().zip(&mut counts) {
                let (rows, bytes) = std::mem::take(count);
                if rows > 0 {
                    tally.add(group, bucket, rows, bytes);
                }
            }
        });
    }

    /// Of what kind each row is, and the groups of the kinds.
    fn kinds(&mut self, columns: &[Option<&Column>], grouping: &Grouping<'_>, rows: Range<usize>) -> Kinds {
        if let [Some(Column::Codes { values, codes })] = columns {
            let groups = values.iter().map(|value| self.group(grouping.labels(std::iter::once(&value[..]))));
            return Kinds {
                of_rows: codes[rows].iter().map(|&code| u32::from(code)).collect(),
                groups: groups.collect(),
            };
        }
        let mut known: HashMap<Vec<&[u8]>, u32> = HashMap::new();
        let (mut of_rows, mut groups, mut key) = (Vec::with_capacity(rows.len()), Vec::new(), Vec::new());
        for row in rows {
            key.clear();
            key.extend(columns.iter().map(|column| column.map_or(&[][..], |column| column.get(row))));
            let kind = match known.get(key.as_slice()) {
                Some(&kind) => kind,
                None => {
                    let kind = groups.len() as u32;
                    groups.push(self.group(grouping.labels(key.iter().copied())));
                    known.insert(key.clone(), kind);
                    kind
                }
            };
            of_rows.push(kind);
        }
        Kinds { of_rows, groups }
    }

    /// Calls `count` with every bucket of `times`, which ascend, and the rows in it.
    fn for_each_bucket(&mut self, times: &[i64], mut count: impl FnMut(&mut Self, u64, Range<usize>)) {
        let mut row = 0;
        while row < times.len() {
            let bucket = self.bucket(times[row]);
            let offset = (bucket + 1).saturating_mul(self.request.step_ns.unsigned_abs());
            let end = i128::from(self.request.range.start) + i128::from(offset);
            let rows = times[row..].partition_point(|&time| i128::from(time) < end).max(1);
            count(self, bucket, row..row + rows);
            row += rows;
        }
    }
}

/// A chunk with runs that its table cannot tell of.
struct OpenChunk<'a> {
    part: &'a Arc<Part>,
    chunk: usize,
    runs: Vec<usize>,
}

impl OpenChunk<'_> {
    fn rows(&self) -> u64 {
        let meta = &self.part.table.chunks[self.chunk];
        self.runs.iter().map(|&run| u64::from(meta.runs[run].rows)).sum()
    }
}

/// Rows told apart by what they are grouped by.
struct Kinds {
    of_rows: Vec<u32>,
    /// By kind. A kind may have no rows; several may be one group.
    groups: Vec<u32>,
}

/// The sections of a chunk that counting may need.
struct Sections {
    times: Vec<i64>,
    lengths: Vec<u32>,
    /// By name, those asked for.
    columns: HashMap<String, Column>,
}

impl Sections {
    fn read(reader: &ChunkReader<'_>, by: &[String]) -> Result<Sections, ReadError> {
        let mut columns = HashMap::new();
        for name in by {
            let column = if reader.has_rest() {
                Some(reader.metadata()?.gather(name, reader.rows()))
            } else {
                reader.column(name)?
            };
            columns.extend(column.map(|column| (name.clone(), column)));
        }
        Ok(Sections { times: reader.times()?, lengths: reader.lengths()?, columns })
    }
}

/// Filters of the deletions that may touch a run, with their ranges.
fn deletions<'v>(
    view: &'v View,
    part: &Part,
    run: &Run,
    stream: &Stream,
) -> Vec<&'v crate::tombstone::Tombstone> {
    let range = TimeRange::new(run.oldest_ns, run.newest_ns);
    let tombstones = view.tombstones.iter().map(|tombstone| &**tombstone);
    tombstones.filter(|tombstone| tombstone.may_cover(part.id.id, &stream.labels, range)).collect()
}

/// Which of `rows` are deleted; empty when none can be.
fn deleted_rows(
    reader: &ChunkReader<'_>,
    deletions: &[&crate::tombstone::Tombstone],
    times: &[i64],
    rows: Range<usize>,
) -> Result<Vec<bool>, ReadError> {
    if deletions.is_empty() {
        return Ok(Vec::new());
    }
    let mut deleted = vec![false; rows.len()];
    let starts = reader.frame_starts();
    for frame in 0..reader.meta.frames.len() {
        let (first, end) = (starts[frame].max(rows.start), starts[frame + 1].min(rows.end));
        if first >= end {
            continue;
        }
        let frame = reader.frame(frame, starts[frame])?;
        for row in first..end {
            let line = frame.line(row - frame.first_row);
            deleted[row - rows.start] = deletions.iter().any(|deletion| deletion.covers(times[row], line));
        }
    }
    Ok(deleted)
}
