//! `/loki/api/v1/tail`: lines as they arrive, over a WebSocket.
//!
//! Bounds: a follower that falls behind loses the oldest batches and is told so; one that does
//! not read for [`SEND_TIMEOUT`] is let go; a frame holds at most [`FRAME_ENTRIES_MAX`] entries.

use super::{
    entries::{self, Encoding},
    params::{Asked, HOUR_NS},
    refusal::Refusal,
};
use crate::app::{App, AppState};
use axum::{
    extract::{
        FromRequestParts, Request, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use daemon::clock;
use logql::{Entry, Params, Tail, ast::Expr};
use model::LogBatch;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use store::Direction;
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How often the peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long a peer may take to read a frame.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Entries of one frame.
const FRAME_ENTRIES_MAX: usize = 1000;
/// Longest delay that a follower may ask for, seconds, as in Loki.
const DELAY_MAX_S: i64 = 5;
/// Entries from before the connection, when no limit is given.
const LIMIT_DEFAULT: i64 = 100;

/// What a follower asked for.
struct Follow {
    query: String,
    expr: Expr,
    start_ns: i64,
    limit: usize,
    encoding: Encoding,
}

pub(super) async fn tail(State(app): State<AppState>, headers: HeaderMap, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &app).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let request = Request::from_parts(parts, body);
    let asked = match <Asked as axum::extract::FromRequest<AppState>>::from_request(request, &app).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal.into_response(),
    };
    let parsed = crate::query::run(&app, None, {
        let query = asked.query().to_owned();
        move |_| Tail::new(&query).and_then(|tail| Ok((tail, logql::parse(&query)?)))
    });
    let (tail, expr) = match parsed.await {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(error)) => return Refusal::from(error).into_response(),
        Err(busy) => return Refusal::from(busy).into_response(),
    };
    match follow(&asked, &headers, expr) {
        Ok(follow) => upgrade.on_upgrade(move |socket| serve(app, socket, follow, tail)),
        Err(refusal) => refusal.into_response(),
    }
}

fn follow(asked: &Asked, headers: &HeaderMap, expr: Expr) -> Result<Follow, Refusal> {
    let query = asked.query().to_owned();
    let limit = asked.number("limit", LIMIT_DEFAULT)?.clamp(0, FRAME_ENTRIES_MAX as i64) as usize;
    // A line is passed on once it is stored: there is nothing to wait for.
    if asked.number("delay_for", 0)? > DELAY_MAX_S {
        return Err(Refusal::bad(format!("delay_for can't be greater than {DELAY_MAX_S}")));
    }
    let start_ns = asked.time("start")?.unwrap_or_else(|| clock::now_ns().saturating_sub(HOUR_NS));
    Ok(Follow { query, expr, start_ns, limit, encoding: Encoding::asked(headers) })
}

/// Follows until the peer goes, and says why when it is the server that ends it.
async fn serve(app: Arc<App>, mut socket: WebSocket, follow: Follow, tail: Tail) {
    // Following starts before the past is read, so that nothing falls between.
    let batches = app.tail.follow();
    let result = match past(&app, &follow).await {
        Ok(entries) => stream(&app, &mut socket, &follow, tail, batches, entries).await,
        Err(refusal) => Err(Ended::Failed(refusal.message)),
    };
    if let Err(Ended::Failed(reason)) = result {
        tracing::debug!(query = follow.query, reason, "a live tail ended");
        let frame = CloseFrame { code: close_code::ERROR, reason: reason.into() };
        // The peer may be gone already.
        drop(socket.send(Message::Close(Some(frame))).await);
    }
}

enum Ended {
    /// The peer has gone or does not read.
    Gone,
    Failed(String),
}

/// The newest entries from before the connection, oldest first.
async fn past(app: &App, follow: &Follow) -> Result<Vec<Entry>, Refusal> {
    let params = Params {
        start_ns: follow.start_ns,
        end_ns: clock::now_ns(),
        step_ns: 1,
        interval_ns: 0,
        limit: follow.limit,
        direction: Direction::Backward,
    };
    if params.limit == 0 || params.start_ns >= params.end_ns {
        return Ok(Vec::new());
    }
    let (logs, expr) = (app.logs.clone(), follow.expr.clone());
    let answer = crate::query::run(app, None, move |context| {
        logql::query_range(&expr, &params, logs.as_ref(), context)
    });
    match answer.await?? {
        logql::Answer::Streams(mut entries) => {
            entries.reverse();
            Ok(entries)
        }
        _ => Ok(Vec::new()),
    }
}

async fn stream(
    app: &App,
    socket: &mut WebSocket,
    follow: &Follow,
    mut tail: Tail,
    mut batches: Receiver<Arc<LogBatch>>,
    past: Vec<Entry>,
) -> Result<(), Ended> {
    // A line may be both in the store and in the first batches.
    let newest_ns = past.iter().map(|entry| entry.timestamp_ns).max();
    let mut shown = past.clone();
    send(socket, follow, &past, 0).await?;
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            batch = batches.recv() => {
                let (batch, dropped) = match batch {
                    Ok(batch) => (Some(batch), 0),
                    Err(RecvError::Lagged(count)) => (None, count),
                    Err(RecvError::Closed) => return Err(Ended::Failed("the server stops".to_owned())),
                };
                let Some(batch) = batch else {
                    send(socket, follow, &[], dropped).await?;
                    continue;
                };
                let (entries, back) = matching(app, tail, batch).await?;
                tail = back;
                let mut entries = entries;
                if newest_ns.is_some_and(|newest| entries.iter().all(|entry| entry.timestamp_ns > newest)) {
                    shown.clear();
                }
                entries.retain(|entry| !shown.iter().any(|old| same(old, entry)));
                for frame in entries.chunks(FRAME_ENTRIES_MAX) {
                    send(socket, follow, frame, 0).await?;
                }
            }
            _ = pings.tick() => transmit(socket, Message::Ping(Default::default())).await?,
            message = socket.recv() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return Err(Ended::Gone),
                Some(Ok(_)) => {}
            },
        }
    }
}

fn same(a: &Entry, b: &Entry) -> bool {
    a.timestamp_ns == b.timestamp_ns && a.line == b.line && a.stream == b.stream && a.metadata == b.metadata
}

/// Runs the batch through the query on the pool; a busy pool loses nothing, it waits its turn.
async fn matching(app: &App, tail: Tail, batch: Arc<LogBatch>) -> Result<(Vec<Entry>, Tail), Ended> {
    let job = app.query_pool.run(move || {
        let mut tail = tail;
        let mut entries = Vec::new();
        for stream in batch.streams() {
            let labels = stream.labels().to_owned();
            if tail.wants_stream(&labels) {
                entries.extend(stream.entries().filter_map(|entry| tail.matches(&labels, entry)));
            }
        }
        (entries, tail)
    });
    job.await.map_err(|busy| Ended::Failed(busy.to_string()))
}

async fn send(socket: &mut WebSocket, follow: &Follow, entries: &[Entry], dropped: u64) -> Result<(), Ended> {
    if entries.is_empty() && dropped == 0 {
        return Ok(());
    }
    let mut frame = json!({"streams": entries::groups(entries, follow.encoding)});
    if !follow.encoding.flags().is_empty() {
        frame["encodingFlags"] = json!(follow.encoding.flags());
    }
    if dropped > 0 {
        let now_ns = clock::now_ns().to_string();
        let labels = json!({"reason": "this follower fell behind", "batches": dropped.to_string()});
        frame["dropped_entries"] = json!([{"labels": labels, "timestamp": now_ns}]);
    }
    transmit(socket, Message::Text(frame.to_string().into())).await
}

async fn transmit(socket: &mut WebSocket, message: Message) -> Result<(), Ended> {
    match tokio::time::timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Ended::Gone),
    }
}
