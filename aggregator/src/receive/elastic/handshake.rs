//! What shippers ask for and set up before they send. Templates, policies and pipelines are
//! acknowledged, and so is the making of an index: there is nothing here that needs them.

use axum::{
    Json,
    body::Body,
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// The release whose clients feel at home; they refuse to talk to an older one.
const VERSION: &str = "8.17.0";
/// What shippers install, and look for first.
const INSTALLED: [&str; 6] =
    ["_component_template", "_data_stream", "_ilm", "_index_template", "_ingest", "_template"];
/// What shippers only look for.
const ASKED: [&str; 3] = ["_alias", "_cat", "_logstash"];

/// The answer, when this belongs to how shippers begin.
pub(super) fn answer(method: &Method, path: &str) -> Option<Response> {
    match *method {
        Method::GET => asked(path).map(|body| Json(body).into_response()),
        Method::HEAD => asked(path).map(|_| {
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], Body::empty()).into_response()
        }),
        Method::PUT | Method::POST => installed(method, path).map(|body| Json(body).into_response()),
        _ => None,
    }
}

fn asked(path: &str) -> Option<Value> {
    let head = path.split('/').next().unwrap_or("");
    Some(match head {
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
        _ if INSTALLED.contains(&head) || ASKED.contains(&head) || is_index(path) => json!({}),
        _ => return None,
    })
}

fn installed(method: &Method, path: &str) -> Option<Value> {
    let head = path.split('/').next().unwrap_or("");
    if INSTALLED.contains(&head) {
        return Some(json!({"acknowledged": true}));
    }
    let makes_index = *method == Method::PUT && is_index(path);
    makes_index.then(|| json!({"acknowledged": true, "shards_acknowledged": true, "index": path}))
}

/// Whether it is the name of an index, or of an alias, and nothing of it.
fn is_index(path: &str) -> bool {
    !path.is_empty() && !path.contains('/') && !path.starts_with('_')
}
