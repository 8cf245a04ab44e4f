//! Scaling policies and what became of them.

use crate::app::AppState;
use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use scaling::{DeliveryStatus, PolicyView};
use serde_json::{Value, json};

/// `GET /api/bellwether/v1/scaling`
pub(crate) async fn scaling(State(app): State<AppState>) -> Json<Vec<Value>> {
    let policies = app.scaling().map(|scaling| scaling.policies()).unwrap_or_default();
    Json(policies.iter().map(view).collect())
}

/// `GET /api/bellwether/v1/scaling/{uid}`, which the `explain_url` of a webhook names.
pub(crate) async fn policy(
    State(app): State<AppState>,
    Path(uid): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let policies = app.scaling().map(|scaling| scaling.policies()).unwrap_or_default();
    let found = policies.iter().find(|view| view.policy.uid == uid).ok_or(StatusCode::NOT_FOUND)?;
    Ok(Json(view(found)))
}

fn view(view: &PolicyView) -> Value {
    let decision = view.decision.as_ref();
    let deliveries = match &view.delivery {
        DeliveryStatus::None => Vec::new(),
        delivery => vec![delivery],
    };
    json!({
        "policy": view.policy.name,
        "uid": view.policy.uid,
        "mode": view.policy.mode,
        "target": view.policy.target.id,
        "sequence": view.sequence,
        "current": decision.and_then(|decision| decision.current),
        "desired": decision.and_then(|decision| decision.desired),
        "min": decision.map(|decision| decision.min),
        "max": decision.map(|decision| decision.max),
        "action": decision.map(|decision| decision.action),
        "reason": decision.map(|decision| decision.reason),
        "limited_by": decision.and_then(|decision| decision.limited_by),
        "last_decision_ms": decision.map(|decision| decision.at_ms),
        "checks": decision.map(|decision| &decision.checks),
        "deliveries": deliveries,
    })
}
