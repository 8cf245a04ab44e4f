//! Requests of log shippers as they send them, through the router.

use super::tests::{packed, post, send};
use crate::{
    agents::Agents,
    app::{App, AppState},
    config::Config,
};
use axum::{
    body::Body,
    http::{Method, Request},
};
use daemon::clock;
use http_body_util::BodyExt;
use model::TimeRange;
use serde_json::Value;
use std::{ops::ControlFlow, sync::Arc};
use store::{Direction, LogRequest, QueryContext, Row};
use tower::ServiceExt;
use wire::compression::Encoding;

fn stored(app: &AppState) -> Vec<String> {
    let request = LogRequest {
        matchers: Vec::new(),
        range: TimeRange::ALL,
        filters: Vec::new(),
        metadata_hints: Vec::new(),
        direction: Direction::Forward,
    };
    let context = QueryContext::default();
    let scan = app.logs.scan(&request, &context).expect("scans");
    let mut lines = Vec::new();
    for unit in 0..scan.units().len() {
        let mut sink = |row: Row<'_>| {
            lines.push(format!("{} {}", row.labels.value("host"), row.line));
            ControlFlow::Continue(())
        };
        scan.read(unit, &context, &mut sink).expect("reads");
    }
    lines.sort();
    lines
}

async fn ask(app: &AppState, method: Method, path: &str) -> (u16, String, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a valid request");
    let response = crate::api::open_service(app).oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let product = parts.headers.get("x-elastic-product").and_then(|value| value.to_str().ok()).unwrap_or("");
    let body = body.collect().await.expect("a body in memory").to_bytes().to_vec();
    (parts.status.as_u16(), product.to_owned(), body)
}

#[tokio::test]
async fn shippers_of_elasticsearch_find_what_they_look_for() {
    let app = App::for_tests();
    for (method, path) in [
        // Filebeat and Logstash
        (Method::GET, "/elasticsearch"),
        (Method::GET, "/elasticsearch/"),
        (Method::HEAD, "/elasticsearch/"),
        (Method::GET, "/elasticsearch/_license"),
        (Method::GET, "/elasticsearch/_xpack"),
        (Method::GET, "/elasticsearch/_nodes/http"),
        (Method::HEAD, "/elasticsearch/_index_template/filebeat-8.17.0"),
        (Method::PUT, "/elasticsearch/_index_template/filebeat-8.17.0"),
        (Method::PUT, "/elasticsearch/_ilm/policy/filebeat"),
        (Method::PUT, "/elasticsearch/_data_stream/filebeat-8.17.0"),
        (Method::PUT, "/elasticsearch/_component_template/logs"),
        (Method::GET, "/elasticsearch/_ingest/pipeline/filebeat-8.17.0"),
        (Method::PUT, "/elasticsearch/_ingest/pipeline/filebeat-8.17.0"),
        (Method::PUT, "/elasticsearch/_template/logstash"),
        (Method::HEAD, "/elasticsearch/logstash"),
        (Method::HEAD, "/elasticsearch/_alias/filebeat"),
        (Method::PUT, "/elasticsearch/%3Clogstash-%7Bnow%2Fd%7D-000001%3E"),
        // Vector
        (Method::GET, "/elasticsearch/_cluster/health"),
    ] {
        let (status, product, body) = ask(&app, method.clone(), path).await;
        assert_eq!((status, product.as_str()), (200, "Elasticsearch"), "{method} {path}");
        assert_eq!(body.is_empty(), method == Method::HEAD, "{method} {path}");
    }
    let root: Value =
        serde_json::from_slice(&ask(&app, Method::GET, "/elasticsearch").await.2).expect("JSON");
    assert!(root["version"]["number"].as_str().is_some_and(|number| number.starts_with("8.")));
    let page = ask(&app, Method::GET, "/").await;
    assert_eq!(page.1, "", "the root is the page's");
}

#[tokio::test]
async fn bulk_requests_as_shippers_send_them() {
    let app = App::for_tests();
    let filebeat = concat!(
        "{\"create\":{\"_index\":\"filebeat-8.17.0\"}}\n",
        "{\"@timestamp\":\"2026-05-28T20:26:40.000Z\",\"message\":\"from filebeat\",\"host\":{\"name\":\"a\"},\"ecs\":{\"version\":\"8.0.0\"}}\n",
    );
    let fluent_bit = concat!(
        "{\"create\":{\"_index\":\"fluent-bit\",\"_type\":\"_doc\"}}\n",
        "{\"@timestamp\":\"2026-05-28T20:26:41.123Z\",\"log\":\"from fluent bit\",\"hostname\":\"b\"}\n",
    );
    let vector = concat!(
        "{\"create\":{\"_index\":\"vector-2026.05.28\"}}\n",
        "{\"host\":\"c\",\"message\":\"from vector\",\"source_type\":\"file\",\"timestamp\":\"2026-05-28T20:26:42Z\"}\n",
    );
    let logstash = concat!(
        "{\"index\":{\"_index\":\"logstash\",\"routing\":null}}\n",
        "{\"@timestamp\":\"2026-05-28T20:26:43.000Z\",\"@version\":\"1\",\"message\":\"from logstash\",\"host\":{\"hostname\":\"d\"}}\n",
        "{\"index\":{\"_index\":\"logstash\"}}\nnot json\n",
    );
    let ndjson = [("content-type", "application/x-ndjson")];
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    for (path, headers, body, errors) in [
        ("/elasticsearch/_bulk", &ndjson[..], filebeat.as_bytes().to_vec(), false),
        ("/_bulk", &ndjson[..], fluent_bit.as_bytes().to_vec(), false),
        ("/elasticsearch/_bulk?timeout=60s", &gzip[..], packed(Encoding::Gzip, vector.as_bytes()), false),
        ("/logs/_bulk", &gzip[..], packed(Encoding::Gzip, logstash.as_bytes()), true),
    ] {
        let answer = post(&app, path, headers, body).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-elastic-product"), "Elasticsearch");
        let body: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(body["errors"], errors, "{path}: {body}");
        let last = body["items"].as_array().and_then(|items| items.last()).expect("an item");
        let status =
            last.as_object().and_then(|item| item.values().next()).map(|item| item["status"].clone());
        assert_eq!(status, Some(Value::from(if errors { 400 } else { 201 })));
    }
    assert_eq!(stored(&app), ["a from filebeat", "b from fluent bit", "c from vector", "d from logstash"]);
    let broken = post(&app, "/_bulk", &ndjson, b"nonsense\n".to_vec()).await;
    assert_eq!(broken.status, 400);
    assert!(broken.text().contains("illegal_argument_exception"), "{}", broken.text());
}

#[tokio::test]
async fn single_documents_are_stored_and_answered_as_elasticsearch_does() {
    let app = App::for_tests();
    let json = [("content-type", "application/json")];
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let document = |host: &str| format!("{{\n  \"message\": \"x\",\n  \"host\": \"{host}\"\n}}").into_bytes();
    for (method, path, headers, body, id) in [
        (Method::POST, "/elasticsearch/idx/_doc", &json, document("a"), None),
        (Method::PUT, "/elasticsearch/idx/_doc/1", &json, document("b"), Some("1")),
        (Method::POST, "/elasticsearch/id%78/_create/7%2F8?refresh=true", &json, document("c"), Some("7/8")),
    ] {
        let answer = send(&app, method, path, headers, body).await;
        let found: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!((answer.status.as_u16(), &found["result"]), (201, &"created".into()), "{path}: {found}");
        assert_eq!((answer.header("x-elastic-product"), &found["_index"]), ("Elasticsearch", &"idx".into()));
        let found = found["_id"].as_str().expect("an id");
        assert!(id.map_or(found.len() == 20, |id| found == id), "{path}: {found}");
    }
    let packed = packed(Encoding::Gzip, &document("d"));
    assert_eq!(post(&app, "/elasticsearch/idx/_doc", &gzip, packed).await.status, 201);
    assert_eq!(stored(&app), ["a x", "b x", "c x", "d x"]);
    let old = br#"{"message":"x","@timestamp":"1970-01-02T00:00:00Z"}"#;
    for body in [&b"[1]"[..], b"nonsense", b"", b"\xff", old] {
        let answer = post(&app, "/elasticsearch/idx/_doc", &json, body.to_vec()).await;
        let is_stored = body == old && answer.status == 201;
        assert!(is_stored || answer.status == 400, "{body:?}: {}", answer.text());
    }
}

/// A 200 would lose what their senders mean to be stored.
#[tokio::test]
async fn what_is_not_supported_of_elasticsearch_is_refused() {
    let app = App::for_tests();
    for (method, path) in [
        (Method::PUT, "/elasticsearch/idx/_doc"),
        (Method::POST, "/elasticsearch/idx/_update/1"),
        (Method::POST, "/elasticsearch/idx/mytype"),
        (Method::PUT, "/elasticsearch/idx/mytype/1"),
        (Method::POST, "/elasticsearch/idx"),
        (Method::DELETE, "/elasticsearch/idx"),
        (Method::DELETE, "/elasticsearch/idx/_doc/1"),
        (Method::DELETE, "/elasticsearch/_template/logstash"),
        (Method::POST, "/elasticsearch/_msearch"),
        (Method::POST, "/elasticsearch/idx/_search"),
        (Method::GET, "/elasticsearch/idx/_search"),
        (Method::GET, "/elasticsearch/_search"),
        (Method::POST, "/elasticsearch/_reindex"),
    ] {
        let body = br#"{"message":"x"}"#.to_vec();
        let answer = send(&app, method.clone(), path, &[("content-type", "application/json")], body).await;
        let found: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(
            (answer.status.as_u16(), &found["status"]),
            (400, &400.into()),
            "{method} {path}: {found}"
        );
        let reason = found["error"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("`{index}/_doc`"), "{method} {path}: {reason}");
    }
    assert!(stored(&app).is_empty());
    let counted = r#"bellwether_receive_failures_total{protocol="elastic_bulk",reason="malformed"} 8"#;
    assert!(app.own.encode().contains(counted), "{}", app.own.encode());
}

#[tokio::test]
async fn shippers_are_told_of_lines_that_are_too_long() {
    let dir = disk::Dir::simulated(1, disk::Faults::default());
    let logs = logstore::Logstore::open(dir, logstore::LogstoreOptions::default(), clock::now_ns());
    let metrics = Arc::new(store::MemMetricStore::new());
    let app =
        App::new(Config::default(), metrics, Arc::new(logs.expect("an empty store")), Agents::in_memory());
    app.set_ready(true);
    let app = Arc::new(app);
    let long = "x".repeat(2 << 20);
    let bulk = |documents: &[String]| {
        let pairs: Vec<_> =
            documents.iter().map(|document| format!("{{\"create\":{{}}}}\n{document}\n")).collect();
        pairs.concat().into_bytes()
    };
    let too_long = format!("{{\"message\":\"{long}\"}}");
    let bad_label = format!("{{\"message\":\"x\",\"host\":\"{}\"}}", &long[..1 << 17]);
    let good = "{\"message\":\"y\",\"host\":\"h\"}".to_owned();
    for (documents, statuses) in [(vec![too_long], vec![400]), (vec![bad_label, good], vec![400, 201])] {
        let answer = post(&app, "/idx/_bulk", &[], bulk(&documents)).await;
        let found: Value = serde_json::from_str(&answer.text()).expect("JSON");
        let items = found["items"].as_array().expect("items");
        let told: Vec<_> = items.iter().map(|item| item["create"]["status"].as_u64().unwrap_or(0)).collect();
        assert_eq!((told, &found["errors"]), (statuses, &true.into()), "{found}");
    }
    let answer = post(&app, "/services/collector/raw", &[], long.into_bytes()).await;
    let found: Value = serde_json::from_str(&answer.text()).expect("JSON");
    assert_eq!((answer.status.as_u16(), &found["code"]), (400, &6.into()), "{found}");
    assert_eq!(stored(&app), ["h y"]);
}

/// The answer has something for each action, and actions are short.
#[tokio::test]
async fn answers_to_bulk_requests_are_in_proportion_to_them() {
    let logs = store::MemLogStore::with_limits(store::AgeLimits::default());
    let metrics = Arc::new(store::MemMetricStore::new());
    let app = App::new(Config::default(), metrics, Arc::new(logs), Agents::in_memory());
    app.set_ready(true);
    let app = Arc::new(app);
    let label = "x".repeat(60 << 10);
    let mut refused = format!(
        "{{\"create\":{{}}}}\n{{\"time\":\"2100-01-01T00:00:00Z\",\"host\":\"{label}\",\"app\":\"{label}\"}}\n"
    );
    refused.push_str(&"{\"create\":{}}\n{\"time\":\"2100-01-01T00:00:00Z\"}\n".repeat(2_000));
    let unknown = format!("{{\"{}\":{{}}}}\n", "x".repeat(1 << 20));
    let deletions = "{\"delete\":{}}\n".repeat(2_000);
    for (path, body, status, times) in [
        ("/_bulk", refused, 200, 4),
        ("/_bulk", unknown, 400, 1),
        ("/logs/_bulk", deletions.clone(), 200, 10),
        (&*format!("/{}/_bulk", "x".repeat(60 << 10)), deletions, 400, 1),
    ] {
        let most = body.len() * times;
        let answer = post(&app, path, &[], body.into_bytes()).await;
        let text = answer.text();
        assert_eq!(answer.status, status, "{}", &text[..200]);
        assert!(text.len() < most, "{} for {most}", text.len());
        let found: Value = serde_json::from_str(&text).expect("JSON");
        if status == 200 {
            let items = found["items"].as_array().expect("items");
            assert!(items.len() >= 2_000 && found["errors"] == true);
        }
    }
    assert!(stored(&app).is_empty());
}

#[tokio::test]
async fn events_for_splunk_are_taken() {
    let app = App::for_tests();
    assert_eq!(ask(&app, Method::GET, "/services/collector/health").await.0, 200);
    let event =
        br#"{"time":1780000000.1,"host":"h","sourcetype":"app","event":"hello"}{"host":"h","event":{"k":1}}"#;
    let answer =
        post(&app, "/services/collector/event", &[("authorization", "Splunk x")], event.to_vec()).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, r#"{"code":0,"text":"Success"}"#));
    let raw =
        post(&app, "/services/collector/raw/1.0?host=r%20r&sourcetype=x", &[], b"one\ntwo\n".to_vec()).await;
    assert_eq!(raw.status, 200);
    assert_eq!(stored(&app), ["h hello", "h {\"k\":1}", "r r one", "r r two"]);
    for (body, code) in [("", 5), (r#"{"event":""}"#, 13), (r#"{"host":"h"}"#, 12), ("nonsense", 6)] {
        let answer = post(&app, "/services/collector", &[], body.as_bytes().to_vec()).await;
        let found: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!((answer.status.as_u16(), &found["code"]), (400, &Value::from(code)), "{body}: {found}");
    }
    assert_eq!(stored(&app).len(), 4, "nothing of a bad request is stored");
}

#[tokio::test]
async fn json_lines_are_taken_and_bad_ones_named() {
    let app = App::for_tests();
    let path = "/insert/jsonline?_time_field=at&_msg_field=text&_stream_fields=host,team";
    let good =
        b"{\"at\":\"2026-05-28T20:26:40Z\",\"text\":\"hi\",\"host\":\"h\",\"team\":\"red\"}\n".to_vec();
    assert_eq!(post(&app, path, &[], good).await.status, 200);
    let answer = post(&app, path, &[], b"{\"text\":\"more\",\"host\":\"h\"}\n7\n".to_vec()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("line 2"), "{}", answer.text());
    assert_eq!(stored(&app), ["h hi", "h more"]);
}

#[tokio::test]
async fn a_journal_larger_than_a_part_is_stored_in_parts() {
    let app = App::for_tests();
    let mut body = Vec::new();
    for i in 0..4000 {
        let padding = "x".repeat(1000);
        body.extend_from_slice(
            format!(
                "__REALTIME_TIMESTAMP={}\n_HOSTNAME=j\nMESSAGE=entry {i} {padding}\n\n",
                1_780_000_000_000_000u64 + i
            )
            .as_bytes(),
        );
    }
    let headers = [("content-type", "application/vnd.fdo.journal")];
    for _ in 0..2 {
        assert_eq!(post(&app, "/upload", &headers, body.clone()).await.status, 202);
    }
    assert_eq!(stored(&app).len(), 4000, "a repeat is stored once");
    assert_eq!(post(&app, "/upload", &headers, b"GET / HTTP/1.1\r\n\r\n".to_vec()).await.status, 400);
    assert_eq!(post(&app, "/upload", &[("content-type", "text/plain")], body).await.status, 415);
}
