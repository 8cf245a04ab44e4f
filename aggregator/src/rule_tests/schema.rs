//! The shape of a test file: promtool's format, and what Bellwether adds to it.
//!
//! Every case carries its place, for messages and for `--update`.

use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;

/// A list that may be left out or empty.
pub(super) type List<T> = Option<Vec<Spanned<T>>>;
/// Label names and values; a value that is left out is empty.
pub(super) type Texts = Option<BTreeMap<String, Option<String>>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileYaml {
    pub(super) rule_files: List<String>,
    pub(super) evaluation_interval: Option<Spanned<String>>,
    pub(super) group_eval_order: List<String>,
    pub(super) fuzzy_compare: bool,
    pub(super) tests: List<TestYaml>,
    /// Routes and receivers, for `notification_test`.
    pub(super) alertmanager_config: Option<Spanned<String>>,
    /// Scaling policies, for `scaling_test`.
    pub(super) policy_files: List<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TestYaml {
    pub(super) name: Option<String>,
    pub(super) interval: Option<Spanned<String>>,
    pub(super) start_timestamp: Option<Spanned<String>>,
    pub(super) input_series: List<SeriesYaml>,
    /// Log lines, for groups with `source: logs`.
    pub(super) input_logs: List<StreamYaml>,
    pub(super) alert_rule_test: List<AlertCase>,
    pub(super) promql_expr_test: List<SampleCase>,
    pub(super) logql_expr_test: List<SampleCase>,
    pub(super) notification_test: List<NotificationCase>,
    pub(super) scaling_test: List<ScalingCase>,
    pub(super) external_labels: Texts,
    pub(super) external_url: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeriesYaml {
    pub(super) series: String,
    pub(super) values: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StreamYaml {
    pub(super) stream: String,
    pub(super) lines: List<LineYaml>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LineYaml {
    pub(super) at: Option<String>,
    pub(super) line: String,
    /// How often the line is written.
    pub(super) times: Option<u32>,
    /// Between repetitions; the test's interval when left out.
    pub(super) every: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertCase {
    pub(super) eval_time: Option<String>,
    pub(super) alertname: Option<String>,
    pub(super) exp_alerts: Option<Vec<AlertYaml>>,
    /// Alerts whose `for` has not passed; not looked at when left out.
    pub(super) exp_pending: Option<Vec<AlertYaml>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlertYaml {
    pub(super) exp_labels: Texts,
    pub(super) exp_annotations: Texts,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SampleCase {
    pub(super) expr: String,
    pub(super) eval_time: Option<String>,
    pub(super) exp_samples: Option<Vec<SampleYaml>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SampleYaml {
    pub(super) labels: Option<String>,
    pub(super) value: Option<f64>,
    pub(super) histogram: Option<String>,
}

/// What was told after the case before this one, up to `eval_time`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotificationCase {
    pub(super) eval_time: Option<String>,
    pub(super) exp_notifications: Option<Vec<NotificationYaml>>,
}

/// A notification; what is left out is not compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotificationYaml {
    pub(super) receiver: String,
    pub(super) at: Option<String>,
    pub(super) integration: Option<String>,
    pub(super) group_key: Option<String>,
    pub(super) group_labels: Texts,
    pub(super) status: Option<String>,
    pub(super) reason: Option<String>,
    /// Full label sets, in any order.
    pub(super) alerts: Option<Vec<NotifiedYaml>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotifiedYaml {
    pub(super) labels: Texts,
    pub(super) annotations: Texts,
    /// `firing` when left out.
    pub(super) status: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ScalingCase {
    pub(super) eval_time: Option<String>,
    /// A policy's uid or name.
    pub(super) policy: String,
    pub(super) exp_decision: Option<DecisionYaml>,
}

/// A decision; what is left out is not compared.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DecisionYaml {
    pub(super) action: Option<String>,
    pub(super) current: Option<u32>,
    pub(super) desired: Option<u32>,
    pub(super) recommended: Option<u32>,
    pub(super) reason: Option<String>,
    pub(super) limited_by: Option<String>,
}
