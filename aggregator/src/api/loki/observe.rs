//! Runs, counts and times LogQL queries, and logs the slow ones with what their caller says of itself.

use super::{refusal::Refusal, statistics::Statistics};
use crate::{api::prometheus::Watch, app::App, query};
use axum::http::{HeaderMap, StatusCode};
use logql::{Answer, EvalError};
use std::time::Instant;
use store::QueryContext;

/// What Grafana names its queries with.
const TAGS: &str = "x-query-tags";

/// Runs a query on the pool, inside its budget.
pub(super) async fn run(
    app: &App,
    endpoint: &'static str,
    query_text: &str,
    headers: &HeaderMap,
    work: impl FnOnce(&QueryContext) -> Result<Answer, EvalError> + Send + 'static,
) -> Result<(Answer, Statistics), Refusal> {
    let watch = Watch::begin(app, endpoint);
    let started = Instant::now();
    let done = query::run(app, None, move |context| (work(context), context.usage())).await;
    let (result, usage) = match done {
        Ok((result, usage)) => (result.map_err(Refusal::from), Some(usage)),
        Err(busy) => (Err(busy.into()), None),
    };
    let tags = headers.get(TAGS).and_then(|value| value.to_str().ok()).unwrap_or("");
    let outcome = result.as_ref().map_or_else(outcome_of, |_| "success");
    watch.end(outcome, query_text, tags, usage);
    let statistics = Statistics { usage: usage.unwrap_or_default(), took: started.elapsed() };
    result.map(|answer| (answer, statistics))
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
