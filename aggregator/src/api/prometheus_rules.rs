//! `GET /api/v1/rules` and `/api/v1/alerts`: rule groups and their alerts, in Prometheus' shapes.

use super::alertmanager::params::pairs;
use crate::{app::AppState, rules_git::ProblemJson};
use alerting::{
    matchers::all_match,
    rules::{ActiveAlert, AlertState, Group, Health, RuleKind, RuleState},
    timestamp,
};
use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use model::{Labels, Matcher};
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// The routes of both endpoints.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/alerts", get(alerts)).route("/api/v1/rules", get(rules))
}

async fn alerts(State(app): State<AppState>) -> Response {
    let groups = groups(&app);
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts: Vec<_> = rules.flat_map(|rule| active(rule).map(AlertJson::from)).collect();
    success(&json!({ "alerts": alerts }))
}

async fn rules(State(app): State<AppState>, RawQuery(query): RawQuery) -> Response {
    let filter = match RuleFilter::from_query(query.as_deref()) {
        Ok(filter) => filter,
        Err(message) => {
            let body = json!({"status": "error", "errorType": "bad_data", "error": message});
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
    };
    let groups: Vec<_> = groups(&app).iter().filter_map(|group| group_json(group, &filter)).collect();
    // What only Bellwether has stands beside: clients of Prometheus read `groups` alone.
    let repositories = app.rule_repositories().map(|it| it.status()).unwrap_or_default();
    let reload = app.alerting().map(|alerting| alerting.reload_status()).unwrap_or_default();
    let problems: Vec<_> = reload.problems.iter().map(ProblemJson::from).collect();
    success(&json!({ "groups": groups, "repositories": repositories, "problems": problems }))
}

fn groups(app: &AppState) -> Vec<Arc<Group>> {
    app.alerting().map(|alerting| alerting.rules()).unwrap_or_default()
}

fn success(data: &serde_json::Value) -> Response {
    Json(json!({"status": "success", "data": data})).into_response()
}

/// Alerts that are pending or firing.
fn active(rule: &RuleState) -> impl Iterator<Item = &ActiveAlert> {
    rule.active.iter().filter(|alert| alert.state != AlertState::Inactive)
}

/// Which rules a request wants.
#[derive(Default)]
struct RuleFilter {
    alerts_only: bool,
    records_only: bool,
    exclude_alerts: bool,
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    /// One of the selectors must match the rule's labels.
    selectors: Vec<Vec<Matcher>>,
}

impl RuleFilter {
    fn from_query(query: Option<&str>) -> Result<Self, String> {
        let mut filter = RuleFilter::default();
        for (name, value) in pairs(query) {
            match (name.as_str(), value.as_str()) {
                ("type", "alert") => filter.alerts_only = true,
                ("type", "record") => filter.records_only = true,
                ("type", "") => {}
                ("type", other) => return Err(format!("not supported value \"{other}\"")),
                ("rule_name[]", _) => filter.names.push(value),
                ("rule_group[]", _) => filter.groups.push(value),
                ("file[]", _) => filter.files.push(value),
                ("exclude_alerts", _) => filter.exclude_alerts = matches!(value.as_str(), "true" | "1" | "t"),
                ("match[]", text) => {
                    let selector = promql::parse_selector(text);
                    filter.selectors.push(selector.map_err(|error| error.to_string())?.matchers);
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    fn wants_group(&self, group: &Group) -> bool {
        let among = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
        among(&self.groups, &group.definition.name) && among(&self.files, &group.definition.file)
    }

    fn wants(&self, rule: &RuleState) -> bool {
        let definition = &rule.definition;
        let kind = if definition.is_alert() { !self.records_only } else { !self.alerts_only };
        let labels = Labels::from_pairs(definition.labels.iter().map(|(name, value)| (name, value)));
        kind && (self.names.is_empty() || self.names.iter().any(|name| name == definition.name()))
            && (self.selectors.is_empty()
                || self.selectors.iter().any(|selector| all_match(selector, &labels)))
    }

    /// Whether groups without a wanted rule are left out.
    fn narrows(&self) -> bool {
        self.alerts_only || self.records_only || !self.names.is_empty() || !self.selectors.is_empty()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson {
    name: String,
    file: String,
    rules: Vec<RuleJson>,
    interval: f64,
    limit: usize,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingRuleJson {
    state: &'static str,
    name: String,
    query: String,
    duration: f64,
    keep_firing_for: f64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    alerts: Vec<AlertJson>,
    #[serde(flatten)]
    evaluation: EvaluationJson,
    r#type: &'static str,
}

#[derive(Serialize)]
struct RecordingRuleJson {
    name: String,
    query: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(flatten)]
    evaluation: EvaluationJson,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson {
    Alerting(AlertingRuleJson),
    Recording(RecordingRuleJson),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationJson {
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

impl From<&ActiveAlert> for AlertJson {
    fn from(alert: &ActiveAlert) -> Self {
        let owned = |labels: &Labels| {
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
        };
        AlertJson {
            labels: owned(&alert.labels),
            annotations: owned(&alert.annotations),
            state: alert.state.as_str(),
            active_at: timestamp::shortest(alert.active_at_ms),
            keep_firing_since: alert.keep_firing_since_ms.map(timestamp::shortest),
            value: exponent_form(alert.value.as_float()),
        }
    }
}

fn group_json(group: &Group, filter: &RuleFilter) -> Option<GroupJson> {
    let definition = &group.definition;
    let rules: Vec<_> =
        group.rules.iter().filter(|rule| filter.wants(rule)).map(|rule| rule_json(rule, filter)).collect();
    if !filter.wants_group(group) || rules.is_empty() && filter.narrows() {
        return None;
    }
    Some(GroupJson {
        name: definition.name.clone(),
        file: definition.file.clone(),
        rules,
        interval: definition.interval_ms as f64 / 1000.0,
        limit: definition.limit,
        evaluation_time: group.last_duration.as_secs_f64(),
        last_evaluation: instant(group.last_evaluation_ms),
    })
}

fn rule_json(rule: &RuleState, filter: &RuleFilter) -> RuleJson {
    let definition = &rule.definition;
    let labels = definition.labels.iter().cloned().collect();
    let evaluation = EvaluationJson {
        health: rule.health.as_str(),
        last_error: rule.last_error.clone(),
        evaluation_time: rule.last_duration.as_secs_f64(),
        last_evaluation: instant(rule.last_evaluation_ms),
    };
    let query = definition.expr.trim().to_owned();
    match &definition.kind {
        RuleKind::Record { metric } => RuleJson::Recording(RecordingRuleJson {
            name: metric.clone(),
            query,
            labels,
            evaluation,
            r#type: "recording",
        }),
        RuleKind::Alert { name, for_ms, keep_firing_for_ms, annotations, .. } => {
            let alerts = active(rule).map(AlertJson::from);
            RuleJson::Alerting(AlertingRuleJson {
                state: state(rule),
                name: name.clone(),
                query,
                duration: *for_ms as f64 / 1000.0,
                keep_firing_for: *keep_firing_for_ms as f64 / 1000.0,
                labels,
                annotations: annotations.iter().cloned().collect(),
                alerts: if filter.exclude_alerts { Vec::new() } else { alerts.collect() },
                evaluation,
                r#type: "alerting",
            })
        }
    }
}

/// The furthest that any of a rule's alerts has come.
fn state(rule: &RuleState) -> &'static str {
    if rule.health == Health::Unknown {
        return "unknown";
    }
    rule.active.iter().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive).as_str()
}

fn instant(at_ms: Option<i64>) -> String {
    at_ms.map_or_else(|| timestamp::ZERO.to_owned(), timestamp::shortest)
}

/// A float as Go's `FormatFloat(v, 'e', -1, 64)` writes it.
fn exponent_form(value: f64) -> String {
    if !value.is_finite() {
        return model::format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_an_exponent() {
        for (value, expected) in [
            (1.0, "1e+00"),
            (13.730000019073486, "1.3730000019073486e+01"),
            (0.00012, "1.2e-04"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(exponent_form(value), expected);
        }
    }
}
