//! `delete`.

use super::*;

fn write(subject: &LogSubject<'_>) -> Vec<Line> {
    let lines: Vec<Line> = (0..60)
        .map(|i| {
            let text = if i % 3 == 0 { format!("secret {i}") } else { format!("plain {i}") };
            line(&stream(["a", "b"][i % 2]), NOW_NS + i as i64, &text)
        })
        .collect();
    store_all(&**subject, &lines);
    lines
}

pub(super) fn deleted_lines_are_gone_and_may_be_written_again(subject: &mut LogSubject<'_>) {
    let lines = write(subject);
    subject.settle();
    subject.delete(&[equal("app", "a")], TimeRange::ALL, &[]).expect("a delete works");
    let rest: Vec<Line> = lines.iter().filter(|line| line.labels != stream("a")).cloned().collect();
    expect_lines(&**subject, &rest);
    subject.settle();
    expect_lines(&**subject, &rest);
    store_all(&**subject, &lines);
    subject.settle();
    expect_lines(&**subject, &lines);
}

pub(super) fn deletes_keep_to_their_range_stream_and_filters(subject: &mut LogSubject<'_>) {
    let lines = write(subject);
    subject.settle();
    let range = TimeRange::new(NOW_NS + 6, NOW_NS + 30);
    subject.delete(&[equal("app", "a")], range, &[contains("secret")]).expect("a delete works");
    subject.delete(&[equal("app", "none")], TimeRange::ALL, &[]).expect("deleting nothing works");
    let request = LogRequest {
        matchers: vec![equal("app", "a")],
        range,
        filters: vec![contains("secret")],
        ..everything()
    };
    let doomed: Vec<Line> = brute_force(&lines, &request).into_iter().cloned().collect();
    assert_eq!(doomed.len(), 4, "6, 12, 18 and 24; 30 lies outside the half-open range");
    let rest: Vec<Line> = lines.into_iter().filter(|line| !doomed.contains(line)).collect();
    expect_lines(&**subject, &rest);
    subject.settle();
    expect_lines(&**subject, &rest);
    // What comes after a delete is not swallowed by it, here or after a restart.
    store_all(&**subject, &doomed[..1]);
    subject.settle();
    expect_lines(&**subject, &[&rest[..], &doomed[..1]].concat());
}
