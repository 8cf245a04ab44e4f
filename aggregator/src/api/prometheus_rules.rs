//! `GET /api/v1/rules` and `/api/v1/alerts`: rule groups and their alerts, in Prometheus' shapes.

use super::{
    alertmanager::{json::LabelsJson, params::pairs},
    background::{self, to_json},
};
use crate::{
    app::AppState,
    rules_git::{ProblemJson, Status},
};
use alerting::{
    Annotations,
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
use model::{Labels, Matcher, go_regex::PatternCount};
use serde::{Serialize, Serializer};
use serde_json::json;
use std::sync::Arc;

/// The routes of both endpoints.
pub(crate) fn routes() -> Router<AppState> {
    Router::new().route("/api/v1/alerts", get(alerts)).route("/api/v1/rules", get(rules))
}

async fn alerts(State(app): State<AppState>) -> Response {
    let groups = groups(&app);
    let answer = background::json(move || {
        let rules = groups.iter().flat_map(|group| &group.rules);
        let alerts = rules.flat_map(|rule| active(rule).map(AlertJson::from)).collect();
        success(Alerts { alerts })
    });
    answer.await
}

async fn rules(State(app): State<AppState>, RawQuery(query): RawQuery) -> Response {
    let filter = match RuleFilter::from_query(query.as_deref()) {
        Ok(filter) => filter,
        Err(message) => return bad(&message),
    };
    // What only Bellwether has stands beside: clients of Prometheus read `groups` alone.
    let repositories = app.rule_repositories().map(|it| it.status()).unwrap_or_default();
    let reload = app.alerting().map(|alerting| alerting.reload_status()).unwrap_or_default();
    let problems: Vec<_> = reload.problems.iter().map(ProblemJson::from).collect();
    let mut groups = groups(&app);
    groups.retain(|group| filter.wants_group(group));
    let next = match filter.page.cut(&mut groups) {
        Ok(next) => next,
        Err(message) => return bad(&message),
    };
    let answer = background::json(move || {
        let groups = groups.iter().map(|group| group_json(group, &filter)).collect();
        success(Rules { groups, group_next_token: next, repositories, problems })
    });
    answer.await
}

fn groups(app: &AppState) -> Vec<Arc<Group>> {
    app.alerting().map(|alerting| alerting.rules()).unwrap_or_default()
}

fn bad(message: &str) -> Response {
    let body = json!({"status": "error", "errorType": "bad_data", "error": message});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

fn success(data: impl Serialize) -> serde_json::Result<Vec<u8>> {
    to_json(&Success { status: "success", data })
}

#[derive(Serialize)]
struct Alerts<'a> {
    alerts: Vec<AlertJson<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rules<'a> {
    groups: Vec<GroupJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_next_token: Option<String>,
    repositories: Vec<Status>,
    problems: Vec<ProblemJson>,
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
    page: Page,
}

/// Which part of the groups a request wants.
#[derive(Default)]
struct Page {
    /// Groups of one answer; 0 for all.
    groups_max: usize,
    /// Where the answer before this one ended; empty for the beginning.
    token: String,
}

impl Page {
    /// Leaves the groups of this page and returns what asks for the next one.
    fn cut(&self, groups: &mut Vec<Arc<Group>>) -> Result<Option<String>, String> {
        if self.groups_max == 0 {
            return if self.token.is_empty() {
                Ok(None)
            } else {
                Err("group_next_token needs group_limit beside it".to_owned())
            };
        }
        if !self.token.is_empty() {
            let begin = groups.iter().position(|group| token(group) == self.token);
            let changed = || format!("invalid group_next_token `{}`; have the groups changed?", self.token);
            groups.drain(..begin.ok_or_else(changed)?);
        }
        let next = groups.get(self.groups_max).map(|group| token(group));
        groups.truncate(self.groups_max);
        Ok(next)
    }
}

/// The name of the page that begins with `group`.
fn token(group: &Group) -> String {
    let (file, name) = (&group.definition.file, &group.definition.name);
    let identity = Labels::from_pairs([("file", file), ("name", name)]);
    format!("{:016x}", identity.as_ref().stable_hash())
}

impl RuleFilter {
    fn from_query(query: Option<&str>) -> Result<Self, String> {
        let (mut filter, mut patterns) = (RuleFilter::default(), PatternCount::default());
        for (name, value) in pairs(query) {
            match (name.as_str(), value.as_str()) {
                ("type", kind) if kind.eq_ignore_ascii_case("alert") => filter.alerts_only = true,
                ("type", kind) if kind.eq_ignore_ascii_case("record") => filter.records_only = true,
                ("type", "") => {}
                ("type", other) => return Err(format!("not supported value \"{other}\"")),
                ("rule_name[]", _) => filter.names.push(value),
                ("rule_group[]", _) => filter.groups.push(value),
                ("file[]", _) => filter.files.push(value),
                ("group_limit", text) => filter.page.groups_max = group_limit(text)?,
                ("group_next_token", _) => filter.page.token = value,
                ("exclude_alerts", _) => filter.exclude_alerts = matches!(value.as_str(), "true" | "1" | "t"),
                ("match[]", text) => {
                    let selector = promql::parse_selector_among(text, &mut patterns);
                    filter.selectors.push(selector.map_err(|error| error.to_string())?.matchers);
                }
                _ => {}
            }
        }
        Ok(filter)
    }

    fn wants_group(&self, group: &Group) -> bool {
        let among = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
        among(&self.groups, &group.definition.name)
            && among(&self.files, &group.definition.file)
            && (!self.narrows() || group.rules.iter().any(|rule| self.wants(rule)))
    }

    fn wants(&self, rule: &RuleState) -> bool {
        let definition = &rule.definition;
        let kind = if definition.is_alert() { !self.records_only } else { !self.alerts_only };
        let is_selected = || {
            let labels = Labels::from_pairs(definition.labels.iter().map(|(name, value)| (name, value)));
            self.selectors.iter().any(|selector| all_match(selector, &labels))
        };
        kind && (self.names.is_empty() || self.names.iter().any(|name| name == definition.name()))
            && (self.selectors.is_empty() || is_selected())
    }

    /// Whether groups without a wanted rule are left out.
    fn narrows(&self) -> bool {
        self.alerts_only || self.records_only || !self.names.is_empty() || !self.selectors.is_empty()
    }
}

fn group_limit(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|limit| *limit > 0)
        .ok_or_else(|| "group_limit must be a number above 0".to_owned())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    rules: Vec<RuleJson<'a>>,
    interval: f64,
    limit: usize,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingRuleJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: f64,
    keep_firing_for: f64,
    labels: PairsJson<'a>,
    annotations: PairsJson<'a>,
    alerts: Vec<AlertJson<'a>>,
    #[serde(flatten)]
    evaluation: EvaluationJson<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
struct RecordingRuleJson<'a> {
    name: &'a str,
    query: &'a str,
    #[serde(skip_serializing_if = "PairsJson::is_empty")]
    labels: PairsJson<'a>,
    #[serde(flatten)]
    evaluation: EvaluationJson<'a>,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson<'a> {
    Alerting(AlertingRuleJson<'a>),
    Recording(RecordingRuleJson<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EvaluationJson<'a> {
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    evaluation_time: f64,
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    labels: LabelsJson<'a>,
    annotations: &'a Annotations,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

/// Texts by name as an object.
struct PairsJson<'a>(&'a [(String, String)]);

impl PairsJson<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for PairsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> From<&'a ActiveAlert> for AlertJson<'a> {
    fn from(alert: &'a ActiveAlert) -> Self {
        AlertJson {
            labels: LabelsJson(&alert.labels),
            annotations: &alert.annotations,
            state: alert.state.as_str(),
            active_at: timestamp::shortest(alert.active_at_ms),
            keep_firing_since: alert.keep_firing_since_ms.map(timestamp::shortest),
            value: exponent_form(alert.value.as_float()),
        }
    }
}

/// The group with its wanted rules.
fn group_json<'a>(group: &'a Group, filter: &RuleFilter) -> GroupJson<'a> {
    let definition = &group.definition;
    let rules = group.rules.iter().filter(|rule| filter.wants(rule)).map(|rule| rule_json(rule, filter));
    GroupJson {
        name: &definition.name,
        file: &definition.file,
        rules: rules.collect(),
        interval: definition.interval_ms as f64 / 1000.0,
        limit: definition.limit,
        evaluation_time: group.last_duration.as_secs_f64(),
        last_evaluation: instant(group.last_evaluation_ms),
    }
}

fn rule_json<'a>(rule: &'a RuleState, filter: &RuleFilter) -> RuleJson<'a> {
    let definition = &rule.definition;
    let labels = PairsJson(&definition.labels);
    let evaluation = EvaluationJson {
        health: rule.health.as_str(),
        last_error: rule.last_error.as_deref(),
        evaluation_time: rule.last_duration.as_secs_f64(),
        last_evaluation: instant(rule.last_evaluation_ms),
    };
    let query = definition.expr.trim();
    match &definition.kind {
        RuleKind::Record { metric } => RuleJson::Recording(RecordingRuleJson {
            name: metric,
            query,
            labels,
            evaluation,
            r#type: "recording",
        }),
        RuleKind::Alert { name, for_ms, keep_firing_for_ms, annotations, .. } => {
            let alerts = active(rule).filter(|_| !filter.exclude_alerts).map(AlertJson::from);
            RuleJson::Alerting(AlertingRuleJson {
                state: state(rule),
                name,
                query,
                duration: *for_ms as f64 / 1000.0,
                keep_firing_for: *keep_firing_for_ms as f64 / 1000.0,
                labels,
                annotations: PairsJson(annotations),
                alerts: alerts.collect(),
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
    use alerting::rules::GroupDefinition;

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

    fn group(name: &str) -> Arc<Group> {
        Arc::new(Group::new(Arc::new(GroupDefinition {
            file: "rules.yml".to_owned(),
            name: name.to_owned(),
            interval_ms: 60_000,
            query_offset_ms: 0,
            limit: 0,
            source: alerting::Source::Metrics,
            rules: Vec::new(),
        })))
    }

    #[test]
    fn groups_are_given_page_by_page() {
        let all: Vec<_> = ["a", "b", "c", "d", "e"].map(group).to_vec();
        let (mut page, mut seen) = (Page { groups_max: 2, token: String::new() }, Vec::new());
        loop {
            let mut groups = all.clone();
            let next = page.cut(&mut groups).unwrap();
            seen.push(groups.iter().map(|group| group.definition.name.clone()).collect::<String>());
            match next {
                Some(token) => page.token = token,
                None => break,
            }
        }
        assert_eq!(seen, ["ab", "cd", "e"]);
        page.token = token(&group("gone"));
        assert!(page.cut(&mut all.clone()).is_err());
        for (query, good) in [("group_limit=2", true), ("group_limit=0", false), ("group_limit=x", false)] {
            assert_eq!(RuleFilter::from_query(Some(query)).is_ok(), good, "{query}");
        }
        let alone = Page { groups_max: 0, token: page.token };
        assert!(alone.cut(&mut all.clone()).is_err(), "a token without a limit");
    }
}
