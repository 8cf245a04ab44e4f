//! `/loki/api/v1/query`: a metric query at one instant.

use super::{
    entries::Encoding,
    observe::{self, Wanted},
    params::Asked,
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{extract::State, http::HeaderMap, response::Response};
use store::QueryContext;

pub(super) async fn query(
    State(app): State<AppState>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Refusal> {
    let time_ns = asked.instant_query()?;
    let expr = asked.parsed(&app).await?;
    let logs = app.logs.clone();
    let work = move |context: &QueryContext| logql::instant(&expr, time_ns, logs.as_ref(), context);
    let wanted = Wanted { encoding: Encoding::Merged, now_ms: time_ns.div_euclid(1_000_000) };
    observe::run(&app, "loki_query", asked.query(), &headers, wanted, work).await
}
