//! Data that is missing, which is not the same as a condition that does not hold.
//!
//! An alert whose element is gone has either recovered or lost its data. Rules that ask for it
//! (`no_data`), and right after a restart every stored alert whose data has not come since, have the
//! difference looked up: the same expression without its comparisons tells what is measured at all.
//!
//! That an element is there does not yet mean that its data has come: for a while after a restart
//! a selector still finds what was sent before. So the expression is asked once more, as if there had been
//! nothing before the start.

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
pub(crate) fn id(labels: &Labels) -> u64 {
    labels.without(&[METRIC_NAME]).as_ref().stable_hash()
}

/// The alerts that must stay as they are because their data is missing. When nothing is measured
/// at all and the rule wants that to be an alert, it is added to `candidates`.
pub(super) fn look(
    rule: &mut RuleState,
    no_data: NoData,
    candidates: &mut Vec<Candidate>,
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<BTreeSet<Labels>, QueryFailure> {
    note_what_has_come(rule, candidates, group, environment, at_ms)?;
    let seen: BTreeSet<&Labels> = candidates.iter().map(|candidate| &candidate.labels).collect();
    let is_missing =
        |state: AlertState, labels: &Labels| state != AlertState::Inactive && !seen.contains(labels);
    let missing = rule
        .active
        .iter()
        .filter(|alert| is_missing(alert.state, &alert.labels) && alert.labels.value(NO_DATA).is_empty())
        .map(|alert| (alert.labels.clone(), alert.element));
    let (awaited, mut asked): (Vec<_>, Vec<_>) =
        missing.partition(|(labels, _)| rule.active.is_awaited(labels, at_ms));
    if no_data == NoData::Ok {
        asked.clear();
    }
    let spans_restart = rule.active.back_since(at_ms).is_some() && looks_back(&rule.definition.expr);
    let mut kept: BTreeSet<Labels> = awaited.iter().map(|(labels, _)| labels.clone()).collect();
    if !spans_restart {
        asked.extend(awaited);
    }
    let asks_for_nothing = no_data == NoData::Alert && candidates.is_empty() && !spans_restart;
    if asked.is_empty() && !asks_for_nothing {
        return Ok(kept);
    }
    let query_ms = at_ms - group.query_offset_ms;
    let present = environment.querier.presence(group.source, &rule.definition.expr, query_ms)?;
    // What cannot be known counts as recovery, but not right after a restart.
    let Some(present) = present else { return Ok(kept) };
    let present: BTreeSet<u64> = present.iter().map(id).collect();
    if no_data == NoData::Alert && present.is_empty() && !spans_restart {
        candidates.push(nothing_measured(rule, group, environment, at_ms));
    }
    for (labels, element) in asked {
        if present.contains(&element) {
            kept.remove(&labels);
        } else {
            kept.insert(labels);
        }
    }
    Ok(kept)
}

/// Notes of which stored alerts data has come since the start.
fn note_what_has_come(
    rule: &mut RuleState,
    candidates: &[Candidate],
    group: &GroupDefinition,
    environment: &Environment,
    at_ms: i64,
) -> Result<(), QueryFailure> {
    let Some(since_ms) = rule.active.back_since(at_ms) else { return Ok(()) };
    let awaited: Vec<&Candidate> =
        candidates.iter().filter(|candidate| rule.active.is_awaited(&candidate.labels, at_ms)).collect();
    if awaited.is_empty() || looks_back(&rule.definition.expr) {
        return Ok(());
    }
    let (querier, expr) = (&environment.querier, &rule.definition.expr);
    let query_ms = at_ms - group.query_offset_ms;
    let Some(come) = querier.labels_since(group.source, expr, query_ms, since_ms)? else {
        return Ok(());
    };
    let come: BTreeSet<u64> = come.iter().map(id).collect();
    for candidate in awaited.into_iter().filter(|candidate| come.contains(&candidate.element)) {
        rule.active.has_come(&candidate.labels);
    }
    Ok(())
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
