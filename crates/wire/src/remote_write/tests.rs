//! Both versions against `prost`, against each other and against arbitrary bytes.

use super::{oracle::*, *};
use crate::{DecodeReport, Refusal, WireError};
use model::{MetricBatch, MetricKind, ResetHint, STALE_NAN};
use proptest::prelude::*;
use prost::Message;

fn labels(pairs: &[(&str, &str)]) -> Vec<Label> {
    pairs.iter().map(|(name, value)| Label { name: (*name).into(), value: (*value).into() }).collect()
}

fn sample(value: f64, timestamp: i64) -> Sample {
    Sample { value, timestamp, start_timestamp: 0 }
}

fn v1(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec()
}

fn v2(symbols: &[&str], timeseries: Vec<TimeSeriesV2>) -> Vec<u8> {
    let symbols = symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
    RequestV2 { symbols, timeseries }.encode_to_vec()
}

/// Everything in the batch as text, one line for each value, bits of floats included.
fn dump(batch: &MetricBatch) -> Vec<String> {
    let mut lines = Vec::new();
    for series in batch.series() {
        let labels = series.labels().to_string();
        for s in series.samples() {
            lines.push(format!("{labels} {} {} {:x}", s.timestamp_ms, s.start_ms, s.value.to_bits()));
        }
        for (timestamp, start, histogram) in series.histograms() {
            lines.push(format!("{labels} {timestamp} {start} {histogram:?}"));
        }
        for exemplar in series.exemplars() {
            lines.push(format!("{labels} {exemplar:?}"));
        }
        if let Some((family, metadata)) = series.metadata() {
            lines.push(format!("{labels} {family} {metadata:?}"));
        }
    }
    lines
}

fn decode(
    decoder: fn(&[u8], &mut MetricBatch) -> Result<DecodeReport, WireError>,
    body: &[u8],
) -> (MetricBatch, DecodeReport) {
    let mut batch = MetricBatch::default();
    let report = decoder(body, &mut batch).expect("the request is well-formed");
    (batch, report)
}

fn reasons(report: &DecodeReport) -> Vec<(Refusal, u64)> {
    report.rejected.iter().map(|rejected| (rejected.reason, rejected.count)).collect()
}

#[test]
fn v1_keeps_good_series_and_counts_bad_ones() {
    let series = |pairs: &[(&str, &str)]| TimeSeries {
        labels: labels(pairs),
        samples: vec![sample(1.0, 10), sample(STALE_NAN, 20)],
        ..Default::default()
    };
    let body = v1(vec![
        series(&[("__name__", "up"), ("job", "a")]),
        series(&[("job", "no name")]),
        series(&[("__name__", ""), ("job", "empty name")]),
        series(&[("__name__", "up"), ("", "x")]),
        series(&[("__name__", "up"), ("b", "1"), ("b", "2")]),
        series(&[("zone", "b"), ("__name__", "unsorted"), ("gone", "")]),
        series(&[("__name__", "resource cpu usage"), ("ключ", "a\nb")]),
        TimeSeries { labels: labels(&[("__name__", "without_samples")]), ..Default::default() },
    ]);
    let (batch, report) = decode(decode_v1, &body);
    let kept: Vec<_> = batch.series().map(|series| series.labels().to_string()).collect();
    assert_eq!(
        kept,
        [
            r#"{__name__="up", job="a"}"#,
            r#"{__name__="unsorted", zone="b"}"#,
            "{__name__=\"resource cpu usage\", \"ключ\"=\"a\\nb\"}",
        ]
    );
    let refused = [(Refusal::NoMetricName, 4), (Refusal::EmptyLabelName, 2), (Refusal::DuplicateLabel, 2)];
    assert_eq!(reasons(&report), refused);
    assert_eq!(report.samples, 6);
    assert!(report.rejected[2].example.contains(r#"b="1""#), "{report}");
    let values = batch.series().next().unwrap().samples().to_vec();
    assert_eq!(values[1].value.to_bits(), STALE_NAN.to_bits());
}

#[test]
fn v1_labels_may_follow_samples_and_invalid_utf8_is_refused() {
    // samples = 2 { 1: 1.0, 2: 7 }, labels = 1 { "__name__", "up" }
    let mut body = b"\x0a\x1b\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x07".to_vec();
    body.extend_from_slice(b"\x0a\x0e\x0a\x08__name__\x12\x02up");
    body[1] = (body.len() - 2) as u8;
    let (batch, _) = decode(decode_v1, &body);
    assert_eq!(dump(&batch), [r#"{__name__="up"} 7 0 3ff0000000000000"#]);

    let broken_at = body.len() - 1;
    body[broken_at] = 0xff;
    let (batch, report) = decode(decode_v1, &body);
    assert_eq!((batch.series_count(), reasons(&report)), (0, vec![(Refusal::InvalidUtf8, 1)]));
}

#[test]
fn v1_metadata_exemplars_and_histograms() {
    let histogram = Histogram {
        count_int: Some(13),
        sum: 2.5,
        schema: 1,
        zero_threshold: 0.001,
        zero_count_int: Some(2),
        negative_spans: vec![BucketSpan { offset: -1, length: 1 }],
        negative_deltas: vec![4],
        positive_spans: vec![BucketSpan { offset: 0, length: 2 }, BucketSpan { offset: 5, length: 1 }],
        positive_deltas: vec![1, 2, 0],
        reset_hint: 2,
        timestamp: 99,
        ..Default::default()
    };
    let broken = Histogram { positive_deltas: vec![1], ..histogram.clone() };
    let request = WriteRequest {
        timeseries: vec![TimeSeries {
            labels: labels(&[("__name__", "latency")]),
            exemplars: vec![
                Exemplar { labels: labels(&[("trace_id", "abc")]), value: 0.5, timestamp: 98 },
                Exemplar { labels: labels(&[("", "abc")]), value: 0.5, timestamp: 98 },
            ],
            histograms: vec![histogram, broken],
            ..Default::default()
        }],
        metadata: vec![MetricMetadata {
            r#type: 3,
            metric_family_name: "latency".into(),
            help: "How long.".into(),
            unit: "seconds".into(),
        }],
    };
    let (batch, report) = decode(decode_v1, &request.encode_to_vec());
    let series = batch.series().next().unwrap();
    let (timestamp, _, decoded) = &series.histograms()[0];
    assert_eq!((*timestamp, decoded.schema, decoded.reset_hint), (99, 1, ResetHint::NotReset));
    assert_eq!(decoded.positive.counts, [1.0, 3.0, 3.0]);
    assert_eq!(decoded.negative.iter().collect::<Vec<_>>(), [(-1, 4.0)]);
    assert!(decoded.is_integer);
    assert_eq!(series.exemplars()[0].labels.get("trace_id"), Some("abc"));
    assert_eq!(reasons(&report), [(Refusal::InvalidExemplar, 1), (Refusal::InvalidHistogram, 1)]);
    assert_eq!((report.samples, report.histograms, report.exemplars), (0, 1, 1));
    let (family, metadata) = &batch.metadata()[0];
    assert_eq!((family.as_str(), metadata.kind), ("latency", MetricKind::Histogram));
}

#[test]
fn v2_keeps_good_series_and_counts_bad_ones() {
    let series = |labels_refs: &[u32]| TimeSeriesV2 {
        labels_refs: labels_refs.to_vec(),
        samples: vec![Sample { value: 1.0, timestamp: 10, start_timestamp: 5 }],
        metadata: Some(MetadataV2 { r#type: 1, help_ref: 4, unit_ref: 0 }),
        created_timestamp: 77,
        ..Default::default()
    };
    let symbols = ["", "__name__", "requests_total", "job", "All requests."];
    let body = v2(
        &symbols,
        vec![
            series(&[1, 2, 3, 2]),
            series(&[1, 2, 3]),
            series(&[1, 5]),
            series(&[3, 2]),
            series(&[3, 2, 1, 2]),
            TimeSeriesV2 { labels_refs: vec![1, 2], ..Default::default() },
            TimeSeriesV2 {
                metadata: Some(MetadataV2 { r#type: 1, help_ref: 9, unit_ref: 0 }),
                ..series(&[1, 2])
            },
        ],
    );
    let (batch, report) = decode(decode_v2, &body);
    let row = "10 5 3ff0000000000000";
    let about = r#"requests_total Metadata { kind: Counter, help: "All requests.", unit: "" }"#;
    let both = r#"{__name__="requests_total", job="requests_total"}"#;
    assert_eq!(
        dump(&batch),
        [
            format!("{both} {row}"),
            format!("{both} {about}"),
            format!("{both} {row}"),
            format!("{both} {about}"),
            format!(r#"{{__name__="requests_total"}} {row}"#),
        ]
    );
    let refused = [(Refusal::BadSymbolReference, 3), (Refusal::NoMetricName, 1), (Refusal::NoSamples, 1)];
    assert_eq!(reasons(&report), refused);
    assert_eq!(batch.metadata().len(), 1, "one description for all series of a family");
}

#[test]
fn v2_symbols_may_follow_the_series_and_symbol_zero_is_empty() {
    let symbols = |texts: &[&str]| v2(texts, Vec::new());
    let series =
        TimeSeriesV2 { labels_refs: vec![1, 2], samples: vec![sample(1.0, 1)], ..Default::default() };
    let body = [v2(&[], vec![series]), symbols(&["", "__name__", "late"])].concat();
    let (batch, _) = decode(decode_v2, &body);
    assert_eq!(dump(&batch), [r#"{__name__="late"} 1 0 3ff0000000000000"#]);
    let error = decode_v2(&symbols(&["x"]), &mut MetricBatch::default()).unwrap_err();
    assert!(error.to_string().contains("symbol 0"), "{error}");
}

#[test]
fn a_long_symbol_named_very_often_is_refused_and_not_expanded() {
    let long = "x".repeat(model::LABEL_BYTES_MAX);
    let names: Vec<String> = (0..200).map(|i| format!("label{i:03}")).collect();
    let mut symbols = vec!["", "__name__", long.as_str()];
    symbols.extend(names.iter().map(String::as_str));
    let mut labels_refs = vec![1, 2];
    labels_refs.extend((0..200).flat_map(|i| [3 + i, 2]));
    let series = TimeSeriesV2 { labels_refs, samples: vec![sample(1.0, 1)], ..Default::default() };
    let body = v2(&symbols, vec![series; 100]);
    assert!(body.len() < 200_000);
    let error = decode_v2(&body, &mut MetricBatch::default()).unwrap_err();
    assert!(error.is_too_large(), "{error}");

    let over = TimeSeriesV2 { labels_refs: vec![1; 2_000_000], ..Default::default() };
    let (_, report) =
        decode(decode_v2, &v2(&symbols, vec![TimeSeriesV2 { samples: vec![sample(1.0, 1)], ..over }]));
    assert_eq!(reasons(&report), [(Refusal::TooManyLabels, 1)]);
}

#[test]
fn empty_messages_in_great_number_are_refused() {
    // One series of 2 million empty histograms in 4 MB.
    let mut body = b"\x0a\x0e\x0a\x08__name__\x12\x02up".to_vec();
    body.extend(std::iter::repeat_n([0x22, 0x00], 2_000_000).flatten());
    let mut request = Vec::new();
    crate::protobuf::put_bytes_field(&mut request, 1, &body);
    let error = decode_v1(&request, &mut MetricBatch::default()).unwrap_err();
    assert!(error.is_too_large(), "{error}");
}

#[test]
fn a_long_help_text_is_cut_and_never_within_a_character() {
    let text = |bytes: usize| "é".repeat(bytes / 2);
    let mut batch = MetricBatch::default();
    batch.describe("m", model::Metadata { help: text(200_001), unit: text(100_000), ..Default::default() });
    let mut request = Vec::new();
    encode_v1(&batch, &mut request);
    // As a sender without our bounds would have written it.
    let mut long = WriteRequest::decode(request.as_slice()).unwrap();
    long.metadata[0].help = format!("a{}", text(200_000));
    let (again, _) = decode(decode_v1, &long.encode_to_vec());
    let (family, metadata) = &again.metadata()[0];
    assert_eq!((family.as_str(), metadata.unit.as_str()), ("m", text(model::LABEL_BYTES_MAX).as_str()));
    assert_eq!(metadata.help, format!("a{}", text(model::LABEL_BYTES_MAX - 2)));
}

#[test]
fn malformed_protobuf_says_where_and_leaves_the_batch_empty() {
    let good = v1(vec![TimeSeries {
        labels: labels(&[("__name__", "up")]),
        samples: vec![sample(1.0, 1)],
        ..Default::default()
    }]);
    let (mut batch, _) = decode(decode_v1, &good);
    let body = [good.as_slice(), b"\x0a\x05\x0a"].concat();
    let error = decode_v1(&body, &mut batch).unwrap_err();
    let offset = good.len() + 2;
    assert_eq!(error, WireError::Protobuf { offset, problem: "field longer than its message" });
    assert!(batch.is_empty());
}

#[test]
fn encoders_agree_with_prost_and_come_back_whole() {
    let mut batch = MetricBatch::default();
    batch.begin_with(model::Labels::from_pairs([("__name__", "h_bucket"), ("le", "1")]).as_ref());
    batch.describe_series(
        "h",
        model::Metadata { kind: MetricKind::Histogram, help: "Help\nme".into(), unit: "seconds".into() },
    );
    batch.sample(-5, 0, -0.0);
    batch.sample(i64::MAX, 3, f64::NAN);
    batch.exemplar(model::Exemplar {
        labels: model::Labels::from_pairs([("trace_id", "7")]),
        timestamp_ms: 9,
        value: 0.25,
    });
    batch.begin_with(model::Labels::from_pairs([("__name__", "native")]).as_ref());
    let buckets =
        model::Buckets { spans: vec![model::Span { offset: -3, length: 2 }], counts: vec![7.0, 1.0] };
    let native = model::Histogram {
        schema: -4,
        is_integer: true,
        count: 11.0,
        zero_count: 3.0,
        sum: f64::INFINITY,
        positive: buckets.clone(),
        ..Default::default()
    };
    let float =
        model::Histogram { is_integer: false, count: 10.5, reset_hint: ResetHint::Gauge, ..native.clone() };
    let custom = model::Histogram {
        schema: model::CUSTOM_BUCKETS_SCHEMA,
        zero_count: 0.0,
        count: 8.0,
        positive: model::Buckets { spans: vec![model::Span { offset: 0, length: 2 }], ..buckets },
        custom_values: vec![0.5, 2.0],
        ..native.clone()
    };
    for histogram in [native, float, custom] {
        batch.histogram(20, 10, histogram);
    }

    let mut body = Vec::new();
    encode_v2(&batch, &mut body);
    let (again, report) = decode(decode_v2, &body);
    assert_eq!(dump(&again), dump(&batch));
    assert!(report.rejected.is_empty(), "{report}");
    let oracle = RequestV2::decode(body.as_slice()).unwrap();
    assert_eq!(oracle.symbols.len(), 10);
    assert_eq!(oracle.timeseries[1].histograms[2].custom_values, [0.5, 2.0]);

    body.clear();
    encode_v1(&batch, &mut body);
    let oracle = WriteRequest::decode(body.as_slice()).unwrap();
    assert_eq!(oracle.timeseries[1].histograms[0].positive_deltas, [7, -6]);
    assert_eq!(oracle.metadata[0].help, "Help\nme");
    let (again, _) = decode(decode_v1, &body);
    assert_eq!(again.sample_count(), batch.sample_count());
    assert_eq!(again.metadata(), batch.metadata());
}

/// `prost` leaves out a field that compares equal to 0, and with it the sign of -0.
fn any_value() -> impl Strategy<Value = f64> {
    any::<f64>().prop_map(|value| if value == 0.0 { 0.0 } else { value })
}

fn any_series() -> impl Strategy<Value = TimeSeries> {
    let label = ("[a-c_]{0,3}", "\\PC{0,3}").prop_map(|(name, value)| Label { name, value });
    let sample = (any_value(), any::<i64>()).prop_map(|(value, timestamp)| sample(value, timestamp));
    let name = Label { name: "__name__".into(), value: "m".into() };
    (proptest::collection::vec(label, 0..4), proptest::collection::vec(sample, 0..3), any::<bool>()).prop_map(
        move |(mut labels, samples, named)| {
            if named {
                labels.push(name.clone());
            }
            TimeSeries { labels, samples, ..Default::default() }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// A plain reading of the same request: the series kept, and how many samples were refused.
    #[test]
    fn v1_agrees_with_a_plain_reading(timeseries in proptest::collection::vec(any_series(), 0..6)) {
        let (batch, report) = decode(decode_v1, &v1(timeseries.clone()));
        let mut expected = Vec::new();
        let mut refused = 0;
        for series in &timeseries {
            let mut pairs: Vec<_> = series.labels.iter()
                .filter(|l| l.name.is_empty() || !l.value.is_empty())
                .map(|l| (l.name.as_str(), l.value.as_str())).collect();
            pairs.sort_unstable();
            let unique = pairs.windows(2).all(|pair| pair[0].0 != pair[1].0);
            let sound = unique && pairs.iter().all(|pair| !pair.0.is_empty())
                && pairs.iter().any(|pair| pair.0 == "__name__");
            if !sound {
                refused += series.samples.len() as u64;
                continue;
            }
            let labels = model::Labels::from_pairs(pairs);
            expected.extend(series.samples.iter()
                .map(|s| format!("{labels} {} 0 {:x}", s.timestamp, s.value.to_bits())));
        }
        prop_assert_eq!(dump(&batch), expected);
        prop_assert_eq!(report.rejected_count(), refused);
    }

    #[test]
    fn versions_carry_the_same(timeseries in proptest::collection::vec(any_series(), 0..6)) {
        let (first, _) = decode(decode_v1, &v1(timeseries));
        let mut body = Vec::new();
        encode_v2(&first, &mut body);
        let (second, report) = decode(decode_v2, &body);
        prop_assert!(report.rejected.is_empty());
        prop_assert_eq!(dump(&second), dump(&first));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        timeseries in proptest::collection::vec(any_series(), 1..4),
        garbage in proptest::collection::vec(any::<u8>(), 0..40),
        at in any::<proptest::sample::Index>(),
    ) {
        let mut batch = MetricBatch::default();
        let first = v1(timeseries);
        decode_v1(&first, &mut batch).expect("the request is well-formed");
        let mut second = Vec::new();
        encode_v2(&batch, &mut second);
        for mut body in [first, second] {
            let at = at.index(body.len() + 1);
            body.splice(at..(at + garbage.len() / 2).min(body.len()), garbage.iter().copied());
            for bytes in [&body, &garbage] {
                drop(decode_v1(bytes, &mut batch));
                drop(decode_v2(bytes, &mut batch));
            }
        }
    }
}
