//! `GET /api/bellwether/v1/alerting/history`: events, newest first.

use super::params::Params;
use crate::{
    api::{
        alertmanager::{alerting, refusal::Refusal},
        background::{self, to_json},
    },
    app::AppState,
};
use alerting::{EventFilter, EventKind, Fingerprint};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde_json::json;

/// Events of an answer that does not say how many.
const LIMIT_DEFAULT: usize = 100;

const KNOWN: &[&str] = &["alert", "before", "end", "kind", "limit", "matcher", "receiver", "start"];

pub(super) async fn history(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let filter = filter(&Params::read(query.as_deref(), KNOWN)?)?;
    let page =
        alerting(&app)?.history(filter).await.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let answer = background::json(move || {
        to_json(&json!({
            "events": page.events.iter().map(alerting::Event::to_json).collect::<Vec<_>>(),
            "next": page.next,
            "oldest_ms": page.oldest_ms,
        }))
    });
    Ok(answer.await)
}

fn filter(params: &Params) -> Result<EventFilter, Refusal> {
    let kind = |name: &str| {
        EventKind::parse(name).map_err(|error| Refusal::bad(format!("`kind` names kinds of events: {error}")))
    };
    let kinds = params.all("kind").flat_map(|names| names.split(',')).map(|name| kind(name.trim()));
    Ok(EventFilter {
        matchers: params.matchers()?,
        alert: fingerprint(params, "alert")?,
        kinds: kinds.collect::<Result<_, _>>()?,
        receiver: params.get("receiver").map(str::to_owned),
        start_ms: params.time("start")?,
        end_ms: params.time("end")?,
        before: params.number("before")?,
        limit: params.number("limit")?.unwrap_or(LIMIT_DEFAULT),
    })
}

/// An alert's identity in hexadecimal digits.
pub(super) fn fingerprint(params: &Params, name: &str) -> Result<Option<Fingerprint>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let read = u64::from_str_radix(text, 16).map(Fingerprint);
    read.map(Some).map_err(|_| Refusal::bad(format!("`{text}` in `{name}` is not a fingerprint")))
}
