//! `/loki/api/v1/patterns`: what kinds of lines a query finds, mined when they are asked for.

use super::{
    params::{Asked, HOUR_NS},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{Json, extract::State};
use logql::{MinedPattern, PatternRequest, patterns as mine};
use serde_json::{Value, json};

/// Lines that are looked at; of more, a share that is spread over the range.
const LINES_MAX: u64 = 200_000;
/// Most patterns of an answer.
const PATTERNS_MAX: usize = 300;
const SECOND_NS: i64 = 1_000_000_000;

pub(super) async fn patterns(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let range = asked.range(HOUR_NS)?;
    if range.end < range.start {
        return Err(Refusal::bad("end timestamp must not be before or equal to start time"));
    }
    let request = PatternRequest {
        log: asked.log_query(&app).await?,
        range,
        step_ns: asked.step(range)?.max(SECOND_NS),
        lines_max: LINES_MAX,
        patterns_max: PATTERNS_MAX,
    };
    let logs = app.logs.clone();
    let found =
        crate::query::run(&app, None, move |context| mine(&request, logs.as_ref(), context)).await??;
    let data: Vec<_> = found.patterns.iter().map(pattern).collect();
    // Loki's answer has no room for it, and readers pass over what they do not know.
    Ok(Json(json!({"status": "success", "data": data, "partial": found.is_partial, "every": found.every})))
}

fn pattern(pattern: &MinedPattern) -> Value {
    let samples: Vec<_> = pattern
        .samples
        .iter()
        .map(|(time_ns, lines)| json!([time_ns.div_euclid(SECOND_NS), lines]))
        .collect();
    json!({"pattern": pattern.pattern, "level": pattern.level, "samples": samples})
}
