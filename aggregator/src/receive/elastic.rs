//! Elasticsearch's bulk API, as Filebeat, Vector, Fluent Bit and Logstash speak it: `_bulk` and
//! `{index}/_bulk`, and under `/elasticsearch` also single documents (`{index}/_doc`,
//! `{index}/_create`) and what shippers ask for before they send ([`handshake`]).
//!
//! Whatever else is asked is refused: a 200 to a request that stores something elsewhere would lose it.
//!
//! Documents that cannot be read fail one by one in the answer. What the store refuses (too old, too
//! long) is counted, and told when nothing of a request is left: the store does not say of which document.

mod answer;
mod handshake;

use self::answer::{Items, answer};
use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use std::{borrow::Cow, time::Instant};
use wire::{
    LogOptions,
    compression::{Encoding, decompress},
    elastic::{decode_bulk, decode_document},
};

/// The prefix under which the whole API is.
const PREFIX: &str = "/elasticsearch";
/// Of the name of an index in a path, as in Elasticsearch: it is told with each action.
const INDEX_BYTES_MAX: usize = 255;
/// Of a path, in what is said of it.
const PATH_SHOWN_BYTES_MAX: usize = 200;
/// Said of what is not supported.
const SUPPORTED: &str = "documents are taken by `_bulk`, `{index}/_bulk`, `{index}/_doc` and \
     `{index}/_create/{id}`, and what is stored is asked for in LogQL at `/loki/api/v1/query_range`";

/// Every method and path below the prefix, and `_bulk` at the root.
pub(super) async fn api(State(app): State<AppState>, request: Request) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix(PREFIX).unwrap_or(&path).trim_matches('/');
    let mut response = match call(&method, path) {
        Call::Bulk { index } | Call::Document { index, .. } if unescaped(index).len() > INDEX_BYTES_MAX => {
            let problem = format!("the name of the index has more than {INDEX_BYTES_MAX} bytes");
            let failure = Failure::Malformed(problem);
            refuse(&refused_unread(&app, Protocol::ElasticBulk, &request, failure))
        }
        Call::Bulk { index } => bulk(&app, &unescaped(index), request).await,
        Call::Document { index, id } => {
            let (index, id) = (unescaped(index), id.map(unescaped));
            document(&app, &index, id.as_deref(), request).await
        }
        Call::Other => match handshake::answer(&method, path) {
            Some(answer) => answer,
            None => unsupported(&app, path, &request),
        },
    };
    response.headers_mut().insert("x-elastic-product", HeaderValue::from_static("Elasticsearch"));
    response
}

/// A segment of a path as it was meant.
fn unescaped(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Call<'p> {
    /// "" when each action names its own index.
    Bulk {
        index: &'p str,
    },
    Document {
        index: &'p str,
        id: Option<&'p str>,
    },
    Other,
}

fn call<'p>(method: &Method, path: &'p str) -> Call<'p> {
    let (index, last) = path.rsplit_once('/').unwrap_or(("", path));
    let segments: Vec<&str> = path.split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::POST | &Method::PUT, _) if last == "_bulk" => Call::Bulk { index },
        (&Method::POST | &Method::PUT, &[index, "_doc" | "_create", id]) if !index.starts_with('_') => {
            Call::Document { index, id: Some(id) }
        }
        (&Method::POST, &[index, "_doc"]) if !index.starts_with('_') => Call::Document { index, id: None },
        _ => Call::Other,
    }
}

/// How the body is packed, or the refusal of a packing that is not known.
fn encoding(app: &AppState, request: &Request) -> Result<Encoding, Failure> {
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    Encoding::from_header(encoding).ok_or_else(|| {
        let failure = Failure::Unsupported(format!("unsupported content encoding `{encoding}`"));
        refused_unread(app, Protocol::ElasticBulk, request, failure)
    })
}

/// One document, as an action of [`bulk`] is. Lines have no ids: the one that was given is only
/// answered, and the same id again is another line.
async fn document(app: &AppState, index: &str, id: Option<&str>, request: Request) -> Response {
    let encoding = match encoding(app, &request) {
        Ok(encoding) => encoding,
        Err(failure) => return refuse(&failure),
    };
    let its_index = index.to_owned();
    let result = receive(app, Protocol::ElasticBulk, request, move |work| {
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        Ok(Decoded::Logs(decode_document(&scratch.body, &its_index, options, &mut scratch.logs)?))
    });
    match result.await {
        Ok(appended) if appended.rejected > 0 => refuse(&Failure::Malformed(appended.message)),
        Ok(_) => created(index, id),
        Err(failure) => refuse(&failure),
    }
}

fn created(index: &str, id: Option<&str>) -> Response {
    let made = || BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>());
    let body = json!({
        "_index": index,
        "_id": id.map_or_else(made, str::to_owned),
        "_version": 1,
        "result": "created",
        "_shards": {"total": 1, "successful": 1, "failed": 0},
        "_seq_no": 0,
        "_primary_term": 1,
    });
    (StatusCode::CREATED, Json(body)).into_response()
}

/// Counted when it might have been to store something.
fn unsupported(app: &AppState, path: &str, request: &Request) -> Response {
    let method = request.method();
    let shown = &path[..path.floor_char_boundary(PATH_SHOWN_BYTES_MAX)];
    let failure = Failure::Malformed(format!("`{method} {shown}` is not supported: {SUPPORTED}"));
    match *method {
        Method::POST | Method::PUT => refuse(&refused_unread(app, Protocol::ElasticBulk, request, failure)),
        _ => refuse(&failure),
    }
}

async fn bulk(app: &AppState, index: &str, request: Request) -> Response {
    let begun = Instant::now();
    let encoding = match encoding(app, &request) {
        Ok(encoding) => encoding,
        Err(failure) => return refuse(&failure),
    };
    let index = (!index.is_empty()).then(|| index.to_owned());
    let items = Items::default();
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
        Ok(appended) => answer(items, unstored(&appended), begun.elapsed()),
        Err(failure) => refuse(&failure),
    }
}

/// Of documents that were decoded, the store tells how many it refused and why, not which: each is told
/// when it refused all of them. Only why: an example would be repeated for each of them.
fn unstored(appended: &Appended) -> Option<String> {
    if appended.stored > 0 || appended.duplicate || appended.rejections.is_empty() {
        return None;
    }
    let reasons = appended.rejections.iter().map(|rejection| rejection.reason.as_str().replace('_', " "));
    Some(format!("refused: {}", reasons.collect::<Vec<_>>().join(", ")))
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
