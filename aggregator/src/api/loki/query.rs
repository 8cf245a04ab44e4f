//! `/loki/api/v1/query`: a metric query at one instant.

use super::{answer, entries::Encoding, observe, params::Asked, refusal::Refusal};
use crate::app::AppState;
use axum::{Json, extract::State, http::HeaderMap};
use store::QueryContext;

pub(super) async fn query(
    State(app): State<AppState>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Json<serde_json::Value>, Refusal> {
    let time_ns = asked.instant_query()?;
    let expr = asked.parsed(&app).await?;
    let logs = app.logs.clone();
    let work = move |context: &QueryContext| logql::instant(&expr, time_ns, logs.as_ref(), context);
    let (answer, statistics) = observe::run(&app, "loki_query", asked.query(), &headers, work).await?;
    Ok(Json(answer::body(answer, Encoding::Merged, time_ns.div_euclid(1_000_000), &statistics)))
}
