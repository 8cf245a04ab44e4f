//! The crate's tests against the seam: the shared suite, the in-memory reference, crashes.

mod at_hand;
mod conformance;
mod crashes;
mod damage;
mod reference;
mod tiers;
mod upkeep;

use crate::{Tsdb, TsdbOptions};
use disk::Dir;
use model::{Labels, MatchOp, Matcher, MetricBatch, Samples, TimeRange};
use store::{AgeLimits, MetricStore, QueryContext, Selection};

const NOW_MS: i64 = 1_780_000_000_000;

/// Options under which little data goes through every stage.
fn small() -> TsdbOptions {
    TsdbOptions {
        limits: AgeLimits::NONE,
        head_bytes_min: 600,
        head_bytes_per_series: 1,
        wal_segment_bytes: 2_000,
        ..TsdbOptions::default()
    }
}

fn open(dir: &Dir, options: TsdbOptions) -> Tsdb {
    Tsdb::open(dir.clone(), options, NOW_MS).unwrap()
}

fn labels(name: &str, job: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", job)])
}

/// A batch of one series.
fn floats(series: &Labels, samples: impl IntoIterator<Item = (i64, f64)>) -> MetricBatch {
    let mut batch = MetricBatch::default();
    batch.begin_with(series.as_ref());
    for (timestamp_ms, value) in samples {
        batch.sample(timestamp_ms, 0, value);
    }
    batch
}

/// Appends and waits; everything must be stored.
#[track_caller]
fn put(store: &dyn MetricStore, batch: &MetricBatch) {
    let receipt = store.append(batch, None, NOW_MS).unwrap();
    receipt.commit.wait().unwrap();
    assert_eq!(receipt.rejected, []);
}

fn everything() -> Vec<Matcher> {
    vec![Matcher::new("__name__", MatchOp::Regex, ".+").unwrap()]
}

fn select(store: &dyn MetricStore, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Samples)> {
    let context = QueryContext::default();
    let selection = Selection { matchers: matchers.to_vec(), range, step_ms: 0 };
    let set = store.select(&selection, &context).unwrap();
    let mut found = Vec::new();
    for index in 0..set.len() {
        let mut samples = Samples::default();
        set.read(index, &context, &mut samples).unwrap();
        if !samples.is_empty() {
            found.push((set.labels(index).clone(), samples));
        }
    }
    found
}

fn all(store: &dyn MetricStore) -> Vec<(Labels, Samples)> {
    select(store, &everything(), TimeRange::ALL)
}

/// Whether both have the same series and samples, bit for bit.
fn assert_same(found: &[(Labels, Samples)], expected: &[(Labels, Samples)], place: &str) {
    let names = |all: &[(Labels, Samples)]| all.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected), "{place}: series");
    for ((labels, a), (_, b)) in found.iter().zip(expected) {
        assert_eq!(a.timestamps_ms, b.timestamps_ms, "{place}: times of {labels}");
        for i in 0..a.len() {
            assert!(a.value(i).same_bits(&b.value(i)), "{place}: value {i} of {labels}");
            assert_eq!(a.start_ms(i), b.start_ms(i), "{place}: start {i} of {labels}");
        }
    }
}
