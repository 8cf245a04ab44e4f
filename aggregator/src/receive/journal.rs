//! `POST /upload`: what `systemd-journal-upload` sends, which is a whole journal in one request the
//! first time. So the body is stored in parts as it comes, each before the next is read.
//!
//! 202 when all is stored. After a failure the sender begins again where it last had an answer;
//! entries that are there already are stored once.
//!
//! Bound: one part and one unfinished entry, of at most `limits.body_bytes_max`.

use super::{
    append::Decoded,
    counters::Protocol,
    failure::Failure,
    refusals::Sender,
    request::{Place, header_text, place, store},
};
use crate::app::AppState;
use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use wire::{
    LogOptions,
    compression::Encoding,
    journal::{decode_journal, whole_entries},
};

/// Bytes that are stored at once, about.
const PART_BYTES: usize = 1 << 20;

pub(super) async fn upload(State(app): State<AppState>, request: Request) -> Response {
    let sender = Sender::of(request.extensions());
    let content_type = header_text(request.headers(), header::CONTENT_TYPE);
    let encoding = header_text(request.headers(), header::CONTENT_ENCODING);
    let result = if !content_type.is_empty() && content_type != "application/vnd.fdo.journal" {
        Err(Failure::Unsupported(format!("content type `{content_type}` not supported")))
    } else if Encoding::from_header(encoding) != Some(Encoding::Identity) {
        Err(Failure::Unsupported(format!("content encoding `{encoding}` not supported")))
    } else {
        take(&app, &sender, request.into_body()).await
    };
    match result {
        Ok(()) => (StatusCode::ACCEPTED, "OK.\n").into_response(),
        Err(failure) => {
            app.receivers.failed(Protocol::Journal, &sender, &failure);
            failure.respond_text()
        }
    }
}

async fn take(app: &AppState, sender: &Sender, mut body: Body) -> Result<(), Failure> {
    let place = place(app).await?;
    let limit = app.config.limits.body_bytes_max.0 as usize;
    let mut waiting: Vec<u8> = Vec::new();
    let mut looked_at = 0;
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Failure::Malformed(format!("the body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        waiting.extend_from_slice(&data);
        if waiting.len() < looked_at + PART_BYTES {
            continue;
        }
        let end = whole_entries(&waiting)?;
        let rest = waiting.split_off(end);
        if end > 0 {
            store_part(app, sender, &place, std::mem::replace(&mut waiting, rest)).await?;
        } else {
            waiting = rest;
        }
        if waiting.len() > limit {
            return Err(Failure::TooLarge(format!("an entry is larger than the {limit} bytes allowed")));
        }
        looked_at = waiting.len();
    }
    if waiting.is_empty() { Ok(()) } else { store_part(app, sender, &place, waiting).await }
}

async fn store_part(app: &AppState, sender: &Sender, place: &Place, part: Vec<u8>) -> Result<(), Failure> {
    store(app, Protocol::Journal, sender, Some(place.clone()), None, Bytes::from(part), |work| {
        let options = LogOptions { now_ns: work.now_ns, enrich: true };
        Ok(Decoded::Logs(decode_journal(work.body, options, &mut work.scratch.logs)?))
    })
    .await
    .map(drop)
}
