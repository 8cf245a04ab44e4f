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
use alerting::{Fingerprint, GroupView};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;
use std::collections::HashMap;

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
        let told = told(&groups, &filter);
        let wanted = groups.iter().filter_map(|group| group_json(group, &told, &filter));
        list_to_json(wanted, alerts * ALERT_BYTES + groups.len() * GROUP_BYTES)
    });
    Ok(answer(written.await?))
}

/// Who is told of an alert in one of the groups asked for, in order.
type Told<'a> = HashMap<Fingerprint, Vec<&'a str>>;

fn told<'a>(groups: &'a [GroupView<'a>], filter: &AlertFilter) -> Told<'a> {
    let mut told = Told::new();
    for group in groups.iter().filter(|group| filter.wants_receiver(group.receiver)) {
        for view in &group.alerts {
            told.entry(view.fingerprint).or_default().push(group.receiver);
        }
    }
    for receivers in told.values_mut() {
        receivers.sort_unstable();
    }
    told
}

fn group_json<'a>(group: &'a GroupView<'a>, told: &Told<'a>, filter: &AlertFilter) -> Option<GroupJson<'a>> {
    if !filter.wants_group(group) {
        return None;
    }
    let wanted = group.alerts.iter().filter(|view| filter.wants(view));
    let shown =
        wanted.map(|view| AlertJson::of(view, told.get(&view.fingerprint).map_or(&[], Vec::as_slice)));
    let alerts: Vec<_> = shown.collect();
    let receiver = ReceiverJson { name: group.receiver };
    if alerts.is_empty() {
        return None;
    }
    Some(GroupJson { alerts, labels: LabelsJson(group.labels), receiver })
}
