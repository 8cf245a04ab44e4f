//! Health, own metrics, and what only Bellwether has.

mod health;
mod hosts;
mod own_metrics;
mod packs;
mod reload;
mod replay;
mod rules_git;
mod runbooks;
mod scaling;
mod status;

use crate::app::AppState;
use axum::{
    Router,
    routing::{delete, get, post},
};

/// Everything below `/-/`, `/metrics` and `/api/bellwether/v1/`.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/metrics", get(own_metrics::own_metrics))
        .route("/api/bellwether/v1/hosts", get(hosts::list))
        .route("/api/bellwether/v1/hosts/{instance}", delete(hosts::retire))
        .route("/api/bellwether/v1/packs", get(packs::packs))
        .route("/runbooks/{alert}", get(runbooks::runbook))
        .route("/api/bellwether/v1/rules/replay", get(replay::get).post(replay::post))
        .route("/api/bellwether/v1/rules/git", get(rules_git::repositories))
        .route("/api/bellwether/v1/rules/git/{name}/hook", post(rules_git::hook))
        .route("/api/bellwether/v1/scaling", get(scaling::scaling))
        .route("/api/bellwether/v1/scaling/{uid}", get(scaling::policy))
        .route("/api/bellwether/v1/status", get(status::status))
}

/// Health, readiness and reload, which every prefix has.
pub(crate) fn health_routes() -> Router<AppState> {
    Router::new()
        .route("/-/healthy", get(health::healthy))
        .route("/-/ready", get(health::ready))
        .route("/-/reload", post(reload::reload).put(reload::reload))
}
