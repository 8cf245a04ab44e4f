//! `/loki/api/v1/detected_labels`: stream labels worth choosing by.

use super::{labels::streams, params::Asked, refusal::Refusal};
use crate::app::AppState;
use axum::{Json, extract::State};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Labels that are shown whatever their values are.
const ALWAYS: [&str; 4] = ["cluster", "namespace", "instance", "pod"];

pub(super) async fn labels(State(app): State<AppState>, asked: Asked) -> Result<Json<Value>, Refusal> {
    let streams = streams(&app, &asked).await?;
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for labels in &streams {
        for (name, value) in labels.iter() {
            values.entry(name).or_default().insert(value);
        }
    }
    let detected: Vec<_> = values
        .iter()
        .filter(|(name, values)| ALWAYS.contains(name) || !values.iter().all(|value| is_id(value)))
        .map(|(name, values)| json!({"label": name, "cardinality": values.len()}))
        .collect();
    Ok(Json(json!({"detectedLabels": detected})))
}

/// Whether the value is a number or a UUID, which nobody chooses by.
fn is_id(value: &str) -> bool {
    let hyphens = [8, 13, 18, 23];
    let is_uuid = value.len() == 36
        && value
            .bytes()
            .enumerate()
            .all(|(i, byte)| if hyphens.contains(&i) { byte == b'-' } else { byte.is_ascii_hexdigit() });
    is_uuid || value.parse::<f64>().is_ok()
}
