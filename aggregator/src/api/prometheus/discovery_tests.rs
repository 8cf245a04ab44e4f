//! Targets, their metadata, and what the server says of itself.

use super::tests::{data, get, post};
use crate::{
    agents::Report,
    app::{App, AppState},
};
use axum::http::StatusCode;
use daemon::clock;
use model::{Labels, Metadata, MetricBatch, MetricKind};
use serde_json::{Value, json};

fn report(instance: &str, goodbye: bool) -> Report {
    Report {
        agent: format!("agent-{instance}"),
        job: "node".into(),
        instance: instance.into(),
        interval_ms: 15_000,
        version: "1.2".into(),
        goodbye,
    }
}

/// `a` reports, `b` has gone silent, `c` said goodbye.
fn fleet() -> AppState {
    let app = App::for_tests();
    app.agents.report(report("b", false), 1_000);
    app.agents.report(report("c", true), 120_000);
    app.agents.report(report("a", false), 119_500);
    app.agents.up(120_000);
    app
}

async fn json_of(app: &AppState, path: &str) -> Value {
    let (status, body) = get(app, path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["status"], "success");
    answer["data"].take()
}

#[tokio::test]
async fn agents_are_targets() {
    let app = fleet();
    let found = json_of(&app, "/api/v1/targets").await;
    let expected = json!({
        "discoveredLabels": {
            "__address__": "a", "__meta_bellwether_agent": "agent-a", "__meta_bellwether_version": "1.2", "job": "node",
        },
        "labels": { "instance": "a", "job": "node" },
        "scrapePool": "node",
        "scrapeUrl": "push://a",
        "globalUrl": "push://a",
        "lastError": "",
        "lastScrape": "1970-01-01T00:01:59.5Z",
        "lastScrapeDuration": 0.0,
        "health": "up",
        "scrapeInterval": "15s",
        "scrapeTimeout": "15s",
    });
    assert_eq!(found["activeTargets"][0], expected);
    assert_eq!(found["activeTargets"][1]["health"], "down");
    assert_eq!(found["activeTargets"].as_array().unwrap().len(), 2);
    assert_eq!(found["droppedTargets"][0]["discoveredLabels"]["__address__"], "c");
    assert_eq!(found["droppedTargetCounts"], json!({ "node": 1 }));
    for (filter, active, dropped) in
        [("state=active", 2, 0), ("state=dropped", 0, 1), ("state=ANY", 2, 1), ("scrapePool=other", 0, 0)]
    {
        let found = json_of(&app, &format!("/api/v1/targets?{filter}")).await;
        let count = |name: &str| found[name].as_array().unwrap().len();
        assert_eq!((count("activeTargets"), count("droppedTargets")), (active, dropped), "{filter}");
    }
    assert_eq!(json_of(&app, "/api/v1/scrape_pools").await, json!({ "scrapePools": ["node"] }));
}

#[tokio::test]
async fn metadata_belongs_to_the_targets_that_have_the_metric() {
    let app = fleet();
    let now_ms = clock::now_ms();
    let mut batch = MetricBatch::default();
    for (name, instance) in [("cpu_seconds_total", "a"), ("other", "z")] {
        let labels = Labels::from_pairs([("__name__", name), ("job", "node"), ("instance", instance)]);
        batch.begin_with(labels.as_ref());
        batch.sample(now_ms, 0, 1.0);
        let metadata = Metadata { kind: MetricKind::Counter, help: "Help.".into(), unit: "".into() };
        batch.describe_series(name, metadata);
    }
    app.metrics.append(&batch, None, now_ms).unwrap().commit.wait().unwrap();
    let target = json!({ "instance": "a", "job": "node" });
    let row = json!({ "target": target, "type": "counter", "help": "Help.", "unit": "" });
    let mut named = row.clone();
    named["metric"] = json!("cpu_seconds_total");
    let path = "/api/v1/targets/metadata";
    assert_eq!(json_of(&app, path).await, json!([named]));
    assert_eq!(json_of(&app, &format!("{path}?metric=cpu_seconds_total")).await, json!([row]));
    let (status, body) = get(&app, &format!("{path}?match_target=%7Binstance%3D%22b%22%7D")).await;
    let expected = r#"{"status":"error","errorType":"not_found","error":"specified metadata not found"}"#;
    assert_eq!((status, body.as_str()), (StatusCode::NOT_FOUND, expected));
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let app = App::for_tests();
    for (path, expected) in [
        (
            "alertmanagers",
            r#"{"activeAlertmanagers":[{"url":"http://127.0.0.1:9390/api/v2/alerts"}],"droppedAlertmanagers":[]}"#,
        ),
        ("notifications", "[]"),
        ("status/walreplay", r#"{"current":0,"max":0,"min":0,"state":"done"}"#),
    ] {
        assert_eq!(get(&app, &format!("/api/v1/{path}")).await, (StatusCode::OK, data(expected)), "{path}");
    }
    let features = json_of(&app, "/api/v1/features").await;
    assert_eq!(
        (&features["promql"]["subqueries"], &features["promql"]["anchored"]),
        (&json!(true), &json!(false))
    );
    let (status, body) = post(&app, "/api/v1/admin/tsdb/snapshot", "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "the store in memory has no folder");
    assert!(body.contains("a store in memory makes no snapshot"), "{body}");
}

#[tokio::test]
async fn a_query_is_shown_as_its_tree() {
    let app = App::for_tests();
    let name = json!({ "type": "=", "name": "__name__", "value": "up" });
    let vector = |matchers: Value| {
        json!({
            "type": "vectorSelector", "name": "up", "offset": 0, "matchers": matchers, "timestamp": null,
            "startOrEnd": null, "anchored": false, "smoothed": false,
        })
    };
    for (query, expected) in [
        ("1e3", json!({ "type": "numberLiteral", "val": "1000" })),
        (
            "-(up)",
            json!({ "type": "unaryExpr", "op": "-", "expr": { "type": "parenExpr", "expr": vector(json!([name])) } }),
        ),
        (
            "sum by (job) (up)",
            json!({
                "type": "aggregation", "op": "sum", "expr": vector(json!([name])), "param": null,
                "grouping": ["job"], "without": false,
            }),
        ),
        (
            "up > bool 1",
            json!({
                "type": "binaryExpr", "op": ">", "lhs": vector(json!([name])),
                "rhs": { "type": "numberLiteral", "val": "1" }, "matching": null, "bool": true,
            }),
        ),
        (
            "rate(up[5m] offset 1m)",
            json!({
                "type": "call",
                "func": { "name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector" },
                "args": [{
                    "type": "matrixSelector", "name": "up", "range": 300_000, "offset": 60_000,
                    "matchers": [name], "timestamp": null, "startOrEnd": null, "anchored": false,
                    "smoothed": false,
                }],
            }),
        ),
    ] {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(json_of(&app, &format!("/api/v1/parse_query?query={escaped}")).await, expected, "{query}");
    }
    let (status, _) = get(&app, "/api/v1/parse_query?query=sum(").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn queries_are_counted_by_how_they_ended() {
    let app = App::for_tests();
    for (path, status) in [
        ("query?query=1", StatusCode::OK),
        ("query_range?query=1&start=0&end=1&step=1", StatusCode::OK),
        ("query?query=up%7B__name__%3D~%22.*%22%7D&timeout=x", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(get(&app, &format!("/api/v1/{path}")).await.0, status, "{path}");
    }
    let own = app.own.encode();
    for expected in [
        "bellwether_query_total{endpoint=\"query\",outcome=\"success\"} 1\n",
        "bellwether_query_total{endpoint=\"query_range\",outcome=\"success\"} 1\n",
        "bellwether_query_duration_seconds_count{endpoint=\"query\"} 1\n",
        "bellwether_query_queue_length 0\n",
    ] {
        assert!(own.contains(expected), "{expected}{own}");
    }
}
