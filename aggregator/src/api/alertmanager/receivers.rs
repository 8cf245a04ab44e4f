//! `GET /api/v2/receivers`: who can be told.

use super::{alerting, json::ReceiverJson, refusal::Refusal};
use crate::app::AppState;
use axum::{Json, extract::State};

pub(super) async fn receivers(State(app): State<AppState>) -> Result<Json<Vec<ReceiverJson>>, Refusal> {
    let config = alerting(&app)?.config().await?;
    Ok(Json(config.receivers.keys().map(|name| ReceiverJson { name: name.clone() }).collect()))
}
