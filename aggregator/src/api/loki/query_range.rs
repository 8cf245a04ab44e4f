//! `/loki/api/v1/query_range`: lines, or a metric query over time.

use super::{
    answer,
    entries::Encoding,
    params::{Asked, check_entries},
    refusal::Refusal,
    statistics::Statistics,
};
use crate::app::AppState;
use axum::{Json, extract::State, http::HeaderMap};
use logql::ast::Expr;
use std::time::Instant;

pub(super) async fn query_range(
    State(app): State<AppState>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Json<serde_json::Value>, Refusal> {
    let params = asked.range_query()?;
    let expr = logql::parse(asked.query())?;
    if matches!(expr, Expr::Log(_)) {
        check_entries(params.limit)?;
    }
    let logs = app.logs.clone();
    let started = Instant::now();
    let (answer, usage) = crate::query::run(&app, None, move |context| {
        let answer = logql::query_range(&expr, &params, logs.as_ref(), context);
        (answer, context.usage())
    })
    .await?;
    let statistics = Statistics { usage, took: started.elapsed() };
    let end_ms = params.end_ns.div_euclid(1_000_000);
    Ok(Json(answer::body(answer?, Encoding::asked(&headers), end_ms, &statistics)))
}
