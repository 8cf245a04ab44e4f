//! Random histories of appends, deletes and settling, compared with the in-memory reference.

use super::super::random::Random;
use super::*;
use crate::MemLogStore;

const STEPS: usize = 50;
const SEED: u64 = 20_260_102;

pub(super) fn random_histories_agree_with_the_reference(subject: &mut LogSubject<'_>) {
    let reference = MemLogStore::new();
    let mut random = Random::new(SEED);
    for step in 0..STEPS {
        match random.below(10) {
            0 => subject.settle(),
            1 => {
                let matchers = [random_matcher(&mut random)];
                let range = random_range(&mut random);
                let filters = [contains(random.pick(&["1", "line 2", "3"]))];
                subject.delete(&matchers, range, &filters).expect("a delete works");
                reference.delete(&matchers, range, &filters).expect("the reference deletes");
            }
            _ => {
                let batch = batch_of(&random_lines(&mut random));
                let found = append(&**subject, &batch, None);
                let expected = append(&reference, &batch, None);
                assert_eq!(found.stored, expected.stored, "step {step}: stored lines");
            }
        }
        let request = LogRequest {
            matchers: vec![random_matcher(&mut random)],
            range: random_range(&mut random),
            filters: vec![contains(random.pick(&["line", "1", "ne 4", "absent"]))],
            ..everything()
        };
        compare(&**subject, &reference, &request, step);
    }
    subject.settle();
    compare(&**subject, &reference, &everything(), STEPS);
}

fn compare(store: &dyn LogStore, reference: &dyn LogStore, request: &LogRequest, step: usize) {
    for direction in [Direction::Forward, Direction::Backward] {
        let request = LogRequest { direction, ..request.clone() };
        let sorted = |store: &dyn LogStore| {
            let mut lines: Vec<Line> = scan(store, &request).into_iter().map(|(_, line)| line).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(store), sorted(reference), "step {step}: {request:?}");
    }
}

fn random_lines(random: &mut Random) -> Vec<Line> {
    let labels = |random: &mut Random| {
        Labels::from_pairs([
            ("app", format!("a{}", random.below(3))),
            ("host", format!("h{}", random.below(2))),
        ])
    };
    (0..random.below(60))
        .map(|_| {
            // Few different times and texts, so that there are repeats.
            let text = format!("line {}", random.below(8));
            let mut line = line(&labels(random), random_time(random), &text);
            if random.below(5) == 0 {
                line.metadata = Labels::from_pairs([("k", random.below(2).to_string())]);
            }
            line
        })
        .collect()
}

fn random_time(random: &mut Random) -> i64 {
    let day = random.between(-2, 2) * 86_400_000_000_000;
    NOW_NS + day + random.between(0, 20) * 1_000_000_000
}

fn random_range(random: &mut Random) -> TimeRange {
    let start = random_time(random);
    TimeRange::new(start, start + random.between(0, 30) * random.pick(&[1_000_000_000, 10_000_000_000_000]))
}

fn random_matcher(random: &mut Random) -> Matcher {
    let (name, value) = random.pick(&[("app", "a1"), ("host", "h[01]"), ("host", "h1"), ("absent", "")]);
    let op = random.pick(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
    matcher(name, op, value)
}
