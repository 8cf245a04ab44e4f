//! `GET /api/v2/status`: the configuration in force, versions, and since when.

use super::{alerting, refusal::Refusal};
use crate::app::AppState;
use alerting::timestamp;
use axum::{Json, extract::State};
use serde_json::{Value, json};

/// The version of Alertmanager whose API this is. Clients choose features by it.
const API_VERSION: &str = "0.28.0";

pub(super) async fn status(State(app): State<AppState>) -> Result<Json<Value>, Refusal> {
    let alerting = alerting(&app)?;
    let config = alerting.config().await?;
    Ok(Json(json!({
        "cluster": {"peers": [], "status": "disabled"},
        "config": {"original": config.shown},
        "uptime": timestamp::millis(alerting.started_ms()),
        "versionInfo": {
            "branch": "",
            "buildDate": "",
            "buildUser": "",
            "goVersion": "",
            "revision": format!("bellwether-{}", env!("CARGO_PKG_VERSION")),
            "version": API_VERSION,
        },
    })))
}
