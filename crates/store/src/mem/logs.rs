//! Logs in memory: an ordered map of streams, each an ordered map of instants to their lines.

use super::{all_match, any_matches};
use crate::{
    AgeLimits, BatchLedger, Commit, CountBucket, CountRequest, Direction, LineFilter, LogRequest, LogScan,
    LogStats, LogStore, QueryContext, Receipt, RejectReason, Rejection, Row, RowSink, ScanUnit, StoreError,
    StreamId, reject,
};
use model::{BatchId, Labels, LabelsRef, LogBatch, LogEntryRef, Matcher, TimeRange};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Rows of one scan unit, so that engines meet several units of one stream in tests too.
const UNIT_ROWS: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct MemLogStore {
    limits: AgeLimits,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    streams: BTreeMap<Labels, Stream>,
    ledger: BatchLedger,
    /// Next line's id.
    next_id: u128,
}

/// Lines by time; equal times in order of arrival.
type Stream = BTreeMap<i64, Vec<Entry>>;

#[derive(Clone, Debug)]
struct Entry {
    id: u128,
    line: String,
    metadata: Labels,
}

impl Default for MemLogStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemLogStore {
    /// A store that takes entries of any time.
    pub fn new() -> Self {
        Self::with_limits(AgeLimits::NONE)
    }

    /// A store that takes and keeps what `limits` allow.
    pub fn with_limits(limits: AgeLimits) -> Self {
        MemLogStore { limits, state: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(
        &mut self,
        labels: LabelsRef<'_>,
        entry: LogEntryRef<'_>,
        limits: AgeLimits,
        now_ns: i64,
    ) -> Result<(), RejectReason> {
        let valid = |set: LabelsRef<'_>| LabelsRef::from_bytes(set.as_bytes()).is_some();
        if labels.is_empty() || !valid(labels) || !valid(entry.metadata) {
            return Err(RejectReason::InvalidLabels);
        }
        limits.check_ns(entry.timestamp_ns, now_ns)?;
        let stream = self.streams.entry(labels.to_owned()).or_default();
        let instant = stream.entry(entry.timestamp_ns).or_default();
        let repeat = instant
            .iter()
            .any(|e| e.line == entry.line && e.metadata.as_bytes() == entry.metadata.as_bytes());
        if !repeat {
            let (line, metadata) = (entry.line.to_owned(), entry.metadata.to_owned());
            instant.push(Entry { id: self.next_id, line, metadata });
            self.next_id += 1;
        }
        Ok(())
    }

    /// Streams that all matchers match.
    fn matching<'a>(&'a self, matchers: &'a [Matcher]) -> impl Iterator<Item = (&'a Labels, &'a Stream)> {
        self.streams.iter().filter(|(labels, _)| all_match(matchers, |name| labels.value(name)))
    }

    fn retain(&mut self, mut keep: impl FnMut(&Labels, i64, &Entry) -> bool) {
        for (labels, stream) in &mut self.streams {
            for (timestamp_ns, entries) in stream.iter_mut() {
                entries.retain(|entry| keep(labels, *timestamp_ns, entry));
            }
            stream.retain(|_, entries| !entries.is_empty());
        }
        self.streams.retain(|_, stream| !stream.is_empty());
    }
}

/// Entries in a half-open range, oldest first; an inverted range has none.
fn entries(stream: &Stream, range: TimeRange) -> impl Iterator<Item = (i64, &Entry)> {
    let is_ordered = range.start < range.end;
    is_ordered
        .then(|| stream.range(range.start..range.end))
        .into_iter()
        .flatten()
        .flat_map(|(timestamp_ns, entries)| entries.iter().map(|entry| (*timestamp_ns, entry)))
}

/// A snapshot of the rows that match, in units of one stream each.
struct MemLogScan {
    units: Vec<ScanUnit>,
    rows: Vec<UnitRows>,
    filters: Vec<LineFilter>,
}

struct UnitRows {
    stream: StreamId,
    labels: Labels,
    /// In the request's direction.
    rows: Vec<(i64, Entry)>,
}

impl UnitRows {
    fn unit(&self) -> ScanUnit {
        let times = || self.rows.iter().map(|(timestamp_ns, _)| *timestamp_ns);
        ScanUnit {
            range: TimeRange::new(times().min().unwrap_or(0), times().max().unwrap_or(0)),
            rows_max: self.rows.len() as u64,
            bytes: self.rows.iter().map(|(_, entry)| entry.line.len() as u64).sum(),
            is_ordered: true,
        }
    }
}

/// Cuts a stream's rows into units, never between rows of one instant.
fn cut_units(stream: StreamId, labels: &Labels, rows: Vec<(i64, Entry)>) -> Vec<UnitRows> {
    let mut units: Vec<UnitRows> = Vec::new();
    for row in rows {
        match units.last_mut() {
            Some(unit)
                if unit.rows.len() < UNIT_ROWS || unit.rows.last().is_some_and(|last| last.0 == row.0) =>
            {
                unit.rows.push(row);
            }
            _ => units.push(UnitRows { stream, labels: labels.clone(), rows: vec![row] }),
        }
    }
    units
}

impl LogScan for MemLogScan {
    fn units(&self) -> &[ScanUnit] {
        &self.units
    }

    fn read(&self, index: usize, context: &QueryContext, sink: &mut dyn RowSink) -> Result<(), StoreError> {
        let unit = &self.rows[index];
        for (timestamp_ns, entry) in &unit.rows {
            context.charge_read(1, entry.line.len() as u64)?;
            if !self.filters.iter().all(|filter| filter.passes(entry.line.as_bytes())) {
                continue;
            }
            let row = Row {
                stream: unit.stream,
                labels: &unit.labels,
                timestamp_ns: *timestamp_ns,
                line: &entry.line,
                metadata: entry.metadata.as_ref(),
                id: &|| entry.id,
            };
            if sink.row(row).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl LogStore for MemLogStore {
    fn append(&self, batch: &LogBatch, id: Option<&BatchId>, now_ns: i64) -> Result<Receipt, StoreError> {
        let mut state = self.write();
        if id.is_some_and(|id| !state.ledger.record(id)) {
            return Ok(Receipt { stored: 0, duplicate: true, rejected: Vec::new(), commit: Commit::done() });
        }
        let mut stored = 0;
        let mut rejected: Vec<Rejection> = Vec::new();
        for stream in batch.streams() {
            let labels = stream.labels();
            for entry in stream.entries() {
                match state.append(labels, entry, self.limits, now_ns) {
                    Ok(()) => stored += 1,
                    Err(reason) => {
                        reject(&mut rejected, reason, 1, || format!("{labels} at {}", entry.timestamp_ns));
                    }
                }
            }
        }
        Ok(Receipt { stored, duplicate: false, rejected, commit: Commit::done() })
    }

    fn scan(&self, request: &LogRequest, context: &QueryContext) -> Result<Box<dyn LogScan>, StoreError> {
        context.check()?;
        let state = self.read();
        let mut rows = Vec::new();
        for (ordinal, (labels, stream)) in state.matching(&request.matchers).enumerate() {
            let mut wanted: Vec<_> =
                entries(stream, request.range).map(|(time, entry)| (time, entry.clone())).collect();
            if request.direction == Direction::Backward {
                wanted.reverse();
            }
            rows.extend(cut_units(StreamId(ordinal as u64), labels, wanted));
        }
        match request.direction {
            Direction::Forward => rows.sort_by_key(|unit| unit.unit().range.start),
            Direction::Backward => rows.sort_by_key(|unit| std::cmp::Reverse(unit.unit().range.end)),
        }
        let units = rows.iter().map(UnitRows::unit).collect();
        Ok(Box::new(MemLogScan { units, rows, filters: request.filters.clone() }))
    }

    fn counts(&self, request: &CountRequest, context: &QueryContext) -> Result<Vec<CountBucket>, StoreError> {
        context.check()?;
        if request.step_ns <= 0 {
            return Err(StoreError::Invalid(format!(
                "step of {} ns is not longer than zero",
                request.step_ns
            )));
        }
        let mut buckets: BTreeMap<(Labels, u64), (u64, u64)> = BTreeMap::new();
        for (labels, stream) in self.read().matching(&request.matchers) {
            for (timestamp_ns, entry) in entries(stream, request.range) {
                context.charge_read(1, 0)?;
                let group = group_of(labels, &entry.metadata, &request.by);
                let offset = timestamp_ns.abs_diff(request.range.start);
                let bucket = offset / request.step_ns.unsigned_abs();
                let (rows, bytes) = buckets.entry((group, bucket)).or_default();
                *rows += 1;
                *bytes += entry.line.len() as u64;
            }
        }
        let count = |((group, bucket), (rows, bytes))| CountBucket { group, bucket, rows, bytes };
        Ok(buckets.into_iter().map(count).collect())
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        context.check()?;
        let state = self.read();
        let wanted = |(labels, stream): &(&Labels, &Stream)| {
            any_matches(selectors, |name| labels.value(name)) && entries(stream, range).next().is_some()
        };
        Ok(state.streams.iter().filter(wanted).map(|(labels, _)| labels.clone()).collect())
    }

    fn selection_stats(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, StoreError> {
        context.check()?;
        Ok(tally(self.read().matching(matchers), range))
    }

    fn delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Result<(), StoreError> {
        self.write().retain(|labels, timestamp_ns, entry| {
            !(all_match(matchers, |name| labels.value(name))
                && (range.start..range.end).contains(&timestamp_ns)
                && filters.iter().all(|filter| filter.passes(entry.line.as_bytes())))
        });
        Ok(())
    }

    fn maintain(&self, _now_ns: i64, believed_ns: i64) -> Result<(), StoreError> {
        let oldest = self.limits.oldest_ns(believed_ns);
        self.write().retain(|_, timestamp_ns, _| timestamp_ns >= oldest);
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> LogStats {
        let state = self.read();
        // The half-open range of all time leaves out its very last instant, so count it apart.
        let mut stats = tally(state.streams.iter(), TimeRange::ALL);
        for last in state.streams.values().filter_map(|stream| stream.get(&i64::MAX)) {
            stats.entries += last.len() as u64;
            stats.bytes += last.iter().map(|entry| entry.line.len() as u64).sum::<u64>();
        }
        stats
    }
}

/// The labels asked for: the stream's own, else the line's structured metadata.
fn group_of(labels: &Labels, metadata: &Labels, by: &[String]) -> Labels {
    let value = |name: &String| labels.get(name).or_else(|| metadata.get(name)).map(str::to_owned);
    Labels::from_pairs(by.iter().filter_map(|name| value(name).map(|value| (name.clone(), value))))
}

fn tally<'a>(streams: impl Iterator<Item = (&'a Labels, &'a Stream)>, range: TimeRange) -> LogStats {
    let mut stats = LogStats::default();
    let mut seen = BTreeSet::new();
    for (labels, stream) in streams {
        for (_, entry) in entries(stream, range) {
            seen.insert(labels);
            stats.entries += 1;
            stats.bytes += entry.line.len() as u64;
        }
    }
    stats.streams = seen.len() as u64;
    stats.chunks = stats.streams;
    stats
}
