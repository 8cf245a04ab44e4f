//! `POST /api/bellwether/v1/alerting/notify/test/{receiver}`: sends a test notification now.

use crate::{
    api::alertmanager::{alerting, refusal::Refusal},
    app::AppState,
};
use alerting::TestError;
use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};

pub(super) async fn test_receiver(
    State(app): State<AppState>,
    Path(receiver): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let outcomes = match alerting(&app)?.test_receiver(&receiver).await {
        Ok(outcomes) => outcomes,
        Err(error @ TestError::UnknownReceiver { .. }) => return Err(Refusal::not_found(error.to_string())),
        Err(TestError::Owner(error)) => return Err(error.into()),
    };
    let delivered = !outcomes.is_empty() && outcomes.iter().all(|outcome| outcome.delivered);
    Ok(Json(json!({"receiver": receiver, "delivered": delivered, "integrations": outcomes})))
}
