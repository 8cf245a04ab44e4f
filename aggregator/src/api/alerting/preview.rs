//! `GET /api/bellwether/v1/alerting/silences/preview`: the alerts that a silence with these
//! matchers would mute now.

use super::params::Params;
use crate::{
    api::alertmanager::{alerting, json::AlertJson, refusal::Refusal},
    app::AppState,
};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde_json::{Value, json};

const ALERTS_DEFAULT: usize = 100;

pub(super) async fn preview(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
    let params = Params::read(query.as_deref(), &["limit", "matcher"])?;
    let matchers = params.matchers()?;
    if matchers.is_empty() {
        return Err(Refusal::bad("give a `matcher`, such as `instance=\"db-1\"`"));
    }
    let limit = params.number("limit")?.unwrap_or(ALERTS_DEFAULT);
    let views = alerting(&app)?.preview_silence(matchers).await?;
    let alerts: Vec<_> = views.iter().take(limit).map(AlertJson::from).collect();
    Ok(Json(json!({"total": views.len(), "alerts": alerts})))
}
