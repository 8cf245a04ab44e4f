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
        let told = Told::of(&groups, &filter);
        let wanted = groups.iter().filter_map(|group| group_json(group, &told, &filter));
        list_to_json(wanted, alerts * ALERT_BYTES + groups.len() * GROUP_BYTES)
    });
    Ok(answer(written.await?))
}

/// Who is told of which alert in one of the groups asked for, in order.
struct Told<'a>(Vec<(Fingerprint, &'a str)>);

impl<'a> Told<'a> {
    fn of(groups: &[GroupView<'a>], filter: &AlertFilter) -> Self {
        let wanted = groups.iter().filter(|group| filter.wants_receiver(group.receiver));
        let mut told: Vec<_> = wanted
            .flat_map(|group| group.alerts.iter().map(|view| (view.fingerprint, group.receiver)))
            .collect();
        told.sort_unstable();
        Told(told)
    }

    fn of_alert(&self, alert: Fingerprint) -> impl Iterator<Item = &'a str> {
        let first = self.0.partition_point(|(other, _)| *other < alert);
        self.0[first..].iter().take_while(move |(other, _)| *other == alert).map(|(_, receiver)| *receiver)
    }
}

fn group_json<'a>(group: &'a GroupView<'a>, told: &Told<'a>, filter: &AlertFilter) -> Option<GroupJson<'a>> {
    if !filter.wants_group(group) {
        return None;
    }
    let wanted = group.alerts.iter().filter(|view| filter.wants(view));
    let alerts: Vec<_> = wanted.map(|view| AlertJson::of(view, told.of_alert(view.fingerprint))).collect();
    let receiver = ReceiverJson { name: group.receiver };
    if alerts.is_empty() {
        return None;
    }
    Some(GroupJson { alerts, labels: LabelsJson(group.labels), receiver })
}
