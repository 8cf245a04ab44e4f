//! A group at work: its rules evaluated in order, each seeing what those before it have written.

mod missing;

pub(crate) use missing::id as element_id;

use super::{
    active::{ActiveAlert, ActiveAlerts, AlertState, Candidate, Grace, Timing},
    definition::{GroupDefinition, RuleDefinition, RuleKind},
    series::{self, Point},
};
use crate::{
    Annotations,
    alert::{ALERT_NAME, Alert, Fingerprint, Measure},
    expand::{RuleData, RuleTemplates},
    history::{Event, EventKind},
    querier::{Condition, Querier, QueryFailure, Reading, SampleSink},
    timestamp::Written,
};
use model::{Labels, METRIC_NAME, VectorSample};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

/// How an alert is renewed while it fires.
const RESEND_DELAY_MS: i64 = 60_000;

/// What evaluation needs of the world.
#[derive(Clone)]
pub struct Environment {
    /// Answers expressions.
    pub querier: Arc<dyn Querier>,
    /// Takes recorded series.
    pub sink: Arc<dyn SampleSink>,
    /// Where people reach this server, without a slash at the end.
    pub external_url: String,
    /// `$externalLabels` of templates.
    pub external_labels: Labels,
}

/// Whether a rule's last evaluation went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// It did.
    Ok,
    /// It did not.
    Err,
}

impl Health {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Ok => "ok",
            Health::Err => "err",
        }
    }
}

/// A rule and what became of it.
#[derive(Clone)]
pub struct RuleState {
    /// As written.
    pub definition: RuleDefinition,
    /// Alerts, for an alerting rule.
    pub active: ActiveAlerts,
    /// How the last evaluation went.
    pub health: Health,
    /// Why it went wrong.
    pub last_error: Option<String>,
    /// When it was.
    pub last_evaluation_ms: Option<i64>,
    /// How long it took.
    pub last_duration: Duration,
    templates: Arc<RuleTemplates>,
    written: BTreeSet<Labels>,
}

impl RuleState {
    fn new(definition: &RuleDefinition) -> Self {
        RuleState {
            definition: definition.clone(),
            active: ActiveAlerts::default(),
            health: Health::Unknown,
            last_error: None,
            last_evaluation_ms: None,
            last_duration: Duration::ZERO,
            templates: Arc::new(RuleTemplates::of(definition)),
            written: BTreeSet::new(),
        }
    }
}

/// What an evaluation of a group asks of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Alerts to hand to the dispatcher.
    pub alerts: Vec<Alert>,
    /// Whether an alert changed its state, so that the group's record must be written.
    pub changed: bool,
    /// Rules that failed.
    pub failures: u64,
    /// What the history is told beside the alerts.
    pub events: Vec<Event>,
}

/// What the journal holds of a group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupRecord {
    rules: Vec<RuleRecord>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RuleRecord {
    name: String,
    labels: Vec<(String, String)>,
    alerts: Vec<ActiveAlert>,
}

/// A group with the state of its rules.
#[derive(Clone)]
pub struct Group {
    /// As written.
    pub definition: Arc<GroupDefinition>,
    /// In order.
    pub rules: Vec<RuleState>,
    /// When the group was evaluated last.
    pub last_evaluation_ms: Option<i64>,
    /// How long that took.
    pub last_duration: Duration,
}

impl Group {
    /// A group whose rules have no state yet.
    pub fn new(definition: Arc<GroupDefinition>) -> Self {
        let rules = definition.rules.iter().map(RuleState::new).collect();
        Group { definition, rules, last_evaluation_ms: None, last_duration: Duration::ZERO }
    }

    /// Takes over alerts as they were stored; see [`ActiveAlerts::restored`].
    pub(crate) fn restore(&mut self, record: GroupRecord, grace: Grace) {
        for known in record.rules {
            let same = |rule: &&mut RuleState| {
                rule.definition.name() == known.name
                    && rule.definition.labels == known.labels
                    && rule.written.is_empty()
            };
            if let Some(rule) = self.rules.iter_mut().filter(|rule| rule.definition.is_alert()).find(same) {
                rule.active = ActiveAlerts::restored(known.alerts, grace);
                rule.written =
                    series::of_alerts(rule.active.iter()).into_iter().map(|point| point.labels).collect();
            }
        }
    }

    /// What must survive a restart.
    pub(crate) fn record(&self) -> GroupRecord {
        let alerting = self.rules.iter().filter(|rule| rule.active.iter().next().is_some());
        let record = |rule: &RuleState| RuleRecord {
            name: rule.definition.name().to_owned(),
            labels: rule.definition.labels.clone(),
            alerts: rule.active.iter().cloned().collect(),
        };
        GroupRecord { rules: alerting.map(record).collect() }
    }

    /// The alerts that the group's rules hold firing.
    pub(crate) fn held(&self) -> impl Iterator<Item = Fingerprint> {
        let is_open = |alert: &&ActiveAlert| alert.is_open();
        self.rules
            .iter()
            .flat_map(move |rule| rule.active.iter().filter(is_open))
            .map(|alert| Fingerprint::of(&alert.labels))
    }

    /// Takes over the state of rules of the same name and labels from an earlier revision, in
    /// order. What `earlier` keeps is no longer there: series to end and alerts to resolve.
    pub fn inherit(&mut self, earlier: &mut Group) {
        for rule in &mut self.rules {
            let same = |other: &RuleState| {
                (other.definition.is_alert(), other.definition.name(), &other.definition.labels)
                    == (rule.definition.is_alert(), rule.definition.name(), &rule.definition.labels)
            };
            let Some(at) = earlier.rules.iter().position(same) else { continue };
            let known = earlier.rules.remove(at);
            rule.active = known.active;
            rule.written = known.written;
            rule.health = known.health;
            rule.last_error = known.last_error;
            rule.last_evaluation_ms = known.last_evaluation_ms;
            rule.last_duration = known.last_duration;
        }
        self.last_evaluation_ms = earlier.last_evaluation_ms;
        self.last_duration = earlier.last_duration;
    }

    /// Ends what a group that is being removed has written, and resolves its alerts.
    pub fn retire(&mut self, environment: &Environment, now_ms: i64) -> Vec<Alert> {
        let mut batch = model::MetricBatch::default();
        let at_ms = now_ms - self.definition.query_offset_ms;
        let mut resolved = Vec::new();
        for rule in &mut self.rules {
            series::end_series(&mut batch, rule.written.iter(), at_ms);
            for alert in rule.active.iter_mut().filter(|alert| alert.is_open()) {
                alert.resolve(now_ms);
                resolved.push(to_alert(alert, &rule.definition, &self.definition, environment, now_ms));
            }
        }
        if !batch.is_empty()
            && let Err(error) = environment.sink.append(&batch)
        {
            tracing::warn!(group = self.definition.name, %error, "series of a removed rule group were not ended");
        }
        resolved
    }

    /// Notes when the last evaluation really began: it may have been as of an earlier moment.
    pub(crate) fn began(&mut self, now_ms: i64) {
        self.last_evaluation_ms = Some(now_ms);
        self.rules.iter_mut().for_each(|rule| rule.last_evaluation_ms = Some(now_ms));
    }

    /// Evaluates every rule at `at_ms`.
    pub fn evaluate(&mut self, environment: &Environment, at_ms: i64) -> Outcome {
        let began = Instant::now();
        let mut outcome = Outcome::default();
        for rule in &mut self.rules {
            evaluate_rule(rule, &self.definition, environment, at_ms, &mut outcome);
        }
        self.last_evaluation_ms = Some(at_ms);
        self.last_duration = began.elapsed();
        outcome
    }
}

fn evaluate_rule(
    rule: &mut RuleState,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
    outcome: &mut Outcome,
) {
    let began = Instant::now();
    let result = or_as_before(rule, outcome, |rule, outcome| match rule.definition.kind {
        RuleKind::Alert { .. } => evaluate_alert(rule, group, environment, at_ms, outcome),
        RuleKind::Record { .. } => evaluate_record(rule, group, environment, at_ms),
    });
    rule.last_duration = began.elapsed();
    rule.last_evaluation_ms = Some(at_ms);
    let health = |kind| Event {
        rule_group: Some(group.id()),
        ..Event::new(kind, at_ms).labels(&Labels::from_pairs([(ALERT_NAME, rule.definition.name())]))
    };
    match result {
        Ok(()) => {
            if rule.health == Health::Err {
                outcome.events.push(health(EventKind::RuleRecovered));
            }
            rule.health = Health::Ok;
            rule.last_error = None;
        }
        Err(QueryFailure(error)) => {
            outcome.failures += 1;
            if rule.health != Health::Err {
                outcome.events.push(health(EventKind::RuleFailing).error(error.as_str()));
            }
            tracing::warn!(
                group = group.name,
                rule = rule.definition.name(),
                error,
                "rule evaluation failed"
            );
            rule.health = Health::Err;
            rule.last_error = Some(error);
        }
    }
}

/// A panic is a failure of the rule that it is in: the rule stands as before the evaluation and hands
/// nothing on, and the rules after it are evaluated.
fn or_as_before(
    rule: &mut RuleState,
    outcome: &mut Outcome,
    evaluate: impl FnOnce(&mut RuleState, &mut Outcome) -> Result<(), QueryFailure>,
) -> Result<(), QueryFailure> {
    let (active, written) = (rule.active.clone(), rule.written.clone());
    let (changed, alerts, events) = (outcome.changed, outcome.alerts.len(), outcome.events.len());
    let result = catch_unwind(AssertUnwindSafe(|| evaluate(rule, outcome)));
    result.unwrap_or_else(|panic| {
        (rule.active, rule.written) = (active, written);
        outcome.changed = changed;
        outcome.alerts.truncate(alerts);
        outcome.events.truncate(events);
        let words = panic.downcast_ref::<&str>().copied();
        let words = words.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let words = words.unwrap_or("without a word");
        Err(QueryFailure(format!("the evaluation panicked: {words}")))
    })
}

fn query(
    rule: &RuleDefinition,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<Vec<VectorSample>, QueryFailure> {
    let query_ms = at_ms - group.query_offset_ms;
    Ok(match environment.querier.instant(group.source, &rule.expr, query_ms)? {
        Reading::Vector(elements) => elements,
        Reading::Scalar(value) => vec![VectorSample {
            labels: Labels::empty(),
            timestamp_ms: query_ms,
            value: model::Value::Float(value),
        }],
    })
}

fn write(
    points: &[Point],
    rule: &mut RuleState,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<(), QueryFailure> {
    let batch = series::batch(points, &mut rule.written, at_ms - group.query_offset_ms);
    if batch.is_empty() { Ok(()) } else { environment.sink.append(&batch) }
}

fn evaluate_record(
    rule: &mut RuleState,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<(), QueryFailure> {
    let elements = query(&rule.definition, group, environment, at_ms)?;
    if group.limit > 0 && elements.len() > group.limit {
        return Err(QueryFailure(format!(
            "exceeded limit of {} with {} series",
            group.limit,
            elements.len()
        )));
    }
    let mut points = BTreeMap::new();
    for element in elements {
        let mut labels = element.labels.to_builder();
        labels.set(METRIC_NAME, rule.definition.name());
        for (name, value) in &rule.definition.labels {
            labels.set(name, value);
        }
        if points.insert(labels.build(), element.value).is_some() {
            return Err(same_labelset("rule"));
        }
    }
    let points: Vec<_> = points.into_iter().map(|(labels, value)| Point { labels, value }).collect();
    write(&points, rule, group, environment, at_ms)
}

fn same_labelset(kind: &str) -> QueryFailure {
    QueryFailure(format!("vector contains metrics with the same labelset after applying {kind} labels"))
}

fn evaluate_alert(
    rule: &mut RuleState,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
    outcome: &mut Outcome,
) -> Result<(), QueryFailure> {
    let RuleKind::Alert { for_ms, keep_firing_for_ms, no_data, .. } = rule.definition.kind else {
        return Ok(());
    };
    let elements = query(&rule.definition, group, environment, at_ms)?;
    let mut candidates = candidates(rule, elements, group, environment, at_ms)?;
    let kept = missing::look(rule, no_data, &mut candidates, group, environment, at_ms)?;
    let before: BTreeMap<Labels, AlertState> =
        rule.active.iter().map(|alert| (alert.labels.clone(), alert.state)).collect();
    let earlier = (group.limit > 0).then(|| rule.active.clone());
    let active = rule.active.step(candidates, &kept, Timing { for_ms, keep_firing_for_ms }, at_ms);
    if let Some(earlier) = earlier.filter(|_| active > group.limit) {
        // Alerts that fire go on firing: breaking a limit is a fault of the rule, not a recovery.
        rule.active = earlier;
        return Err(QueryFailure(format!("exceeded limit of {} with {active} alerts", group.limit)));
    }
    let after = rule.active.iter().map(|alert| (&alert.labels, alert.state));
    if !before.iter().map(|(labels, state)| (labels, *state)).eq(after) {
        outcome.changed = true;
        outcome.events.extend(pending_events(&before, rule, group, at_ms));
    }
    let points = series::of_alerts(rule.active.iter());
    let written = write(&points, rule, group, environment, at_ms);
    let definition = rule.definition.clone();
    let mut condition = None;
    for alert in rule.active.iter_mut().filter(|alert| alert.needs_sending(at_ms, RESEND_DELAY_MS)) {
        alert.last_sent_ms = Some(at_ms);
        let condition =
            condition.get_or_insert_with(|| environment.querier.condition(group.source, &definition.expr));
        let measure = Some(measure(alert, condition.as_ref()));
        let sent = to_alert(alert, &definition, group, environment, at_ms);
        outcome.alerts.push(Alert { measure, ..sent });
    }
    written
}

/// Alerts that began to wait, and those that went while they waited. The dispatcher tells of all
/// that comes after.
fn pending_events(
    before: &BTreeMap<Labels, AlertState>,
    rule: &RuleState,
    group: &GroupDefinition,
    at_ms: i64,
) -> Vec<Event> {
    let event = |kind, labels: &Labels| Event {
        rule_group: Some(group.id()),
        ..Event::new(kind, at_ms).alert(labels)
    };
    let mut events = Vec::new();
    let mut after = BTreeSet::new();
    for alert in rule.active.iter() {
        after.insert(&alert.labels);
        if alert.state == AlertState::Pending && before.get(&alert.labels) != Some(&AlertState::Pending) {
            events.push(event(EventKind::Pending, &alert.labels));
        }
    }
    for (labels, state) in before {
        if *state == AlertState::Pending && !after.contains(labels) {
            events.push(event(EventKind::Cleared, labels));
        }
    }
    events
}

fn candidates(
    rule: &RuleState,
    elements: Vec<VectorSample>,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<Vec<Candidate>, QueryFailure> {
    let mut labels_seen = BTreeSet::new();
    let mut candidates = Vec::with_capacity(elements.len());
    for element in elements {
        let data = RuleData { element: &element, group, environment, at_ms };
        let mut labels = element.labels.without(&[METRIC_NAME]).to_builder();
        for (name, value) in rule.templates.labels(&data) {
            labels.set(&name, &value);
        }
        labels.set(ALERT_NAME, rule.definition.name());
        let labels = labels.build();
        if !labels_seen.insert(labels.clone()) {
            return Err(same_labelset("alert"));
        }
        let annotations = Annotations::from_pairs(rule.templates.annotations(&data));
        let element_id = element_id(&element.labels);
        candidates.push(Candidate { labels, annotations, value: element.value, element: element_id });
    }
    Ok(candidates)
}

/// A number for people: four digits that count.
fn short(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 || !value.is_finite() {
        return model::format_float(value);
    }
    if !(1e-4..1e9).contains(&magnitude) {
        return format!("{value:.3e}");
    }
    let decimals = (3 - magnitude.log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if decimals == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

fn measure(alert: &ActiveAlert, condition: Option<&Condition>) -> Measure {
    Measure {
        value: short(alert.value.as_float()),
        condition: condition.map(|found| found.condition.clone()).unwrap_or_default(),
        expr: condition.map(|found| found.measured.clone()).unwrap_or_default(),
        element: alert.element,
    }
}

/// The alert as the dispatcher takes it. Its end is a promise to be renewed, shown to people; the
/// dispatcher holds it until the rule says that it is resolved.
fn to_alert(
    alert: &ActiveAlert,
    rule: &RuleDefinition,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Alert {
    let renewed_until_ms = at_ms + 4 * group.interval_ms.max(RESEND_DELAY_MS);
    Alert {
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        starts_at_ms: alert.fired_at_ms.unwrap_or(alert.active_at_ms),
        ends_at_ms: alert.resolved_at_ms.unwrap_or(renewed_until_ms),
        starts_written: Written::default(),
        ends_written: Written::default(),
        updated_at_ms: at_ms,
        generator_url: crate::expand::graph_link(&environment.external_url, &rule.expr),
        timeout: false,
        held: true,
        rendered: crate::Rendered::default(),
        measure: None,
    }
}

#[cfg(test)]
mod tests;
