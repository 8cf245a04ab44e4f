//! `GET /api/v2/alerts/groups`: alerts as they are told together.

use super::{
    alerting,
    filter::AlertFilter,
    refusal::Refusal,
    written::{Room, push_alert, push_receiver},
};
use crate::{
    api::{
        background::json_answer,
        json_text::{push_labels, push_list},
    },
    app::AppState,
};
use alerting::{Fingerprint, GroupView};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

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
        let wanted = groups
            .iter()
            .filter(|group| filter.wants_group(group) && group.alerts.iter().any(|view| filter.wants(view)));
        let (mut body, mut room) = (String::new(), Room::of(alerts));
        push_list(&mut body, wanted, |out, group| push_group(out, group, &told, &filter, &mut room));
        body
    });
    Ok(json_answer(written.await?))
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

fn push_group(
    out: &mut String,
    group: &GroupView<'_>,
    told: &Told<'_>,
    filter: &AlertFilter,
    room: &mut Room,
) {
    out.push_str("{\"alerts\":");
    let wanted = group.alerts.iter().filter(|view| filter.wants(view));
    push_list(out, wanted, |out, view| push_alert(out, view, told.of_alert(view.fingerprint), room));
    out.push_str(",\"labels\":");
    push_labels(out, group.labels);
    out.push_str(",\"receiver\":");
    push_receiver(out, group.receiver);
    out.push('}');
}
