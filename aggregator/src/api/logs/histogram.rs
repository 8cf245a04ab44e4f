//! `/api/bellwether/v1/logs/histogram`: a query's lines over time, by any label.

use super::statistics::statistics;
use crate::{
    api::loki::{Asked, HOUR_NS, Refusal, labels_json},
    app::{App, AppState},
};
use axum::{Json, extract::State};
use logql::{HistogramRequest, histogram as count};
use model::TimeRange;
use serde_json::{Value, json};
use std::time::Instant;

/// Series of their own when the caller names no number.
const SERIES_DEFAULT: i64 = 20;
/// Most series.
const SERIES_MAX: i64 = 1000;

pub(super) async fn histogram(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let request = request(&app, &asked).await?;
    let (range, step_ns) = (request.range, request.step_ns);
    let logs = app.logs.clone();
    let started = Instant::now();
    let (found, usage) = crate::query::run(&app, None, move |context| {
        let found = count(&request, logs.as_ref(), context);
        (found, context.usage())
    })
    .await?;
    let found = found?;
    let series = found.series.iter().map(|(labels, counts)| {
        json!({"labels": labels_json(labels), "lines": counts.iter().sum::<u64>(), "counts": counts})
    });
    let other = found.other.as_ref().map(|(counts, series)| json!({"series": series, "counts": counts}));
    let data = json!({
        "start": range.start.to_string(),
        "step": step_ns.to_string(),
        "series": series.collect::<Vec<_>>(),
        "other": other,
    });
    Ok(Json(json!({"status": "success", "data": data, "stats": statistics(usage, started)})))
}

/// Buckets begin at multiples of the step, so that they keep their heights while a range moves:
/// the range is widened to whole ones.
async fn request(app: &App, asked: &Asked) -> Result<HistogramRequest, Refusal> {
    let range = asked.range(HOUR_NS)?;
    if range.end <= range.start {
        return Err(Refusal::bad("`end` must be after `start`"));
    }
    let step_ns = asked.step(range)?;
    let up = |time: i64| {
        let floor = time.div_euclid(step_ns).saturating_mul(step_ns);
        if floor == time { time } else { floor.saturating_add(step_ns) }
    };
    let start = range.start.div_euclid(step_ns).saturating_mul(step_ns);
    let names = asked.get("by").unwrap_or("");
    Ok(HistogramRequest {
        log: asked.log_query(app).await?,
        range: TimeRange::new(start, up(range.end)),
        step_ns,
        by: names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        series_max: asked.number("limit", SERIES_DEFAULT)?.clamp(1, SERIES_MAX) as usize,
    })
}
