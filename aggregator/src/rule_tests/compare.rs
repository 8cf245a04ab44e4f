//! What was expected against what came out, as text that shows both.

use super::schema::{AlertYaml, DecisionYaml, NotificationYaml, NotifiedYaml, SampleYaml, Texts};
use alerting::{
    Reading,
    dispatch::Told,
    rules::{AlertState, Group, RuleState},
};
use model::{Labels, METRIC_NAME, Value, duration_to_string, format_float};
use promql::description::{histogram_text, parse_series_line};
use scaling::{Action, Decision};
use std::collections::BTreeMap;

/// Names and values; empty values are told apart from missing ones.
pub(super) type Pairs = BTreeMap<String, String>;

/// Labels and annotations of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlertShape {
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
}

/// A sample of an answer: its labels as text, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Labels,
    pub(super) value: f64,
    pub(super) histogram: Option<String>,
}

pub(super) fn pairs(texts: &Texts) -> Pairs {
    let all = texts.iter().flatten();
    all.map(|(name, value)| (name.clone(), value.clone().unwrap_or_default())).collect()
}

fn owned_pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Pairs {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The alerts called `name` that are in `state`.
pub(super) fn alerts(groups: &[Group], name: &str, state: AlertState) -> Vec<AlertShape> {
    let rules = groups.iter().flat_map(|group| &group.rules);
    let named = rules.filter(|rule| rule.definition.is_alert() && rule.definition.name() == name);
    let mut found: Vec<_> = named.flat_map(|rule| shapes(rule, state)).collect();
    found.sort();
    found
}

fn shapes(rule: &RuleState, state: AlertState) -> Vec<AlertShape> {
    let shape = |alert: &alerting::rules::ActiveAlert| AlertShape {
        labels: owned_pairs(alert.labels.iter()),
        annotations: owned_pairs(alert.annotations.iter()),
    };
    rule.active.iter().filter(|alert| alert.state == state).map(shape).collect()
}

pub(super) fn expected_alerts(name: &str, alerts: &[AlertYaml]) -> Vec<AlertShape> {
    let shape = |alert: &AlertYaml| {
        let mut labels = pairs(&alert.exp_labels);
        labels.insert(alerting::ALERT_NAME.to_owned(), name.to_owned());
        AlertShape { labels, annotations: pairs(&alert.exp_annotations) }
    };
    let mut shapes: Vec<_> = alerts.iter().map(shape).collect();
    shapes.sort();
    shapes
}

pub(super) fn samples(reading: Reading) -> Vec<Sample> {
    let sample = |labels: Labels, value: &Value| match value {
        Value::Float(value) => Sample { labels, value: *value, histogram: None },
        Value::Histogram(histogram) => {
            Sample { labels, value: 0.0, histogram: Some(histogram_text(histogram)) }
        }
    };
    let mut found: Vec<_> = match reading {
        Reading::Scalar(value) => vec![sample(Labels::empty(), &Value::Float(value))],
        Reading::Vector(vector) => {
            vector.into_iter().map(|element| sample(element.labels, &element.value)).collect()
        }
    };
    sort(&mut found);
    found
}

fn sort(samples: &mut [Sample]) {
    samples.sort_by(|a, b| a.labels.cmp(&b.labels).then(a.value.total_cmp(&b.value)));
}

/// # Errors
/// When labels or a histogram cannot be read.
pub(super) fn expected_samples(samples: &[SampleYaml]) -> Result<Vec<Sample>, String> {
    let read = |sample: &SampleYaml| {
        let text = sample.labels.as_deref().unwrap_or_default();
        let parsed = parse_series_line(text).map_err(|error| format!("labels `{text}`: {error}"))?;
        if !parsed.values.is_empty() {
            return Err(format!("labels `{text}`: only labels are expected"));
        }
        let histogram = sample.histogram.as_deref().map(canonical_histogram).transpose()?;
        Ok(Sample { labels: parsed.labels, value: sample.value.unwrap_or(0.0), histogram })
    };
    let mut read: Vec<_> = samples.iter().map(read).collect::<Result<_, String>>()?;
    sort(&mut read);
    Ok(read)
}

fn canonical_histogram(text: &str) -> Result<String, String> {
    let parsed = parse_series_line(&format!("{{}} {text}"))?;
    match parsed.values.as_slice() {
        [Some(item)] => match &item.value {
            Value::Histogram(histogram) => Ok(histogram_text(histogram)),
            Value::Float(_) => Err(format!("`{text}` is not a histogram")),
        },
        _ => Err(format!("`{text}` is not one histogram")),
    }
}

/// Whether two answers are the same; `fuzzy` forgives the last digit of a float.
pub(super) fn same_samples(expected: &[Sample], got: &[Sample], fuzzy: bool) -> bool {
    let same = |(a, b): (&Sample, &Sample)| {
        a.labels == b.labels && a.histogram == b.histogram && same_float(a.value, b.value, fuzzy)
    };
    expected.len() == got.len() && expected.iter().zip(got).all(same)
}

fn same_float(a: f64, b: f64, fuzzy: bool) -> bool {
    a == b || a.is_nan() && b.is_nan() || fuzzy && (a.next_up() == b || a.next_down() == b)
}

/// Whether a notification is as expected, in what is expected of it; times count from `start_ms`.
pub(super) fn is_told(expected: &NotificationYaml, told: &Told, start_ms: i64) -> Result<bool, String> {
    let at_ms = expected.at.as_deref().map(model::parse_duration_ms).transpose()?;
    let message = &told.message;
    let same = |text: &Option<String>, found: &str| text.as_deref().is_none_or(|text| text == found);
    Ok(expected.receiver == message.receiver
        && at_ms.is_none_or(|at_ms| told.at_ms - start_ms == at_ms)
        && same(&expected.integration, told.integration)
        && same(&expected.group_key, &message.group_key)
        && same(&expected.status, message.status())
        && same(&expected.reason, message.reason.as_str())
        && (expected.group_labels.is_none()
            || pairs(&expected.group_labels) == owned_pairs(message.group_labels.iter()))
        && expected.alerts.as_deref().is_none_or(|alerts| same_notified(alerts, told)))
}

fn same_notified(expected: &[NotifiedYaml], told: &Told) -> bool {
    let mut open: Vec<_> = told.message.alerts.iter().collect();
    for alert in expected {
        let is_it = |found: &&alerting::notify::NotifiedAlert| {
            alert.status.as_deref().unwrap_or("firing") == found.status()
                && pairs(&alert.labels) == owned_pairs(found.alert.labels.iter())
                && (alert.annotations.is_none()
                    || pairs(&alert.annotations) == owned_pairs(found.alert.annotations.iter()))
        };
        match open.iter().position(is_it) {
            Some(at) => open.remove(at),
            None => return false,
        };
    }
    open.is_empty()
}

/// Whether a decision is as expected, in what is expected of it.
pub(super) fn is_decided(expected: &DecisionYaml, decision: &Decision) -> bool {
    let action = action(decision.action);
    let text = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let number = |wanted: Option<u32>, found: Option<u32>| wanted.is_none() || wanted == found;
    text(&expected.action, action)
        && number(expected.current, decision.current)
        && number(expected.desired, decision.desired)
        && number(expected.recommended, decision.recommended)
        && text(&expected.reason, decision.reason.as_str())
        && text(&expected.limited_by, decision.limited_by.map_or("", scaling::Reason::as_str))
}

pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::Out => "out",
        Action::In => "in",
        Action::None => "none",
    }
}

pub(super) fn show_pairs(pairs: &Pairs) -> String {
    let texts: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", texts.join(", "))
}

/// `name{label="value"}`, as [`parse_series_line`] reads it.
pub(super) fn show_labels(labels: &Labels) -> String {
    let name = labels.metric_name();
    let is_plain = model::is_legacy_metric_name(name);
    let rest = if is_plain { labels.without(&[METRIC_NAME]) } else { labels.clone() };
    let name = if is_plain { name } else { "" };
    let quote = |name: &str| {
        if model::is_legacy_label_name(name) { name.to_owned() } else { format!("{name:?}") }
    };
    let texts: Vec<_> = rest.iter().map(|(name, value)| format!("{}={value:?}", quote(name))).collect();
    if texts.is_empty() && !name.is_empty() {
        name.to_owned()
    } else {
        format!("{name}{{{}}}", texts.join(", "))
    }
}

pub(super) fn show_sample(sample: &Sample) -> String {
    let value = sample.histogram.clone().unwrap_or_else(|| format_float(sample.value));
    format!("{} {value}", show_labels(&sample.labels))
}

pub(super) fn show_alert(alert: &AlertShape) -> String {
    let annotations = alert.annotations.iter().map(|(name, value)| format!("\n  {name}: {value}"));
    format!("{}{}", show_pairs(&alert.labels), annotations.collect::<String>())
}

pub(super) fn show_told(told: &Told, start_ms: i64) -> String {
    let message = &told.message;
    let alerts = message.alerts.iter();
    let alerts = alerts.map(|alert| format!("\n  {} {}", alert.status(), alert.alert.labels));
    format!(
        "{} to `{}` by {} for {}: {} ({}){}",
        duration_to_string(told.at_ms - start_ms),
        message.receiver,
        told.integration,
        message.group_key,
        message.status(),
        message.reason.as_str(),
        alerts.collect::<String>()
    )
}

pub(super) fn show_decision(decision: &Decision) -> String {
    let size = |size: Option<u32>| size.map_or_else(|| "unknown".to_owned(), |size| size.to_string());
    let limited = decision.limited_by.map(|reason| format!(", limited by {}", reason.as_str()));
    format!(
        "action {}, current {}, desired {}, recommended {}, reason {}{}",
        action(decision.action),
        size(decision.current),
        size(decision.desired),
        size(decision.recommended),
        decision.reason.as_str(),
        limited.unwrap_or_default()
    )
}
