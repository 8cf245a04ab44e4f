//! Random histories, compared with the in-memory store.

use super::{NOW_MS, all, assert_same, open, select, small};
use disk::{Dir, Faults};
use model::{BatchId, Labels, MatchOp, Matcher, MetricBatch, TimeRange};
use proptest::prelude::*;
use store::{Limits, MemMetricStore, MetricStore, QueryContext, StopReason, StoreError};

const DAY_MS: i64 = 86_400_000;

#[derive(Clone, Debug)]
enum Operation {
    /// Series, first time, interval, values; with a batch number or none.
    Append(Vec<(u8, i64, i64, Vec<f64>)>, Option<u64>),
    Maintain {
        idle_ms: i64,
    },
    Flush,
    Reopen,
    Delete(u8, TimeRange),
    Compare(TimeRange),
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => (0i64..400).prop_map(|i| NOW_MS - i * 15_000),
        2 => (0i64..20).prop_map(|i| NOW_MS - i * DAY_MS / 4),
        1 => Just(0i64),
        1 => -3i64..3,
    ]
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => (0i64..5).prop_map(|v| v as f64),
        2 => (0i64..100_000).prop_map(|v| v as f64 / 100.0),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => Just(model::STALE_NAN),
    ]
}

fn range() -> impl Strategy<Value = TimeRange> {
    (time(), time()).prop_map(|(a, b)| TimeRange::new(a.min(b), a.max(b)))
}

fn operation() -> impl Strategy<Value = Operation> {
    let series = (
        0u8..12,
        time(),
        prop_oneof![Just(15_000i64), -15_000i64..20_000],
        prop::collection::vec(value(), 1..60),
    );
    prop_oneof![
        8 => (prop::collection::vec(series, 1..8), prop::option::of(0u64..20))
            .prop_map(|(series, id)| Operation::Append(series, id)),
        3 => (0i64..20_000).prop_map(|idle_ms| Operation::Maintain { idle_ms }),
        1 => Just(Operation::Flush),
        2 => Just(Operation::Reopen),
        1 => (0u8..12, range()).prop_map(|(series, range)| Operation::Delete(series, range)),
        3 => range().prop_map(Operation::Compare),
    ]
}

fn series(number: u8) -> Labels {
    let (name, host) = (format!("metric_{}", number % 3), format!("host-{}", number / 3));
    // Keys of names and values together sort in another order than names alone.
    let longer = if number.is_multiple_of(2) { "host_id" } else { "hosts" };
    Labels::from_pairs([("__name__", name.as_str()), ("host", host.as_str()), (longer, "1"), ("A", "first")])
}

fn batch_of(content: &[(u8, i64, i64, Vec<f64>)]) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for (number, first, interval, values) in content {
        batch.begin_with(series(*number).as_ref());
        for (i, value) in values.iter().enumerate() {
            let start_ms = if number % 4 == 0 { 7 } else { 0 };
            batch.sample(first + interval * i as i64, start_ms, *value);
        }
    }
    batch
}

fn compare(store: &dyn MetricStore, reference: &dyn MetricStore, range: TimeRange) {
    let matchers = [
        Matcher::new("host", MatchOp::Regex, "host-[12]").unwrap(),
        Matcher::new("__name__", MatchOp::NotEqual, "metric_1").unwrap(),
    ];
    let expected = select(reference, &matchers, range);
    for place in ["selected", "selected again, from what was kept in memory"] {
        assert_same(&select(store, &matchers, range), &expected, place);
    }
    let selectors = [matchers.to_vec(), vec![Matcher::equal("__name__", "metric_1")]];
    let by_name = [vec![Matcher::equal("__name__", "metric_1")]];
    for selectors in [&selectors[..], &by_name, &[], &[]] {
        assert_listed(store, reference, |store, context| {
            let series = store.series(selectors, range, 100, context);
            series.map(|series| series.iter().map(ToString::to_string).collect())
        });
        assert_listed(store, reference, |store, context| {
            store.label_names(selectors, range, context).map(|names| names.to_strings())
        });
        assert_listed(store, reference, |store, context| {
            store.label_values("host", selectors, range, context).map(|values| values.to_strings())
        });
    }
    assert_same(&all(store), &all(reference), "everything");
}

/// Whether both list the same, and what is at hand is the same as well.
fn assert_listed(
    store: &dyn MetricStore,
    reference: &dyn MetricStore,
    list: impl Fn(&dyn MetricStore, &QueryContext) -> Result<Vec<String>, StoreError>,
) {
    let expected = list(reference, &QueryContext::default()).unwrap();
    let nothing = QueryContext::new(Limits { read_bytes_max: 0, ..Limits::default() });
    match list(store, &nothing) {
        Err(StoreError::Stopped(StopReason::TooMuchRead(0))) => {}
        found => assert_eq!(found.unwrap(), expected, "at hand"),
    }
    assert_eq!(list(store, &QueryContext::default()).unwrap(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_agree_with_the_reference(operations in prop::collection::vec(operation(), 1..40)) {
        let dir = Dir::simulated(1, Faults::default());
        let mut store = open(&dir, small());
        let reference = MemMetricStore::new();
        let mut now_ms = NOW_MS;
        for operation in &operations {
            match operation {
                Operation::Append(content, id) => {
                    let batch = batch_of(content);
                    let id = id.map(|sequence| BatchId { agent: "a".to_owned(), boot: 1, sequence });
                    let receipt = store.append(&batch, id.as_ref(), now_ms).unwrap();
                    let expected = reference.append(&batch, id.as_ref(), now_ms).unwrap();
                    receipt.commit.wait().unwrap();
                    prop_assert_eq!(receipt.stored, expected.stored);
                    prop_assert_eq!(receipt.duplicate, expected.duplicate);
                    prop_assert_eq!(receipt.rejected, expected.rejected);
                }
                Operation::Maintain { idle_ms } => {
                    now_ms += idle_ms;
                    store.maintain(now_ms).unwrap();
                }
                Operation::Flush => store.flush().unwrap(),
                Operation::Reopen => {
                    drop(store);
                    store = open(&dir, small());
                }
                Operation::Delete(number, range) => {
                    let selector: Vec<_> =
                        series(*number).iter().map(|(name, value)| Matcher::equal(name, value)).collect();
                    store.delete(std::slice::from_ref(&selector), *range).unwrap();
                    reference.delete(&[selector], *range).unwrap();
                }
                Operation::Compare(range) => compare(&store, &reference, *range),
            }
        }
        compare(&store, &reference, TimeRange::ALL);
        drop(store);
        let store = open(&dir, small());
        compare(&store, &reference, TimeRange::ALL);
        prop_assert_eq!(store.stats().damage, Vec::<String>::new());
    }
}
