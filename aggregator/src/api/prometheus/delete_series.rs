//! `POST /api/v1/admin/tsdb/delete_series` and `clean_tombstones`.

use super::{answer::ApiError, params::Params};
use crate::{app::AppState, query};
use axum::{extract::State, http::StatusCode};

/// Deletes the samples of matching series in a range; they may be written again.
pub(super) async fn delete(State(app): State<AppState>, params: Params) -> Result<StatusCode, ApiError> {
    let selectors = params.selectors();
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let range = params.range()?;
    let metrics = app.metrics.clone();
    query::run(&app, None, move |_| {
        let parsed = selectors.parse()?;
        tracing::info!(?selectors, ?range, "deleting series");
        Ok::<_, ApiError>(metrics.delete(&parsed, range)?)
    })
    .await??;
    Ok(StatusCode::NO_CONTENT)
}

/// Space is given back by the store's own upkeep, so there is nothing to do.
pub(super) async fn clean() -> StatusCode {
    StatusCode::NO_CONTENT
}
