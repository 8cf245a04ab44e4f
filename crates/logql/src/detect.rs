//! What could be extracted from a line: for field lists, not for queries.

use crate::{Entry, eval::LabelPairs, pipeline, units};
use serde_json::Value as Json;

/// One field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The label that a parser would write.
    pub name: String,
    /// Its value.
    pub value: String,
    /// `json` or `logfmt`.
    pub parser: &'static str,
    /// The keys that lead to the value in JSON; empty for logfmt.
    pub json_path: Vec<String>,
}

/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 16;

/// Fields of an entry's line, by the first parser that makes sense of it.
pub fn detect_fields(entry: &Entry) -> Vec<Detected> {
    let mut found = Vec::new();
    if entry.line.trim_start().starts_with('{') {
        if let Ok(Json::Object(members)) = serde_json::from_str::<Json>(&entry.line) {
            walk(&members, &mut Vec::new(), &mut found);
        }
    } else if let Some(pairs) = pipeline::logfmt_pairs(&entry.line) {
        let fields = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        found.extend(fields.map(|(name, value)| Detected {
            name,
            value,
            parser: "logfmt",
            json_path: Vec::new(),
        }));
    }
    let taken = |name: &str| {
        let has = |pairs: &LabelPairs| pairs.iter().any(|(taken, _)| taken == name);
        has(&entry.stream) || has(&entry.metadata)
    };
    for field in &mut found {
        if taken(&field.name) {
            field.name.push_str("_extracted");
        }
    }
    found
}

fn walk(members: &serde_json::Map<String, Json>, path: &mut Vec<String>, found: &mut Vec<Detected>) {
    for (key, value) in members {
        path.push(key.clone());
        match value {
            Json::Object(inner) if path.len() < DEPTH_MAX => walk(inner, path, found),
            Json::String(text) => push(text.clone(), path, found),
            Json::Number(_) | Json::Bool(_) => push(value.to_string(), path, found),
            Json::Null | Json::Array(_) | Json::Object(_) => {}
        }
        path.pop();
    }
}

fn push(value: String, path: &[String], found: &mut Vec<Detected>) {
    let name = pipeline::label_of_path(path);
    if name.is_empty() {
        return;
    }
    found.push(Detected { name, value, parser: "json", json_path: path.to_vec() });
}

/// The kind of a value: `int`, `float`, `boolean`, `duration`, `bytes` or `string`.
pub fn value_kind(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int"
    } else if value.parse::<f64>().is_ok() {
        "float"
    } else if matches!(value, "true" | "false") {
        "boolean"
    } else if template::parse_duration(value).is_ok() {
        "duration"
    } else if units::parse_bytes(value).is_ok() {
        "bytes"
    } else {
        "string"
    }
}
