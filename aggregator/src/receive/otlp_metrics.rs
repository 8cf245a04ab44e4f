//! `POST /v1/metrics`, `/otlp/v1/metrics`, `/api/v1/otlp/v1/metrics`: OTLP metrics.

use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::{
    compression::{Encoding, decompress},
    otlp::{Format, Signal, decode_metrics, decode_metrics_json, error_body, success_body},
};

pub(super) async fn export(State(app): State<AppState>, request: Request) -> Response {
    let (format, encoding) = match negotiate(request.headers()) {
        Ok(negotiated) => negotiated,
        Err(failure) => {
            let failure = refused_unread(&app, Protocol::OtlpMetrics, &request, failure);
            return respond_failure(Format::Json, &failure);
        }
    };
    let result = receive(&app, Protocol::OtlpMetrics, request, move |work| {
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        let report = match format {
            Format::Protobuf => decode_metrics(&scratch.body, &mut scratch.metrics)?,
            Format::Json => decode_metrics_json(&scratch.body, &mut scratch.metrics)?,
        };
        Ok(Decoded::Metrics(report))
    });
    respond(format, Signal::Metrics, result.await)
}

/// Format and compression of a request; both signals of OTLP say them alike.
pub(super) fn negotiate(headers: &HeaderMap) -> Result<(Format, Encoding), Failure> {
    let content_type = header_text(headers, header::CONTENT_TYPE);
    let format = Format::from_content_type(content_type).ok_or_else(|| {
        let expected = "send application/x-protobuf or application/json";
        Failure::Unsupported(format!("unsupported content type `{content_type}`: {expected}"))
    })?;
    let encoding = header_text(headers, header::CONTENT_ENCODING);
    let encoding = Encoding::from_header(encoding)
        .ok_or_else(|| Failure::Unsupported(format!("unsupported content encoding `{encoding}`")))?;
    Ok((format, encoding))
}

/// 200 with what was refused as partial success, which a sender must not send again.
pub(super) fn respond(format: Format, signal: Signal, result: Result<Appended, Failure>) -> Response {
    match result {
        Ok(appended) => {
            let body = success_body(format, signal, appended.rejected, &appended.message);
            (StatusCode::OK, [(header::CONTENT_TYPE, format.content_type())], body).into_response()
        }
        Err(failure) => respond_failure(format, &failure),
    }
}

pub(super) fn respond_failure(format: Format, failure: &Failure) -> Response {
    let body = error_body(format, failure.status().as_u16(), &failure.to_string());
    failure.respond(format.content_type(), body)
}
