//! What `append` takes, refuses and recognises.

use super::super::random::Random;
use super::*;

pub(super) fn lines_keep_every_byte(subject: &mut LogSubject<'_>) {
    let texts = [
        String::new(),
        " leading and trailing ".to_owned(),
        "tab\tnull\u{0}escape\u{1b}[0m".to_owned(),
        "new\nline\r\n".to_owned(),
        "日本語 🦀 \u{feff}\u{fffd}".to_owned(),
        "x".repeat(200_000),
    ];
    let lines: Vec<_> =
        texts.iter().enumerate().map(|(i, text)| line(&stream("a"), NOW_NS + i as i64, text)).collect();
    store_all(&**subject, &lines);
    subject.settle();
    expect_lines(&**subject, &lines);
}

pub(super) fn entries_arrive_in_any_order(subject: &mut LogSubject<'_>) {
    let mut lines: Vec<_> = (0..400)
        .map(|i| {
            line(&stream(["a", "b"][i % 2]), NOW_NS + (i as i64 - 200) * 7_000_000_000, &format!("n{i}"))
        })
        .collect();
    Random::new(11).shuffle(&mut lines);
    for chunk in lines.chunks(90) {
        store_all(&**subject, chunk);
        subject.settle();
    }
    expect_lines(&**subject, &lines);
}

pub(super) fn zero_negative_and_extreme_timestamps_are_legal(subject: &mut LogSubject<'_>) {
    // The very last instant lies outside every half-open range, so nobody can ask for it.
    let times = [i64::MIN, -1, 0, 1, NOW_NS, i64::MAX - 1];
    let lines = times.map(|time| line(&stream("a"), time, &format!("at {time}")));
    store_all(&**subject, &lines);
    subject.settle();
    expect_lines(&**subject, &lines);
    let around_zero = LogRequest { range: TimeRange::new(-1, 1), ..everything() };
    expect_brute_force(&**subject, &lines, &around_zero);
}

pub(super) fn exact_repeats_are_stored_once(subject: &mut LogSubject<'_>) {
    let mut repeated = line(&stream("a"), NOW_NS, "again");
    repeated.metadata = Labels::from_pairs([("trace_id", "7")]);
    let other = line(&stream("a"), NOW_NS + 1, "other");
    // Within a batch, against memory, and against what has settled.
    store_all(&**subject, &[repeated.clone(), other.clone(), repeated.clone()]);
    store_all(&**subject, std::slice::from_ref(&repeated));
    subject.settle();
    store_all(&**subject, &[other.clone(), repeated.clone()]);
    subject.settle();
    let found = scan(&**subject, &everything());
    assert_eq!(found.len(), 2, "{found:?}");
    expect_lines(&**subject, &[repeated, other]);
}

pub(super) fn near_repeats_are_all_stored(subject: &mut LogSubject<'_>) {
    let first = line(&stream("a"), NOW_NS, "same");
    let mut with_metadata = first.clone();
    with_metadata.metadata = Labels::from_pairs([("k", "v")]);
    let mut other_metadata = first.clone();
    other_metadata.metadata = Labels::from_pairs([("k", "w")]);
    let lines = [
        line(&stream("b"), NOW_NS, "same"),
        line(&stream("a"), NOW_NS + 1, "same"),
        line(&stream("a"), NOW_NS, "same "),
        first,
        with_metadata,
        other_metadata,
    ];
    for line in &lines {
        store_all(&**subject, std::slice::from_ref(line));
    }
    subject.settle();
    assert_eq!(scan(&**subject, &everything()).len(), lines.len());
    expect_lines(&**subject, &lines);
}

pub(super) fn structured_metadata_are_kept(subject: &mut LogSubject<'_>) {
    let sets: Vec<Labels> = vec![
        Labels::empty(),
        Labels::from_pairs([("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736")]),
        Labels::from_pairs([("pid", "4711"), ("detected_level", "warn")]),
        Labels::from_pairs([("pid", "-1"), ("clé", "日本\n")]),
        Labels::from_pairs([("long", "m".repeat(3000))]),
        Labels::from_pairs((0..40).map(|i| (format!("k{i}"), format!("v{i}")))),
    ];
    let lines: Vec<_> = (0..300)
        .map(|i| Line {
            metadata: sets[i % sets.len()].clone(),
            ..line(&stream("a"), NOW_NS + i as i64, "text")
        })
        .collect();
    store_all(&**subject, &lines);
    subject.settle();
    expect_lines(&**subject, &lines);
}

pub(super) fn an_empty_batch_is_success(subject: &mut LogSubject<'_>) {
    store_all(&**subject, &[]);
    subject.settle();
    expect_lines(&**subject, &[]);
}

pub(super) fn refused_parts_leave_the_rest_stored(subject: &mut LogSubject<'_>) {
    let good = [line(&stream("a"), NOW_NS, "good"), line(&stream("b"), NOW_NS, "good")];
    let unnamed = line(&Labels::empty(), NOW_NS, "bad");
    let batch = batch_of(&[good[0].clone(), unnamed.clone(), unnamed, good[1].clone()]);
    let receipt = append(&**subject, &batch, None);
    assert_eq!(receipt.stored, 2);
    assert_eq!(refused(&receipt, RejectReason::InvalidLabels), 2, "streams without labels");
    assert!(receipt.rejected.iter().all(|rejection| !rejection.example.is_empty()), "reasons have examples");
    subject.settle();
    expect_lines(&**subject, &good);
}

pub(super) fn a_repeated_batch_changes_nothing(subject: &mut LogSubject<'_>) {
    let first = [line(&stream("a"), NOW_NS, "first")];
    let other = [line(&stream("a"), NOW_NS, "other")];
    let id = batch_id("agent", 3, 1);
    assert!(!append(&**subject, &batch_of(&first), Some(&id)).duplicate);
    let receipt = append(&**subject, &batch_of(&other), Some(&id));
    assert!(receipt.duplicate, "the number is known");
    assert_eq!((receipt.stored, receipt.rejected.len()), (0, 0));
    subject.settle();
    expect_lines(&**subject, &first);
    assert!(!append(&**subject, &batch_of(&other), Some(&batch_id("agent", 4, 1))).duplicate, "a new boot");
    subject.settle();
    expect_lines(&**subject, &[first, other].concat());
}

pub(super) fn many_streams_stay_apart(subject: &mut LogSubject<'_>) {
    let lines: Vec<Line> = (0..3000)
        .map(|i| {
            let labels = Labels::from_pairs([("pod", format!("pod-{}", i % 500)), ("app", "x".to_owned())]);
            line(&labels, NOW_NS + i as i64, &format!("line {i}"))
        })
        .collect();
    for chunk in lines.chunks(1000) {
        store_all(&**subject, chunk);
    }
    subject.settle();
    expect_lines(&**subject, &lines);
    let one = LogRequest { matchers: vec![equal("pod", "pod-77")], ..everything() };
    expect_brute_force(&**subject, &lines, &one);
    assert_eq!(brute_force(&lines, &one).len(), 6);
}

pub(super) fn acknowledged_batches_are_still_known_when_reopened(subject: &mut LogSubject<'_>) {
    let mut lines = Vec::new();
    for sequence in 1..=3 {
        lines.push(line(&stream("a"), NOW_NS + sequence as i64, "text"));
        let id = batch_id("agent", 1, sequence);
        append(&**subject, &batch_of(&lines[lines.len() - 1..]), Some(&id));
        subject.settle();
        for known in 1..=sequence {
            let repeat = batch_of(&[line(&stream("a"), NOW_NS, "repeat")]);
            let receipt = append(&**subject, &repeat, Some(&batch_id("agent", 1, known)));
            assert!(receipt.duplicate, "batch {known} is known after reopening {sequence} times");
        }
    }
    expect_lines(&**subject, &lines);
}

pub(super) fn a_store_can_be_reopened_many_times(subject: &mut LogSubject<'_>) {
    let mut lines = Vec::new();
    for round in 0..6 {
        let new = [line(&stream("a"), NOW_NS - round, "up"), line(&stream("b"), NOW_NS + round, "down")];
        store_all(&**subject, &new);
        lines.extend(new);
        subject.settle();
        subject.settle();
    }
    expect_lines(&**subject, &lines);
}
