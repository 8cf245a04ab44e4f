//! `GET /api/v2/alerts`: alerts that are not over, by fingerprint.

use super::{alerting, filter::AlertFilter, refusal::Refusal, written::push_alerts};
use crate::{api::background::json_answer, app::AppState};
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
        let mut body = String::new();
        push_alerts(&mut body, wanted, alerts.len());
        body
    });
    Ok(json_answer(written.await?))
}
