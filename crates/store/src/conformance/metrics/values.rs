//! What comes back is what went in, to the last bit.

use super::super::random::Random;
use super::*;
use model::{Buckets, CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, Span};
use std::sync::Arc;

const NAME: &[(&str, &str)] = &[("__name__", "value")];

fn name() -> [Matcher; 1] {
    [equal("__name__", "value")]
}

pub(super) fn floats_keep_every_bit(subject: &mut MetricSubject<'_>) {
    let values = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        f64::MIN_POSITIVE,
        f64::from_bits(1),
        f64::from_bits(0x800f_ffff_ffff_ffff),
        f64::MAX,
        f64::MIN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7ff0_0000_0000_0001),
        f64::from_bits(0x7ff8_0000_dead_beef),
        f64::from_bits(0xfff8_0000_0000_0001),
        model::STALE_NAN,
        9_007_199_254_740_993.0,
        1e300,
        1e-300,
        123_456.789,
    ];
    let samples: Vec<_> = values.iter().enumerate().map(|(i, v)| (NOW_MS + i as i64 * 1000, *v)).collect();
    store_all(&**subject, &floats(NAME, &samples));
    for (i, value) in values.iter().enumerate() {
        let alone = format!("alone_{i}");
        store_all(&**subject, &floats(&[("__name__", &alone)], &[(NOW_MS, *value)]));
    }
    subject.settle();
    assert_floats(&select_one(&**subject, &name()), &samples);
    for (i, value) in values.iter().enumerate() {
        let alone = select_one(&**subject, &[equal("__name__", &format!("alone_{i}"))]);
        assert_floats(&alone, &[(NOW_MS, *value)]);
    }
}

pub(super) fn zero_and_negative_timestamps_are_legal(subject: &mut MetricSubject<'_>) {
    let samples = [(-1_000_000_000_000, 1.0), (-1, 2.0), (0, 3.0), (1, 4.0), (NOW_MS, 5.0)];
    store_all(&**subject, &floats(NAME, &samples));
    subject.settle();
    assert_floats(&select_one(&**subject, &name()), &samples);
    let before = select(&**subject, &name(), TimeRange::new(-10, 0));
    assert_floats(&before[0].1, &samples[1..3]);
}

pub(super) fn extreme_timestamps_are_legal(subject: &mut MetricSubject<'_>) {
    let samples = [(i64::MIN, 1.0), (i64::MIN + 1, 2.0), (0, 3.0), (i64::MAX - 1, 4.0), (i64::MAX, 5.0)];
    store_all(&**subject, &floats(NAME, &samples));
    subject.settle();
    assert_floats(&select_one(&**subject, &name()), &samples);
}

pub(super) fn long_columns_of_every_shape_come_back_exactly(subject: &mut MetricSubject<'_>) {
    const LENGTH: usize = 5000;
    let mut random = Random::new(2);
    let mut level = 0.0;
    type Shape<'a> = (&'a str, Box<dyn FnMut(usize) -> f64 + 'a>);
    let mut noise = Random::new(3);
    let mut bits = Random::new(4);
    let shapes: [Shape<'_>; 7] = [
        ("constant", Box::new(|_| 42.5)),
        ("counter", Box::new(|i| i as f64 * 15.0)),
        ("large_counter", Box::new(|i| 8_123_456_789_012.0 + (i * i) as f64)),
        ("decimals", Box::new(|i| ((i * 7919) % 1000) as f64 / 100.0)),
        (
            "gauge",
            Box::new(|_| {
                level += noise.between(-100, 100) as f64 / 10.0;
                level
            }),
        ),
        ("any_bits", Box::new(|_| f64::from_bits(bits.next()))),
        ("ends_and_restarts", Box::new(|i| if i % 100 == 0 { model::STALE_NAN } else { (i % 100) as f64 })),
    ];
    let mut written = Vec::new();
    for (shape, mut value) in shapes {
        let mut time = NOW_MS;
        let mut samples = Vec::with_capacity(LENGTH);
        for i in 0..LENGTH {
            // Regular scrapes, jitter, and now and then a gap.
            time += 15_000 + random.between(0, 3) + if i % 997 == 0 { 86_400_000 } else { 0 };
            samples.push((time, value(i)));
        }
        for chunk in samples.chunks(700) {
            store_all(&**subject, &floats(&[("__name__", shape)], chunk));
        }
        written.push((shape, samples));
    }
    subject.settle();
    for (shape, samples) in &written {
        assert_floats(&select_one(&**subject, &[equal("__name__", shape)]), samples);
        let (from, to) = (LENGTH / 3, LENGTH / 2);
        let middle = TimeRange::new(samples[from].0, samples[to].0);
        let found = select(&**subject, &[equal("__name__", shape)], middle);
        assert_floats(&found[0].1, &samples[from..=to]);
    }
}

pub(super) fn start_timestamps_are_kept(subject: &mut MetricSubject<'_>) {
    let starts = [0, NOW_MS - 5, NOW_MS - 5, 0, NOW_MS + 3, -1];
    let mut batch = MetricBatch::default();
    begin(&mut batch, NAME);
    for (i, start_ms) in starts.iter().enumerate() {
        batch.sample(NOW_MS + i as i64, *start_ms, 1.0);
    }
    begin(&mut batch, &[("__name__", "without")]);
    batch.sample(NOW_MS, 0, 1.0);
    store_all(&**subject, &batch);
    subject.settle();
    let samples = select_one(&**subject, &name());
    let found: Vec<i64> = (0..samples.len()).map(|i| samples.start_ms(i)).collect();
    assert_eq!(found, starts);
    assert_eq!(select_one(&**subject, &[equal("__name__", "without")]).start_ms(0), 0);
}

fn histograms() -> Vec<Histogram> {
    let spans = |first: i32| vec![Span { offset: first, length: 2 }, Span { offset: 3, length: 1 }];
    let integer = Histogram {
        schema: 3,
        is_integer: true,
        reset_hint: ResetHint::NotReset,
        zero_threshold: 1e-128,
        zero_count: 2.0,
        count: 12.0,
        sum: 18.4,
        positive: Buckets { spans: spans(-4), counts: vec![1.0, 2.0, 3.0] },
        negative: Buckets { spans: spans(0), counts: vec![4.0, 0.0, 0.0] },
        ..Histogram::default()
    };
    let float = Histogram {
        schema: -4,
        is_integer: false,
        reset_hint: ResetHint::Gauge,
        zero_count: 0.25,
        count: 2.5,
        sum: -0.0,
        positive: Buckets { spans: spans(100), counts: vec![0.1, 0.2, 1.95] },
        ..Histogram::default()
    };
    let custom = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        is_integer: true,
        reset_hint: ResetHint::Reset,
        count: 3.0,
        sum: 7.5,
        positive: Buckets { spans: vec![Span { offset: 1, length: 2 }], counts: vec![1.0, 2.0] },
        custom_values: vec![0.5, 1.0, 2.5],
        ..Histogram::default()
    };
    let grown = Histogram {
        count: 13.0,
        positive: Buckets { spans: spans(-4), counts: vec![1.0, 3.0, 3.0] },
        ..integer.clone()
    };
    let not_a_number = Histogram { sum: f64::NAN, ..integer.clone() };
    let stale = Histogram { sum: model::STALE_NAN, is_integer: true, ..Histogram::default() };
    vec![integer, grown, not_a_number, float, custom, stale, Histogram::default()]
}

pub(super) fn native_histograms_are_kept(subject: &mut MetricSubject<'_>) {
    let mut batch = MetricBatch::default();
    begin(&mut batch, NAME);
    let mut expected = Vec::new();
    for (i, histogram) in histograms().into_iter().cycle().take(60).enumerate() {
        let time = NOW_MS + i as i64 * 15_000;
        batch.histogram(time, NOW_MS - 1, histogram.clone());
        expected.push((time, Value::Histogram(Arc::new(histogram))));
    }
    store_all(&**subject, &batch);
    subject.settle();
    store_all(&**subject, &batch);
    let samples = select_one(&**subject, &name());
    assert_values(&samples, &expected);
    assert!((0..samples.len()).all(|i| samples.start_ms(i) == NOW_MS - 1), "start timestamps are kept");
}

pub(super) fn floats_and_histograms_share_a_series(subject: &mut MetricSubject<'_>) {
    let mut expected = Vec::new();
    for (i, histogram) in histograms().into_iter().enumerate() {
        let time = NOW_MS + i as i64 * 100;
        let mut batch = floats(NAME, &[(time + 1, i as f64)]);
        batch.histogram(time, 0, histogram.clone());
        store_all(&**subject, &batch);
        expected.push((time, Value::Histogram(Arc::new(histogram))));
        expected.push((time + 1, Value::Float(i as f64)));
        subject.settle();
    }
    assert_values(&select_one(&**subject, &name()), &expected);
}

pub(super) fn unusual_labels_are_kept(subject: &mut MetricSubject<'_>) {
    let long = "v".repeat(5000);
    let sets: [&[(&str, &str)]; 6] = [
        &[("host", "without a metric name")],
        &[("__name__", "métrique.avec-points"), ("clé étrange", "日本語\n\t\"\\\u{0}🦀")],
        &[("__name__", "x"), ("a", "1")],
        &[("__name__", "x"), ("a", "1"), ("b", "2")],
        &[("__name__", "x"), ("a", "11")],
        &[("__name__", "x"), ("long", &long)],
    ];
    for (i, set) in sets.iter().enumerate() {
        store_all(&**subject, &floats(set, &[(NOW_MS, i as f64)]));
    }
    subject.settle();
    let found = select(&**subject, &[], TimeRange::ALL);
    assert_eq!(found.len(), sets.len());
    for (i, set) in sets.iter().enumerate() {
        let expected = labels(set);
        let series = found.iter().find(|(labels, _)| *labels == expected);
        let (_, samples) = series.unwrap_or_else(|| panic!("{expected} is stored"));
        assert_floats(samples, &[(NOW_MS, i as f64)]);
    }
}
