//! `POST /insert/jsonline`: a JSON object a line, with the parameters `_time_field`, `_msg_field` and
//! `_stream_fields` (names joined by commas) that VictoriaLogs' clients send.
//!
//! 200 when all is stored; 400 with the reasons when lines were refused, the rest is stored.

use super::{
    append::Decoded,
    counters::Protocol,
    failure::Failure,
    request::{header_text, query_pairs, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::{
    DocumentOptions, LogOptions,
    compression::{Encoding, decompress},
    json_lines::decode_json_lines,
};

pub(super) async fn insert(State(app): State<AppState>, request: Request) -> Response {
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    let Some(encoding) = Encoding::from_header(encoding) else {
        let failure = Failure::Unsupported(format!("unsupported content encoding `{encoding}`"));
        return refused_unread(&app, Protocol::JsonLines, &request, failure).respond_text();
    };
    let fields = fields(request.uri().query().unwrap_or(""));
    let result = receive(&app, Protocol::JsonLines, request, move |work| {
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        let scratch = work.scratch;
        decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
        Ok(Decoded::Logs(decode_json_lines(&scratch.body, &fields, options, &mut scratch.logs)?))
    });
    match result.await {
        Ok(appended) if appended.rejected == 0 => StatusCode::OK.into_response(),
        Ok(appended) => Failure::Malformed(appended.message).respond_text(),
        Err(failure) => failure.respond_text(),
    }
}

fn fields(query: &str) -> DocumentOptions {
    let mut fields = DocumentOptions::default();
    for (name, value) in query_pairs(query).into_iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "_time_field" => fields.time_field = Some(value),
            "_msg_field" => fields.message_field = Some(value),
            "_stream_fields" => {
                fields.stream_fields = value.split(',').map(|name| name.trim().to_owned()).collect()
            }
            _ => {}
        }
    }
    fields
}
