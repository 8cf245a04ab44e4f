//! `POST /v1/logs`, `/otlp/v1/logs`: OTLP logs.
//!
//! `X-Bellwether-Labels: resource` makes every resource attribute a stream label, as our own agent
//! asks for; otherwise Loki's default ones are.

use super::{
    append::Decoded,
    counters::Protocol,
    otlp_metrics::{negotiate, respond, respond_failure},
    request::{header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    response::Response,
};
use wire::{
    LogOptions,
    compression::decompress,
    otlp::{Format, LabelRule, Signal, decode_logs, decode_logs_json},
};

const LABELS: &str = "x-bellwether-labels";

pub(super) async fn export(State(app): State<AppState>, request: Request) -> Response {
    let (format, encoding) = match negotiate(request.headers()) {
        Ok(negotiated) => negotiated,
        Err(failure) => {
            let failure = refused_unread(&app, Protocol::OtlpLogs, &request, failure);
            return respond_failure(Format::Json, &failure);
        }
    };
    let rule = match header_text(request.headers(), LABELS) {
        "resource" => LabelRule::AllResourceAttributes,
        _ => LabelRule::Indexed,
    };
    let result = receive(&app, Protocol::OtlpLogs, request, move |work| {
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        let report = match format {
            Format::Protobuf => decode_logs(&scratch.body, rule, options, &mut scratch.logs)?,
            Format::Json => decode_logs_json(&scratch.body, rule, options, &mut scratch.logs)?,
        };
        Ok(Decoded::Logs(report))
    });
    respond(format, Signal::Logs, result.await)
}
