//! The API over in-memory stores: shapes, refusals, encodings.

use crate::{api::open_service, app::App, app::AppState};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use model::LogBatch;
use serde_json::{Value, json};
use tower::ServiceExt;

const START_NS: i64 = 1_795_168_800_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

fn app() -> AppState {
    let app = App::for_tests();
    let mut batch = LogBatch::default();
    let lines = [
        ("web", "GET / status=200", Some("7")),
        ("web", "GET /x status=500 <b>", None),
        ("db", "slow query took=2s", None),
    ];
    for (minute, (name, line, trace)) in (1..).zip(lines) {
        batch.begin();
        batch.label(b"app", name.as_bytes());
        batch.label(b"env", b"prod");
        batch.end_stream_labels().unwrap();
        batch.begin();
        batch.label(b"detected_level", b"info");
        if let Some(trace) = trace {
            batch.label(b"trace_id", trace.as_bytes());
        }
        batch.entry_with_scratch(START_NS + minute * MINUTE_NS, line).unwrap();
    }
    app.logs.append(&batch, None, START_NS).unwrap();
    app
}

async fn send(request: Request<Body>) -> (StatusCode, String) {
    let response = open_service(&app()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Asks with the range of the test's lines; parameters are written as they stand in a URL.
async fn ask(path: &str, params: &str) -> (StatusCode, String) {
    let end = START_NS + 10 * MINUTE_NS;
    let uri = format!("/loki/api/v1/{path}?start={START_NS}&end={end}&{params}");
    send(Request::get(uri).body(Body::empty()).unwrap()).await
}

async fn answer(path: &str, params: &str) -> Value {
    let (status, text) = ask(path, params).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let mut json: Value = serde_json::from_str(&text).unwrap();
    if let Some(data) = json.get_mut("data").and_then(Value::as_object_mut) {
        data.remove("stats");
    }
    json
}

#[tokio::test]
async fn lines_come_as_streams_newest_first() {
    let json = answer("query_range", "query=%7Bapp%3D%22web%22%7D").await;
    let expected = json!([
        {"stream": {"app": "web", "detected_level": "info", "env": "prod"},
         "values": [["1795168920000000000", "GET /x status=500 <b>"]]},
        {"stream": {"app": "web", "detected_level": "info", "env": "prod", "trace_id": "7"},
         "values": [["1795168860000000000", "GET / status=200"]]},
    ]);
    assert_eq!(json["data"], json!({"resultType": "streams", "result": expected}));
}

#[tokio::test]
async fn labels_are_categorized_when_asked() {
    let end = START_NS + 10 * MINUTE_NS;
    let query = "%7Bapp%3D%22web%22%7D%7C%3D%22500%22%7Clogfmt";
    let uri = format!("/loki/api/v1/query_range?query={query}&start={START_NS}&end={end}");
    let request = Request::get(uri).header("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let (_, text) = send(request.body(Body::empty()).unwrap()).await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"]["encodingFlags"], json!(["categorize-labels"]));
    let entry = &json["data"]["result"][0]["values"][0];
    assert_eq!(json["data"]["result"][0]["stream"], json!({"app": "web", "env": "prod"}));
    assert_eq!(
        entry[2],
        json!({"structuredMetadata": {"detected_level": "info"}, "parsed": {"status": "500"}})
    );
}

#[tokio::test]
async fn numbers_come_as_matrix_vector_and_scalar() {
    let counts = "sum%20by(app)(count_over_time(%7Benv%3D%22prod%22%7D%5B10m%5D))";
    let json = answer("query_range", &format!("query={counts}&step=600")).await;
    let expected = json!([
        {"metric": {"app": "db"}, "values": [[1_795_169_400, "1"]]},
        {"metric": {"app": "web"}, "values": [[1_795_169_400, "2"]]},
    ]);
    assert_eq!(json["data"], json!({"resultType": "matrix", "result": expected}));
    let json = answer("query", "query=vector(1)%2Bvector(1)&time=4000000000").await;
    let expected = json!([{"metric": {}, "value": [4_000_000_000_i64, "2"]}]);
    assert_eq!(json["data"], json!({"resultType": "vector", "result": expected}));
    let json = answer("query", "query=1%2F4&time=1795168800").await;
    assert_eq!(json["data"], json!({"resultType": "scalar", "result": [1_795_168_800, "0.25"]}));
}

#[tokio::test]
async fn statistics_tell_what_was_read() {
    let (_, text) = ask("query_range", "query=%7Benv%3D%22prod%22%7D").await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"]["stats"]["summary"]["totalEntriesReturned"], 3);
    assert!(json["data"]["stats"]["summary"]["execTime"].as_f64().is_some_and(|seconds| seconds > 0.0));
}

#[tokio::test]
async fn labels_values_and_series() {
    let body = |data: Value| json!({"status": "success", "data": data});
    assert_eq!(answer("labels", "").await, body(json!(["app", "env"])));
    assert_eq!(answer("label/app/values", "").await, body(json!(["db", "web"])));
    assert_eq!(answer("label/nosuch/values", "").await, json!({"status": "success"}));
    let expected = body(json!([{"app": "db", "env": "prod"}]));
    assert_eq!(answer("series", "match[]=%7Bapp%3D%22db%22%7D").await, expected);
    assert_eq!(answer("series", "").await["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn figures_about_a_selection() {
    let json = answer("index/stats", "query=%7Bapp%3D%22web%22%7D").await;
    assert_eq!((&json["streams"], &json["entries"]), (&json!(1), &json!(2)));
    let json = answer("index/volume", "query=%7Benv%3D%22prod%22%7D&targetLabels=app").await;
    let result = &json["data"]["result"];
    assert_eq!(json["data"]["resultType"], "vector");
    assert_eq!(result[0], json!({"metric": {"app": "web"}, "value": [1_795_169_400, "37"]}));
    let json = answer("index/volume_range", "query=%7Benv%3D%22prod%22%7D&targetLabels=app&step=120").await;
    assert_eq!(json["data"]["resultType"], "matrix");
    let json = answer("index/volume", "query=%7Bapp%3D%22web%22%7D&aggregateBy=labels").await;
    assert_eq!(json["data"]["result"][0]["metric"], json!({"app": ""}));
}

#[tokio::test]
async fn fields_are_detected() {
    let json = answer("detected_fields", "query=%7Benv%3D%22prod%22%7D").await;
    let fields = json["fields"].as_array().unwrap();
    let find = |name: &str| fields.iter().find(|field| field["label"] == name).cloned().unwrap_or_default();
    assert_eq!((&find("status")["type"], &find("status")["cardinality"]), (&json!("int"), &json!(2)));
    assert_eq!((&find("took")["type"], &find("took")["parsers"]), (&json!("duration"), &json!(["logfmt"])));
    let json = answer("detected_field/status/values", "query=%7Benv%3D%22prod%22%7D").await;
    assert_eq!(json["values"], json!(["200", "500"]));
    let json = answer("detected_labels", "").await;
    assert_eq!(
        json["detectedLabels"],
        json!([{"label": "app", "cardinality": 2}, {"label": "env", "cardinality": 1}])
    );
}

#[tokio::test]
async fn refusals_are_plain_text() {
    let web = "query=%7Bapp%3D%22web%22%7D";
    for (path, params, expected) in [
        (
            "query_range",
            "query=%7Bapp%3D%22x%22",
            "parse error at line 1, col 9: syntax error: unexpected $end, expecting } or ,",
        ),
        (
            "query_range",
            &format!("{web}&limit=9999"),
            "max entries limit per query exceeded, limit > max_entries_limit_per_query (9999 > 5000); it is `query.log_lines_max` of the configuration",
        ),
        ("query_range", &format!("{web}&limit=0"), "limit must be a positive value"),
        ("query_range", &format!("{web}&direction=sideways"), "invalid direction 'sideways'"),
        (
            "query_range",
            &format!("{web}&step=0"),
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        ("query_range", &format!("{web}&step=x"), "cannot parse \"x\" to a valid duration"),
        (
            "query",
            web,
            "log queries are not supported as an instant query type, please change your query to a range query type",
        ),
        ("index/stats", "query=%7Bapp%3D%22x%22%7D%7C%3D%22y%22", "only label matchers are supported"),
        ("index/volume", &format!("{web}&aggregateBy=x"), "invalid aggregation option"),
        (
            "index/volume_range",
            &format!("{web}&step=0.01"),
            "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
        ),
    ] {
        let (status, text) = ask(path, params).await;
        assert_eq!((status, text.trim_end()), (StatusCode::BAD_REQUEST, expected), "{path} {params}");
    }
    let (_, text) = send(
        Request::get("/loki/api/v1/query_range?query=%7Ba%3D%22b%22%7D&start=zzz")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(
        text.trim_end(),
        "could not parse 'start' parameter: strconv.ParseInt: parsing \"zzz\": invalid syntax"
    );
}

#[tokio::test]
async fn forms_are_read_too() {
    let body = format!("query=%7Bapp%3D%22db%22%7D&start={START_NS}&end={}", START_NS + 10 * MINUTE_NS);
    let request = Request::post("/loki/api/v1/query_range")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body));
    let (status, text) = send(request.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("slow query"));
}

#[tokio::test]
async fn the_rest_answers() {
    let (status, text) = send(Request::get("/ready").body(Body::empty()).unwrap()).await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "ready\n"));
    let json = answer("format_query", "query=%7Ba%3D%22b%22%7D%7C%3D%60c%60").await;
    assert_eq!(json, json!({"status": "success", "data": "{a=\"b\"} |= \"c\""}));
    let (status, text) = ask("format_query", "query=%7B").await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &json["status"]), (StatusCode::BAD_REQUEST, &json!("invalid-query")));
    assert!(answer("status/buildinfo", "").await["version"].is_string());
    assert!(answer("drilldown-limits", "").await["limits"].is_object());
}

#[tokio::test]
async fn deleted_lines_are_gone() {
    let app = app();
    let ask = async |request: Request<Body>| {
        let response = open_service(&app).oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    };
    let end = START_NS + 10 * MINUTE_NS;
    let range = format!("start={START_NS}&end={end}");
    let uri = format!("/loki/api/v1/delete?query=%7Bapp%3D%22web%22%7D%7C%3D%22500%22&{range}");
    let (status, _) = ask(Request::post(&uri).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let uri = format!("/loki/api/v1/query_range?query=%7Bapp%3D%22web%22%7D&{range}");
    let (_, text) = ask(Request::get(&uri).body(Body::empty()).unwrap()).await;
    assert!(text.contains("status=200") && !text.contains("status=500"), "{text}");
    let uri = format!("/loki/api/v1/delete?query=%7Bapp%3D%22web%22%7D%7Cjson&{range}");
    let (status, _) = ask(Request::post(&uri).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
