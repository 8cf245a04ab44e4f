//! `POST /loki/api/v1/push`: Loki's push API, protobuf or JSON.
//!
//! 204 when all is stored; 400 with the reasons when a part was refused, the rest is stored.

use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    receivers::Scratch,
    request::{Work, header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::{
    LogOptions, WireError,
    compression::{Encoding, decompress},
    loki::{decode_push, decode_push_json},
};

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Packing {
    Json(Encoding),
    /// Snappy always lies directly around protobuf; gzip and deflate may lie around that.
    Protobuf(Option<Encoding>),
    /// Protobuf without snappy, which this server takes too.
    BareProtobuf(Encoding),
}

pub(super) async fn push(State(app): State<AppState>, request: Request) -> Response {
    let packing = match packing(request.headers()) {
        Ok(packing) => packing,
        Err(failure) => {
            return refused_unread(&app, Protocol::LokiPush, &request, failure).respond_text();
        }
    };
    let result = receive(&app, Protocol::LokiPush, request, move |work| decode(packing, work)).await;
    match result {
        Ok(appended) if appended.rejected == 0 => StatusCode::NO_CONTENT.into_response(),
        Ok(appended) => Failure::Malformed(refusal(&appended)).respond_text(),
        Err(failure) => failure.respond_text(),
    }
}

/// Why entries were refused: in Loki's own words where there is one reason, else all of them.
fn refusal(appended: &Appended) -> String {
    match appended.report.rejected.as_slice() {
        [only] if only.count == appended.rejected => only.example.clone(),
        _ => appended.message.clone(),
    }
}

/// Says of a body that does not unpack what Loki says of it.
fn unpacking_failed(error: WireError, packed: &[u8]) -> Failure {
    let gzip_header = 10;
    match &error {
        WireError::Corrupt { encoding: "snappy", .. } => {
            Failure::Malformed("snappy: corrupt input".to_owned())
        }
        WireError::Corrupt { encoding: "gzip", .. } => {
            Failure::Malformed(if packed.len() >= gzip_header && !packed.starts_with(&[0x1f, 0x8b]) {
                "gzip: invalid header".to_owned()
            } else {
                "unexpected EOF".to_owned()
            })
        }
        _ => error.into(),
    }
}

fn packing(headers: &HeaderMap) -> Result<Packing, Failure> {
    let content_type = header_text(headers, header::CONTENT_TYPE);
    let media_type = content_type.split(';').next().unwrap_or("").trim();
    let encoding_text = header_text(headers, header::CONTENT_ENCODING);
    let encoding = Encoding::from_header(encoding_text)
        .ok_or_else(|| Failure::Malformed(format!("Content-Encoding {encoding_text:?} not supported")))?;
    if media_type.eq_ignore_ascii_case("application/json") {
        return Ok(Packing::Json(encoding));
    }
    if !media_type.is_empty() && !media_type.eq_ignore_ascii_case("application/x-protobuf") {
        return Err(Failure::Unsupported(format!("content type `{content_type}` not supported")));
    }
    Ok(match encoding {
        Encoding::Identity if encoding_text.is_empty() => Packing::Protobuf(None),
        Encoding::Snappy => Packing::Protobuf(None),
        Encoding::Gzip | Encoding::Deflate => Packing::Protobuf(Some(encoding)),
        Encoding::Identity | Encoding::Zstd => Packing::BareProtobuf(encoding),
    })
}

fn decode(packing: Packing, work: Work<'_>) -> Result<Decoded, Failure> {
    let options = LogOptions { now_ns: work.now_ns, enrich: true };
    let limit = work.decompressed_bytes_max;
    let unpack = |encoding, packed: &[u8], out: &mut Vec<u8>| {
        decompress(encoding, packed, limit, out).map_err(|error| unpacking_failed(error, packed))
    };
    let Scratch { body, logs, .. } = work.scratch;
    let report = match packing {
        Packing::Json(encoding) => {
            unpack(encoding, work.body, body)?;
            decode_push_json(body, options, logs)?
        }
        Packing::BareProtobuf(encoding) => {
            unpack(encoding, work.body, body)?;
            decode_push(body, options, logs)?
        }
        Packing::Protobuf(None) => {
            unpack(Encoding::Snappy, work.body, body)?;
            decode_push(body, options, logs)?
        }
        Packing::Protobuf(Some(outer)) => {
            let mut packed = Vec::new();
            unpack(outer, work.body, &mut packed)?;
            unpack(Encoding::Snappy, &packed, body)?;
            decode_push(body, options, logs)?
        }
    };
    if report.entries == 0 && report.rejected.is_empty() {
        return Err(Failure::NothingValid(
            "error at least one valid stream is required for ingestion".to_owned(),
        ));
    }
    Ok(Decoded::Logs(report))
}
