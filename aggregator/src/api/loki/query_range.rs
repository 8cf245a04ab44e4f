//! `/loki/api/v1/query_range`: lines, or a metric query over time.

use super::{
    entries::Encoding,
    observe::{self, Wanted},
    params::{Asked, check_entries},
    refusal::Refusal,
};
use crate::{app::AppState, config::Duration};
use axum::{extract::State, http::HeaderMap, response::Response};
use logql::{Params, ast::Expr};
use store::QueryContext;

pub(super) async fn query_range(
    State(app): State<AppState>,
    headers: HeaderMap,
    asked: Asked,
) -> Result<Response, Refusal> {
    let params = asked.range_query()?;
    check_length(&params, app.config.query.log_range_max)?;
    let expr = asked.parsed(&app).await?;
    if matches!(expr, Expr::Log(_)) {
        check_entries(params.limit, app.config.query.log_lines_max)?;
    }
    let logs = app.logs.clone();
    let wanted = Wanted { encoding: Encoding::asked(&headers), now_ms: params.end_ns.div_euclid(1_000_000) };
    let work = move |context: &QueryContext| logql::query_range(&expr, &params, logs.as_ref(), context);
    observe::run(&app, "loki_query_range", asked.query(), &headers, wanted, work).await
}

/// Refuses a range that is longer than one query may ask for.
fn check_length(params: &Params, longest: Duration) -> Result<(), Refusal> {
    let limit_ns = i64::try_from(longest.0).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    let length_ns = params.end_ns.saturating_sub(params.start_ns);
    if limit_ns == 0 || length_ns <= limit_ns {
        return Ok(());
    }
    let limit = model::duration_to_string(limit_ns / 1_000_000);
    Err(Refusal::bad(format!(
        "the query time range exceeds the limit (query length: {}, limit: {limit}); it is `query.log_range_max` of the configuration",
        logql::go_duration(length_ns)
    )))
}
