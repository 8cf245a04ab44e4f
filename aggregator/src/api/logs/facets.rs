//! `/api/bellwether/v1/logs/facets`: the most frequent values of every field of a query's lines.

use super::statistics::statistics;
use crate::{
    api::loki::{Asked, HOUR_NS, Refusal},
    app::AppState,
};
use axum::{Json, extract::State};
use logql::{Facet, FacetRequest, facets as count};
use serde_json::{Value, json};
use std::time::Instant;

/// Values of each field when the caller names no number.
const VALUES_DEFAULT: i64 = 10;
/// Most values of a field.
const VALUES_MAX: i64 = 1000;
/// Lines that a scan takes when the caller names no number.
const LINES_DEFAULT: i64 = 1_000_000;
/// Most lines that a scan takes.
const LINES_MAX: i64 = 100_000_000;

pub(super) async fn facets(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let request = FacetRequest {
        log: asked.log_query(&app).await?,
        range: asked.range(HOUR_NS)?,
        fields: asked.all(&["field"]).map(str::to_owned).collect(),
        values_max: asked.number("limit", VALUES_DEFAULT)?.clamp(1, VALUES_MAX) as usize,
        lines_max: asked.number("line_limit", LINES_DEFAULT)?.clamp(1, LINES_MAX) as u64,
        detect: asked.flag("detect")?,
    };
    let logs = app.logs.clone();
    let started = Instant::now();
    let (found, usage) = crate::query::run(&app, None, move |context| {
        let found = count(&request, logs.as_ref(), context);
        (found, context.usage())
    })
    .await?;
    let found = found?;
    let data = json!({
        "lines": found.lines,
        "partial": found.is_partial,
        "fields": found.fields.iter().map(field).collect::<Vec<_>>(),
    });
    Ok(Json(json!({"status": "success", "data": data, "stats": statistics(usage, started)})))
}

fn field(facet: &Facet) -> Value {
    let values = facet.values.iter().map(|(value, lines)| json!({"value": value, "lines": lines}));
    json!({
        "name": facet.name,
        "source": facet.source,
        "distinct": facet.distinct,
        "exact": facet.is_exact,
        "values": values.collect::<Vec<_>>(),
    })
}
