//! Splunk's HTTP event collector below `/services/collector`. The token is a Bellwether token of
//! the role `agent` (`Authorization: Splunk TOKEN`).

use super::{
    append::Decoded,
    counters::Protocol,
    failure::Failure,
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use wire::{
    LogOptions,
    compression::{Encoding, decompress},
    splunk::{EventDefaults, EventError, decode_events, decode_raw},
};

/// What a body holds.
#[derive(Clone, Copy)]
enum Form {
    Events,
    Raw,
}

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/services/collector", post(events))
        .route("/services/collector/event", post(events))
        .route("/services/collector/event/1.0", post(events))
        .route("/services/collector/raw", post(raw))
        .route("/services/collector/raw/1.0", post(raw))
        .route("/services/collector/ack", post(acks))
        .route("/services/collector/health", get(health))
        .route("/services/collector/health/1.0", get(health))
}

async fn health() -> Json<Value> {
    Json(json!({"text": "HEC is healthy", "code": 17}))
}

/// A 200 means that the events are stored, so there is nothing to ask for later.
async fn acks() -> Response {
    respond(StatusCode::BAD_REQUEST, json!({"text": "ACK is disabled", "code": 14}))
}

async fn events(State(app): State<AppState>, request: Request) -> Response {
    collect(&app, Form::Events, request).await
}

async fn raw(State(app): State<AppState>, request: Request) -> Response {
    collect(&app, Form::Raw, request).await
}

async fn collect(app: &AppState, form: Form, request: Request) -> Response {
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    let Some(encoding) = Encoding::from_header(encoding) else {
        let failure = Failure::Unsupported(format!("unsupported content encoding `{encoding}`"));
        return refuse(&refused_unread(app, Protocol::SplunkHec, &request, failure), None);
    };
    let defaults = defaults(request.uri().query().unwrap_or(""));
    let problem: Arc<OnceLock<EventError>> = Arc::default();
    let found = problem.clone();
    let result = receive(app, Protocol::SplunkHec, request, move |work| {
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        let decoded = match form {
            Form::Events => decode_events(&scratch.body, &defaults, options, &mut scratch.logs),
            Form::Raw => decode_raw(&scratch.body, &defaults, options, &mut scratch.logs),
        };
        match decoded {
            Ok(report) => Ok(Decoded::Logs(report)),
            Err(EventError::Wire(error)) => Err(error.into()),
            Err(error) => {
                let failure = Failure::Malformed(error.to_string());
                found.get_or_init(|| error);
                Err(failure)
            }
        }
    });
    match result.await {
        // Splunk has no word for a part of a request.
        Ok(appended) if appended.rejected > 0 && appended.stored == 0 && !appended.duplicate => {
            refuse(&Failure::Malformed(appended.message), None)
        }
        Ok(_) => respond(StatusCode::OK, json!({"text": "Success", "code": 0})),
        Err(failure) => refuse(&failure, problem.get()),
    }
}

fn defaults(query: &str) -> EventDefaults {
    let mut defaults = EventDefaults::default();
    for (name, value) in super::request::query_pairs(query) {
        match name.as_str() {
            "host" => defaults.host = Some(value),
            "source" => defaults.source = Some(value),
            "sourcetype" => defaults.sourcetype = Some(value),
            "index" => defaults.index = Some(value),
            _ => {}
        }
    }
    defaults
}

/// Splunk's numbers for what is wrong.
fn refuse(failure: &Failure, problem: Option<&EventError>) -> Response {
    let (code, event) = match problem {
        Some(EventError::NoData) => (5, None),
        Some(EventError::Required(number)) => (12, Some(*number)),
        Some(EventError::Blank(number)) => (13, Some(*number)),
        Some(EventError::Invalid(number)) => (6, Some(*number)),
        _ if failure.status() == StatusCode::SERVICE_UNAVAILABLE => (9, None),
        _ if failure.status().is_server_error() => (8, None),
        _ => (6, None),
    };
    let mut body = json!({"text": failure.to_string(), "code": code});
    if let Some(number) = event {
        body["invalid-event-number"] = json!(number);
    }
    failure.respond("application/json", body.to_string().into_bytes())
}

fn respond(status: StatusCode, body: Value) -> Response {
    (status, Json(body)).into_response()
}
