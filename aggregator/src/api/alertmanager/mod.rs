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
mod uri;
pub(super) mod written;

use crate::app::{App, AppState};
use alerting::Alerting;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, Method, Uri, header::CONTENT_TYPE},
    routing::{MethodRouter, any, get},
};
use refusal::Refusal;
use std::sync::Arc;

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    let (alerts, silences) = (
        get(alerts::alerts).post(post_alerts::post_alerts),
        get(silences::silences).post(post_silences::post_silences),
    );
    let silence = get(silence::get_silence).delete(silence::delete_silence);
    Router::new()
        .route("/api/v2/alerts", only("POST,GET", alerts))
        .layer(DefaultBodyLimit::max(post_alerts::BODY_BYTES_MAX))
        .route("/api/v2/alerts/groups", only("GET", get(alert_groups::alert_groups)))
        .route("/api/v2/receivers", only("GET", get(receivers::receivers)))
        .route("/api/v2/silence/{id}", only("GET,DELETE", silence))
        .route("/api/v2/silences", only("POST,GET", silences))
        .route("/api/v2/status", only("GET", get(status::status)))
        .route("/api/v2/{*rest}", any(async |uri: Uri| Refusal::no_endpoint(uri.path())))
}

/// An endpoint that says which methods it has to whom asks for another.
fn only(methods: &'static str, endpoint: MethodRouter<AppState>) -> MethodRouter<AppState> {
    endpoint.fallback(async move |method: Method| Refusal::other_methods(&method, methods))
}

/// Refuses a body that is not JSON by its header, or none at all, as Alertmanager does.
fn check_body(name: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Err(Refusal::required(name));
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/json" => Ok(()),
        "" => Err(Refusal::other_media_type("application/octet-stream")),
        other => Err(Refusal::other_media_type(other)),
    }
}

/// The running alerting, or the answer that it has not started.
pub(super) fn alerting(app: &App) -> Result<Arc<Alerting>, Refusal> {
    app.alerting().cloned().ok_or_else(Refusal::starting)
}
