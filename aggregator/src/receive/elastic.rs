//! Elasticsearch's bulk API, as Filebeat, Vector, Fluent Bit and Logstash speak it: `_bulk` and
//! `{index}/_bulk`, and under `/elasticsearch` also what they ask for before they send.
//!
//! Documents that cannot be read fail one by one in the answer; what the store refuses (too old, too
//! long) is counted, and not told, since the store does not say of which document.

use super::{
    append::Decoded,
    counters::Protocol,
    failure::Failure,
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};
use wire::{
    LogOptions,
    compression::{Encoding, decompress},
    elastic::{Item, decode_bulk},
};

/// The prefix under which the whole API is.
const PREFIX: &str = "/elasticsearch";
/// The release whose clients feel at home; they refuse to talk to an older one.
const VERSION: &str = "8.17.0";

/// Every method and path below the prefix, and `_bulk` at the root.
pub(super) async fn api(State(app): State<AppState>, request: Request) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix(PREFIX).unwrap_or(&path).trim_matches('/');
    let (index, last) = path.rsplit_once('/').map_or(("", path), |(index, last)| (index, last));
    let mut response = match last {
        "_bulk" if matches!(method, Method::POST | Method::PUT) => bulk(&app, index, request).await,
        _ => handshake(&method, path),
    };
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

async fn bulk(app: &AppState, index: &str, request: Request) -> Response {
    let begun = Instant::now();
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    let Some(encoding) = Encoding::from_header(encoding) else {
        let failure = Failure::Unsupported(format!("unsupported content encoding `{encoding}`"));
        return refuse(&refused_unread(app, Protocol::ElasticBulk, &request, failure));
    };
    let index = (!index.is_empty()).then(|| index.to_owned());
    let items: Arc<OnceLock<Vec<Item>>> = Arc::default();
    let decoded_items = items.clone();
    let result = receive(app, Protocol::ElasticBulk, request, move |work| {
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        let (report, items) = decode_bulk(&scratch.body, index.as_deref(), options, &mut scratch.logs)?;
        decoded_items.get_or_init(|| items);
        Ok(Decoded::Logs(report))
    });
    match result.await {
        Ok(_) => answer(items.get().map_or(&[][..], Vec::as_slice), begun),
        Err(failure) => refuse(&failure),
    }
}

fn answer(items: &[Item], begun: Instant) -> Response {
    let each: Vec<Value> = items.iter().map(item).collect();
    Json(json!({
        "took": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "errors": items.iter().any(|item| item.error.is_some()),
        "items": each,
    }))
    .into_response()
}

fn item(item: &Item) -> Value {
    let outcome = match &item.error {
        None => json!({"_index": item.index, "status": 201, "result": "created"}),
        Some(reason) => json!({
            "_index": item.index,
            "status": 400,
            "error": {"type": "document_parsing_exception", "reason": reason},
        }),
    };
    json!({ item.action: outcome })
}

fn refuse(failure: &Failure) -> Response {
    let status = failure.status();
    let kind = match status {
        StatusCode::SERVICE_UNAVAILABLE => "unavailable_shards_exception",
        StatusCode::PAYLOAD_TOO_LARGE => "content_too_long_exception",
        _ => "illegal_argument_exception",
    };
    let cause = json!({"type": kind, "reason": failure.to_string()});
    let body = json!({
        "error": {"root_cause": [cause], "type": kind, "reason": failure.to_string()},
        "status": status.as_u16(),
    });
    failure.respond("application/json", body.to_string().into_bytes())
}

/// What clients ask before they send. Settings that they would install (templates, policies,
/// pipelines) are acknowledged: there is nothing here that needs them.
fn handshake(method: &Method, path: &str) -> Response {
    let head = path.split('/').next().unwrap_or("");
    let body = match head {
        "" => json!({
            "name": "bellwether",
            "cluster_name": "bellwether",
            "version": {"number": VERSION, "build_flavor": "default", "lucene_version": "9.12.0",
                "minimum_wire_compatibility_version": "7.17.0", "minimum_index_compatibility_version": "7.0.0"},
            "tagline": "You Know, for Search",
        }),
        "_license" => json!({"license": {"uid": "bellwether", "type": "basic", "status": "active"}}),
        "_xpack" => {
            json!({"license": {"type": "basic", "mode": "basic", "status": "active"}, "features": {}})
        }
        "_nodes" => json!({"cluster_name": "bellwether", "nodes": {}}),
        "_cluster" => json!({"cluster_name": "bellwether", "status": "green", "timed_out": false,
            "number_of_nodes": 1, "active_shards": 1}),
        _ if *method == Method::GET || *method == Method::HEAD => json!({}),
        _ => json!({"acknowledged": true}),
    };
    if *method == Method::HEAD {
        return (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], Body::empty()).into_response();
    }
    Json(body).into_response()
}
