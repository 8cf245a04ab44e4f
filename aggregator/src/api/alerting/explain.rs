//! `GET /api/bellwether/v1/alerting/explain`: why alerts did or did not reach someone.

use super::{history::fingerprint, params::Params};
use crate::{
    api::alertmanager::{alerting, refusal::Refusal},
    app::AppState,
};
use alerting::{EventFilter, Fingerprint};
use axum::{
    Json,
    extract::{RawQuery, State},
};
use model::{Labels, MatchOp, Matcher};
use serde_json::{Value, json};

/// Alerts of one answer.
const ALERTS_MAX: usize = 100;
const ALERTS_DEFAULT: usize = 20;
/// Events shown with each alert.
const EVENTS: usize = 20;

pub(super) async fn explain(
    State(app): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Refusal> {
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
    let mut alerts = Vec::new();
    for explanation in found {
        let alert = Some(Fingerprint::of(&explanation.labels));
        let filter = EventFilter { alert, limit: EVENTS, ..EventFilter::default() };
        let page = alerting.history(filter).await.map_err(|error| Refusal::unavailable(error.to_string()))?;
        let mut json = serde_json::to_value(&explanation).unwrap_or_default();
        json["events"] = page.events.iter().map(alerting::Event::to_json).collect();
        alerts.push(json);
    }
    Ok(Json(json!({"alerts": alerts})))
}

/// The labels that matchers describe when they say `=` only: where such an alert would go can be
/// told although there is none.
fn labels_of(matchers: &[Matcher]) -> Option<Labels> {
    let all_equal = matchers.iter().all(|matcher| matcher.op() == MatchOp::Equal);
    (all_equal && !matchers.is_empty())
        .then(|| Labels::from_pairs(matchers.iter().map(|matcher| (matcher.name(), matcher.value()))))
}
