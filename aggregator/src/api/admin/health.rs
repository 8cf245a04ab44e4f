//! Liveness and readiness, for load balancers, supervisors and Kubernetes.

use crate::app::AppState;
use axum::{extract::State, http::StatusCode};

/// The process runs, and so does every part that must.
pub(crate) async fn healthy(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.alerting().is_none_or(|alerting| alerting.is_healthy()) {
        (StatusCode::OK, "Bellwether is healthy.\n")
    } else {
        (StatusCode::INTERNAL_SERVER_ERROR, "alerting has stopped after a panic; restart Bellwether\n")
    }
}

/// Stores are open and requests can be answered.
pub(crate) async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "Bellwether is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Bellwether is starting.\n")
    }
}
