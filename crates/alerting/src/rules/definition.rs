//! A rule group once it has been read and found good.

use crate::querier::Source;

/// How often a group is evaluated that does not say so.
pub const DEFAULT_INTERVAL_MS: i64 = 60_000;

/// A group of rules, evaluated in order at the same instants.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupDefinition {
    /// The file as it was named.
    pub file: String,
    /// Unique in the file.
    pub name: String,
    /// Between evaluations.
    pub interval_ms: i64,
    /// How far back queries look and samples are written, for data that arrives late.
    pub query_offset_ms: i64,
    /// Most alerts or series of one rule; 0 for no limit.
    pub limit: usize,
    /// What the expressions are written in.
    pub source: Source,
    /// In order of evaluation.
    pub rules: Vec<RuleDefinition>,
}

impl GroupDefinition {
    /// Identity over reloads and restarts.
    pub fn id(&self) -> String {
        format!("{};{}", self.file, self.name)
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleDefinition {
    /// PromQL or LogQL, by the group's source.
    pub expr: String,
    /// Labels to set, the group's included; templates in alerting rules.
    pub labels: Vec<(String, String)>,
    /// What becomes of the result.
    pub kind: RuleKind,
}

/// What becomes of a rule's result.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// It is stored as a series of this name.
    Record {
        /// The metric's name.
        metric: String,
    },
    /// Each element is an alert.
    Alert {
        /// The alert's name.
        name: String,
        /// How long an element must be there before the alert fires.
        for_ms: i64,
        /// How long the alert goes on firing after its element has gone.
        keep_firing_for_ms: i64,
        /// What becomes of it when its data is missing.
        no_data: NoData,
        /// Templates.
        annotations: Vec<(String, String)>,
    },
}

/// What a rule makes of data that is missing: not of a condition that does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NoData {
    /// As in Prometheus: what is not there does not fire.
    #[default]
    Ok,
    /// Alerts stay as they are until there is data again.
    KeepState,
    /// They do, and when nothing is measured at all, that is an alert of its own, with the label
    /// `no_data="true"`.
    Alert,
}

impl NoData {
    /// The value of that name in a rule file.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ok" => Some(NoData::Ok),
            "keep_state" => Some(NoData::KeepState),
            "alert" => Some(NoData::Alert),
            _ => None,
        }
    }
}

impl RuleDefinition {
    /// The alert's or the metric's name.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Record { metric } => metric,
            RuleKind::Alert { name, .. } => name,
        }
    }

    /// Whether this is an alerting rule.
    pub fn is_alert(&self) -> bool {
        matches!(self.kind, RuleKind::Alert { .. })
    }
}
