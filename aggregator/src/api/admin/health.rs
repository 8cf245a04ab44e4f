//! Liveness and readiness, for load balancers, supervisors and Kubernetes.

use crate::app::AppState;
use axum::{extract::State, http::StatusCode};

/// The process runs.
pub(crate) async fn healthy() -> &'static str {
    "Bellwether is healthy.\n"
}

/// Stores are open and requests can be answered.
pub(crate) async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "Bellwether is ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Bellwether is starting.\n")
    }
}
