//! `/api/bellwether/v1/logs/context`: a line among its neighbours, by its stable id.

use super::statistics::statistics;
use crate::{
    api::loki::{Asked, Refusal},
    app::{App, AppState},
};
use axum::{Json, extract::State, http::StatusCode};
use logql::{Anchor, Around, Entry, LabelPairs, around};
use serde_json::{Value, json};
use std::time::Instant;

/// Lines before and after when the caller names no number.
const LINES_DEFAULT: i64 = 10;
/// Most lines before, and as many after.
const LINES_MAX: i64 = 1000;

pub(super) async fn context(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let anchor = anchor(&app, &asked).await?;
    let logs = app.logs.clone();
    let started = Instant::now();
    let (found, usage) = crate::query::run(&app, None, move |context| {
        let found = around(&anchor, logs.as_ref(), context);
        (found, context.usage())
    })
    .await?;
    let Some(found) = found? else {
        let message = "no such line; it may have been deleted, or have left with its retention";
        return Err(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    Ok(Json(json!({"status": "success", "data": body(&found), "stats": statistics(usage, started)})))
}

async fn anchor(app: &App, asked: &Asked) -> Result<Anchor, Refusal> {
    let id = asked.get("id").and_then(|text| u128::from_str_radix(text, 16).ok());
    let id = id.ok_or_else(|| Refusal::bad("`id` must be a line's id: up to 32 hexadecimal digits"))?;
    let timestamp_ns =
        asked.time("time")?.ok_or_else(|| Refusal::bad("`time` must be the line's time in nanoseconds"))?;
    let count = |name: &str| -> Result<usize, Refusal> {
        Ok(asked.number(name, LINES_DEFAULT)?.clamp(0, LINES_MAX) as usize)
    };
    Ok(Anchor {
        id,
        timestamp_ns,
        matchers: asked.matchers(app).await?,
        before: count("before")?,
        after: count("after")?,
    })
}

fn body(found: &Around) -> Value {
    let lines = |entries: &[Entry]| entries.iter().map(line).collect::<Vec<_>>();
    json!({
        "stream": pairs(&found.line.stream),
        "before": lines(&found.before),
        "line": line(&found.line),
        "after": lines(&found.after),
    })
}

fn line(entry: &Entry) -> Value {
    json!({
        "id": format!("{:x}", entry.id),
        "time": entry.timestamp_ns.to_string(),
        "line": entry.line,
        "metadata": pairs(&entry.metadata),
    })
}

fn pairs(pairs: &LabelPairs) -> Value {
    pairs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
}
