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
use std::{sync::Arc, time::Duration};
use tokio::sync::OwnedSemaphorePermit;

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
    let place = place(app).await?;
    let limits = &app.config.limits;
    let reading = read_body(&parts.headers, body, limits.body_bytes_max.0 as usize);
    let body = match tokio::time::timeout(BODY_PATIENCE, reading).await {
        Ok(body) => body?,
        Err(_) => return Err(Failure::Slow(BODY_PATIENCE.as_secs())),
    };
    let appended = store(app, protocol, sender, Some(place), identity.batch, body, decode).await?;
    if let Some(report) = identity.report {
        app.agents.report(report, clock::now_ms());
    }
    Ok(appended)
}

/// A place among the requests that are worked on at once. What is stored keeps it until it is durable: senders
/// that do not wait for that, and come again, find no more places than others.
pub(super) type Place = Arc<OwnedSemaphorePermit>;

/// Waits for a place, for a while.
pub(super) async fn place(app: &AppState) -> Result<Place, Failure> {
    if !app.is_ready() {
        return Err(Failure::Busy("not ready yet".to_owned()));
    }
    match tokio::time::timeout(PLACE_PATIENCE, app.receivers.places.clone().acquire_owned()).await {
        Ok(Ok(place)) => Ok(Arc::new(place)),
        _ => Err(Failure::Busy("too many write requests at once; try again later".to_owned())),
    }
}

/// Decodes and appends `body` on the ingest pool and waits until it is durable. What is appended is counted
/// also when nobody waits any more.
pub(super) async fn store(
    app: &AppState,
    protocol: Protocol,
    sender: &Sender,
    place: Option<Place>,
    batch_id: Option<BatchId>,
    body: Bytes,
    decode: impl FnOnce(Work<'_>) -> Result<Decoded, Failure> + Send + 'static,
) -> Result<Appended, Failure> {
    app.receivers.counters.request(protocol, body.len());
    let (worker, sender) = (app.clone(), sender.clone());
    let settling = app.ingest_pool.run(move || {
        let now_ns = clock::now_ns();
        let appended = worker.receivers.with_scratch(|scratch| {
            let decompressed_bytes_max = worker.config.limits.decompressed_bytes_max.0 as usize;
            let decoded = decode(Work { scratch, body: &body, decompressed_bytes_max, now_ns })?;
            decoded.append(&worker, protocol, scratch, batch_id.as_ref(), now_ns)
        })?;
        Ok::<_, Failure>(tokio::spawn(settle(worker, protocol, sender, place, appended)))
    });
    match settling.await??.await {
        Ok(settled) => settled,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// Waits until a batch is durable, then counts it, tells of what was refused, and shows it to followers.
///
/// A task of its own: the request's ends when its sender goes away, and when that comes again its batch is
/// one that was stored before, of which nothing is counted.
async fn settle(
    app: AppState,
    protocol: Protocol,
    sender: Sender,
    _place: Option<Place>,
    mut appended: Appended,
) -> Result<Appended, Failure> {
    appended.commit.clone().await?;
    app.receivers.counters.appended(protocol, &appended);
    if !appended.duplicate {
        app.receivers.refusals.parts(protocol, &sender, &appended);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use model::Labels;
    use store::{Commit, RejectReason, Rejection};
    use wire::DecodeReport;

    const STORED: &str = r#"bellwether_receive_items_total{protocol="influx"}"#;
    const REFUSED: &str = r#"bellwether_receive_rejected_total{protocol="influx",reason="too_old"}"#;

    /// 0 when it is not there.
    fn counted(app: &AppState, counter: &str) -> u64 {
        let own = app.own.encode();
        let value = own.lines().find_map(|line| line.strip_prefix(counter)?.trim().parse().ok());
        value.unwrap_or(0)
    }

    async fn comes_to(app: &AppState, counter: &str, value: u64) {
        for _ in 0..400 {
            if counted(app, counter) == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{counter} is not {value}: {}", app.own.encode());
    }

    #[tokio::test]
    async fn what_is_stored_for_a_sender_that_has_gone_is_counted() {
        let app = App::for_tests();
        let (release, gate) = std::sync::mpsc::sync_channel::<()>(0);
        let decode = move |work: Work<'_>| {
            gate.recv().expect("the test goes on");
            work.scratch.metrics.begin_with(Labels::from_pairs([("__name__", "up")]).as_ref());
            work.scratch.metrics.sample(5, 0, 1.0);
            Ok(Decoded::Metrics(DecodeReport::default()))
        };
        let sender = Sender::default();
        let storing = store(&app, Protocol::Influx, &sender, None, None, Bytes::new(), decode);
        assert!(tokio::time::timeout(Duration::from_millis(10), storing).await.is_err());
        release.send(()).expect("the job runs");
        comes_to(&app, STORED, 1).await;
    }

    #[tokio::test]
    async fn a_batch_is_counted_and_gives_its_place_back_when_it_is_durable() {
        let app = App::for_tests();
        let places = app.receivers.places.clone();
        let all = places.available_permits();
        let one = place(&app).await.expect("there are places");
        let settled = |commit| {
            let example = "example".to_owned();
            let appended = Appended {
                report: DecodeReport::default(),
                stored: 2,
                duplicate: false,
                rejections: vec![Rejection { reason: RejectReason::TooOld, count: 3, example }],
                rejected: 3,
                message: String::new(),
                commit,
                for_tail: None,
            };
            tokio::spawn(settle(
                app.clone(),
                Protocol::Influx,
                Sender::default(),
                Some(one.clone()),
                appended,
            ))
        };
        let (lost, handle) = Commit::pending();
        drop(handle);
        assert!(settled(lost).await.expect("no panic").is_err());
        let (commit, handle) = Commit::pending();
        let waiting = settled(commit);
        drop(one);
        tokio::task::yield_now().await;
        assert_eq!((counted(&app, STORED), counted(&app, REFUSED)), (0, 0));
        assert_eq!(places.available_permits(), all - 1);
        handle.complete(Ok(()));
        assert!(waiting.await.expect("no panic").is_ok());
        assert_eq!((counted(&app, STORED), counted(&app, REFUSED)), (2, 3));
        assert_eq!(places.available_permits(), all);
    }
}
