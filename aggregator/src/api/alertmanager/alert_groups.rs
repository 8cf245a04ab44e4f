//! `GET /api/v2/alerts/groups`: alerts as they are told together.

use super::{
    alerting,
    filter::AlertFilter,
    json::{AlertJson, LabelsJson, ReceiverJson},
    refusal::Refusal,
};
use crate::{
    api::background::{self, to_json},
    app::AppState,
};
use alerting::GroupView;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

#[derive(Serialize)]
struct GroupJson<'a> {
    alerts: Vec<AlertJson<'a>>,
    labels: LabelsJson<'a>,
    receiver: ReceiverJson<'a>,
}

pub(super) async fn alert_groups(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let filter = AlertFilter::from_query(query.as_deref())?;
    let groups = alerting(&app)?.groups().await?;
    let answer = background::json(move || {
        to_json(&groups.iter().filter_map(|group| group_json(group, &filter)).collect::<Vec<_>>())
    });
    Ok(answer.await)
}

fn group_json<'a>(group: &'a GroupView, filter: &AlertFilter) -> Option<GroupJson<'a>> {
    if !filter.wants_group(group) {
        return None;
    }
    let alerts: Vec<_> = group.alerts.iter().filter(|view| filter.wants(view)).map(AlertJson::from).collect();
    let receiver = ReceiverJson { name: &group.receiver };
    if alerts.is_empty() {
        return None;
    }
    Some(GroupJson { alerts, labels: LabelsJson(&group.labels), receiver })
}
