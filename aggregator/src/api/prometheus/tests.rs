//! Requests against the router over stores in memory.

use crate::app::{App, AppState};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt;
use model::{Exemplar, Labels, Metadata, MetricBatch, MetricKind, STALE_NAN};
use tower::ServiceExt;

const FORM: &str = "application/x-www-form-urlencoded";

/// A store with a counter, a gauge, a histogram and an exemplar, a minute apart from time 0.
pub(super) fn app() -> AppState {
    let app = App::for_tests();
    let mut batch = MetricBatch::default();
    for (instance, factor) in [("a", 1.0), ("b", 2.0)] {
        let labels = Labels::from_pairs([("__name__", "requests_total"), ("instance", instance)]);
        batch.begin_with(labels.as_ref());
        for minute in 0..=10 {
            batch.sample(minute * 60_000, 0, minute as f64 * 60.0 * factor);
        }
        let metadata = Metadata { kind: MetricKind::Counter, help: "Requests.".into(), unit: "".into() };
        batch.describe_series("requests_total", metadata);
    }
    batch.exemplar(Exemplar {
        labels: Labels::from_pairs([("trace_id", "7")]),
        timestamp_ms: 90_500,
        value: 0.25,
    });
    let labels = Labels::from_pairs([("__name__", "tiny"), ("quoted", "a\"b\\c\n")]);
    batch.begin_with(labels.as_ref());
    batch.sample(1_500, 0, 1e-7);
    batch.sample(61_500, 0, STALE_NAN);
    batch.begin_with(Labels::from_pairs([("__name__", "sizes")]).as_ref());
    let positive =
        model::Buckets { spans: vec![model::Span { offset: 1, length: 2 }], counts: vec![3.0, 1.0] };
    let histogram = model::Histogram {
        count: 6.0,
        sum: 9.5,
        zero_count: 2.0,
        zero_threshold: 0.5,
        positive,
        ..model::Histogram::default()
    };
    batch.histogram(0, 0, histogram);
    app.metrics.append(&batch, None, 0).unwrap().commit.wait().unwrap();
    app
}

async fn send(app: &AppState, request: Request<Body>) -> (StatusCode, String) {
    let response = crate::api::open_service(app).oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

pub(super) async fn get(app: &AppState, path: &str) -> (StatusCode, String) {
    send(app, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(super) async fn post(app: &AppState, path: &str, form: &str) -> (StatusCode, String) {
    let request = Request::post(path).header(header::CONTENT_TYPE, FORM).body(Body::from(form.to_owned()));
    send(app, request.unwrap()).await
}

/// Asks and compares status and body.
async fn check(path: &str, status: u16, expected: &str) {
    let (found, body) = get(&app(), path).await;
    assert_eq!((found.as_u16(), body.as_str()), (status, expected), "{path}");
}

pub(super) fn data(json: &str) -> String {
    format!("{{\"status\":\"success\",\"data\":{json}}}")
}

#[tokio::test]
async fn instant_queries_answer_in_the_shapes_of_each_type() {
    for (query, expected) in [
        ("query=1.5&time=1.5", r#"{"resultType":"scalar","result":[1.5,"1.5"]}"#),
        ("query=0.0000001&time=0", r#"{"resultType":"scalar","result":[0,"0.0000001"]}"#),
        ("query=%22a%22&time=2", r#"{"resultType":"string","result":[2,"a"]}"#),
        ("query=nothing&time=0", r#"{"resultType":"vector","result":[]}"#),
        (
            "query=tiny&time=1.5",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"tiny","quoted":"a\"b\\c\n"},"value":[1.500,"1e-07"]}]}"#,
        ),
        (
            "query=requests_total%7Binstance%3D%22a%22%7D%5B1m%5D&time=120",
            r#"{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total","instance":"a"},"values":[[120,"120"]]}]}"#,
        ),
        (
            "query=sizes&time=60",
            r#"{"resultType":"vector","result":[{"metric":{"__name__":"sizes"},"histogram":[60,{"count":"6","sum":"9.5","buckets":[[3,"-0.5","0.5","2"],[0,"1","2","3"],[0,"2","4","1"]]}]}]}"#,
        ),
    ] {
        check(&format!("/api/v1/query?{query}"), 200, &data(expected)).await;
        check(&format!("/prometheus/api/v1/query?{query}"), 200, &data(expected)).await;
    }
}

#[tokio::test]
async fn range_queries_and_posted_forms() {
    let expected = data(
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[300,"3"],[450.500,"3"],[601,"3"]]}]}"#,
    );
    let form = "query=sum(rate(requests_total%5B5m%5D))&start=300&end=601&step=150.5";
    assert_eq!(post(&app(), "/api/v1/query_range", form).await, (StatusCode::OK, expected.clone()));
    assert_eq!(get(&app(), &format!("/api/v1/query_range?{form}")).await, (StatusCode::OK, expected));
    // The body's value comes before the URL's.
    let (_, body) = post(&app(), "/api/v1/query?query=2&time=0", "query=1").await;
    assert_eq!(body, data(r#"{"resultType":"scalar","result":[0,"1"]}"#));
}

#[tokio::test]
async fn mistakes_have_their_type_and_status() {
    for (path, status, error_type, message) in [
        (
            "query?query=sum(",
            400,
            "bad_data",
            "invalid parameter \\\"query\\\": 1:5: parse error: unclosed left parenthesis",
        ),
        (
            "query",
            400,
            "bad_data",
            "invalid parameter \\\"query\\\": 1:1: parse error: no expression found in input",
        ),
        (
            "query?query=1&time=x",
            400,
            "bad_data",
            "invalid parameter \\\"time\\\": Invalid time value for 'time': cannot parse \\\"x\\\" to a valid timestamp",
        ),
        (
            "query_range?query=1&start=x&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \\\"start\\\": cannot parse \\\"x\\\" to a valid timestamp",
        ),
        (
            "series?match[]=up&end=x",
            400,
            "bad_data",
            "invalid parameter \\\"end\\\": Invalid time value for 'end': cannot parse \\\"x\\\" to a valid timestamp",
        ),
        (
            "query?query=1&limit=-1",
            400,
            "bad_data",
            "invalid parameter \\\"limit\\\": limit must be non-negative",
        ),
        (
            "query?query=1&timeout=x",
            400,
            "bad_data",
            "invalid parameter \\\"timeout\\\": cannot parse \\\"x\\\" to a valid duration",
        ),
        (
            "query_range?query=1&start=2&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \\\"end\\\": end timestamp must not be before start time",
        ),
        (
            "query_range?query=1&start=0&end=1&step=0",
            400,
            "bad_data",
            "invalid parameter \\\"step\\\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "query_range?query=1&start=0&end=11002&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range?query=up[5m]&start=0&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \\\"query\\\": invalid expression type \\\"range vector\\\" for range query, must be Scalar or instant Vector",
        ),
        (
            "query?query=requests_total%20*%20on()%20requests_total&time=60",
            422,
            "execution",
            "found duplicate series for the match group {} on the right hand-side of the operation: [{__name__=\\\"requests_total\\\", instance=\\\"a\\\"}, {__name__=\\\"requests_total\\\", instance=\\\"b\\\"}];many-to-many matching not allowed: matching labels must be unique on one side",
        ),
        ("series", 400, "bad_data", "no match[] parameter provided"),
        (
            "series?match[]=%7B%7D",
            400,
            "bad_data",
            "invalid parameter \\\"match[]\\\": match[] must contain at least one non-empty matcher",
        ),
    ] {
        let path = format!("/api/v1/{}", path.replace('[', "%5B").replace(']', "%5D"));
        let expected =
            format!("{{\"status\":\"error\",\"errorType\":\"{error_type}\",\"error\":\"{message}\"}}");
        check(&path, status, &expected).await;
    }
}

#[tokio::test]
async fn time_that_is_up_at_once_is_a_timeout() {
    for query in ["query?query=1&time=0", "query_range?query=1&start=0&end=1&step=1"] {
        for timeout in ["0", "-1", "1e-9", "0s"] {
            let (status, body) = get(&app(), &format!("/api/v1/{query}&timeout={timeout}")).await;
            assert!(status == 503 && body.contains("\"errorType\":\"timeout\""), "{timeout} {body}");
        }
        let (status, _) = get(&app(), &format!("/api/v1/{query}&timeout=30")).await;
        assert_eq!(status, 200);
    }
}

#[tokio::test]
async fn remarks_and_limits_are_told() {
    let (_, body) =
        get(&app(), "/api/v1/query?query=rate(tiny%5B5m%5D)%20or%20rate(sizes%5B5m%5D)&time=60").await;
    assert_eq!(body, data(r#"{"resultType":"vector","result":[]}"#));
    let (_, body) = get(&app(), "/api/v1/query?query=quantile(2,requests_total)&time=60").await;
    assert!(
        body.contains(
            "\"warnings\":[\"PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\"]"
        ),
        "{body}"
    );
    let (_, body) = get(&app(), "/api/v1/query?query=requests_total&time=60&limit=1").await;
    assert!(body.ends_with("\"warnings\":[\"results truncated due to limit\"]}"), "{body}");
    let (_, body) = get(&app(), "/api/v1/query?query=requests_total&time=60&stats=all").await;
    assert!(body.contains("\"stats\":{") && body.contains("\"peakSamples\":"), "{body}");
}

#[tokio::test]
async fn labels_values_and_series() {
    for (path, expected) in [
        ("labels", r#"["__name__","instance","quoted"]"#),
        ("labels?match%5B%5D=tiny", r#"["__name__","quoted"]"#),
        ("label/instance/values", r#"["a","b"]"#),
        ("label/__name__/values?start=300", r#"["requests_total"]"#),
        (
            "series?match%5B%5D=requests_total&start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z",
            r#"[{"__name__":"requests_total","instance":"a"},{"__name__":"requests_total","instance":"b"}]"#,
        ),
        ("series?match%5B%5D=missing", "[]"),
        ("metadata", r#"{"requests_total":[{"help":"Requests.","type":"counter","unit":""}]}"#),
        ("metadata?metric=missing", "{}"),
        ("format_query?query=sum%20by(a)(b)", r#""sum by (a) (b)""#),
        (
            "query_exemplars?query=rate(requests_total%5B5m%5D)&start=0&end=100",
            r#"[{"seriesLabels":{"__name__":"requests_total","instance":"b"},"exemplars":[{"labels":{"trace_id":"7"},"value":"0.25","timestamp":90.5}]}]"#,
        ),
    ] {
        check(&format!("/api/v1/{path}"), 200, &data(expected)).await;
    }
    let (_, body) = get(&app(), "/api/v1/label/instance/values?limit=1").await;
    assert_eq!(body, r#"{"status":"success","data":["a"],"warnings":["results truncated due to limit"]}"#);
    assert_eq!(get(&app(), "/api/v1/query_exemplars?query=1").await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn status_pages_answer() {
    for (page, part) in [
        ("buildinfo", "\"version\":\"3."),
        ("runtimeinfo", "\"reloadConfigSuccess\":true"),
        ("config", "\"yaml\":\"data_dir: "),
        ("flags", "\"query.lookback-delta\":\"5m\""),
        ("tsdb", "\"seriesCountByMetricName\":[{\"name\":\"requests_total\",\"value\":2}"),
    ] {
        let (status, body) = get(&app(), &format!("/api/v1/status/{page}")).await;
        assert!(status == StatusCode::OK && body.contains(part), "{page}: {body}");
    }
}

#[tokio::test]
async fn federation_shows_the_latest_samples() {
    let app = App::for_tests();
    let now_ms = daemon::clock::now_ms();
    let mut batch = MetricBatch::default();
    for (name, value, age_ms) in
        [("b", 2.0, 1000), ("a", 1.0, 2000), ("old", 3.0, 600_000), ("gone", STALE_NAN, 0)]
    {
        batch.begin_with(Labels::from_pairs([("__name__", name), ("job", "x")]).as_ref());
        batch.sample(now_ms - age_ms, 0, value);
    }
    app.metrics.append(&batch, None, now_ms).unwrap().commit.wait().unwrap();
    let (status, text) = get(&app, "/federate?match%5B%5D=%7Bjob%3D%22x%22%7D&match%5B%5D=a").await;
    let (a, b) = (now_ms - 2000, now_ms - 1000);
    let expected =
        format!("# TYPE a untyped\na{{job=\"x\"}} 1 {a}\n# TYPE b untyped\nb{{job=\"x\"}} 2 {b}\n");
    assert_eq!((status, text), (StatusCode::OK, expected));
}

#[tokio::test]
async fn deleted_series_are_gone() {
    let app = app();
    let (status, _) =
        post(&app, "/api/v1/admin/tsdb/delete_series", "match%5B%5D=%7B__name__!%3D%22%22%7D").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, body) = get(&app, "/api/v1/query?query=requests_total&time=60").await;
    assert_eq!(body, data(r#"{"resultType":"vector","result":[]}"#));
}
