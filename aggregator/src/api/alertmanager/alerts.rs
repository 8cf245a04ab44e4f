//! `GET /api/v2/alerts`: alerts that are not over, by fingerprint.

use super::{
    alerting,
    filter::AlertFilter,
    json::{ALERT_BYTES, AlertJson},
    refusal::Refusal,
};
use crate::{
    api::background::{answer, list_to_json},
    app::AppState,
};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

pub(super) async fn alerts(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let filter = AlertFilter::from_query(query.as_deref())?;
    let alerting = alerting(&app)?;
    let written = alerting.look(move |dispatcher, now_ms| {
        // Asked for by labels, so that one alert among thousands is found without showing them all.
        let alerts = dispatcher.matching(filter.matchers(), now_ms);
        let wanted = alerts.iter().filter(|view| {
            filter.wants(view) && view.receivers.iter().any(|receiver| filter.wants_receiver(receiver))
        });
        list_to_json(wanted.map(AlertJson::from), alerts.len() * ALERT_BYTES)
    });
    Ok(answer(written.await?))
}
