//! `/loki/api/v1/labels` and `/loki/api/v1/label/{name}/values`.

use super::{params::Asked, refusal::Refusal};
use crate::app::AppState;
use axum::{
    Json,
    extract::{Path, State},
};
use model::Labels;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How far back labels are looked for when no start is given.
const SIX_HOURS_NS: i64 = 6 * super::params::HOUR_NS;

pub(super) async fn names(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let streams = streams(&app, &asked).await?;
    let names: BTreeSet<&str> =
        streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    Ok(body(names))
}

pub(super) async fn values(
    State(app): State<AppState>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Value>, Refusal> {
    let streams = streams(&app, &asked).await?;
    let values: BTreeSet<&str> = streams.iter().filter_map(|labels| labels.get(&name)).collect();
    Ok(body(values))
}

/// Label sets of the streams that the selector matches in the range asked for.
pub(super) async fn streams(app: &AppState, asked: &Asked) -> Result<Vec<Labels>, Refusal> {
    let range = asked.range(SIX_HOURS_NS)?;
    let selectors = match asked.matchers(app).await? {
        matchers if matchers.is_empty() => Vec::new(),
        matchers => vec![matchers],
    };
    let logs = app.logs.clone();
    let streams =
        crate::query::run(app, None, move |context| logs.streams(&selectors, range, context)).await?;
    Ok(streams?)
}

/// Loki leaves `data` out when there is nothing.
fn body(texts: BTreeSet<&str>) -> Json<Value> {
    if texts.is_empty() {
        return Json(json!({"status": "success"}));
    }
    Json(json!({"status": "success", "data": texts}))
}
