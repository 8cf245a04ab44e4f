//! `POST /api/v2/write` and `/write`: InfluxDB line protocol, as Telegraf sends it.
//!
//! 204 when all is stored, also when text fields were skipped: they are no metric, and their
//! sender cannot help it. When lines were refused the rest is stored and the answer is 400 with
//! the numbers of the first ones; the sender must not send the request again. `org`, `bucket` and
//! `db` have no counterpart here and are not looked at.

use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use wire::{
    Refusal,
    compression::{Encoding, decompress},
    influx::{Precision, decode},
};

/// Whose form an error has.
#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

pub(super) async fn write_v1(State(app): State<AppState>, request: Request) -> Response {
    write(&app, Version::V1, request).await
}

pub(super) async fn write_v2(State(app): State<AppState>, request: Request) -> Response {
    write(&app, Version::V2, request).await
}

async fn write(app: &AppState, version: Version, request: Request) -> Response {
    let (precision, encoding) = match negotiate(&request) {
        Ok(negotiated) => negotiated,
        Err(failure) => {
            let failure = refused_unread(app, Protocol::Influx, &request, failure);
            return respond_failure(version, &failure);
        }
    };
    let result = receive(app, Protocol::Influx, request, move |work| {
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        let report = decode(&scratch.body, precision, work.now_ns / 1_000_000, &mut scratch.metrics)?;
        Ok(Decoded::Metrics(report))
    });
    match result.await {
        Ok(appended) if has_refused(&appended) => {
            let message = format!("partial write: {}", appended.message);
            respond_failure(version, &Failure::Malformed(message))
        }
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(failure) => respond_failure(version, &failure),
    }
}

fn negotiate(request: &Request) -> Result<(Precision, Encoding), Failure> {
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    let encoding = Encoding::from_header(encoding)
        .ok_or_else(|| Failure::Unsupported(format!("unsupported content encoding `{encoding}`")))?;
    let mut pairs = request.uri().query().unwrap_or("").split('&');
    let precision = pairs.find_map(|pair| pair.strip_prefix("precision=")).unwrap_or("");
    let precision = Precision::from_param(precision).ok_or_else(|| {
        Failure::Malformed(format!("invalid precision `{precision}`: send ns, us, ms, s, m or h"))
    })?;
    Ok((precision, encoding))
}

/// Whether anything but text fields was refused.
fn has_refused(appended: &Appended) -> bool {
    let texts = appended.report.rejected.iter().filter(|rejected| rejected.reason == Refusal::StringField);
    appended.rejected > texts.map(|rejected| rejected.count).sum()
}

fn respond_failure(version: Version, failure: &Failure) -> Response {
    let message = failure.to_string();
    let body = match version {
        Version::V1 => json!({ "error": message }),
        Version::V2 => json!({ "code": code(failure.status()), "message": message }),
    };
    failure.respond("application/json", body.to_string().into_bytes())
}

/// The `code` of version 2 of the API.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "request too large",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        StatusCode::INTERNAL_SERVER_ERROR => "internal error",
        _ => "invalid",
    }
}
