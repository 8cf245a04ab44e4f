//! What `append` takes, refuses and recognises.

use super::super::random::Random;
use super::*;
use model::{Buckets, Histogram, Span};

const JOB: &[(&str, &str)] = &[("__name__", "requests_total"), ("job", "api")];

fn job() -> [Matcher; 1] {
    [equal("job", "api")]
}

pub(super) fn samples_arrive_in_any_order(subject: &mut MetricSubject<'_>) {
    let expected: Vec<(i64, f64)> = (0..300).map(|i| (NOW_MS + i * 1000, i as f64)).collect();
    let mut shuffled = expected.clone();
    Random::new(1).shuffle(&mut shuffled);
    for chunk in shuffled.chunks(37) {
        store_all(&**subject, &floats(JOB, chunk));
    }
    subject.settle();
    assert_floats(&select_one(&**subject, &job()), &expected);
}

pub(super) fn samples_of_old_and_new_times_interleave_with_sealed_ones(subject: &mut MetricSubject<'_>) {
    let hour = 3_600_000;
    let mut expected: Vec<(i64, f64)> = Vec::new();
    for (round, first) in [0, -48, 24, -47, 1].into_iter().enumerate() {
        let samples: Vec<_> =
            (0..50).map(|i| (NOW_MS + first * hour + i * 60_000, f64::from(round as u32))).collect();
        store_all(&**subject, &floats(JOB, &samples));
        expected.extend(samples);
        subject.settle();
    }
    expected.sort_by_key(|(time, _)| *time);
    assert_floats(&select_one(&**subject, &job()), &expected);
}

pub(super) fn a_series_may_come_several_times_in_a_batch(subject: &mut MetricSubject<'_>) {
    let mut batch = MetricBatch::default();
    for time in [3, 1, 2] {
        begin(&mut batch, JOB);
        batch.sample(NOW_MS + time, 0, time as f64);
        begin(&mut batch, &[("__name__", "other")]);
        batch.sample(NOW_MS + time, 0, -time as f64);
    }
    store_all(&**subject, &batch);
    subject.settle();
    let at = |sign: f64| [1, 2, 3].map(|i| (NOW_MS + i, sign * i as f64));
    assert_floats(&select_one(&**subject, &job()), &at(1.0));
    assert_floats(&select_one(&**subject, &[equal("__name__", "other")]), &at(-1.0));
}

pub(super) fn identical_duplicates_are_success(subject: &mut MetricSubject<'_>) {
    let samples = [(NOW_MS, 1.5), (NOW_MS + 1, f64::NAN), (NOW_MS + 2, model::STALE_NAN)];
    store_all(&**subject, &floats(JOB, &samples));
    store_all(&**subject, &floats(JOB, &samples));
    subject.settle();
    store_all(&**subject, &floats(JOB, &[samples, samples].concat()));
    subject.settle();
    assert_floats(&select_one(&**subject, &job()), &samples);
}

pub(super) fn conflicting_duplicates_are_refused_and_the_first_stays(subject: &mut MetricSubject<'_>) {
    let expect_refused = |store: &dyn MetricStore, batch: &MetricBatch, stored: u64, count: u64| {
        let receipt = append(store, batch, None);
        assert_eq!(receipt.stored, stored);
        assert_eq!(refused(&receipt, RejectReason::DuplicateTimestamp), count, "{:?}", receipt.rejected);
    };
    // Within one batch, against memory, and against what has settled.
    expect_refused(&**subject, &floats(JOB, &[(NOW_MS, 1.0), (NOW_MS, 2.0), (NOW_MS + 5, 0.0)]), 2, 1);
    expect_refused(&**subject, &floats(JOB, &[(NOW_MS, 3.0), (NOW_MS + 1, 4.0)]), 1, 1);
    subject.settle();
    expect_refused(&**subject, &floats(JOB, &[(NOW_MS + 5, -0.0), (NOW_MS + 2, 5.0)]), 1, 1);
    let mut histogram = MetricBatch::default();
    begin(&mut histogram, JOB);
    histogram.histogram(NOW_MS, 0, Histogram::default());
    expect_refused(&**subject, &histogram, 0, 1);
    subject.settle();
    assert_floats(
        &select_one(&**subject, &job()),
        &[(NOW_MS, 1.0), (NOW_MS + 1, 4.0), (NOW_MS + 2, 5.0), (NOW_MS + 5, 0.0)],
    );
}

pub(super) fn an_empty_batch_is_success(subject: &mut MetricSubject<'_>) {
    store_all(&**subject, &MetricBatch::default());
    let mut batch = MetricBatch::default();
    begin(&mut batch, &[("__name__", "without_samples")]);
    store_all(&**subject, &batch);
    subject.settle();
    assert!(select(&**subject, &[], TimeRange::ALL).is_empty());
}

pub(super) fn refused_parts_leave_the_rest_stored(subject: &mut MetricSubject<'_>) {
    let broken = Histogram {
        positive: Buckets { spans: vec![Span { offset: 0, length: 3 }], counts: vec![1.0] },
        ..Histogram::default()
    };
    let mut batch = MetricBatch::default();
    begin(&mut batch, &[]);
    batch.sample(NOW_MS, 0, 1.0);
    batch.sample(NOW_MS + 1, 0, 1.0);
    begin(&mut batch, JOB);
    batch.sample(NOW_MS, 0, 1.0);
    batch.sample(NOW_MS, 0, 2.0);
    batch.histogram(NOW_MS + 1, 0, broken);
    batch.sample(NOW_MS + 2, 0, 3.0);
    let receipt = append(&**subject, &batch, None);
    assert_eq!(receipt.stored, 2);
    assert_eq!(refused(&receipt, RejectReason::InvalidLabels), 2, "series without labels");
    assert_eq!(refused(&receipt, RejectReason::InvalidHistogram), 1, "broken histogram");
    assert_eq!(refused(&receipt, RejectReason::DuplicateTimestamp), 1, "conflict");
    assert!(receipt.rejected.iter().all(|rejection| !rejection.example.is_empty()), "reasons have examples");
    subject.settle();
    let found = select(&**subject, &[], TimeRange::ALL);
    assert_eq!(found.len(), 1, "only the good series is stored");
    assert_floats(&found[0].1, &[(NOW_MS, 1.0), (NOW_MS + 2, 3.0)]);
}

pub(super) fn a_repeated_batch_changes_nothing(subject: &mut MetricSubject<'_>) {
    for sequence in [1, 2, 4] {
        let batch = floats(JOB, &[(NOW_MS + sequence, 1.0)]);
        let receipt = append(&**subject, &batch, Some(&batch_id("agent", 7, sequence as u64)));
        assert!(!receipt.duplicate, "batch {sequence} is new");
    }
    // Other content under a known number shows whether anything of it is stored.
    for sequence in [1, 2, 4] {
        let repeat = floats(JOB, &[(NOW_MS + 100 + sequence, 9.0)]);
        let receipt = append(&**subject, &repeat, Some(&batch_id("agent", 7, sequence as u64)));
        assert!(receipt.duplicate, "batch {sequence} is a repeat");
        assert_eq!((receipt.stored, receipt.rejected.len()), (0, 0));
    }
    let late = floats(JOB, &[(NOW_MS + 3, 1.0)]);
    assert!(!append(&**subject, &late, Some(&batch_id("agent", 7, 3))).duplicate, "a gap may be filled");
    subject.settle();
    assert_floats(&select_one(&**subject, &job()), &[1, 2, 3, 4].map(|i| (NOW_MS + i, 1.0)));
}

pub(super) fn batches_of_other_boots_and_agents_are_new(subject: &mut MetricSubject<'_>) {
    let ids = [batch_id("a", 1, 1), batch_id("b", 1, 1), batch_id("a", 2, 1), batch_id("a", 1, 2)];
    for (i, id) in ids.iter().enumerate() {
        let receipt = append(&**subject, &floats(JOB, &[(NOW_MS + i as i64, 1.0)]), Some(id));
        assert!(!receipt.duplicate, "{id:?} is new");
    }
    subject.settle();
    assert_eq!(select_one(&**subject, &job()).len(), ids.len());
}

pub(super) fn a_batch_buffer_can_be_used_again(subject: &mut MetricSubject<'_>) {
    let mut batch = MetricBatch::default();
    for time in 0..3 {
        batch.clear();
        begin(&mut batch, JOB);
        batch.sample(NOW_MS + time, 0, time as f64);
        store_all(&**subject, &batch);
    }
    batch.clear();
    subject.settle();
    assert_floats(&select_one(&**subject, &job()), &[0, 1, 2].map(|i| (NOW_MS + i, i as f64)));
}

pub(super) fn many_series_stay_apart(subject: &mut MetricSubject<'_>) {
    const SERIES: usize = 1500;
    for scrape in 0..4 {
        let mut batch = MetricBatch::default();
        for i in 0..SERIES {
            let (name, instance) = (format!("metric_{}", i % 7), format!("host-{i}"));
            begin(&mut batch, &[("__name__", &name), ("instance", &instance), ("job", "node")]);
            batch.sample(NOW_MS + scrape * 15_000, 0, (i as i64 * 1000 + scrape) as f64);
        }
        store_all(&**subject, &batch);
    }
    subject.settle();
    let found = select(&**subject, &[equal("job", "node")], TimeRange::ALL);
    assert_eq!(found.len(), SERIES);
    for (labels, samples) in &found {
        let host = labels.value("instance").strip_prefix("host-").and_then(|number| number.parse().ok());
        let i: i64 = host.expect("the instance label is as written");
        let expected = [0, 1, 2, 3].map(|s| (NOW_MS + s * 15_000, (i * 1000 + s) as f64));
        assert_floats(samples, &expected);
    }
    let some = matcher("instance", MatchOp::Regex, "host-1[0-9]");
    assert_eq!(select(&**subject, &[some], TimeRange::ALL).len(), 10);
}

pub(super) fn acknowledged_batches_are_still_known_when_reopened(subject: &mut MetricSubject<'_>) {
    for sequence in 1..=3 {
        let id = batch_id("agent", 1, sequence);
        append(&**subject, &floats(JOB, &[(NOW_MS + sequence as i64, 1.0)]), Some(&id));
        subject.settle();
        let repeat = floats(JOB, &[(NOW_MS + 50, 9.0)]);
        for known in 1..=sequence {
            let receipt = append(&**subject, &repeat, Some(&batch_id("agent", 1, known)));
            assert!(receipt.duplicate, "batch {known} is known after reopening {sequence} times");
        }
    }
    assert_floats(&select_one(&**subject, &job()), &[1, 2, 3].map(|i| (NOW_MS + i, 1.0)));
}

pub(super) fn a_store_can_be_reopened_many_times(subject: &mut MetricSubject<'_>) {
    let mut expected = Vec::new();
    for round in 0..6 {
        let samples = [(NOW_MS + round * 10, round as f64), (NOW_MS - round * 10 - 5, 0.5)];
        store_all(&**subject, &floats(JOB, &samples));
        expected.extend(samples);
        subject.settle();
        subject.settle();
    }
    expected.sort_by_key(|(time, _)| *time);
    assert_floats(&select_one(&**subject, &job()), &expected);
}
