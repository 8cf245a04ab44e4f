//! `/loki/api/v1/delete`: lines to be removed for good.
//!
//! The request is carried out before it is answered, so there is never one to list or to cancel.

use super::{params::Asked, refusal::Refusal};
use crate::app::AppState;
use axum::{Json, extract::State, http::StatusCode};
use daemon::clock;
use model::TimeRange;
use serde_json::{Value, json};

pub(super) async fn delete(State(app): State<AppState>, asked: Asked) -> Result<StatusCode, Refusal> {
    let text = asked.query().to_owned();
    let (matchers, filters) = crate::query::run(&app, None, move |_| logql::parse_deletion(&text)).await??;
    let Some(start) = asked.time("start")? else {
        return Err(Refusal::bad("start time not set"));
    };
    let end = asked.time("end")?.unwrap_or_else(clock::now_ns);
    if start > end {
        return Err(Refusal::bad("start time can't be greater than end time"));
    }
    // Loki's range has both ends.
    let range = TimeRange::new(start, end.saturating_add(1));
    let logs = app.logs.clone();
    crate::query::run(&app, None, move |_| logs.delete(&matchers, range, &filters)).await??;
    Ok(StatusCode::NO_CONTENT)
}

/// A request to cancel is too late: whatever was asked has been done.
pub(super) async fn cancel(asked: Asked) -> Refusal {
    match asked.get("request_id") {
        None => Refusal::bad("request_id not set"),
        Some(_) => Refusal::new(StatusCode::NOT_FOUND, "could not find delete request with given id"),
    }
}

pub(super) async fn list() -> Json<Value> {
    Json(json!([]))
}
