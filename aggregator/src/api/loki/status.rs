//! What clients ask to learn whom they talk to.

use crate::app::AppState;
use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

/// The release of Loki whose API this is; Grafana enables features by it.
const LOKI_VERSION: &str = "3.5.0";

pub(super) async fn buildinfo() -> Json<Value> {
    Json(json!({
        "version": LOKI_VERSION,
        "revision": env!("CARGO_PKG_VERSION"),
        "branch": "bellwether",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }))
}

pub(super) async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    if app.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "starting\n") }
}
