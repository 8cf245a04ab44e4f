//! What Bellwether tells of alerting beyond Alertmanager's API: what happened, why, what a silence
//! would mute, and whether a receiver can be reached. One file an endpoint.

mod explain;
mod history;
mod params;
mod preview;
mod test_receiver;
#[cfg(test)]
mod tests;

use crate::app::AppState;
use axum::{
    Router,
    routing::{get, post},
};

/// Everything below `/api/bellwether/v1/alerting/`.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/bellwether/v1/alerting/explain", get(explain::explain))
        .route("/api/bellwether/v1/alerting/history", get(history::history))
        .route("/api/bellwether/v1/alerting/notify/test/{receiver}", post(test_receiver::test_receiver))
        .route("/api/bellwether/v1/alerting/silences/preview", get(preview::preview))
}
