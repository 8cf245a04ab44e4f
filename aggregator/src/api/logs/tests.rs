//! The endpoints over an in-memory store.

use crate::{api::open_service, app::App, app::AppState};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use model::LogBatch;
use serde_json::{Value, json};
use tower::ServiceExt;

const START_NS: i64 = 1_795_168_800_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A line a second for a minute: the web server's, with an error every tenth, and one of the database
/// in between. Two of them share an instant.
fn app() -> AppState {
    let app = App::for_tests();
    let mut batch = LogBatch::default();
    let mut line = |stream: &[(&str, &str)], time_ns: i64, level: &str, line: &str| {
        batch.begin();
        for (name, value) in stream {
            batch.label(name.as_bytes(), value.as_bytes());
        }
        batch.end_stream_labels().unwrap();
        batch.begin();
        batch.label(b"detected_level", level.as_bytes());
        batch.entry_with_scratch(time_ns, line).unwrap();
    };
    for second in 0..60 {
        let (level, status) = if second % 10 == 0 { ("error", 500) } else { ("info", 200) };
        let text = format!("n={second} status={status}");
        line(&[("app", "web")], START_NS + second * SECOND_NS, level, &text);
    }
    line(&[("app", "web")], START_NS + 30 * SECOND_NS, "info", "of the same instant");
    line(&[("app", "web"), ("pod", "1")], START_NS + 31 * SECOND_NS, "info", "of another stream");
    app.logs.append(&batch, None, START_NS).unwrap();
    app
}

async fn send(app: &AppState, request: Request<Body>) -> (StatusCode, String) {
    let response = open_service(app).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(app: &AppState, uri: String) -> (StatusCode, String) {
    send(app, Request::get(uri).body(Body::empty()).unwrap()).await
}

async fn data(app: &AppState, endpoint: &str, params: &str) -> Value {
    let end = START_NS + 60 * SECOND_NS;
    let uri = format!("/api/bellwether/v1/logs/{endpoint}?start={START_NS}&end={end}&{params}");
    let (status, text) = get(app, uri).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(json["stats"]["seconds"].is_number());
    json["data"].clone()
}

/// Id and line of every line of the web server, oldest first.
async fn ids(app: &AppState) -> Vec<(String, String, String)> {
    let end = START_NS + 60 * SECOND_NS;
    let query = "query=%7Bapp%3D%22web%22,pod%3D%22%22%7D&limit=100&direction=forward";
    let uri = format!("/loki/api/v1/query_range?start={START_NS}&end={end}&{query}");
    let request = Request::get(uri).header("X-Loki-Response-Encoding-Flags", "categorize-labels,line-ids");
    let (_, text) = send(app, request.body(Body::empty()).unwrap()).await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["data"]["encodingFlags"], json!(["categorize-labels", "line-ids"]));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let values = json["data"]["result"][0]["values"].as_array().unwrap();
    values.iter().map(|value| (text(&value[2]["id"]), text(&value[0]), text(&value[1]))).collect()
}

fn lines(value: &Value) -> Vec<String> {
    let lines = value.as_array().unwrap().iter();
    lines.map(|line| line["line"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_line_stands_among_its_neighbours() {
    let app = app();
    let all = ids(&app).await;
    let place = all.iter().position(|(_, _, line)| line == "of the same instant").unwrap();
    let (id, time, _) = &all[place];
    let found = data(&app, "context", &format!("id={id}&time={time}&before=2&after=2")).await;
    assert_eq!(lines(&found["before"]), ["n=29 status=200", "n=30 status=500"]);
    assert_eq!(found["line"]["line"], "of the same instant");
    // Not the line of the stream with one label more.
    assert_eq!(lines(&found["after"]), ["n=31 status=200", "n=32 status=200"]);
    assert_eq!(found["stream"], json!({"app": "web"}));
    let first = &all[0];
    let found = data(&app, "context", &format!("id={}&time={}&before=5&after=0", first.0, first.1)).await;
    assert_eq!((lines(&found["before"]).len(), lines(&found["after"]).len()), (0, 0));
}

#[tokio::test]
async fn a_line_that_is_not_there_is_not_found() {
    let app = app();
    let context = "/api/bellwether/v1/logs/context";
    let (status, text) = get(&app, format!("{context}?id=fedcba&time={START_NS}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{text}");
    let (status, text) = get(&app, format!("{context}?id=xyz&time={START_NS}")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
    let (status, _) = get(&app, format!("{context}?id=1")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

fn field(found: &Value, name: &str) -> Value {
    let fields = found["fields"].as_array().unwrap();
    fields.iter().find(|field| field["name"] == name).cloned().unwrap_or_default()
}

#[tokio::test]
async fn facets_count_values_over_the_whole_result() {
    let app = app();
    let found = data(&app, "facets", "query=%7Bapp%3D%22web%22%7D").await;
    assert_eq!((&found["lines"], &found["partial"]), (&json!(62), &json!(false)));
    let expected = json!([{"value": "info", "lines": 56}, {"value": "error", "lines": 6}]);
    let level = field(&found, "detected_level");
    assert_eq!(
        (&level["values"], &level["source"], &level["exact"]),
        (&expected, &json!("metadata"), &json!(true))
    );
    assert_eq!(field(&found, "app")["source"], "stream");
    // With stages the lines are read, and what the stages extract is counted, too.
    let found = data(&app, "facets", "query=%7Bapp%3D%22web%22%7D%7Clogfmt%7Cstatus%3D500").await;
    assert_eq!(found["lines"], 6);
    assert_eq!(field(&found, "detected_level")["values"], json!([{"value": "error", "lines": 6}]));
    let n = field(&found, "n");
    assert_eq!((&n["distinct"], &n["source"]), (&json!(6), &json!("parsed")));
    let found = data(&app, "facets", "query=%7Bapp%3D%22web%22%7D&detect=true&field=status").await;
    let expected = json!([{"value": "200", "lines": 54}, {"value": "500", "lines": 6}]);
    assert_eq!(found["fields"].as_array().map(Vec::len), Some(1));
    assert_eq!(field(&found, "status")["values"], expected);
}

#[tokio::test]
async fn facets_say_when_lines_were_left_out() {
    let found = data(&app(), "facets", "query=%7Bapp%3D%22web%22%7D%7C%3D%22n%3D%22&line_limit=7").await;
    assert_eq!((&found["lines"], &found["partial"]), (&json!(7), &json!(true)));
    assert_eq!(field(&found, "app")["exact"], json!(false));
}

#[tokio::test]
async fn a_histogram_by_label() {
    let app = app();
    let found = data(&app, "histogram", "query=%7Bapp%3D%22web%22%7D&by=detected_level&step=20s").await;
    assert_eq!((&found["start"], &found["step"]), (&json!(START_NS.to_string()), &json!("20000000000")));
    let expected = json!([
        {"labels": {"detected_level": "info"}, "lines": 56, "counts": [18, 20, 18]},
        {"labels": {"detected_level": "error"}, "lines": 6, "counts": [2, 2, 2]},
    ]);
    assert_eq!(found["series"], expected);
    // The same of lines that have to be read.
    let query = "query=%7Bapp%3D%22web%22%7D%7Clogfmt%7Cstatus%3E0&by=status&step=20s";
    let found = data(&app, "histogram", query).await;
    assert_eq!(found["series"][0]["counts"], json!([18, 18, 18]));
    let found = data(&app, "histogram", &format!("{query}&limit=1")).await;
    assert_eq!(found["other"], json!({"series": 1, "counts": [2, 2, 2]}));
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let app = app();
    for (params, expected) in [
        ("histogram?query=rate(%7Bapp%3D%22web%22%7D[5m])", "`query` must be a log query"),
        ("histogram?query=%7Bapp%3D%22web%22%7D&start=10&end=5", "`end` must be after `start`"),
        ("histogram?query=%7Bapp%3D%22web%22%7D&start=1&end=999999999&step=1", "more than 12000 buckets"),
        ("facets?query=%7Bapp%3D%22web%22%7D&detect=maybe", "`detect` must be `true` or `false`"),
        ("facets?query=%7B%7D", "queries require at least one"),
    ] {
        let (status, text) = get(&app, format!("/api/bellwether/v1/logs/{params}")).await;
        assert!(status == StatusCode::BAD_REQUEST && text.contains(expected), "{params}: {status} {text}");
    }
}
