//! Log entries as streams, in both of Loki's encodings.

use axum::http::HeaderMap;
use logql::{Entry, LabelPairs};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

/// How labels are handed out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Encoding {
    /// All labels of an entry make its stream.
    Merged,
    /// Streams as they were sent; metadata and parsed labels stand with each entry.
    Categorized,
    /// So, and each entry's stable id stands with it.
    Identified,
}

/// The flag that asks for labels by category.
const CATEGORIZE: &str = "categorize-labels";
/// The flag that asks for ids besides; Loki does not have it.
const IDS: &str = "line-ids";

impl Encoding {
    /// What the request's header asks for.
    pub(super) fn asked(headers: &HeaderMap) -> Self {
        let flags = headers.get("x-loki-response-encoding-flags").and_then(|value| value.to_str().ok());
        let has =
            |wanted: &str| flags.is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == wanted));
        match (has(CATEGORIZE), has(IDS)) {
            (_, true) => Encoding::Identified,
            (true, false) => Encoding::Categorized,
            (false, false) => Encoding::Merged,
        }
    }

    /// The flags that an answer repeats.
    pub(super) fn flags(self) -> &'static [&'static str] {
        match self {
            Encoding::Merged => &[],
            Encoding::Categorized => &[CATEGORIZE],
            Encoding::Identified => &[CATEGORIZE, IDS],
        }
    }
}

/// `resultType`, `result` and, where they say something, `encodingFlags`.
pub(super) fn streams(entries: &[Entry], encoding: Encoding) -> Json {
    let result = groups(entries, encoding);
    match encoding.flags() {
        [] => json!({"resultType": "streams", "result": result}),
        flags => json!({"resultType": "streams", "encodingFlags": flags, "result": result}),
    }
}

/// Entries by their stream, in order of its labels; each stream's entries keep their order.
pub(super) fn groups(entries: &[Entry], encoding: Encoding) -> Vec<Json> {
    let mut groups: BTreeMap<LabelPairs, Vec<Json>> = BTreeMap::new();
    for entry in entries {
        let time = Json::from(entry.timestamp_ns.to_string());
        let line = Json::from(entry.line.as_str());
        let (labels, value) = match encoding {
            Encoding::Merged => (entry.labels(), json!([time, line])),
            Encoding::Categorized => (entry.stream.clone(), json!([time, line, categories(entry)])),
            Encoding::Identified => {
                let mut extra = categories(entry);
                extra["id"] = Json::from(format!("{:x}", entry.id));
                (entry.stream.clone(), json!([time, line, extra]))
            }
        };
        groups.entry(labels).or_default().push(value);
    }
    groups
        .into_iter()
        .map(|(labels, values)| json!({"stream": pairs_json(&labels), "values": values}))
        .collect()
}

fn categories(entry: &Entry) -> Json {
    let mut categories = Map::new();
    for (name, pairs) in [("structuredMetadata", &entry.metadata), ("parsed", &entry.parsed)] {
        if !pairs.is_empty() {
            categories.insert(name.to_owned(), pairs_json(pairs));
        }
    }
    Json::Object(categories)
}

fn pairs_json(pairs: &LabelPairs) -> Json {
    pairs.iter().map(|(name, value)| (name.clone(), Json::from(value.as_str()))).collect()
}
