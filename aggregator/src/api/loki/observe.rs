//! Runs, counts and times LogQL queries, and logs the slow ones with what their caller says of itself.

use super::{answer, entries::Encoding, refusal::Refusal, statistics::Statistics};
use crate::{api::prometheus::Watch, app::App, query};
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use logql::{Answer, EvalError};
use std::time::Instant;
use store::QueryContext;

/// What Grafana names its queries with.
const TAGS: &str = "x-query-tags";

/// How the answer is to be written.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) encoding: Encoding,
    /// The time of a scalar.
    pub(super) now_ms: i64,
}

/// Runs a query on the pool, inside its budget, and writes its answer there too.
pub(super) async fn run(
    app: &App,
    endpoint: &'static str,
    query_text: &str,
    headers: &HeaderMap,
    wanted: Wanted,
    work: impl FnOnce(&QueryContext) -> Result<Answer, EvalError> + Send + 'static,
) -> Result<Response, Refusal> {
    let watch = Watch::begin(app, endpoint);
    let started = Instant::now();
    let done = query::run(app, None, move |context| {
        let answer = work(context);
        let usage = context.usage();
        let statistics = Statistics { usage, took: started.elapsed() };
        (answer.map(|answer| answer::body(&answer, wanted.encoding, wanted.now_ms, &statistics)), usage)
    });
    let (result, usage) = match done.await {
        Ok((result, usage)) => (result.map_err(Refusal::from), Some(usage)),
        Err(busy) => (Err(busy.into()), None),
    };
    let tags = headers.get(TAGS).and_then(|value| value.to_str().ok()).unwrap_or("");
    let outcome = result.as_ref().map_or_else(outcome_of, |_| "success");
    watch.end(outcome, query_text, tags, usage);
    result.map(|body| ([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn outcome_of(refusal: &Refusal) -> &'static str {
    match refusal.status {
        StatusCode::GATEWAY_TIMEOUT => "timeout",
        StatusCode::TOO_MANY_REQUESTS => "busy",
        status if status.as_u16() == 499 => "canceled",
        status if status.is_server_error() => "execution",
        _ => "error",
    }
}
