//! `/loki/api/v1/detected_fields`: what can be extracted from the lines that a query finds.

use super::{
    params::{Asked, HOUR_NS},
    refusal::Refusal,
};
use crate::app::AppState;
use axum::{
    Json,
    extract::{Path, State},
};
use logql::{Answer, Detected, Params, detect_fields};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use store::Direction;

/// Lines looked at when the caller names no number.
const LINE_LIMIT_DEFAULT: i64 = 100;
/// Most lines looked at.
const LINE_LIMIT_MAX: i64 = 5000;
/// Fields or values of an answer.
const FIELD_LIMIT_DEFAULT: i64 = 1000;

pub(super) async fn fields(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let limit = limit(&asked)?;
    let fields = detect(&app, &asked).await?;
    let list: Vec<_> = fields.iter().take(limit).map(|(name, field)| field_json(name, field)).collect();
    if list.is_empty() {
        return Ok(Json(json!({"fields": []})));
    }
    Ok(Json(json!({"fields": list, "limit": limit})))
}

pub(super) async fn values(
    State(app): State<AppState>,
    Path(name): Path<String>,
    asked: Asked,
) -> Result<Json<Value>, Refusal> {
    let limit = limit(&asked)?;
    let fields = detect(&app, &asked).await?;
    // Whether metadata or the line has the name, its values are wanted.
    let named = [fields.get(&name), fields.get(&format!("{name}{EXTRACTED}"))];
    let values: BTreeSet<&String> =
        named.into_iter().flatten().flat_map(|field| &field.values).take(limit).collect();
    Ok(Json(json!({"values": values, "limit": limit})))
}

fn limit(asked: &Asked) -> Result<usize, Refusal> {
    let name = if asked.get("field_limit").is_some() { "field_limit" } else { "limit" };
    usize::try_from(asked.number(name, FIELD_LIMIT_DEFAULT)?)
        .map_err(|_| Refusal::bad("limit must be a positive value"))
}

/// Appended to the name of a field that the stream or its metadata have already.
const EXTRACTED: &str = "_extracted";

/// What is known of one field.
#[derive(Default)]
struct Field {
    values: BTreeSet<String>,
    parsers: BTreeSet<&'static str>,
    json_path: Vec<String>,
}

fn field_json(name: &str, field: &Field) -> Value {
    let mut json = json!({
        "label": name,
        "type": kind_of(&field.values),
        "cardinality": field.values.len(),
        "parsers": if field.parsers.is_empty() { Value::Null } else { json!(field.parsers) },
    });
    if !field.json_path.is_empty() {
        json["jsonPath"] = json!(field.json_path);
    }
    json
}

async fn detect(app: &AppState, asked: &Asked) -> Result<BTreeMap<String, Field>, Refusal> {
    let range = asked.range(HOUR_NS)?;
    let lines = asked.number("line_limit", LINE_LIMIT_DEFAULT)?.clamp(1, LINE_LIMIT_MAX);
    let params = Params {
        start_ns: range.start,
        end_ns: range.end,
        step_ns: 1,
        interval_ns: 0,
        limit: lines as usize,
        direction: Direction::Backward,
    };
    let expr = asked.parsed(app).await?;
    let logs = app.logs.clone();
    let fields = crate::query::run(app, None, move |context| {
        let answer = logql::query_range(&expr, &params, logs.as_ref(), context)?;
        Ok::<_, Refusal>(match answer {
            Answer::Streams(entries) => fields_of(&entries),
            _ => BTreeMap::new(),
        })
    });
    fields.await?
}

fn fields_of(entries: &[logql::Entry]) -> BTreeMap<String, Field> {
    let mut fields: BTreeMap<String, Field> = BTreeMap::new();
    for entry in entries {
        for (name, value) in &entry.metadata {
            fields.entry(name.clone()).or_default().values.insert(value.clone());
        }
        for detected in detect_fields(entry) {
            let field = fields.entry(detected.label()).or_default();
            let Detected { value, parser, json_path, .. } = detected;
            field.values.insert(value);
            field.parsers.insert(parser);
            // Of several paths to a name the oldest line's is told, as in Loki.
            if !json_path.is_empty() {
                field.json_path = json_path;
            }
        }
    }
    fields.retain(|name, _| !name.starts_with("__error"));
    fields
}

/// The narrowest type that fits the values.
fn kind_of(values: &BTreeSet<String>) -> &'static str {
    let mut values = values.iter().filter(|value| !value.is_empty());
    let Some(first) = values.next() else {
        return "string";
    };
    logql::value_kind(first)
}
