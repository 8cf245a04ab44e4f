//! `GET /api/v2/alerts/groups`: alerts as they are told together.

use super::{
    alerting,
    filter::AlertFilter,
    json::{ALERT_BYTES, AlertJson, LabelsJson, ReceiverJson},
    refusal::Refusal,
};
use crate::{
    api::background::{answer, list_to_json},
    app::AppState,
};
use alerting::GroupView;
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

/// What a group takes beside its alerts, more or less.
const GROUP_BYTES: usize = 200;

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
    let alerting = alerting(&app)?;
    let written = alerting.look(move |dispatcher, now_ms| {
        let groups = dispatcher.groups(now_ms);
        let alerts: usize = groups.iter().map(|group| group.alerts.len()).sum();
        let wanted = groups.iter().filter_map(|group| group_json(group, &filter));
        list_to_json(wanted, alerts * ALERT_BYTES + groups.len() * GROUP_BYTES)
    });
    Ok(answer(written.await?))
}

fn group_json<'a>(group: &'a GroupView<'a>, filter: &AlertFilter) -> Option<GroupJson<'a>> {
    if !filter.wants_group(group) {
        return None;
    }
    let alerts: Vec<_> = group.alerts.iter().filter(|view| filter.wants(view)).map(AlertJson::from).collect();
    let receiver = ReceiverJson { name: group.receiver };
    if alerts.is_empty() {
        return None;
    }
    Some(GroupJson { alerts, labels: LabelsJson(group.labels), receiver })
}
