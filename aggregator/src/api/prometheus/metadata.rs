//! `GET /api/v1/metadata`: what metric families measure.

use super::{
    answer::{ApiError, Success},
    params::Params,
};
use crate::{app::AppState, query};
use axum::extract::State;
use serde_json::{Map, Value, json};

pub(super) async fn metadata(State(app): State<AppState>, params: Params) -> Result<Success, ApiError> {
    let family = Some(params.get("metric").to_owned()).filter(|family| !family.is_empty());
    let limit = families_max(&params, "limit")?;
    let per_metric = families_max(&params, "limit_per_metric")?;
    let metrics = app.metrics.clone();
    let found = query::run(&app, None, move |_| metrics.metadata(family.as_deref())).await?;
    let mut data: Map<String, Value> = Map::new();
    for (family, metadata) in found {
        if !data.contains_key(&family) && data.len() >= limit {
            break;
        }
        let entries = data.entry(family).or_insert_with(|| json!([]));
        if let Some(entries) = entries.as_array_mut().filter(|entries| entries.len() < per_metric) {
            entries.push(json!({
                "type": metadata.kind.as_str(),
                "help": metadata.help,
                "unit": metadata.unit,
            }));
        }
    }
    Ok(Success::of(&Value::Object(data)))
}

/// A limit where a negative number, as well as a missing one, means none.
fn families_max(params: &Params, name: &str) -> Result<usize, ApiError> {
    match params.get(name) {
        "" => Ok(usize::MAX),
        text => match text.parse::<i64>() {
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}
