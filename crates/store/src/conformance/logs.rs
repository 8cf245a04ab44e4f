//! The rules of [`LogStore`].

mod corpus;
mod counting;
mod deleting;
mod filtering;
mod reference;
mod scanning;
mod stopping;
mod writing;

use super::harness::{Case, NOW_NS, Subject, cases};
use crate::{
    AgeLimits, Direction, LineFilter, LogRequest, LogScan, LogStore, QueryContext, Receipt, RejectReason,
    Row, StreamId,
};
use model::{BatchId, Labels, LogBatch, MatchOp, Matcher, TimeRange};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

type LogSubject<'a> = Subject<'a, dyn LogStore>;

pub(super) const CASES: &[Case<dyn LogStore>] = cases![
    writing::lines_keep_every_byte,
    writing::entries_arrive_in_any_order,
    writing::zero_negative_and_extreme_timestamps_are_legal,
    writing::exact_repeats_are_stored_once,
    writing::near_repeats_are_all_stored,
    writing::structured_metadata_are_kept,
    writing::an_empty_batch_is_success,
    writing::refused_parts_leave_the_rest_stored,
    writing::a_repeated_batch_changes_nothing,
    writing::many_streams_stay_apart,
    scanning::ranges_are_half_open,
    scanning::every_kind_of_matcher_selects,
    scanning::lines_of_one_instant_keep_their_order_of_arrival,
    scanning::ids_are_unique_and_stay,
    scanning::a_scan_shows_nothing_that_came_later,
    scanning::a_sink_ends_a_unit_early,
    scanning::units_can_be_read_at_once,
    scanning::writers_and_readers_work_at_once,
    filtering::needles_cut_anywhere_equal_brute_force,
    filtering::regular_expressions_equal_brute_force,
    filtering::combined_filters_equal_brute_force,
    filtering::rare_identifiers_are_found,
    filtering::metadata_hints_lose_no_rows,
    counting::counts_equal_brute_force,
    counting::buckets_start_at_the_range,
    counting::a_step_that_is_not_positive_is_refused,
    counting::streams_match_any_selector_in_range,
    counting::figures_follow_the_data,
    deleting::deleted_lines_are_gone_and_may_be_written_again,
    deleting::deletes_keep_to_their_range_stream_and_filters,
    stopping::a_canceled_query_reads_nothing,
    stopping::a_read_budget_stops_a_scan,
    stopping::reads_are_counted,
    reference::random_histories_agree_with_the_reference,
];

pub(super) const DURABLE_CASES: &[Case<dyn LogStore>] = cases![
    writing::acknowledged_batches_are_still_known_when_reopened,
    writing::a_store_can_be_reopened_many_times,
];

/// A row with everything it was written with. Ordered by time first, which decides most quickly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    timestamp_ns: i64,
    line: String,
    labels: Labels,
    metadata: Labels,
}

fn line(labels: &Labels, timestamp_ns: i64, text: &str) -> Line {
    Line { labels: labels.clone(), timestamp_ns, line: text.to_owned(), metadata: Labels::empty() }
}

fn stream(name: &str) -> Labels {
    Labels::from_pairs([("app", name)])
}

fn equal(name: &str, value: &str) -> Matcher {
    Matcher::equal(name, value)
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).expect("the suite's matchers compile")
}

fn contains(needle: &str) -> LineFilter {
    LineFilter::ContainsAny(vec![needle.as_bytes().to_vec()])
}

fn batch_of(lines: &[Line]) -> LogBatch {
    let mut batch = LogBatch::default();
    let mut current: Option<&Labels> = None;
    for line in lines {
        if current != Some(&line.labels) {
            batch.begin_with(line.labels.as_ref());
            current = Some(&line.labels);
        }
        batch.entry(line.timestamp_ns, &line.line, line.metadata.as_ref());
    }
    batch
}

/// Appends and waits until the batch is durable.
#[track_caller]
fn append(store: &dyn LogStore, batch: &LogBatch, id: Option<&BatchId>) -> Receipt {
    let receipt = store.append(batch, id, NOW_NS).expect("the batch is taken");
    receipt.commit.wait().expect("the batch becomes durable");
    receipt
}

/// Appends lines that must all be stored.
#[track_caller]
fn store_all(store: &dyn LogStore, lines: &[Line]) {
    let receipt = append(store, &batch_of(lines), None);
    assert!(receipt.rejected.is_empty(), "nothing is refused: {:?}", receipt.rejected);
    assert!(!receipt.duplicate, "a batch without an id is never a repeat");
    assert_eq!(receipt.stored, lines.len() as u64, "every line is counted as stored");
}

/// A request for everything, to be narrowed.
fn everything() -> LogRequest {
    LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    }
}

/// All rows of the scan with their ids, unit by unit, with the contract of [`LogScan`] checked on
/// the way.
#[track_caller]
fn read_scan(scan: &dyn LogScan, request: &LogRequest) -> Vec<(u128, Line)> {
    let context = QueryContext::default();
    let units = scan.units();
    let in_order = match request.direction {
        Direction::Forward => units.windows(2).all(|pair| pair[0].range.start <= pair[1].range.start),
        Direction::Backward => units.windows(2).all(|pair| pair[0].range.end >= pair[1].range.end),
    };
    assert!(in_order, "units come in the direction of the request");
    let is_in_order = |last: i64, next: i64| match request.direction {
        Direction::Forward => last <= next,
        Direction::Backward => last >= next,
    };
    let mut rows: Vec<(u128, Line)> = Vec::new();
    let mut ids = HashSet::new();
    let mut streams: HashMap<StreamId, Labels> = HashMap::new();
    for (index, unit) in units.iter().enumerate() {
        let mut last_times: HashMap<StreamId, i64> = HashMap::new();
        let mut last_of_unit = None;
        let mut count = 0;
        let mut sink = |row: Row<'_>| {
            count += 1;
            check_row(&row, request, unit.range);
            let id = (row.id)();
            assert!(ids.insert(id), "id {id} is unique");
            let last = last_of_unit.replace(row.timestamp_ns).filter(|_| unit.is_ordered);
            assert!(last.is_none_or(|last| is_in_order(last, row.timestamp_ns)), "rows of an ordered unit");
            let known = streams.entry(row.stream).or_insert_with(|| row.labels.clone());
            assert_eq!(known, row.labels, "a stream id stands for one label set");
            if let Some(last) = last_times.insert(row.stream, row.timestamp_ns) {
                let in_order = is_in_order(last, row.timestamp_ns);
                assert!(in_order, "rows of a stream come in the direction of the request");
            }
            rows.push((id, owned(&row)));
            ControlFlow::Continue(())
        };
        scan.read(index, &context, &mut sink).expect("a unit can be read");
        assert!(count <= unit.rows_max, "unit {index} yields {count} rows of at most {}", unit.rows_max);
    }
    rows
}

#[track_caller]
fn check_row(row: &Row<'_>, request: &LogRequest, unit: TimeRange) {
    let time = row.timestamp_ns;
    assert!(unit.contains(time), "{time} lies in its unit {unit:?}");
    let range = request.range;
    assert!(range.start <= time && time < range.end, "{time} lies in the request's range {range:?}");
    assert!(
        request.matchers.iter().all(|matcher| matcher.matches(row.labels.value(matcher.name()))),
        "{} matches {:?}",
        row.labels,
        request.matchers
    );
    assert!(
        request.filters.iter().all(|filter| filter.passes(row.line.as_bytes())),
        "{:?} passes {:?}",
        row.line,
        request.filters
    );
}

fn owned(row: &Row<'_>) -> Line {
    Line {
        labels: row.labels.clone(),
        timestamp_ns: row.timestamp_ns,
        line: row.line.to_owned(),
        metadata: row.metadata.to_owned(),
    }
}

/// All rows of a request, in the order of the scan.
#[track_caller]
fn scan(store: &dyn LogStore, request: &LogRequest) -> Vec<(u128, Line)> {
    let scan = store.scan(request, &QueryContext::default()).expect("a scan works");
    read_scan(&*scan, request)
}

/// What a request must yield of `lines`, by brute force; sorted.
fn brute_force<'a>(lines: &'a [Line], request: &LogRequest) -> Vec<&'a Line> {
    let range = request.range;
    let wanted = |line: &&Line| {
        range.start <= line.timestamp_ns
            && line.timestamp_ns < range.end
            && request.matchers.iter().all(|matcher| matcher.matches(line.labels.value(matcher.name())))
            && request.filters.iter().all(|filter| filter.passes(line.line.as_bytes()))
    };
    let mut found: Vec<&Line> = lines.iter().filter(wanted).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Asks in both directions and compares with brute force over `lines`.
#[track_caller]
fn expect_brute_force(store: &dyn LogStore, lines: &[Line], request: &LogRequest) {
    let expected = brute_force(lines, request);
    for direction in [Direction::Forward, Direction::Backward] {
        let request = LogRequest { direction, ..request.clone() };
        let mut found: Vec<Line> = scan(store, &request).into_iter().map(|(_, line)| line).collect();
        found.sort();
        let missing = expected.iter().find(|line| found.binary_search(line).is_err());
        assert!(missing.is_none(), "{missing:?} is found by {request:?}");
        assert_eq!(found.len(), expected.len(), "as many rows as brute force finds, by {request:?}");
    }
}

#[track_caller]
fn expect_lines(store: &dyn LogStore, lines: &[Line]) {
    expect_brute_force(store, lines, &everything());
}

fn batch_id(agent: &str, boot: u64, sequence: u64) -> BatchId {
    BatchId { agent: agent.to_owned(), boot, sequence }
}

fn refused(receipt: &Receipt, reason: RejectReason) -> u64 {
    receipt.rejected.iter().filter(|rejection| rejection.reason == reason).map(|r| r.count).sum()
}

/// Ages outside the limits are refused with their reason, and what has become too old is dropped.
pub(super) fn age_limits(open: &dyn Fn(AgeLimits) -> Box<dyn LogStore>) {
    const DAY_NS: i64 = 86_400_000_000_000;
    let store = open(AgeLimits {
        retention: Some(Duration::from_secs(10 * 86_400)),
        future_max: Some(Duration::from_secs(600)),
    });
    let (oldest, newest) = (NOW_NS - 10 * DAY_NS, NOW_NS + 600_000_000_000);
    let lines =
        [oldest - 1, oldest, NOW_NS, newest, newest + 1].map(|time| line(&stream("aged"), time, "text"));
    let receipt = append(&*store, &batch_of(&lines), None);
    assert_eq!(receipt.stored, 3, "what lies inside the limits is stored");
    assert_eq!(refused(&receipt, RejectReason::TooOld), 1, "{:?}", receipt.rejected);
    assert_eq!(refused(&receipt, RejectReason::TooFarInFuture), 1, "{:?}", receipt.rejected);
    expect_lines(&*store, &lines[1..4]);

    store.flush().expect("a flush works");
    let later = NOW_NS + 30 * DAY_NS;
    let fresh = [line(&stream("aged"), later, "fresh")];
    let receipt = store.append(&batch_of(&fresh), None, later).expect("the batch is taken");
    receipt.commit.wait().expect("the batch becomes durable");
    for _ in 0..3 {
        store.maintain(later, later).expect("maintenance works");
    }
    expect_lines(&*store, &fresh);
}
