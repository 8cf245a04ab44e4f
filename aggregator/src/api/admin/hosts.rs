//! The hosts whose agents report.

use crate::{agents::Host, app::AppState};
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};

/// `GET /api/bellwether/v1/hosts`
pub(crate) async fn list(State(app): State<AppState>) -> Json<Vec<Host>> {
    Json(app.agents.hosts())
}

/// `DELETE /api/bellwether/v1/hosts/{instance}`: a host that was taken out of service is no longer
/// missed.
pub(crate) async fn retire(State(app): State<AppState>, Path(instance): Path<String>) -> StatusCode {
    if app.agents.forget(&instance) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
