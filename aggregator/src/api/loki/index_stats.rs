//! `/loki/api/v1/index/stats`: how much a selector matches.

use super::{
    params::{Asked, HOUR_NS},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub(super) async fn index_stats(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let range = asked.range(HOUR_NS)?;
    let matchers = asked.matchers(&app).await?;
    let logs = app.logs.clone();
    let stats = crate::query::run(&app, None, move |context| logs.selection_stats(&matchers, range, context))
        .await??;
    Ok(Json(json!({
        "streams": stats.streams,
        "chunks": stats.chunks,
        "bytes": stats.bytes,
        "entries": stats.entries,
    })))
}
