//! The rules of [`MetricStore`].

mod deleting;
mod listing;
mod reference;
mod selecting;
mod stopping;
mod values;
mod writing;

use super::harness::{Case, NOW_MS, Subject, cases};
use crate::{AgeLimits, MetricStore, QueryContext, Receipt, RejectReason, Selection};
use model::{BatchId, Labels, MatchOp, Matcher, MetricBatch, Samples, TimeRange, Value};
use std::time::Duration;

type MetricSubject<'a> = Subject<'a, dyn MetricStore>;

pub(super) const CASES: &[Case<dyn MetricStore>] = cases![
    writing::samples_arrive_in_any_order,
    writing::samples_of_old_and_new_times_interleave_with_sealed_ones,
    writing::a_series_may_come_several_times_in_a_batch,
    writing::identical_duplicates_are_success,
    writing::conflicting_duplicates_are_refused_and_the_first_stays,
    writing::an_empty_batch_is_success,
    writing::refused_parts_leave_the_rest_stored,
    writing::a_repeated_batch_changes_nothing,
    writing::batches_of_other_boots_and_agents_are_new,
    writing::a_batch_buffer_can_be_used_again,
    writing::many_series_stay_apart,
    values::floats_keep_every_bit,
    values::zero_and_negative_timestamps_are_legal,
    values::extreme_timestamps_are_legal,
    values::long_columns_of_every_shape_come_back_exactly,
    values::start_timestamps_are_kept,
    values::native_histograms_are_kept,
    values::floats_and_histograms_share_a_series,
    values::unusual_labels_are_kept,
    selecting::ranges_are_closed,
    selecting::every_kind_of_matcher_selects,
    selecting::no_matcher_selects_everything,
    selecting::reading_replaces_what_the_buffer_held,
    selecting::indexes_can_be_read_in_any_order_and_at_once,
    selecting::a_series_set_outlives_later_writes,
    selecting::writers_and_readers_work_at_once,
    listing::series_match_any_selector_within_limit_and_range,
    listing::label_names_and_values_follow_selectors,
    listing::metadata_is_kept_by_family_and_the_last_one_counts,
    listing::exemplars_are_kept_in_order_of_time,
    listing::figures_follow_the_data,
    deleting::deleted_samples_are_gone_and_may_be_written_again,
    deleting::deletes_keep_to_their_range_and_series,
    stopping::a_canceled_query_reads_nothing,
    stopping::a_read_budget_stops_a_read,
    stopping::reads_are_counted,
    reference::random_histories_agree_with_the_reference,
];

pub(super) const DURABLE_CASES: &[Case<dyn MetricStore>] = cases![
    writing::acknowledged_batches_are_still_known_when_reopened,
    writing::a_store_can_be_reopened_many_times,
];

fn equal(name: &str, value: &str) -> Matcher {
    Matcher::equal(name, value)
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).expect("the suite's matchers compile")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied())
}

/// Starts a series in `batch`.
fn begin(batch: &mut MetricBatch, pairs: &[(&str, &str)]) {
    batch.begin_with(labels(pairs).as_ref());
}

/// A batch of one series of floats.
fn floats(pairs: &[(&str, &str)], samples: &[(i64, f64)]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    begin(&mut batch, pairs);
    for (timestamp_ms, value) in samples {
        batch.sample(*timestamp_ms, 0, *value);
    }
    batch
}

fn batch_id(agent: &str, boot: u64, sequence: u64) -> BatchId {
    BatchId { agent: agent.to_owned(), boot, sequence }
}

/// Appends and waits until the batch is durable.
#[track_caller]
fn append(store: &dyn MetricStore, batch: &MetricBatch, id: Option<&BatchId>) -> Receipt {
    let receipt = store.append(batch, id, NOW_MS).expect("the batch is taken");
    receipt.commit.wait().expect("the batch becomes durable");
    receipt
}

/// Appends a batch of which every sample must be stored.
#[track_caller]
fn store_all(store: &dyn MetricStore, batch: &MetricBatch) {
    let receipt = append(store, batch, None);
    assert!(receipt.rejected.is_empty(), "nothing is refused: {:?}", receipt.rejected);
    assert!(!receipt.duplicate, "a batch without an id is never a repeat");
    assert_eq!(receipt.stored, batch.sample_count() as u64, "every sample is counted as stored");
}

/// Everything that matches, series without samples left out, with the contract of
/// [`crate::SeriesSet`] checked on the way.
#[track_caller]
fn select(store: &dyn MetricStore, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Samples)> {
    let context = QueryContext::default();
    let selection = Selection { matchers: matchers.to_vec(), range, step_ms: 0 };
    let set = store.select(&selection, &context).expect("a selection works");
    let mut found: Vec<(Labels, Samples)> = Vec::new();
    let mut previous: Option<Labels> = None;
    for index in 0..set.len() {
        let labels = set.labels(index).clone();
        assert!(previous.is_none_or(|p| p < labels), "series are ascending and unique at {labels}");
        assert!(matchers.iter().all(|m| m.matches(labels.value(m.name()))), "{labels} matches {matchers:?}");
        let mut samples = Samples::default();
        set.read(index, &context, &mut samples).expect("a read works");
        check_columns(&labels, &samples, range);
        previous = Some(labels.clone());
        if !samples.is_empty() {
            found.push((labels, samples));
        }
    }
    found
}

#[track_caller]
fn check_columns(labels: &Labels, samples: &Samples, range: TimeRange) {
    let times = &samples.timestamps_ms;
    assert_eq!(times.len(), samples.values.len(), "{labels}: columns are equally long");
    assert!(
        samples.starts_ms.is_empty() || samples.starts_ms.len() == times.len(),
        "{labels}: start timestamps are absent or complete"
    );
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{labels}: time is strictly ascending");
    assert!(times.iter().all(|time| range.contains(*time)), "{labels}: samples lie in the range");
    let sparse = &samples.histograms;
    assert!(
        sparse.windows(2).all(|pair| pair[0].0 < pair[1].0)
            && sparse.iter().all(|(index, _)| (*index as usize) < times.len()),
        "{labels}: histogram indexes ascend and exist"
    );
}

/// The only series that matches, or empty columns when none does.
#[track_caller]
fn select_one(store: &dyn MetricStore, matchers: &[Matcher]) -> Samples {
    let mut found = select(store, matchers, TimeRange::ALL);
    assert!(found.len() <= 1, "at most one series matches {matchers:?}");
    found.pop().map(|(_, samples)| samples).unwrap_or_default()
}

/// Compares to the last bit.
#[track_caller]
fn assert_floats(samples: &Samples, expected: &[(i64, f64)]) {
    let bits = |(time, value): (i64, f64)| (time, value.to_bits());
    let got: Vec<_> = samples.timestamps_ms.iter().copied().zip(samples.values.iter().copied()).collect();
    assert!(samples.histograms.is_empty(), "no histograms among floats");
    assert!(
        got.iter().copied().map(bits).eq(expected.iter().copied().map(bits)),
        "samples are exact\n  expected {expected:?}\n  found    {got:?}"
    );
}

/// Compares floats and histograms to the last bit.
#[track_caller]
fn assert_values(samples: &Samples, expected: &[(i64, Value)]) {
    assert_eq!(samples.timestamps_ms, expected.iter().map(|(t, _)| *t).collect::<Vec<_>>());
    for (i, (time, value)) in expected.iter().enumerate() {
        let got = samples.value(i);
        assert!(got.same_bits(value), "sample at {time} is exact\n  expected {value:?}\n  found    {got:?}");
    }
}

#[track_caller]
fn refused(receipt: &Receipt, reason: RejectReason) -> u64 {
    let of_reason: Vec<_> = receipt.rejected.iter().filter(|r| r.reason == reason).collect();
    assert!(of_reason.len() <= 1, "one rejection for each reason: {:?}", receipt.rejected);
    of_reason.first().map_or(0, |rejection| rejection.count)
}

/// Ages outside the limits are refused with their reason, and what has become too old is dropped.
pub(super) fn age_limits(open: &dyn Fn(AgeLimits) -> Box<dyn MetricStore>) {
    const DAY_MS: i64 = 86_400_000;
    let store = open(AgeLimits {
        retention: Some(Duration::from_secs(10 * 86_400)),
        future_max: Some(Duration::from_secs(600)),
    });
    let (oldest, newest) = (NOW_MS - 10 * DAY_MS, NOW_MS + 600_000);
    let times = [oldest - 1, oldest, NOW_MS, newest, newest + 1];
    let receipt = append(&*store, &floats(&[("__name__", "aged")], &times.map(|t| (t, 1.0))), None);
    assert_eq!(receipt.stored, 3, "what lies inside the limits is stored");
    assert_eq!(refused(&receipt, RejectReason::TooOld), 1, "{:?}", receipt.rejected);
    assert_eq!(refused(&receipt, RejectReason::TooFarInFuture), 1, "{:?}", receipt.rejected);
    let aged = [equal("__name__", "aged")];
    assert_floats(&select_one(&*store, &aged), &[(oldest, 1.0), (NOW_MS, 1.0), (newest, 1.0)]);

    store.flush().expect("a flush works");
    let later = NOW_MS + 30 * DAY_MS;
    let fresh = floats(&[("__name__", "aged")], &[(later, 2.0)]);
    let receipt = store.append(&fresh, None, later).expect("the batch is taken");
    receipt.commit.wait().expect("the batch becomes durable");
    for _ in 0..3 {
        store.maintain(later).expect("maintenance works");
    }
    assert_floats(&select_one(&*store, &aged), &[(later, 2.0)]);
}
