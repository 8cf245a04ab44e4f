//! Counts, streams and figures.

use super::*;
use crate::{CountBucket, CountRequest, StoreError};
use std::collections::BTreeMap;

/// What `counts` must answer, by brute force. A group takes a label from the stream, else from
/// the line's structured metadata.
fn brute_counts(lines: &[Line], request: &CountRequest) -> Vec<CountBucket> {
    let rows = LogRequest { matchers: request.matchers.clone(), range: request.range, ..everything() };
    let mut buckets: BTreeMap<(Labels, u64), (u64, u64)> = BTreeMap::new();
    for line in brute_force(lines, &rows) {
        let value = |name: &String| line.labels.get(name).or(line.metadata.get(name)).map(str::to_owned);
        let pairs = request.by.iter().filter_map(|name| Some((name.clone(), value(name)?)));
        let bucket = (line.timestamp_ns - request.range.start) / request.step_ns;
        let entry = buckets.entry((Labels::from_pairs(pairs), bucket as u64)).or_default();
        entry.0 += 1;
        entry.1 += line.line.len() as u64;
    }
    let bucket = |((group, bucket), (rows, bytes))| CountBucket { group, bucket, rows, bytes };
    buckets.into_iter().map(bucket).collect()
}

pub(super) fn counts_equal_brute_force(subject: &mut LogSubject<'_>) {
    let lines = corpus::lines(41, 3000);
    let (old, new) = lines.split_at(2500);
    store_all(&**subject, old);
    subject.settle();
    store_all(&**subject, new);
    let hour = TimeRange::new(NOW_NS, NOW_NS + corpus::SPAN_NS);
    let odd = TimeRange::new(NOW_NS + 17_000_000_123, NOW_NS + corpus::SPAN_NS / 2 + 7);
    for by in [&[][..], &["detected_level"], &["app"], &["app", "detected_level"], &["host", "absent"]] {
        for (range, step_ns) in [(hour, corpus::SPAN_NS), (hour, 60_000_000_000), (odd, 61_000_000_007)] {
            for matchers in
                [vec![], vec![equal("app", "web")], vec![matcher("app", MatchOp::NotEqual, "odd")]]
            {
                let by = by.iter().map(|name| (*name).to_owned()).collect();
                let request = CountRequest { matchers, range, step_ns, by };
                let found = subject.counts(&request, &QueryContext::default()).expect("counting works");
                assert_eq!(found, brute_counts(&lines, &request), "{request:?}");
            }
        }
    }
}

pub(super) fn buckets_start_at_the_range(subject: &mut LogSubject<'_>) {
    let lines = [0, 9, 10, 19, 30].map(|offset| line(&stream("a"), NOW_NS + offset, "text"));
    store_all(&**subject, &lines);
    subject.settle();
    let request = CountRequest {
        matchers: Vec::new(),
        range: TimeRange::new(NOW_NS, NOW_NS + 30),
        step_ns: 10,
        by: Vec::new(),
    };
    let bucket = |bucket, rows| CountBucket { group: Labels::empty(), bucket, rows, bytes: rows * 4 };
    let found = subject.counts(&request, &QueryContext::default()).expect("counting works");
    assert_eq!(found, [bucket(0, 2), bucket(1, 2)], "half-open, empty buckets left out");
    let nothing = CountRequest { range: TimeRange::new(NOW_NS + 1, NOW_NS + 1), ..request };
    assert_eq!(subject.counts(&nothing, &QueryContext::default()).expect("counting works"), []);
}

pub(super) fn a_step_that_is_not_positive_is_refused(subject: &mut LogSubject<'_>) {
    for step_ns in [0, -1] {
        let range = TimeRange::new(NOW_NS, NOW_NS + 1);
        let request = CountRequest { matchers: Vec::new(), range, step_ns, by: Vec::new() };
        let outcome = subject.counts(&request, &QueryContext::default());
        assert!(matches!(outcome, Err(StoreError::Invalid(_))), "{outcome:?}");
    }
}

pub(super) fn streams_match_any_selector_in_range(subject: &mut LogSubject<'_>) {
    let late = NOW_NS + 40 * 86_400_000_000_000;
    let lines =
        [("a", NOW_NS), ("b", NOW_NS), ("c", late)].map(|(app, time)| line(&stream(app), time, "text"));
    store_all(&**subject, &lines);
    subject.settle();
    let list = |selectors: &[Vec<Matcher>], range| {
        let found =
            subject.streams(selectors, range, &QueryContext::default()).expect("listing streams works");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "ascending without repeats: {found:?}");
        found
    };
    assert_eq!(list(&[], TimeRange::ALL), ["a", "b", "c"].map(stream));
    assert_eq!(list(&[vec![equal("app", "b")]], TimeRange::ALL), [stream("b")]);
    let two = [vec![equal("app", "c")], vec![matcher("app", MatchOp::Regex, "a.?")]];
    assert_eq!(list(&two, TimeRange::ALL), ["a", "c"].map(stream));
    assert_eq!(list(&[vec![equal("app", "none")]], TimeRange::ALL), []);
    // A backend may list more than has lines in the range, never less.
    let early = list(&[], TimeRange::new(NOW_NS, NOW_NS + 1));
    assert!(["a", "b"].map(stream).iter().all(|labels| early.contains(labels)), "{early:?}");
}

pub(super) fn figures_follow_the_data(subject: &mut LogSubject<'_>) {
    assert_eq!(subject.stats().entries, 0, "a new store is empty");
    let lines = corpus::lines(42, 500);
    store_all(&**subject, &lines);
    subject.settle();
    let bytes_of = |lines: &[Line]| lines.iter().map(|line| line.line.len() as u64).sum::<u64>();
    let context = QueryContext::default();
    let web: Vec<Line> = lines.iter().filter(|line| line.labels.value("app") == "web").cloned().collect();
    let found = subject.selection_stats(&[equal("app", "web")], TimeRange::ALL, &context);
    let found = found.expect("figures of a selection work");
    assert_eq!((found.entries, found.bytes), (web.len() as u64, bytes_of(&web)));
    assert_eq!(found.streams, 2, "one for each host");
    let nothing = subject.selection_stats(&[equal("app", "none")], TimeRange::ALL, &context);
    assert_eq!(nothing.expect("figures of a selection work").entries, 0);
    let whole = subject.stats();
    assert_eq!((whole.entries, whole.bytes), (lines.len() as u64, bytes_of(&lines)));
    assert_eq!(whole.streams, 7, "three apps on two hosts, and the odd one");
    assert!(whole.damage.is_empty(), "nothing is damaged: {:?}", whole.damage);
}
