//! Alertmanager's HTTP API (version 2): one file an endpoint.
//!
//! The routes stand below `/api/v2` and, for clients that were given a prefix, below
//! `/alertmanager/api/v2`.

mod alert_groups;
mod alerts;
pub(super) mod filter;
pub(super) mod json;
pub(super) mod params;
mod post_alerts;
mod post_silences;
mod receivers;
pub(super) mod refusal;
mod silence;
mod silences;
mod status;
#[cfg(test)]
pub(super) mod tests;

use crate::app::{App, AppState};
use alerting::Alerting;
use axum::{Router, extract::DefaultBodyLimit, routing::get};
use refusal::Refusal;
use std::sync::Arc;

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/v2/alerts", get(alerts::alerts).post(post_alerts::post_alerts))
        .layer(DefaultBodyLimit::max(post_alerts::BODY_BYTES_MAX))
        .route("/api/v2/alerts/groups", get(alert_groups::alert_groups))
        .route("/api/v2/receivers", get(receivers::receivers))
        .route("/api/v2/silence/{id}", get(silence::get_silence).delete(silence::delete_silence))
        .route("/api/v2/silences", get(silences::silences).post(post_silences::post_silences))
        .route("/api/v2/status", get(status::status))
}

/// The running alerting, or the answer that it has not started.
pub(super) fn alerting(app: &App) -> Result<Arc<Alerting>, Refusal> {
    app.alerting().cloned().ok_or_else(Refusal::starting)
}
