//! The steps that all receivers share.

use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    identity::Identity,
    receivers::Scratch,
    refusals::Sender,
};
use crate::app::AppState;
use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use daemon::clock;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use model::BatchId;
use std::time::Duration;
use tokio::sync::SemaphorePermit;

/// How long a request waits for a place before it is told to come back.
const PLACE_PATIENCE: Duration = Duration::from_secs(5);
/// How long a body may take, so that a few slow senders cannot hold all places.
const BODY_PATIENCE: Duration = Duration::from_secs(60);

/// What a pool job gets: buffers, the body as sent, and its bound once decompressed.
pub(super) struct Work<'a> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) body: &'a [u8],
    pub(super) decompressed_bytes_max: usize,
    pub(super) now_ns: i64,
}

/// Reads the request, has `decode` turn it into a batch on the ingest pool, appends that, and
/// waits until it is durable.
pub(super) async fn receive(
    app: &AppState,
    protocol: Protocol,
    request: Request,
    decode: impl FnOnce(Work<'_>) -> Result<Decoded, Failure> + Send + 'static,
) -> Result<Appended, Failure> {
    let sender = Sender::of(request.extensions());
    let result = take(app, protocol, &sender, request, decode).await;
    if let Err(failure) = &result {
        app.receivers.failed(protocol, &sender, failure);
    }
    result
}

/// For a request whose headers or parameters are refused, so that nothing of it is read: counted and
/// told as [`receive`] does.
pub(super) fn refused_unread(
    app: &AppState,
    protocol: Protocol,
    request: &Request,
    failure: Failure,
) -> Failure {
    app.receivers.failed(protocol, &Sender::of(request.extensions()), &failure);
    failure
}

async fn take(
    app: &AppState,
    protocol: Protocol,
    sender: &Sender,
    request: Request,
    decode: impl FnOnce(Work<'_>) -> Result<Decoded, Failure> + Send + 'static,
) -> Result<Appended, Failure> {
    let (parts, body) = request.into_parts();
    let identity = Identity::read(&parts.headers)?;
    let _place = place(app).await?;
    let limits = &app.config.limits;
    let reading = read_body(&parts.headers, body, limits.body_bytes_max.0 as usize);
    let body = match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(body) => body?,
        Err(_) => return Err(Failure::Slow(BODY_PATIENCE.as_secs())),
    };
    let appended = store(app, protocol, sender, identity.batch, body, decode).await?;
    if let Some(report) = identity.report {
        app.agents.report(report, clock::now_ms());
    }
    Ok(appended)
}

/// A place among the requests that are worked on at once.
pub(super) async fn place(app: &AppState) -> Result<SemaphorePermit<'_>, Failure> {
    if !app.is_ready() {
        return Err(Failure::Busy("not ready yet".to_owned()));
    }
    match tokio::time::timeout(PLACE_PATIENCE, app.receivers.places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(Failure::Busy("too many write requests at once; try again later".to_owned())),
    }
}

/// Decodes and appends `body` on the ingest pool and waits until it is durable.
pub(super) async fn store(
    app: &AppState,
    protocol: Protocol,
    sender: &Sender,
    batch_id: Option<BatchId>,
    body: Bytes,
    decode: impl FnOnce(Work<'_>) -> Result<Decoded, Failure> + Send + 'static,
) -> Result<Appended, Failure> {
    app.receivers.counters.request(protocol, body.len());
    let worker = app.clone();
    let appended = app.ingest_pool.run(move || {
        let now_ns = clock::now_ns();
        worker.receivers.with_scratch(|scratch| {
            let decompressed_bytes_max = worker.config.limits.decompressed_bytes_max.0 as usize;
            let decoded = decode(Work { scratch, body: &body, decompressed_bytes_max, now_ns })?;
            decoded.append(&worker, protocol, scratch, batch_id.as_ref(), now_ns)
        })
    });
    let mut appended = appended.await??;
    appended.commit.clone().await?;
    app.receivers.counters.appended(protocol, &appended);
    if !appended.duplicate {
        app.receivers.refusals.parts(protocol, sender, &appended);
    }
    if let Some(batch) = appended.for_tail.take() {
        app.tail.publish(batch);
    }
    Ok(appended)
}

/// Names and values of a query string, decoded.
pub(super) fn query_pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The whole body; its declared length is looked at before anything is read.
async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Failure> {
    let too_large = || Failure::TooLarge(format!("the body is larger than the {limit} bytes allowed"));
    let declared =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|declared| declared > limit) {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Failure::Malformed(format!("the body could not be read: {error}"))),
    }
}

/// A header's text, or "" when it is missing or not text.
pub(super) fn header_text(headers: &HeaderMap, name: impl header::AsHeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}
