//! Series, labels, metadata, exemplars and figures.

use super::*;
use model::{Exemplar, Metadata, MetricKind};

const LATER_MS: i64 = NOW_MS + 40 * 86_400_000;

fn write(subject: &MetricSubject<'_>) {
    let sets: [(&[(&str, &str)], i64); 4] = [
        (&[("__name__", "up"), ("job", "api"), ("zone", "a")], NOW_MS),
        (&[("__name__", "up"), ("job", "db")], NOW_MS),
        (&[("__name__", "load"), ("job", "db"), ("cpu", "0")], NOW_MS),
        (&[("__name__", "late"), ("job", "batch")], LATER_MS),
    ];
    for (set, time) in sets {
        store_all(&**subject, &floats(set, &[(time, 1.0)]));
    }
}

pub(super) fn series_match_any_selector_within_limit_and_range(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let list = |selectors: &[Vec<Matcher>], range, limit| -> Vec<String> {
        let found = subject.series(selectors, range, limit, &context).expect("listing series works");
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "ascending without repeats: {found:?}");
        found.iter().map(|labels| format!("{}/{}", labels.metric_name(), labels.value("job"))).collect()
    };
    let all = ["late/batch", "load/db", "up/api", "up/db"];
    assert_eq!(list(&[], TimeRange::ALL, usize::MAX), all);
    assert_eq!(list(&[], TimeRange::ALL, 2), all[..2]);
    assert_eq!(list(&[], TimeRange::ALL, 0), [""; 0]);
    let (up, db) = (vec![equal("__name__", "up")], vec![equal("job", "db")]);
    assert_eq!(list(std::slice::from_ref(&up), TimeRange::ALL, 10), ["up/api", "up/db"]);
    assert_eq!(list(&[up.clone(), db.clone()], TimeRange::ALL, 10), ["load/db", "up/api", "up/db"]);
    assert_eq!(list(&[[up, db].concat()], TimeRange::ALL, 10), ["up/db"]);
    assert_eq!(list(&[vec![equal("job", "none")]], TimeRange::ALL, 10), [""; 0]);
    // A backend may list more than has samples in the range, never less.
    let in_range = list(&[], TimeRange::new(NOW_MS, NOW_MS + 1), 10);
    assert!(all[1..].iter().all(|series| in_range.iter().any(|found| found == series)), "{in_range:?}");
}

pub(super) fn label_names_and_values_follow_selectors(subject: &mut MetricSubject<'_>) {
    write(subject);
    subject.settle();
    let context = QueryContext::default();
    let names = |selectors: &[Vec<Matcher>]| {
        subject.label_names(selectors, TimeRange::ALL, &context).expect("listing names works").to_strings()
    };
    let values = |name: &str, selectors: &[Vec<Matcher>]| {
        subject
            .label_values(name, selectors, TimeRange::ALL, &context)
            .expect("listing values works")
            .to_strings()
    };
    let db = [vec![equal("job", "db")]];
    let two = [vec![equal("job", "api")], vec![equal("__name__", "late")]];
    assert_eq!(names(&[]), ["__name__", "cpu", "job", "zone"]);
    assert_eq!(names(&db), ["__name__", "cpu", "job"]);
    assert_eq!(names(&two), ["__name__", "job", "zone"]);
    assert_eq!(values("job", &[]), ["api", "batch", "db"]);
    assert_eq!(values("__name__", &db), ["load", "up"]);
    assert_eq!(values("job", &two), ["api", "batch"]);
    assert_eq!(values("zone", &db), [""; 0]);
    assert_eq!(values("absent", &[]), [""; 0]);
}

pub(super) fn metadata_is_kept_by_family_and_the_last_one_counts(subject: &mut MetricSubject<'_>) {
    let describe = |help: &str| Metadata {
        kind: MetricKind::Counter,
        help: help.to_owned(),
        unit: "seconds".to_owned(),
    };
    let mut batch = MetricBatch::default();
    batch.describe("b_total", describe("first"));
    batch.describe("a_total", describe("a"));
    store_all(&**subject, &batch);
    let mut batch = MetricBatch::default();
    begin(&mut batch, &[("__name__", "b_total")]);
    batch.describe_series("b_total", describe("second\nline"));
    batch.sample(NOW_MS, 0, 1.0);
    store_all(&**subject, &batch);
    subject.settle();
    let (a, b) = (("a_total".to_owned(), describe("a")), ("b_total".to_owned(), describe("second\nline")));
    assert_eq!(subject.metadata(None), [a, b.clone()]);
    assert_eq!(subject.metadata(Some("b_total")), [b]);
    assert_eq!(subject.metadata(Some("c_total")), []);
}

pub(super) fn exemplars_are_kept_in_order_of_time(subject: &mut MetricSubject<'_>) {
    let exemplar = |offset_ms: i64, trace: &str| Exemplar {
        labels: labels(&[("trace_id", trace)]),
        timestamp_ms: NOW_MS + offset_ms,
        value: offset_ms as f64 / 2.0,
    };
    let mut batch = MetricBatch::default();
    begin(&mut batch, &[("__name__", "latency_bucket"), ("le", "1")]);
    batch.sample(NOW_MS, 0, 1.0);
    for (offset_ms, trace) in [(5, "b"), (0, "a"), (9, "c"), (5, "b")] {
        batch.exemplar(exemplar(offset_ms, trace));
    }
    begin(&mut batch, &[("__name__", "other")]);
    batch.sample(NOW_MS, 0, 1.0);
    batch.exemplar(exemplar(1, "z"));
    append(&**subject, &batch, None);
    subject.settle();
    let context = QueryContext::default();
    let find = |name: &str, from: i64, to: i64| {
        let range = TimeRange::new(NOW_MS + from, NOW_MS + to);
        subject.exemplars(&[vec![equal("__name__", name)]], range, &context).expect("exemplars can be read")
    };
    let found = find("latency_bucket", 0, 5);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].labels, labels(&[("__name__", "latency_bucket"), ("le", "1")]));
    assert_eq!(found[0].exemplars, [exemplar(0, "a"), exemplar(5, "b")], "closed range, no repeats");
    assert_eq!(find("other", -10, 10)[0].exemplars, [exemplar(1, "z")]);
    assert!(find("other", 2, 10).iter().all(|series| series.exemplars.is_empty()));
}

pub(super) fn figures_follow_the_data(subject: &mut MetricSubject<'_>) {
    assert_eq!(subject.stats().time_range, None, "an empty store has no time range");
    assert_eq!(subject.stats().active_series, 0);
    write(subject);
    let stats = subject.stats();
    assert_eq!(stats.active_series, 4);
    assert_eq!(stats.appended_samples, 4);
    subject.settle();
    let stats = subject.stats();
    assert_eq!(stats.time_range, Some(TimeRange::new(NOW_MS, LATER_MS)));
    assert!(stats.damage.is_empty(), "nothing is damaged: {:?}", stats.damage);
}
