//! Receivers through the router, over in-memory stores.

use crate::{
    api::open_service,
    app::{App, AppState},
};
use axum::{
    body::Body,
    http::{Method, Request, Response, StatusCode},
};
use http_body_util::BodyExt;
use model::{Labels, LogBatch, MetricBatch, TimeRange};
use std::ops::ControlFlow;
use store::{Direction, LogRequest, QueryContext, Row, Selection};
use tower::ServiceExt;
use wire::{
    compression::{Encoding, compress},
    loki::encode_push,
    otlp::encode_logs,
    remote_write::{encode_v1, encode_v2},
};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub(super) async fn post(app: &AppState, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    send(app, Method::POST, path, headers, body).await
}

pub(super) async fn send(
    app: &AppState,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a valid request");
    let response: Response<Body> = open_service(app).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body in memory").to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

pub(super) fn packed(encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    compress(encoding, body, &mut out).expect("compresses");
    out
}

fn metric(pairs: &[(&str, &str)], timestamp_ms: i64, value: f64) -> MetricBatch {
    let mut batch = MetricBatch::default();
    batch.begin_with(Labels::from_pairs(pairs.iter().copied()).as_ref());
    batch.sample(timestamp_ms, 0, value);
    batch
}

fn v1(batch: &MetricBatch) -> Vec<u8> {
    let mut body = Vec::new();
    encode_v1(batch, &mut body);
    packed(Encoding::Snappy, &body)
}

fn v2(batch: &MetricBatch) -> Vec<u8> {
    let mut body = Vec::new();
    encode_v2(batch, &mut body);
    packed(Encoding::Snappy, &body)
}

/// Every stored sample as `labels time value`.
pub(super) fn samples(app: &App) -> Vec<String> {
    let context = QueryContext::default();
    let selection = Selection { matchers: Vec::new(), range: TimeRange::ALL, step_ms: 0 };
    let set = app.metrics.select(&selection, &context).expect("selects");
    let mut lines = Vec::new();
    let mut read = model::Samples::default();
    for index in 0..set.len() {
        set.read(index, &context, &mut read).expect("reads");
        for (i, timestamp_ms) in read.timestamps_ms.iter().enumerate() {
            lines.push(format!("{} {timestamp_ms} {}", set.labels(index), read.values[i]));
        }
    }
    lines
}

/// Every stored line as `labels time line metadata`.
fn lines(app: &App) -> Vec<String> {
    let context = QueryContext::default();
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let scan = app.logs.scan(&request, &context).expect("scans");
    let mut lines = Vec::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            lines.push(format!("{} {} {} {}", row.labels, row.timestamp_ns, row.line, row.metadata));
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).expect("reads");
    }
    lines
}

#[tokio::test]
async fn remote_write_1_is_stored_and_answers_without_counts() {
    let app = App::for_tests();
    let body = v1(&metric(&[("__name__", "up"), ("job", "a")], 5, 1.0));
    let answer = post(&app, "/api/v1/write", &[], body.clone()).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), "");
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "snappy")];
    assert_eq!(post(&app, "/prometheus/api/v1/write", &headers, body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(samples(&app), [r#"{__name__="up", job="a"} 5 1"#]);
}

#[tokio::test]
async fn remote_write_2_counts_what_it_wrote_and_names_what_it_refused() {
    let app = App::for_tests();
    let mut batch = metric(&[("__name__", "a")], 5, 1.0);
    batch.histogram(6, 0, model::Histogram::default());
    let zstd = {
        let mut body = Vec::new();
        encode_v2(&batch, &mut body);
        packed(Encoding::Zstd, &body)
    };
    let answer =
        post(&app, "/api/v1/write", &[("content-type", V2), ("content-encoding", "zstd")], zstd).await;
    let counts = |answer: &Answer| {
        ["samples", "histograms", "exemplars"]
            .map(|kind| answer.header(&format!("x-prometheus-remote-write-{kind}-written")).to_owned())
    };
    assert_eq!(
        (answer.status, counts(&answer)),
        (StatusCode::NO_CONTENT, ["1", "1", "0"].map(str::to_owned))
    );

    let mut partly = metric(&[("__name__", "b")], 5, 1.0);
    partly.begin_with(Labels::from_pairs([("job", "nameless")]).as_ref());
    partly.sample(5, 0, 2.0);
    let answer = post(&app, "/api/v1/write", &[("content-type", V2)], v2(&partly)).await;
    assert_eq!(
        (answer.status, counts(&answer)),
        (StatusCode::BAD_REQUEST, ["1", "0", "0"].map(str::to_owned))
    );
    assert!(answer.text().contains("series without a metric name"), "{}", answer.text());
    assert!(samples(&app).contains(&r#"{__name__="b"} 5 1"#.to_owned()));
}

#[tokio::test]
async fn another_value_for_a_stored_sample_is_refused() {
    let app = App::for_tests();
    let at = |value| v1(&metric(&[("__name__", "a")], 5, value));
    assert_eq!(post(&app, "/api/v1/write", &[], at(1.0)).await.status, StatusCode::NO_CONTENT);
    let answer = post(&app, "/api/v1/write", &[], at(2.0)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("duplicate_timestamp"), "{}", answer.text());
    assert_eq!(samples(&app), [r#"{__name__="a"} 5 1"#]);
}

#[tokio::test]
async fn bad_requests_are_told_apart() {
    let app = App::for_tests();
    let good = v1(&metric(&[("__name__", "a")], 5, 1.0));
    for (headers, body, expected) in [
        (&[("content-type", "application/json")][..], good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (
            &[("content-type", "application/x-protobuf;proto=x")],
            good.clone(),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (&[("content-encoding", "gzip")], good.clone(), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (&[], b"not snappy".to_vec(), StatusCode::BAD_REQUEST),
        (&[], packed(Encoding::Snappy, b"not protobuf"), StatusCode::BAD_REQUEST),
        (&[], b"\xff\xff\xff\xff\x0f".to_vec(), StatusCode::PAYLOAD_TOO_LARGE),
        (&[("content-length", "99999999999")], Vec::new(), StatusCode::PAYLOAD_TOO_LARGE),
        (&[("x-bellwether-agent", "a"), ("x-bellwether-boot", "x")], good.clone(), StatusCode::BAD_REQUEST),
    ] {
        let answer = post(&app, "/api/v1/write", headers, body).await;
        assert_eq!(answer.status, expected, "{headers:?}: {}", answer.text());
    }
    let get = Request::get("/api/v1/write").body(Body::empty()).expect("a valid request");
    let answer = open_service(&app).oneshot(get).await.expect("infallible");
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert!(samples(&app).is_empty());
    app.set_ready(false);
    let answer = post(&app, "/api/v1/write", &[], good).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
}

#[tokio::test]
async fn a_repeated_batch_is_acknowledged_and_stored_once() {
    let app = App::for_tests();
    let headers = [
        ("x-bellwether-agent", "agent-1"),
        ("x-bellwether-boot", "7"),
        ("x-bellwether-sequence", "1"),
        ("x-bellwether-job", "node"),
        ("x-bellwether-instance", "host-1"),
        ("x-bellwether-labels", "resource"),
    ];
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("app", "web")]).as_ref());
    batch.entry(5, "level=info same", Labels::empty().as_ref());
    let mut body = Vec::new();
    encode_logs(&batch, &mut body);
    let headers: Vec<_> = headers.into_iter().chain([("content-type", "application/x-protobuf")]).collect();
    for _ in 0..2 {
        let answer = post(&app, "/v1/logs", &headers, body.clone()).await;
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, &b""[..]));
    }
    assert_eq!(lines(&app), [r#"{app="web", service_name="web"} 5 level=info same {detected_level="info"}"#]);
    assert_eq!(app.agents.hosts()[0].instance, "host-1");
    let own = app.own.encode();
    assert!(own.contains(r#"bellwether_receive_duplicate_batches_total{protocol="otlp_logs"} 1"#), "{own}");
    assert!(own.contains(r#"bellwether_receive_requests_total{protocol="otlp_logs"} 2"#), "{own}");
}

#[tokio::test]
async fn what_is_refused_of_a_repeated_batch_is_counted_once() {
    let app = App::for_tests();
    let body = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"queue","gauge":{"dataPoints":[{"timeUnixNano":"5000000","asInt":"3"}]}},
        {"name":"delta","sum":{"aggregationTemporality":1,"dataPoints":[{}]}}]}]}]}"#;
    let headers = [
        ("content-type", "application/json"),
        ("x-bellwether-agent", "agent-1"),
        ("x-bellwether-boot", "7"),
        ("x-bellwether-sequence", "1"),
    ];
    for _ in 0..2 {
        assert_eq!(post(&app, "/v1/metrics", &headers, body.to_vec()).await.status, StatusCode::OK);
    }
    let own = app.own.encode();
    for (counter, times) in [
        (r#"receive_rejected_total{protocol="otlp_metrics",reason="delta_temporality"}"#, 1),
        (r#"receive_items_total{protocol="otlp_metrics"}"#, 1),
        (r#"receive_duplicate_batches_total{protocol="otlp_metrics"}"#, 1),
    ] {
        assert!(own.contains(&format!("bellwether_{counter} {times}\n")), "{counter}: {own}");
    }
}

#[tokio::test]
async fn otlp_metrics_answer_in_the_format_of_the_request() {
    let app = App::for_tests();
    let body = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[
        {"name":"queue.length","gauge":{"dataPoints":[{"timeUnixNano":"5000000","asInt":"3"}]}},
        {"name":"delta","sum":{"aggregationTemporality":1,"dataPoints":[{}]}}]}]}]}"#;
    for path in
        ["/v1/metrics", "/otlp/v1/metrics", "/api/v1/otlp/v1/metrics", "/prometheus/api/v1/otlp/v1/metrics"]
    {
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        let answer = post(&app, path, &headers, packed(Encoding::Gzip, body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.text().contains(r#""rejectedDataPoints":"1""#), "{}", answer.text());
    }
    assert_eq!(samples(&app), [r#"{__name__="queue_length"} 5 3"#]);
    let protobuf = [("content-type", "application/x-protobuf")];
    let answer = post(&app, "/v1/metrics", &protobuf, b"\xff".to_vec()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::BAD_REQUEST, "application/x-protobuf")
    );
    assert!(answer.text().contains("malformed protobuf at byte 0"), "{}", answer.text());
    assert_eq!(post(&app, "/v1/metrics", &[], Vec::new()).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let counted = r#"bellwether_receive_failures_total{protocol="otlp_metrics",reason="unsupported"} 1"#;
    assert!(app.own.encode().contains(counted), "{}", app.own.encode());
}

#[tokio::test]
async fn loki_push_in_all_its_packings() {
    let json = |time: &str| {
        format!(r#"{{"streams":[{{"stream":{{"job":"j"}},"values":[["{time}","ERROR x"]]}}]}}"#).into_bytes()
    };
    let mut batch = LogBatch::default();
    batch.begin_with(Labels::from_pairs([("job", "j")]).as_ref());
    batch.entry(5, "ERROR x", Labels::empty().as_ref());
    let mut protobuf = Vec::new();
    encode_push(&batch, &mut protobuf);
    let snappy = packed(Encoding::Snappy, &protobuf);
    for (headers, body) in [
        (&[("content-type", "application/json")][..], json("5")),
        (
            &[("content-type", "application/json; charset=utf-8"), ("content-encoding", "gzip")],
            packed(Encoding::Gzip, &json("5")),
        ),
        (&[("content-type", "application/x-protobuf")], snappy.clone()),
        (&[("content-encoding", "snappy")], snappy.clone()),
        (&[("content-encoding", "gzip")], packed(Encoding::Gzip, &snappy)),
        (&[("content-encoding", "zstd")], packed(Encoding::Zstd, &protobuf)),
    ] {
        let app = App::for_tests();
        let answer = post(&app, "/loki/api/v1/push", headers, body).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::NO_CONTENT, ""), "{headers:?}");
        assert_eq!(lines(&app), [r#"{job="j", service_name="j"} 5 ERROR x {detected_level="error"}"#]);
    }
}

#[tokio::test]
async fn loki_push_says_what_is_wrong_as_text() {
    let app = App::for_tests();
    let json = [("content-type", "application/json")];
    for (headers, body, status, text) in [
        (&[][..], b"no".to_vec(), StatusCode::BAD_REQUEST, "snappy: corrupt input"),
        (&json, b"{".to_vec(), StatusCode::BAD_REQUEST, "malformed JSON"),
        (
            &json,
            br#"{"streams":[]}"#.to_vec(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "error at least one valid stream is required for ingestion",
        ),
        (
            &json,
            br#"{"streams":[{"stream":{},"values":[["1","x"]]},{"stream":{"a":"b"},"values":[["1","y"]]}]}"#
                .to_vec(),
            StatusCode::BAD_REQUEST,
            "at least one label pair is required per stream",
        ),
        (&[("content-encoding", "br")], Vec::new(), StatusCode::BAD_REQUEST, "not supported"),
        (
            &json,
            br#"{"streams":[{"stream":{"a-b":"c"},"values":[["1","x"]]}]}"#.to_vec(),
            StatusCode::BAD_REQUEST,
            "couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'\n",
        ),
    ] {
        let answer = post(&app, "/loki/api/v1/push", headers, body).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(text), "{}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(lines(&app).len(), 1, "the good stream is kept");
}

#[tokio::test]
async fn followers_get_the_lines_once_they_are_stored() {
    let app = App::for_tests();
    let mut follower = app.tail.follow();
    let body = br#"{"streams":[{"stream":{"a":"b"},"values":[["1","y"]]}]}"#.to_vec();
    post(&app, "/loki/api/v1/push", &[("content-type", "application/json")], body).await;
    let batch = follower.try_recv().expect("a batch");
    assert_eq!(batch.entry_count(), 1);
}
