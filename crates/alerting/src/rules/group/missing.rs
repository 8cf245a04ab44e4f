//! Data that is missing, which is not the same as a condition that does not hold.
//!
//! An alert whose element is gone has either recovered or lost its data. Rules that ask for it
//! (`no_data`), and every rule right after a restart, have the difference looked up: the same
//! expression without its comparisons tells what is measured at all.

use super::{Candidate, Environment, GroupDefinition, QueryFailure, RuleState};
use crate::{
    Annotations,
    alert::ALERT_NAME,
    expand::RuleData,
    rules::{
        active::AlertState,
        definition::{NoData, RuleDefinition},
    },
};
use model::{Labels, METRIC_NAME, Value, VectorSample};
use std::collections::BTreeSet;

/// The label of the alert that nothing is measured.
const NO_DATA: &str = "no_data";

/// An element's identity, whatever its metric is called.
pub(super) fn id(labels: &Labels) -> u64 {
    labels.without(&[METRIC_NAME]).as_ref().stable_hash()
}

/// The alerts that must stay as they are because their data is missing. When nothing is measured
/// at all and the rule wants that to be an alert, it is added to `candidates`.
pub(super) fn look(
    rule: &RuleState,
    no_data: NoData,
    candidates: &mut Vec<Candidate>,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<BTreeSet<Labels>, QueryFailure> {
    let seen: BTreeSet<&Labels> = candidates.iter().map(|candidate| &candidate.labels).collect();
    let is_missing =
        |state: AlertState, labels: &Labels| state != AlertState::Inactive && !seen.contains(labels);
    let missing: Vec<(Labels, u64)> = rule
        .active
        .iter()
        .filter(|alert| is_missing(alert.state, &alert.labels) && alert.labels.value(NO_DATA).is_empty())
        .map(|alert| (alert.labels.clone(), alert.element))
        .collect();
    let in_grace = rule.active.in_grace(at_ms);
    let is_asked = match no_data {
        NoData::Ok => in_grace && !missing.is_empty(),
        NoData::KeepState => !missing.is_empty(),
        NoData::Alert => candidates.is_empty() || !missing.is_empty(),
    };
    if !is_asked {
        return Ok(BTreeSet::new());
    }
    let missing_labels =
        |missing: Vec<(Labels, u64)>| missing.into_iter().map(|(labels, _)| labels).collect();
    if in_grace && looks_back(&rule.definition.expr) {
        return Ok(missing_labels(missing));
    }
    let query_ms = at_ms - group.query_offset_ms;
    let present = environment.querier.presence(group.source, &rule.definition.expr, query_ms)?;
    let Some(present) = present else {
        // What cannot be known counts as recovery, but not right after a restart.
        return Ok(if in_grace { missing_labels(missing) } else { BTreeSet::new() });
    };
    let present: BTreeSet<u64> = present.iter().map(id).collect();
    if no_data == NoData::Alert && present.is_empty() {
        candidates.push(nothing_measured(rule, group, environment, at_ms));
    }
    Ok(missing
        .into_iter()
        .filter(|(_, element)| !present.contains(element))
        .map(|(labels, _)| labels)
        .collect())
}

/// Whether an expression looks over a range, in which the time of a restart is a hole: what it says
/// then is not what was measured. Brackets in a matcher only cost a wait.
fn looks_back(expr: &str) -> bool {
    expr.contains('[')
}

/// The alert that nothing is measured: the rule's labels and annotations, expanded without an
/// element.
fn nothing_measured(
    rule: &RuleState,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Candidate {
    let value = Value::Float(f64::NAN);
    let element = VectorSample { labels: Labels::empty(), timestamp_ms: at_ms, value: value.clone() };
    let data = RuleData { element: &element, group, environment, at_ms };
    let mut labels = Labels::from_pairs(rule.templates.labels(&data)).to_builder();
    labels.set(ALERT_NAME, rule.definition.name()).set(NO_DATA, "true");
    let mut annotations = rule.templates.annotations(&data);
    annotations.push(("summary".to_owned(), summary(&rule.definition)));
    Candidate { labels: labels.build(), annotations: Annotations::from_pairs(annotations), value, element: 0 }
}

fn summary(rule: &RuleDefinition) -> String {
    format!("No data for {}: its expression measures nothing", rule.name())
}

#[cfg(test)]
mod tests;
