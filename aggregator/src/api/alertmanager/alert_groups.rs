//! `GET /api/v2/alerts/groups`: alerts as they are told together.

use super::{
    alerting,
    filter::AlertFilter,
    json::{AlertJson, ReceiverJson, pairs},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
pub(super) struct GroupJson {
    alerts: Vec<AlertJson>,
    labels: BTreeMap<String, String>,
    receiver: ReceiverJson,
}

pub(super) async fn alert_groups(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<GroupJson>>, Refusal> {
    let filter = AlertFilter::from_query(query.as_deref())?;
    let mut answer = Vec::new();
    for group in alerting(&app)?.groups().await? {
        let wanted = group.alerts.iter().filter(|view| filter.wants(view));
        let alerts: Vec<_> = wanted.map(AlertJson::from).collect();
        if !alerts.is_empty() && filter.wants_receiver(&group.receiver) {
            let receiver = ReceiverJson { name: group.receiver };
            answer.push(GroupJson { alerts, labels: pairs(&group.labels), receiver });
        }
    }
    Ok(Json(answer))
}
