//! `/loki/api/v1/series`: label sets of streams.

use super::{
    answer::labels_json,
    params::{Asked, HOUR_NS, without_place},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub(super) async fn series(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let range = asked.range(HOUR_NS)?;
    let texts: Vec<String> = asked.all(&["match", "match[]"]).map(str::to_owned).collect();
    let parsed = crate::query::run(&app, None, move |_| {
        texts.iter().map(|text| logql::parse_matchers(text)).collect::<Result<Vec<_>, _>>()
    });
    let mut selectors = parsed.await?.map_err(without_place)?;
    // `{}` among the selectors selects everything.
    if selectors.iter().any(Vec::is_empty) {
        selectors.clear();
    }
    let logs = app.logs.clone();
    let streams =
        crate::query::run(&app, None, move |context| logs.streams(&selectors, range, context)).await??;
    let data: Vec<_> = streams.iter().map(labels_json).collect();
    Ok(Json(json!({"status": "success", "data": data})))
}
