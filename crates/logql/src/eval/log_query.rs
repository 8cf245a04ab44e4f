//! Log queries: the first entries in the direction asked for.
//!
//! Bound: no more entries are held than the limit (all that match, when they are to be thinned
//! out by an interval), and reading ends once no further unit can better what is held.

use super::Params;
use crate::{
    EvalError, ParseError,
    ast::LogExpr,
    pipeline::{Pipeline, Scratch, labels::Category},
};
use model::{Labels, TimeRange};
use std::{
    collections::BinaryHeap,
    num::NonZero,
    ops::{ControlFlow, Range},
};
use store::{Direction, LogRequest, LogScan, LogStore, QueryContext, Row, ScanUnit};

/// Units smaller than this together are read one after the other.
const BYTES_PER_WAVE: u64 = 1 << 20;
/// What an entry takes besides its line, for the memory budget.
const ENTRY_BYTES: u64 = 200;

/// Label names and values in ascending order of name. Unlike [`model::Labels`] a value may be
/// empty, as a parser may find it.
pub type LabelPairs = Vec<(String, String)>;

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line after the pipeline.
    pub line: String,
    /// Labels of the stream that no stage has changed.
    pub stream: LabelPairs,
    /// Structured metadata that no stage has changed.
    pub metadata: LabelPairs,
    /// What stages have written.
    pub parsed: LabelPairs,
    /// The line's stable id; 0 while it is followed.
    pub id: u128,
}

impl Entry {
    /// All labels in ascending order of name.
    pub fn labels(&self) -> LabelPairs {
        let mut all: LabelPairs =
            self.stream.iter().chain(&self.metadata).chain(&self.parsed).cloned().collect();
        all.sort_unstable();
        all
    }
}

/// The entry that a processed row becomes.
pub(crate) fn entry_of(scratch: &Scratch, timestamp_ns: i64, raw: &str, id: u128) -> Entry {
    let mut entry = Entry {
        timestamp_ns,
        line: scratch.line(raw).to_owned(),
        stream: Vec::new(),
        metadata: Vec::new(),
        parsed: Vec::new(),
        id,
    };
    for (name, value, category) in scratch.labels.iter() {
        let labels = match category {
            Category::Stream => &mut entry.stream,
            Category::Metadata => &mut entry.metadata,
            Category::Parsed => &mut entry.parsed,
        };
        labels.push((name.to_owned(), value.to_owned()));
    }
    entry.stream.sort_unstable();
    entry.metadata.sort_unstable();
    entry.parsed.sort_unstable();
    entry
}

/// An entry by its place in the answer: the greatest is the last one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    /// Time, turned round when backward.
    place: i64,
    arrival: u64,
    entry: Entry,
}

/// The first entries so far, in the direction asked for.
struct FirstEntries {
    heap: BinaryHeap<Held>,
    limit: usize,
    direction: Direction,
    arrival: u64,
}

impl FirstEntries {
    fn new(limit: usize, direction: Direction) -> Self {
        FirstEntries { heap: BinaryHeap::new(), limit, direction, arrival: 0 }
    }

    fn place(&self, timestamp_ns: i64) -> i64 {
        match self.direction {
            Direction::Forward => timestamp_ns,
            Direction::Backward => -timestamp_ns.max(i64::MIN + 1),
        }
    }

    /// Whether an entry of this time would be among the first.
    fn has_room(&self, timestamp_ns: i64) -> bool {
        let worst = self.heap.peek().map(|held| held.place);
        self.heap.len() < self.limit || worst.is_some_and(|worst| self.place(timestamp_ns) < worst)
    }

    /// The times, closed, that an entry among the first would have.
    fn wanted(&self) -> TimeRange {
        let worst =
            self.heap.peek().filter(|_| self.heap.len() >= self.limit).map(|held| held.entry.timestamp_ns);
        match (worst, self.direction) {
            (None, _) => TimeRange::ALL,
            (Some(worst), Direction::Forward) => TimeRange::new(i64::MIN, worst.saturating_sub(1)),
            (Some(worst), Direction::Backward) => TimeRange::new(worst.saturating_add(1), i64::MAX),
        }
    }

    /// Whether the unit may hold an entry that would be among the first.
    fn may_better(&self, unit: &ScanUnit) -> bool {
        self.has_room(match self.direction {
            Direction::Forward => unit.range.start,
            Direction::Backward => unit.range.end,
        })
    }

    fn push(&mut self, entry: Entry) {
        self.arrival += 1;
        let held = Held { place: self.place(entry.timestamp_ns), arrival: self.arrival, entry };
        self.heap.push(held);
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    fn into_entries(self) -> Vec<Entry> {
        self.heap.into_sorted_vec().into_iter().map(|held| held.entry).collect()
    }
}

pub(super) fn run(
    log: &LogExpr,
    params: &Params,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Vec<Entry>, EvalError> {
    let invalid = |error: ParseError| EvalError::Invalid(error.to_string());
    let pipeline = Pipeline::compile_with(&log.stages, Default::default(), true).map_err(invalid)?;
    let request = LogRequest {
        matchers: log.matchers.clone(),
        range: TimeRange::new(params.start_ns, params.end_ns),
        filters: pipeline.store_filters().to_vec(),
        metadata_hints: Vec::new(),
        direction: params.direction,
    };
    let limit = if params.interval_ns > 0 { usize::MAX } else { params.limit };
    let wanted = Wanted { pipeline: &pipeline, stream: None, limit };
    Ok(thinned(first_entries(&request, wanted, store, context)?, params))
}

/// Which rows of a scan are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// Those that pass.
    pub(super) pipeline: &'a Pipeline,
    /// Those of this stream alone: equality matchers also find streams with more labels.
    pub(super) stream: Option<&'a Labels>,
    /// The first so many in the request's direction.
    pub(super) limit: usize,
}

/// The first entries in the direction of the request.
pub(super) fn first_entries(
    request: &LogRequest,
    wanted: Wanted<'_>,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Vec<Entry>, EvalError> {
    let scan = store.scan(request, context)?;
    let Wanted { pipeline, stream, limit } = wanted;
    let reader =
        Reader { scan: scan.as_ref(), pipeline, stream, context, limit, direction: request.direction };
    reader.first_entries()
}

/// Reads units until no further one can better what is held.
struct Reader<'a> {
    scan: &'a dyn LogScan,
    pipeline: &'a Pipeline,
    stream: Option<&'a Labels>,
    context: &'a QueryContext,
    limit: usize,
    direction: Direction,
}

impl Reader<'_> {
    fn first_entries(&self) -> Result<Vec<Entry>, EvalError> {
        let units = self.scan.units();
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut first = FirstEntries::new(self.limit, self.direction);
        let mut next = 0;
        while self.limit > 0 && next < units.len() && first.may_better(&units[next]) {
            // Often one unit is enough; only when it was not is it worth reading several at once.
            let wave = if next == 0 { 1 } else { threads.min(units.len() - next) };
            let bytes: u64 = units[next..next + wave].iter().map(|unit| unit.bytes).sum();
            let wave = if bytes < BYTES_PER_WAVE { 1 } else { wave };
            self.read_wave(next..next + wave, &mut first)?;
            next += wave;
        }
        Ok(first.into_entries())
    }

    /// Reads units side by side and takes their entries in the units' order.
    fn read_wave(&self, wave: Range<usize>, first: &mut FirstEntries) -> Result<(), EvalError> {
        if wave.len() == 1 {
            return self.read(wave.start, first.wanted(), first);
        }
        let within = first.wanted();
        let read = |index: usize| {
            let mut own = FirstEntries::new(self.limit, self.direction);
            self.read(index, within, &mut own).map(|()| own.into_entries())
        };
        let parts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = wave.map(|index| scope.spawn(move || read(index))).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        for part in parts {
            // A panic goes on in the caller.
            for entry in part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                if first.has_room(entry.timestamp_ns) {
                    first.push(entry);
                }
            }
        }
        Ok(())
    }

    fn read(&self, index: usize, within: TimeRange, first: &mut FirstEntries) -> Result<(), EvalError> {
        let mut scratch = Scratch::default();
        let mut stopped = Ok(());
        let is_ordered = self.scan.units()[index].is_ordered;
        self.scan.read_within(index, within, self.context, &mut |row: Row<'_>| {
            if !first.has_room(row.timestamp_ns) {
                // In order, no later row is better.
                return if is_ordered { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            }
            if self.stream.is_some_and(|stream| stream != row.labels) {
                return ControlFlow::Continue(());
            }
            self.pipeline.load(&mut scratch, row.stream, row.labels, row.metadata);
            // A row may take long (templates), so none is begun after the end.
            stopped = self.context.check().map_err(EvalError::from);
            if stopped.is_ok() && self.pipeline.run(&mut scratch, row.timestamp_ns, row.line) {
                let bytes = scratch.line(row.line).len() + scratch.labels.text_bytes();
                stopped = self.hold(first.heap.len(), bytes);
                first.push(entry_of(&scratch, row.timestamp_ns, row.line, (row.id)()));
            }
            if stopped.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        stopped
    }

    /// Charges an entry that adds to what is held; one that replaces another costs nothing.
    fn hold(&self, held: usize, bytes: usize) -> Result<(), EvalError> {
        if held < self.limit {
            self.context.hold_samples(1)?;
            self.context.hold_memory(bytes as u64 + ENTRY_BYTES)?;
        }
        Ok(())
    }
}

/// Keeps entries that lie at least the interval apart, then the limit.
fn thinned(entries: Vec<Entry>, params: &Params) -> Vec<Entry> {
    if params.interval_ns <= 0 {
        return entries;
    }
    let mut last: Option<i64> = None;
    let mut kept = Vec::new();
    for entry in entries {
        let far = last.is_none_or(|last| entry.timestamp_ns.abs_diff(last) >= params.interval_ns as u64);
        if far {
            last = Some(entry.timestamp_ns);
            kept.push(entry);
        }
    }
    kept.truncate(params.limit);
    kept
}
