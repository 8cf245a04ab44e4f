//! `GET /api/bellwether/v1/alerting/explain`: why alerts did or did not reach someone.

use super::{history::fingerprint, params::Params};
use crate::{
    api::{
        alertmanager::{alerting, refusal::Refusal},
        background::{self, to_json},
    },
    app::AppState,
};
use alerting::{Explanation, Fingerprint};
use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use model::{Labels, MatchOp, Matcher};
use serde_json::json;

/// Alerts of one answer.
const ALERTS_MAX: usize = 100;
const ALERTS_DEFAULT: usize = 20;
/// Events shown with each alert.
const EVENTS: usize = 20;

pub(super) async fn explain(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["alert", "limit", "matcher"])?;
    let (matchers, alert) = (params.matchers()?, fingerprint(&params, "alert")?);
    if matchers.is_empty() && alert.is_none() {
        return Err(Refusal::bad("give a `matcher`, such as `alertname=\"DiskFull\"`, or an `alert`"));
    }
    let limit = params.number("limit")?.unwrap_or(ALERTS_DEFAULT).min(ALERTS_MAX);
    let alerting = alerting(&app)?;
    let mut found = alerting.explain(matchers.clone(), alert, limit).await?;
    if found.is_empty()
        && let Some(labels) = labels_of(&matchers)
    {
        found.push(alerting.explain_labels(labels).await?);
    }
    let fingerprints = found.iter().map(|explanation| Fingerprint::of(&explanation.labels)).collect();
    let events = alerting.latest_events(fingerprints, EVENTS).await;
    let events = events.map_err(|error| Refusal::unavailable(error.to_string()))?;
    let answer = background::json(move || {
        let explained = |explanation: &Explanation| {
            let mut json = serde_json::to_value(explanation).unwrap_or_default();
            let known = events.get(&Fingerprint::of(&explanation.labels));
            json["events"] = known.into_iter().flatten().map(alerting::Event::to_json).collect();
            json
        };
        to_json(&json!({"alerts": found.iter().map(explained).collect::<Vec<_>>()}))
    });
    Ok(answer.await)
}

/// The labels that matchers describe when they say `=` only: where such an alert would go can be
/// told although there is none.
fn labels_of(matchers: &[Matcher]) -> Option<Labels> {
    let all_equal = matchers.iter().all(|matcher| matcher.op() == MatchOp::Equal);
    (all_equal && !matchers.is_empty())
        .then(|| Labels::from_pairs(matchers.iter().map(|matcher| (matcher.name(), matcher.value()))))
}
