//! The way in: one file a protocol.

use crate::app::AppState;
use axum::Router;

/// All receivers.
pub(crate) fn routes() -> Router<AppState> {
    prometheus_routes()
}

/// The receivers that are also mounted under `/prometheus`.
pub(crate) fn prometheus_routes() -> Router<AppState> {
    Router::new()
}
