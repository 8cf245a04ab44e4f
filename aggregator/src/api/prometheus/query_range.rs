//! `GET` and `POST /api/v1/query_range`: a query at every step of a range.

use super::{
    answer::{ApiError, Success},
    observe,
    params::Params,
    query::{Timing, success},
};
use crate::app::AppState;
use axum::extract::State;
use std::time::Instant;

/// Most points of a series: a screen has fewer pixels.
const POINTS_MAX: i128 = 11_000;

pub(super) async fn query_range(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let limit = params.limit()?;
    let start_ms = params.required_time("start")?;
    let end_ms = params.required_time("end")?;
    if end_ms < start_ms {
        return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
    }
    let step_ms = params.required_duration("step")?;
    if step_ms <= 0 {
        return Err(ApiError::parameter(
            "step",
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ));
    }
    if (i128::from(end_ms) - i128::from(start_ms)) / i128::from(step_ms) > POINTS_MAX {
        return Err(ApiError::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query \
             resolution (?step=XX)",
        ));
    }
    let (parse_options, options) = params.options(&app)?;
    let query = params.get("query").to_owned();
    let stats = !params.get("stats").is_empty();
    let metrics = app.metrics.clone();
    let asked = Instant::now();
    observe::run(&app, "query_range", &params, move |context| {
        let begun = Instant::now();
        let expr = parse(&query, &parse_options)?;
        let answer = promql::range(&expr, start_ms, end_ms, step_ms, metrics.as_ref(), &options, context)?;
        success(context, answer, limit, stats.then(|| Timing::new(asked, begun, context)))
    })
    .await
}

fn parse(query: &str, options: &promql::ParseOptions) -> Result<promql::Expr, ApiError> {
    let expr = promql::parse(query, options)?;
    match expr.value_type() {
        promql::ValueType::Scalar | promql::ValueType::Vector => Ok(expr),
        other => Err(ApiError::parameter(
            "query",
            format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                other.describe()
            ),
        )),
    }
}
