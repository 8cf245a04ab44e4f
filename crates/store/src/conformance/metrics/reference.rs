//! Random histories of appends, deletes and settling, compared with the in-memory reference.

use super::super::random::Random;
use super::*;
use crate::MemMetricStore;

const STEPS: usize = 60;
const SEED: u64 = 20_260_101;

pub(super) fn random_histories_agree_with_the_reference(subject: &mut MetricSubject<'_>) {
    let reference = MemMetricStore::new();
    let mut random = Random::new(SEED);
    for step in 0..STEPS {
        match random.below(10) {
            0 => subject.settle(),
            1 => {
                let selectors = [vec![random_matcher(&mut random)]];
                let range = random_range(&mut random);
                subject.delete(&selectors, range).expect("a delete works");
                reference.delete(&selectors, range).expect("the reference deletes");
            }
            _ => {
                let batch = random_batch(&mut random);
                let found = append(&**subject, &batch, None);
                let expected = append(&reference, &batch, None);
                assert_eq!(found.stored, expected.stored, "step {step}: stored samples");
                let conflicts = |receipt| refused(receipt, RejectReason::DuplicateTimestamp);
                assert_eq!(conflicts(&found), conflicts(&expected), "step {step}: refused samples");
            }
        }
        let matchers = [random_matcher(&mut random)];
        compare(&**subject, &reference, &matchers, random_range(&mut random), step);
    }
    subject.settle();
    compare(&**subject, &reference, &[], TimeRange::ALL, STEPS);
}

fn compare(
    store: &dyn MetricStore,
    reference: &dyn MetricStore,
    matchers: &[Matcher],
    range: TimeRange,
    step: usize,
) {
    let (found, expected) = (select(store, matchers, range), select(reference, matchers, range));
    let names = |set: &[(Labels, Samples)]| set.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "step {step}: series of {matchers:?} in {range:?}");
    for ((labels, found), (_, expected)) in found.iter().zip(&expected) {
        let values: Vec<_> =
            (0..expected.len()).map(|i| (expected.timestamps_ms[i], expected.value(i))).collect();
        assert_eq!(found.len(), expected.len(), "step {step}: samples of {labels} in {range:?}");
        assert_values(found, &values);
    }
}

fn random_batch(random: &mut Random) -> MetricBatch {
    let mut batch = MetricBatch::default();
    for _ in 0..=random.below(6) {
        let (name, host) = (format!("m{}", random.below(3)), format!("h{}", random.below(4)));
        begin(&mut batch, &[("__name__", &name), ("host", &host)]);
        let mut time = random_time(random);
        for _ in 0..random.below(40) {
            // Few different values, so that duplicates are sometimes identical.
            batch.sample(time, 0, random.below(3) as f64);
            time += random.between(0, 2) * 1000;
        }
    }
    batch
}

fn random_time(random: &mut Random) -> i64 {
    let day = random.between(-3, 3) * 86_400_000;
    NOW_MS + day + random.between(0, 60) * 1000
}

fn random_range(random: &mut Random) -> TimeRange {
    let start = random_time(random);
    TimeRange::new(start, start + random.between(0, 100_000) * random.pick(&[1, 1000]))
}

fn random_matcher(random: &mut Random) -> Matcher {
    let (name, value) = random.pick(&[
        ("__name__", "m1"),
        ("host", "h2"),
        ("host", "h0|h3"),
        ("host", "h[12]"),
        ("__name__", "m.*"),
        ("absent", ""),
    ]);
    let op = random.pick(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
    matcher(name, op, value)
}
