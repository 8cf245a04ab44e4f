//! `POST /api/v1/admin/tsdb/snapshot`: a copy of all metrics under the data folder.
//!
//! The copy is a metric store of our own format in `metrics/snapshots/NAME`, made of links, so it takes
//! no room of its own at first. What is in memory is always in it, whatever `skip_head` says.

use super::{
    answer::{ApiError, Success},
    params::Params,
};
use crate::{app::AppState, query};
use axum::extract::State;
use daemon::clock;
use serde_json::json;

pub(super) async fn snapshot(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    params.switch("skip_head")?;
    let metrics = app.metrics.clone();
    let name = format!("snapshot-{}", clock::now_ms());
    let made = name.clone();
    query::run(&app, None, move |_| metrics.snapshot(&made)).await??;
    tracing::info!(name, "made a snapshot");
    Ok(Success::of(&json!({ "name": name })))
}
