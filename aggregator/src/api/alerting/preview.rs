//! `GET /api/bellwether/v1/alerting/silences/preview`: the alerts that a silence with these
//! matchers would mute now.

use super::params::Params;
use crate::{
    api::{
        alertmanager::{alerting, refusal::Refusal, written::push_alerts},
        background::json_answer,
    },
    app::AppState,
};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};

const ALERTS_DEFAULT: usize = 100;

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
        let mut body = format!("{{\"total\":{},\"alerts\":", views.len());
        push_alerts(&mut body, views.iter().take(limit), limit.min(views.len()));
        body.push('}');
        body
    });
    Ok(json_answer(written.await?))
}
