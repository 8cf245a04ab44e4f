//! `delete`.

use super::*;

fn write(subject: &MetricSubject<'_>) {
    for job in ["a", "b", "c"] {
        let samples: Vec<_> = (0..10).map(|i| (NOW_MS + i, i as f64)).collect();
        store_all(&**subject, &floats(&[("__name__", "x"), ("job", job)], &samples));
    }
}

fn times(subject: &MetricSubject<'_>, job: &str) -> Vec<i64> {
    let samples = select_one(&**subject, &[equal("job", job)]);
    samples.timestamps_ms.iter().map(|time| time - NOW_MS).collect()
}

pub(super) fn deleted_samples_are_gone_and_may_be_written_again(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    subject.delete(&[vec![equal("job", "a")]], TimeRange::ALL).expect("a delete works");
    assert_eq!(times(subject, "a"), [0; 0], "gone at once");
    subject.settle();
    assert_eq!(times(subject, "a"), [0; 0], "gone for good");
    assert_eq!(times(subject, "b").len(), 10);
    let again = [(NOW_MS + 3, 30.0), (NOW_MS + 20, 1.0)];
    store_all(&**subject, &floats(&[("__name__", "x"), ("job", "a")], &again));
    subject.settle();
    assert_floats(&select_one(&**subject, &[equal("job", "a")]), &again);
}

pub(super) fn deletes_keep_to_their_range_and_series(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let selectors = [vec![equal("job", "a")], vec![equal("job", "b"), equal("__name__", "x")]];
    subject.delete(&selectors, TimeRange::new(NOW_MS + 2, NOW_MS + 4)).expect("a delete works");
    subject.delete(&[vec![equal("job", "none")]], TimeRange::ALL).expect("deleting nothing works");
    subject.delete(&[], TimeRange::ALL).expect("no selector deletes nothing");
    subject.settle();
    for (job, expected) in [("a", &[0, 1, 5, 6, 7, 8, 9][..]), ("b", &[0, 1, 5, 6, 7, 8, 9])] {
        assert_eq!(times(subject, job), expected, "closed range of {job}");
    }
    assert_eq!(times(subject, "c").len(), 10);
    // Data that arrive after a delete are not swallowed by it, here or after a restart.
    store_all(&**subject, &floats(&[("__name__", "x"), ("job", "a")], &[(NOW_MS + 3, 7.0)]));
    subject.settle();
    assert_eq!(times(subject, "a"), [0, 1, 3, 5, 6, 7, 8, 9]);
}
