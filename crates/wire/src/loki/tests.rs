//! Both forms, against `prost` and arbitrary bytes.

use super::*;
use crate::{LogOptions, Refusal};
use model::{Labels, LogBatch};
use proptest::prelude::*;
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

const PLAIN: LogOptions = LogOptions { now_ns: 42, enrich: false };
const ENRICHED: LogOptions = LogOptions { now_ns: 42, enrich: true };

fn dump(batch: &LogBatch) -> Vec<String> {
    let mut lines = Vec::new();
    for stream in batch.streams() {
        for entry in stream.entries() {
            lines.push(format!(
                "{} {} {} {}",
                stream.labels(),
                entry.timestamp_ns,
                entry.line,
                entry.metadata
            ));
        }
    }
    lines
}

fn entry(seconds: i64, nanos: i32, line: &[u8], metadata: &[(&str, &str)]) -> Entry {
    let metadata = metadata.iter().map(|(n, v)| Pair { name: (*n).into(), value: (*v).into() }).collect();
    Entry { timestamp: Some(Timestamp { seconds, nanos }), line: line.to_vec(), metadata }
}

fn push(streams: &[(&str, Vec<Entry>)]) -> Vec<u8> {
    let streams = streams
        .iter()
        .map(|(labels, entries)| Stream { labels: (*labels).into(), entries: entries.clone(), hash: 9 })
        .collect();
    PushRequest { streams }.encode_to_vec()
}

#[test]
fn good_streams_are_kept_and_bad_ones_counted() {
    let body = push(&[
        (r#"{job="b", app="a"}"#, vec![entry(1, 5, b"one", &[("z", "1"), ("a", "2"), ("z", "3")])]),
        ("{app=b}", vec![entry(1, 0, b"x", &[]), entry(2, 0, b"x", &[])]),
        ("{}", vec![entry(1, 0, b"x", &[])]),
        (r#"{a="1", a="2"}"#, vec![entry(1, 0, b"x", &[])]),
        (r#"{a="\xff"}"#, vec![entry(1, 0, b"x", &[])]),
        (r#"{a="late"}"#, vec![entry(i64::MAX, 0, b"x", &[]), entry(-1, 1, b"bro\xffken", &[])]),
    ]);
    let mut batch = LogBatch::default();
    let report = decode_push(&body, PLAIN, &mut batch).unwrap();
    assert_eq!(
        dump(&batch),
        [r#"{app="a", job="b"} 1000000005 one {a="2", z="3"}"#, "{a=\"late\"} -999999999 bro\u{fffd}ken {}",]
    );
    let refused: Vec<_> = report.rejected.iter().map(|r| (r.reason, r.count)).collect();
    assert_eq!(
        refused,
        [
            (Refusal::UnreadableLabels, 2),
            (Refusal::NoLabels, 1),
            (Refusal::DuplicateLabel, 1),
            (Refusal::InvalidUtf8, 1),
            (Refusal::InvalidTimestamp, 1),
        ]
    );
    assert!(report.rejected[0].example.starts_with("couldn't parse labels: 1:6: parse error: "), "{report}");
    assert_eq!((report.entries, report.replaced_utf8), (2, 1));
}

#[test]
fn service_name_and_level_are_added_where_missing() {
    let body = push(&[
        (r#"{zone="1", app="web"}"#, vec![entry(1, 0, b"level=warn x", &[("a", "1"), ("z", "2")])]),
        (r#"{service_name="s", level="ERROR"}"#, vec![entry(1, 0, b"level=warn x", &[])]),
        (
            r#"{host="h"}"#,
            vec![
                entry(1, 0, b"info", &[("severity", "debug")]),
                entry(2, 0, b"info", &[("detected_level", "custom"), ("level", "warn")]),
            ],
        ),
    ]);
    let mut batch = LogBatch::default();
    decode_push(&body, ENRICHED, &mut batch).unwrap();
    assert_eq!(
        dump(&batch),
        [
            r#"{app="web", service_name="web", zone="1"} 1000000000 level=warn x {a="1", detected_level="warn", z="2"}"#,
            r#"{level="ERROR", service_name="s"} 1000000000 level=warn x {detected_level="error"}"#,
            r#"{host="h", service_name="unknown_service"} 1000000000 info {detected_level="debug", severity="debug"}"#,
            r#"{host="h", service_name="unknown_service"} 2000000000 info {detected_level="custom", level="warn"}"#,
        ]
    );
}

#[test]
fn json_reads_like_protobuf() {
    let body = br#"{"other": [1], "streams": [
        {"values": [["1000000005", "one \"q\""], ["7", "two", {"trace_id": "x"}]], "stream": {"b": "2", "a": "1"}},
        {"stream": {}, "values": [["1", "no labels"]]}
    ]}"#;
    let mut batch = LogBatch::default();
    let report = decode_push_json(body, PLAIN, &mut batch).unwrap();
    let expected = [r#"{a="1", b="2"} 1000000005 one "q" {}"#, r#"{a="1", b="2"} 7 two {trace_id="x"}"#];
    assert_eq!(dump(&batch), expected);
    assert_eq!((report.rejected[0].reason, report.rejected[0].count), (Refusal::NoLabels, 1));
}

#[test]
fn bad_json_is_refused_with_its_place() {
    for (body, expected) in [
        ("", "EOF while parsing a value at line 1 column 0"),
        ("{}x", "trailing characters at line 1 column 3"),
        ("[]", "invalid type: sequence, expected a push request"),
        (
            r#"{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}"#,
            "invalid type: integer `1`, expected a string",
        ),
        (
            r#"{"streams":[{"stream":{"a":"b"},"values":[["1.5","x"]]}]}"#,
            "timestamp `1.5` is not nanoseconds",
        ),
        (r#"{"streams":[{"stream":{"a":"b"},"values":[["1"]]}]}"#, "invalid length 1, expected an entry"),
        (r#"{"streams":[{"stream":{"a":1},"values":[]}]}"#, "invalid type: integer `1`, expected a string"),
    ] {
        let error = decode_push_json(body.as_bytes(), PLAIN, &mut LogBatch::default()).unwrap_err();
        assert!(error.to_string().contains(expected), "{body}: {error}");
    }
    assert!(decode_push_json(b"\xff", PLAIN, &mut LogBatch::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_round_trip(
        streams in proptest::collection::vec(
            (
                proptest::collection::vec(("[a-z.]{1,3}", "\\PC{1,5}|\n\"\\\\"), 1..4),
                proptest::collection::vec((any::<i64>(), "\\PC{0,9}", proptest::option::of("[a-z]{1,3}")), 0..3),
            ),
            0..4,
        ),
    ) {
        let mut batch = LogBatch::default();
        for (labels, entries) in &streams {
            batch.begin_with(Labels::from_pairs(labels.iter().map(|(n, v)| (n, v))).as_ref());
            for (timestamp, line, metadata) in entries {
                let metadata = Labels::from_pairs(metadata.iter().map(|value| ("m", value)));
                batch.entry(*timestamp, line, metadata.as_ref());
            }
        }
        let mut body = Vec::new();
        encode_push(&batch, &mut body);
        let mut again = LogBatch::default();
        let report = decode_push(&body, PLAIN, &mut again).unwrap();
        prop_assert_eq!(dump(&again), dump(&batch));
        prop_assert!(report.rejected.is_empty());
        prop_assert!(PushRequest::decode(body.as_slice()).is_ok());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        garbage in proptest::collection::vec(any::<u8>(), 0..60),
        labels in "[{}a-c=\", \\\\x]{0,12}",
        at in any::<proptest::sample::Index>(),
    ) {
        let mut batch = LogBatch::default();
        let mut body = push(&[(labels.as_str(), vec![entry(1, 2, &garbage, &[("a", "b")])])]);
        drop(decode_push(&body, ENRICHED, &mut batch));
        let at = at.index(body.len());
        body.splice(at..(at + 3).min(body.len()), garbage.iter().copied().take(9));
        drop(decode_push(&body, ENRICHED, &mut batch));
        drop(decode_push_json(&garbage, ENRICHED, &mut batch));
    }
}
