//! `select` and `SeriesSet`.

use super::*;
use MatchOp::{Equal, NotEqual, NotRegex, Regex};

pub(super) fn ranges_are_closed(subject: &mut MetricSubject<'_>) {
    let samples: Vec<_> = (0..10).map(|i| (NOW_MS + i * 1000, i as f64)).collect();
    store_all(&**subject, &floats(&[("__name__", "x")], &samples));
    subject.settle();
    for (from, to, expected) in [
        (2000, 4000, &samples[2..5]),
        (2001, 3999, &samples[3..4]),
        (3000, 3000, &samples[3..4]),
        (3001, 3001, &[]),
        (-5000, 0, &samples[..1]),
        (9000, 99_000, &samples[9..]),
        (4000, 2000, &[]),
    ] {
        let range = TimeRange::new(NOW_MS + from, NOW_MS + to);
        let found = select(&**subject, &[equal("__name__", "x")], range);
        let empty = Samples::default();
        assert_floats(found.first().map_or(&empty, |(_, samples)| samples), expected);
    }
}

/// Series a to e differ in what labels they have.
fn write_letters(subject: &MetricSubject<'_>) {
    let sets: [&[(&str, &str)]; 5] = [
        &[("__name__", "x"), ("id", "a"), ("code", "200"), ("env", "prod")],
        &[("__name__", "x"), ("id", "b"), ("code", "204")],
        &[("__name__", "x"), ("id", "c"), ("code", "500"), ("env", "dev")],
        &[("__name__", "y"), ("id", "d"), ("code", "new\nline"), ("env", "prod")],
        &[("__name__", "y"), ("id", "e")],
    ];
    for set in sets {
        store_all(&**subject, &floats(set, &[(NOW_MS, 1.0)]));
    }
}

pub(super) fn every_kind_of_matcher_selects(subject: &mut MetricSubject<'_>) {
    write_letters(subject);
    subject.settle();
    for (matchers, expected) in [
        (&[("code", Equal, "200")][..], "a"),
        (&[("code", Equal, "")], "e"),
        (&[("code", Equal, "20")], ""),
        (&[("absent", Equal, "")], "abcde"),
        (&[("absent", Equal, "x")], ""),
        (&[("code", NotEqual, "200")], "bcde"),
        (&[("code", NotEqual, "")], "abcd"),
        (&[("absent", NotEqual, "x")], "abcde"),
        (&[("absent", NotEqual, "")], ""),
        (&[("code", Regex, "20.")], "ab"),
        (&[("code", Regex, "2")], ""),
        (&[("code", Regex, "200|500")], "ac"),
        (&[("code", Regex, "200|")], "ae"),
        (&[("code", Regex, ".*")], "abcde"),
        (&[("code", Regex, ".+")], "abcd"),
        (&[("code", Regex, "new.line")], "d"),
        (&[("env", Regex, "(?i)PROD")], "ad"),
        (&[("env", Regex, "p.*d|d.v")], "acd"),
        (&[("env", Regex, "(prod|dev)?")], "abcde"),
        (&[("absent", Regex, "x*")], "abcde"),
        (&[("code", NotRegex, "20.")], "cde"),
        (&[("code", NotRegex, "20.|")], "cd"),
        (&[("code", NotRegex, ".+")], "e"),
        (&[("code", NotRegex, ".*")], ""),
        (&[("__name__", Equal, "x"), ("env", NotEqual, "")], "ac"),
        (&[("__name__", Regex, "x|y"), ("env", Equal, ""), ("code", NotEqual, "")], "b"),
        (&[("__name__", NotEqual, "x"), ("env", Equal, "prod")], "d"),
        (&[("env", Equal, "prod"), ("env", Equal, "dev")], ""),
    ] {
        let built: Vec<_> = matchers.iter().map(|(name, op, value)| matcher(name, *op, value)).collect();
        let found: Vec<_> = select(&**subject, &built, TimeRange::ALL)
            .iter()
            .map(|(labels, _)| labels.value("id").to_owned())
            .collect();
        assert_eq!(found.concat(), expected, "{built:?}");
    }
}

pub(super) fn no_matcher_selects_everything(subject: &mut MetricSubject<'_>) {
    assert!(select(&**subject, &[], TimeRange::ALL).is_empty(), "a new store is empty");
    write_letters(subject);
    subject.settle();
    assert_eq!(select(&**subject, &[], TimeRange::ALL).len(), 5);
    assert!(select(&**subject, &[], TimeRange::new(NOW_MS + 1, NOW_MS + 2)).is_empty());
}

pub(super) fn reading_replaces_what_the_buffer_held(subject: &mut MetricSubject<'_>) {
    let mut batch = MetricBatch::default();
    begin(&mut batch, &[("__name__", "a")]);
    batch.sample(NOW_MS, NOW_MS - 9, 1.0);
    batch.histogram(NOW_MS + 1, NOW_MS - 9, model::Histogram::default());
    begin(&mut batch, &[("__name__", "b")]);
    batch.sample(NOW_MS, 0, 2.0);
    store_all(&**subject, &batch);
    subject.settle();
    let context = QueryContext::default();
    let selection = Selection { matchers: Vec::new(), range: TimeRange::ALL, step_ms: 0 };
    let set = subject.select(&selection, &context).expect("a selection works");
    let mut buffer = Samples::default();
    for expected_len in [2, 1] {
        let index = 2 - expected_len;
        set.read(index, &context, &mut buffer).expect("a read works");
        check_columns(set.labels(index), &buffer, TimeRange::ALL);
        assert_eq!(buffer.len(), expected_len);
    }
    assert_floats(&buffer, &[(NOW_MS, 2.0)]);
    assert_eq!(buffer.start_ms(0), 0, "start timestamps of the series before are gone");
}

pub(super) fn indexes_can_be_read_in_any_order_and_at_once(subject: &mut MetricSubject<'_>) {
    let mut batch = MetricBatch::default();
    for i in 0..64 {
        begin(&mut batch, &[("__name__", "x"), ("i", &format!("{i:02}"))]);
        for j in 0..200 {
            batch.sample(NOW_MS + j, 0, (i * 1000 + j) as f64);
        }
    }
    store_all(&**subject, &batch);
    subject.settle();
    let context = QueryContext::default();
    let selection = Selection { matchers: Vec::new(), range: TimeRange::ALL, step_ms: 0 };
    let set = subject.select(&selection, &context).expect("a selection works");
    assert_eq!(set.len(), 64);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (set, context) = (&set, &context);
            scope.spawn(move || {
                let mut samples = Samples::default();
                for index in (0..set.len()).rev().filter(|index| index % 4 == worker) {
                    set.read(index, context, &mut samples).expect("a read works");
                    assert_eq!(samples.len(), 200);
                    assert_eq!(samples.values[7], (index * 1000 + 7) as f64);
                }
            });
        }
    });
}

pub(super) fn a_series_set_outlives_later_writes(subject: &mut MetricSubject<'_>) {
    store_all(&**subject, &floats(&[("__name__", "b")], &[(NOW_MS, 1.0)]));
    subject.settle();
    let context = QueryContext::default();
    let selection = Selection { matchers: Vec::new(), range: TimeRange::new(NOW_MS, NOW_MS), step_ms: 0 };
    let set = subject.select(&selection, &context).expect("a selection works");
    store_all(&**subject, &floats(&[("__name__", "a")], &[(NOW_MS, 2.0)]));
    store_all(&**subject, &floats(&[("__name__", "b")], &[(NOW_MS + 1, 3.0)]));
    subject.flush().expect("a flush works");
    subject.maintain(NOW_MS + 86_400_000).expect("maintenance works");
    assert_eq!(set.len(), 1, "a series that came later is not in the set");
    assert_eq!(set.labels(0).metric_name(), "b");
    let mut samples = Samples::default();
    set.read(0, &context, &mut samples).expect("what was selected can still be read");
    assert_floats(&samples, &[(NOW_MS, 1.0)]);
}

pub(super) fn writers_and_readers_work_at_once(subject: &mut MetricSubject<'_>) {
    const WRITERS: usize = 3;
    const BATCHES: i64 = 40;
    let store: &dyn MetricStore = &**subject;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let instance = writer.to_string();
                for i in 0..BATCHES {
                    let own = [("__name__", "x"), ("instance", instance.as_str())];
                    let mut batch = floats(&own, &[(NOW_MS + i, i as f64)]);
                    begin(&mut batch, &[("__name__", "shared")]);
                    batch.sample(NOW_MS + i, 0, i as f64);
                    store_all(store, &batch);
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..20 {
                for (_, samples) in select(store, &[], TimeRange::ALL) {
                    let expected = |(time, value): (&i64, &f64)| (time - NOW_MS) as f64 == *value;
                    assert!(samples.timestamps_ms.iter().zip(&samples.values).all(expected));
                }
            }
        });
    });
    subject.settle();
    let expected: Vec<_> = (0..BATCHES).map(|i| (NOW_MS + i, i as f64)).collect();
    let found = select(&**subject, &[], TimeRange::ALL);
    assert_eq!(found.len(), WRITERS + 1);
    for (_, samples) in &found {
        assert_floats(samples, &expected);
    }
}
