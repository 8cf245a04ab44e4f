//! The shape of a rule file, as written. Every field that can be wrong carries its place.

use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileYaml {
    #[serde(default)]
    pub(super) groups: Option<Vec<Spanned<GroupYaml>>>,
    /// Objectives that become groups.
    #[serde(default)]
    pub(super) slos: Option<Vec<Spanned<SloYaml>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupYaml {
    pub(super) name: Option<String>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) query_offset: Option<Spanned<String>>,
    pub(super) limit: Option<i64>,
    pub(super) labels: Option<TextMap>,
    /// `metrics` (PromQL) or `logs` (LogQL).
    pub(super) source: Option<Spanned<String>>,
    pub(super) partial_response_strategy: Option<Spanned<String>>,
    pub(super) rules: Option<Vec<Spanned<RuleYaml>>>,
}

pub(super) type TextMap = BTreeMap<String, Spanned<Text>>;

/// A text; nothing at all is an empty one.
#[derive(Debug, Deserialize)]
#[serde(from = "Option<String>")]
pub(super) struct Text(pub(super) String);

impl From<Option<String>> for Text {
    fn from(text: Option<String>) -> Self {
        Text(text.unwrap_or_default())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleYaml {
    pub(super) record: Option<Spanned<String>>,
    pub(super) alert: Option<Spanned<String>>,
    pub(super) expr: Option<Spanned<String>>,
    pub(super) r#for: Option<Spanned<String>>,
    pub(super) keep_firing_for: Option<Spanned<String>>,
    /// Ours: what becomes of alerts whose data is missing.
    pub(super) no_data: Option<Spanned<String>>,
    pub(super) labels: Option<TextMap>,
    pub(super) annotations: Option<TextMap>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SloYaml {
    pub(super) name: Option<String>,
    /// In percent.
    pub(super) objective: Option<Spanned<f64>>,
    pub(super) window: Option<Spanned<String>>,
    /// What the queries are written in, as in a group.
    pub(super) source: Option<Spanned<String>>,
    pub(super) good: Option<Spanned<String>>,
    pub(super) bad: Option<Spanned<String>>,
    pub(super) total: Option<Spanned<String>>,
    pub(super) error_ratio: Option<Spanned<String>>,
    pub(super) errors_min: Option<Spanned<u64>>,
    pub(super) labels: Option<TextMap>,
    pub(super) annotations: Option<TextMap>,
}
