//! `GET /api/v2/silences`: active ones that end soonest first, then pending, then expired.

use super::{
    alerting,
    filter::{check_patterns, matcher},
    json::SilenceJson,
    params::pairs,
    refusal::Refusal,
};
use crate::{
    api::background::{self, to_json},
    app::AppState,
};
use alerting::{Silence, SilenceState};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use daemon::clock;
use model::Matcher;

pub(super) async fn silences(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let pairs = pairs(query.as_deref());
    check_patterns(pairs.iter().filter(|(name, _)| name == "filter").map(|(_, text)| text.as_str()))?;
    let filters = pairs
        .into_iter()
        .filter(|(name, _)| name == "filter")
        .map(|(_, text)| matcher(&text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut silences = alerting(&app)?.silences().await?;
    silences.retain(|silence| filters.iter().all(|filter| has(silence, filter)));
    let now_ms = clock::now_ms();
    silences.sort_by_key(|silence| place(silence, now_ms));
    let answer = background::json(move || {
        to_json(&silences.iter().map(|silence| SilenceJson::of(silence, now_ms)).collect::<Vec<_>>())
    });
    Ok(answer.await)
}

/// Whether one of a silence's matchers is the same as `filter`.
fn has(silence: &Silence, filter: &Matcher) -> bool {
    silence.matchers.iter().any(|matcher| {
        (&*matcher.name, matcher.op(), &*matcher.value) == (filter.name(), filter.op(), filter.value())
    })
}

fn place(silence: &Silence, now_ms: i64) -> (SilenceState, i64) {
    let state = silence.state(now_ms);
    let within = match state {
        SilenceState::Active => silence.ends_at_ms,
        SilenceState::Pending => silence.starts_at_ms,
        SilenceState::Expired => -silence.ends_at_ms,
    };
    (state, within)
}
