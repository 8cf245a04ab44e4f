//! `GET /api/v2/receivers`: who can be told, in the order of the file.

use super::{alerting, json::ReceiverJson, refusal::Refusal};
use crate::app::AppState;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

pub(super) async fn receivers(State(app): State<AppState>) -> Result<Response, Refusal> {
    let config = alerting(&app)?.config().await?;
    let receivers: Vec<_> = config.receiver_names.iter().map(|name| ReceiverJson { name }).collect();
    Ok(Json(receivers).into_response())
}
