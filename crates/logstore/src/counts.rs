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
    selector::Selector,
    stream::Stream,
};
use hashbrown::HashMap;
use model::{Labels, LabelsRef, TimeRange};
use std::ops::Range;
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
        for part in
            view.parts.iter().filter(|part| part.range.start < range.end && part.range.end >= range.start)
        {
            tally.part(&view, part, &selector, context)?;
        }
        for memory in &view.memories {
            tally.memory(&view, memory, &selector, context)?;
        }
        Ok(tally.finish())
    }
}

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

    fn part(
        &mut self,
        view: &View,
        part: &Part,
        selector: &Selector<'_>,
        context: &QueryContext,
    ) -> Result<(), StoreError> {
        let selected = selector.select(part.streams.iter().map(|stream| &**stream));
        let mut groupings: Vec<Option<Grouping<'_>>> = part.streams.iter().map(|_| None).collect();
        for chunk in 0..part.table.chunks.len() {
            context.check()?;
            match self.chunk(view, part, chunk, &selected, &mut groupings, context) {
                Ok(()) => {}
                Err(ReadError::Damaged(damaged)) => part.note_damage(chunk, &ReadError::Damaged(damaged)),
                Err(error) => return Err(read_error(error)),
            }
        }
        Ok(())
    }

    fn chunk<'p>(
        &mut self,
        view: &View,
        part: &'p Part,
        chunk: usize,
        selected: &[bool],
        groupings: &mut [Option<Grouping<'p>>],
        context: &QueryContext,
    ) -> Result<(), ReadError>
    where
        'a: 'p,
    {
        let reader = ChunkReader::new(part, chunk);
        let mut sections = None;
        for (run, rows) in reader.meta.runs.iter().zip(run_rows(reader.meta)) {
            let stream = &part.streams[run.stream as usize];
            let start_ns = self.range.start.max(view.cuts.of(stream.rule));
            let is_in_range = run.oldest_ns < self.range.end && run.newest_ns >= start_ns;
            if !selected[run.stream as usize] || !is_in_range {
                continue;
            }
            let grouping =
                groupings[run.stream as usize].get_or_insert_with(|| Grouping::new(&self.request.by, stream));
            let deletions = deletions(view, part, run, stream);
            if deletions.is_empty() && self.count_by_table(part, run, grouping, start_ns) {
                continue;
            }
            let sections = match &mut sections {
                Some(sections) => sections,
                None => sections.insert(Sections::read(&reader, &self.request.by)?),
            };
            // A stopped query is noticed before the next chunk.
            let bytes = run.rows as u64 * 2;
            if context.charge_read(u64::from(run.rows), bytes).is_err() {
                return Ok(());
            }
            let deleted = deleted_rows(&reader, &deletions, &sections.times, rows.clone())?;
            self.count_by_row(sections, grouping, rows, &deleted, start_ns);
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

    fn count_by_row<'s>(
        &mut self,
        sections: &'s Sections,
        grouping: &Grouping<'_>,
        rows: Range<usize>,
        deleted: &[bool],
        start_ns: i64,
    ) {
        let columns: Vec<Option<&Column>> =
            grouping.from_rows.iter().map(|name| sections.columns.get(*name)).collect();
        let of_run = &sections.times[rows.clone()];
        let first = rows.start + of_run.partition_point(|&time| time < start_ns);
        let end = rows.start + of_run.partition_point(|&time| time < self.range.end);
        let is_deleted = |row: usize| deleted.get(row - rows.start).copied().unwrap_or(false);
        if columns.iter().all(Option::is_none) && deleted.is_empty() {
            let group = self.group(grouping.labels(columns.iter().map(|_| &[][..])));
            return self.count_by_time(group, &sections.times[first..end], &sections.lengths[first..end]);
        }
        let mut known: HashMap<Vec<&[u8]>, u32> = HashMap::new();
        for row in (first..end).filter(|&row| !is_deleted(row)) {
            let value = |column: &Option<&'s Column>| column.map_or(&[][..], |column| column.get(row));
            let key: Vec<&[u8]> = columns.iter().map(value).collect();
            let group = match known.get(&key) {
                Some(&group) => group,
                None => {
                    let group = self.group(grouping.labels(key.iter().copied()));
                    known.insert(key, group);
                    group
                }
            };
            self.add(group, self.bucket(sections.times[row]), 1, u64::from(sections.lengths[row]));
        }
    }

    /// Counts rows of one group, whose times ascend, a bucket at a time.
    fn count_by_time(&mut self, group: u32, times: &[i64], lengths: &[u32]) {
        let mut row = 0;
        while row < times.len() {
            let bucket = self.bucket(times[row]);
            let offset = (bucket + 1).saturating_mul(self.request.step_ns.unsigned_abs());
            let end = i128::from(self.request.range.start) + i128::from(offset);
            let rows = times[row..].partition_point(|&time| i128::from(time) < end).max(1);
            let bytes = lengths[row..row + rows].iter().map(|&length| u64::from(length)).sum();
            self.add(group, bucket, rows as u64, bytes);
            row += rows;
        }
    }
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
