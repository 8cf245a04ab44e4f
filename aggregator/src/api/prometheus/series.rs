//! `GET` and `POST /api/v1/series`: label sets of series.

use super::{
    answer::{ApiError, Success},
    params::Params,
};
use crate::{
    api::json_text::{push_labels, push_list},
    app::AppState,
    query,
};
use axum::extract::State;
use model::Labels;

pub(super) async fn series(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let selectors = params.selectors();
    if selectors.is_empty() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let limit = params.limit()?;
    let range = params.range()?;
    let metrics = app.metrics.clone();
    query::list(&app, selectors.are_simple(), move |context| {
        // One more than the limit shows whether anything was cut.
        let found = metrics.series(&selectors.parse()?, range, limit.saturating_add(1), context)?;
        Ok(list(found, limit))
    })
    .await?
}

/// A list of label sets, cut at `limit`.
fn list(mut found: Vec<Labels>, limit: usize) -> Success {
    let is_truncated = found.len() > limit;
    found.truncate(limit);
    let mut data = String::new();
    push_list(&mut data, &found, push_labels);
    Success::new(data).truncated(is_truncated)
}
