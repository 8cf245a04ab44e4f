//! `GET /api/bellwether/v1/alerting/silences/preview`: the alerts that a silence with these
//! matchers would mute now.

use super::params::Params;
use crate::{
    api::{
        alertmanager::{alerting, json::AlertJson, refusal::Refusal},
        background::{answer, to_json},
    },
    app::AppState,
};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

const ALERTS_DEFAULT: usize = 100;

#[derive(Serialize)]
struct Preview<'a> {
    total: usize,
    alerts: Vec<AlertJson<'a>>,
}

pub(super) async fn preview(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["limit", "matcher"])?;
    let matchers = params.matchers()?;
    if matchers.is_empty() {
        return Err(Refusal::bad("give a `matcher`, such as `instance=\"db-1\"`"));
    }
    let limit = params.number("limit")?.unwrap_or(ALERTS_DEFAULT);
    let alerting = alerting(&app)?;
    let written = alerting.look(move |dispatcher, now_ms| {
        let views = dispatcher.matching(&matchers, now_ms);
        let alerts = views.iter().take(limit).map(AlertJson::from).collect();
        to_json(&Preview { total: views.len(), alerts })
    });
    Ok(answer(written.await?))
}
