//! `/loki/api/v1/query`: a metric query at one instant.

use super::{answer, entries::Encoding, params::Asked, refusal::Refusal, statistics::Statistics};
use crate::app::AppState;
use axum::{Json, extract::State};
use std::time::Instant;

pub(super) async fn query(
    State(app): State<AppState>,
    asked: Asked,
) -> Result<Json<serde_json::Value>, Refusal> {
    let time_ns = asked.instant_query()?;
    let expr = logql::parse(asked.query())?;
    let logs = app.logs.clone();
    let started = Instant::now();
    let (answer, usage) = crate::query::run(&app, None, move |context| {
        let answer = logql::instant(&expr, time_ns, logs.as_ref(), context);
        (answer, context.usage())
    })
    .await?;
    let statistics = Statistics { usage, took: started.elapsed() };
    Ok(Json(answer::body(answer?, Encoding::Merged, time_ns.div_euclid(1_000_000), &statistics)))
}
