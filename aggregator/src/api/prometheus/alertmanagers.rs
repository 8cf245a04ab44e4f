//! `GET /api/v1/alertmanagers`: where alerts go, which is this very server.

use super::answer::Success;
use crate::app::AppState;
use axum::extract::State;
use serde_json::json;

pub(super) async fn alertmanagers(State(app): State<AppState>) -> Success {
    let url = match &app.config.alerting.external_url {
        Some(url) => url.to_string(),
        None => {
            let scheme = if app.config.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{}", app.config.listen.0)
        }
    };
    Success::of(&json!({
        "activeAlertmanagers": [{ "url": format!("{url}/api/v2/alerts") }],
        "droppedAlertmanagers": [],
    }))
}
