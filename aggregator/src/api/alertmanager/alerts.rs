//! `GET /api/v2/alerts`: alerts that are not over, by fingerprint.

use super::{alerting, filter::AlertFilter, json::AlertJson, refusal::Refusal};
use crate::{
    api::background::{self, to_json},
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
    // Asked for by labels, so that one alert among thousands is found without showing them all.
    let alerts = alerting(&app)?.preview_silence(filter.matchers()).await?;
    let answer = background::json(move || {
        let wanted = alerts.iter().filter(|view| {
            filter.wants(view) && view.receivers.iter().any(|receiver| filter.wants_receiver(receiver))
        });
        to_json(&wanted.map(AlertJson::from).collect::<Vec<_>>())
    });
    Ok(answer.await)
}
