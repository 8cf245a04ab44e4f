//! Listings for which nothing may be read.

use super::{NOW_MS, floats, labels, open, put, small};
use crate::{Tsdb, TsdbOptions};
use disk::{Dir, Faults};
use model::{MatchOp, Matcher, MetricBatch, TimeRange};
use store::{Limits, MetricStore, QueryContext, StopReason, StoreError};

const NOTHING: Limits = Limits { samples_max: 0, memory_bytes_max: 0, read_bytes_max: 0 };

/// What each listing says, `None` where it is not at hand, and the bytes that all were charged.
fn listed(store: &Tsdb, limits: Limits, range: TimeRange) -> ([Option<Vec<String>>; 4], u64) {
    let by_name = [vec![Matcher::equal("__name__", "m")]];
    let contexts: [_; 4] = std::array::from_fn(|_| QueryContext::new(limits));
    let series = store.series(&by_name, range, 10_000, &contexts[0]);
    let found = [
        series.map(|series| series.iter().map(ToString::to_string).collect()),
        store.label_names(&[], range, &contexts[1]).map(|names| names.to_strings()),
        store.label_values("job", &[], range, &contexts[2]).map(|values| values.to_strings()),
        store.label_values("job", &by_name, range, &contexts[3]).map(|values| values.to_strings()),
    ];
    (found.map(told), contexts.iter().map(|context| context.usage().bytes_read).sum())
}

fn at_hand(store: &Tsdb, range: TimeRange) -> [Option<Vec<String>>; 4] {
    listed(store, NOTHING, range).0
}

fn told<T>(found: Result<T, StoreError>) -> Option<T> {
    match found {
        Ok(found) => Some(found),
        Err(StoreError::Stopped(StopReason::TooMuchRead(0))) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A batch of so many series with a sample at each of these times.
fn batch(series: usize, times: &[i64]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for number in 0..series {
        batch.begin_with(labels("m", &format!("job-{number}")).as_ref());
        times.iter().for_each(|at| batch.sample(*at, 0, 1.0));
    }
    batch
}

#[test]
fn what_is_in_memory_is_at_hand_and_what_is_on_disk_is_not() {
    let dir = Dir::simulated(1, Faults::default());
    let mut store = open(&dir, small());
    put(&store, &floats(&labels("m", "a"), [(NOW_MS, 1.0)]));
    let (expected, _) = listed(&store, Limits::default(), TimeRange::ALL);
    assert_eq!(at_hand(&store, TimeRange::ALL), expected);
    store.flush().unwrap();
    for _ in 0..2 {
        assert_eq!(at_hand(&store, TimeRange::ALL), [const { None }; 4]);
        let (found, bytes_read) = listed(&store, Limits::default(), TimeRange::ALL);
        assert!(found == expected && bytes_read > 0);
        assert_eq!(listed(&store, NOTHING, TimeRange::ALL), (expected.clone(), 0));
        drop(store);
        store = open(&dir, small());
    }
}

#[test]
fn what_takes_long_is_not_at_hand() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, TsdbOptions::default());
    let times = [NOW_MS - 2_000, NOW_MS - 1_000, NOW_MS];
    put(&store, &batch(100, &times));
    let is_told = |range| at_hand(&store, range).map(|found| found.is_some());
    assert_eq!(is_told(TimeRange::ALL), [true; 4]);
    // The ends of the series do not tell, and each that is asked may have to be decoded: of names the first.
    assert_eq!(is_told(TimeRange::new(NOW_MS - 1_500, NOW_MS - 500)), [false, true, false, false]);
    put(&store, &batch(5_000, &times));
    assert_eq!(is_told(TimeRange::ALL), [false, true, false, false]);
    store.flush().unwrap();
    let (expected, _) = listed(&store, Limits::default(), TimeRange::ALL);
    assert_eq!(expected[2].as_ref().unwrap().len(), 5_000);
    assert_eq!(is_told(TimeRange::ALL), [false, true, false, false]);
}

#[test]
fn a_matcher_that_goes_through_a_long_dictionary_is_not_at_hand() {
    let dir = Dir::simulated(1, Faults::default());
    let store = open(&dir, TsdbOptions::default());
    put(&store, &batch(50_000, &[NOW_MS]));
    store.flush().unwrap();
    let one = [vec![Matcher::equal("job", "job-7")]];
    let by_pattern = [vec![Matcher::new("job", MatchOp::Regex, ".*-7").unwrap()]];
    for (selectors, is_at_hand) in [(one, true), (by_pattern, false)] {
        let expected = store.series(&selectors, TimeRange::ALL, 10, &QueryContext::default()).unwrap();
        assert_eq!(expected.len(), 1);
        let found = told(store.series(&selectors, TimeRange::ALL, 10, &QueryContext::new(NOTHING)));
        assert_eq!(found, is_at_hand.then_some(expected));
    }
}
