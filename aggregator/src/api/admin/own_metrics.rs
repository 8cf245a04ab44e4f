//! The process's own metrics.

use crate::app::AppState;
use axum::{extract::State, http::header, response::IntoResponse};
use daemon::metrics::TEXT_FORMAT;

/// `GET /metrics`
pub(crate) async fn own_metrics(State(app): State<AppState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], app.own.encode())
}
