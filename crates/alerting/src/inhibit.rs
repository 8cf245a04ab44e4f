//! Inhibition: while a source fires, targets that agree with it on some labels are not told.
//!
//! An alert that is source and target of a rule is not inhibited by one that is both as well, or
//! it would inhibit itself.

use crate::{
    alert::{Alert, Fingerprint},
    config::route_matchers,
    matchers::all_match,
    problem::Problem,
};
use model::{Labels, Matcher};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One rule.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    sources: Vec<Matcher>,
    targets: Vec<Matcher>,
    /// Labels on which both must agree; an absent label agrees with an empty one.
    equal: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InhibitRuleYaml {
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    source_match: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    source_match_re: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    source_matchers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    target_match: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    target_match_re: BTreeMap<String, Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    target_matchers: Vec<Spanned<String>>,
    #[serde(default, deserialize_with = "crate::config::or_default")]
    equal: Vec<String>,
}

impl InhibitRuleYaml {
    pub(crate) fn build(&self, file: &str) -> Result<InhibitRule, Problem> {
        Ok(InhibitRule {
            sources: route_matchers(file, &self.source_match, &self.source_match_re, &self.source_matchers)?,
            targets: route_matchers(file, &self.target_match, &self.target_match_re, &self.target_matchers)?,
            equal: self.equal.clone(),
        })
    }
}

/// The alerts that are sources of each rule by their labels, whether they fire or not. There are few of
/// them among thousands, and who is one changes seldom, while what inhibits is asked all the time.
#[derive(Debug)]
pub struct Candidates(Vec<BTreeSet<Fingerprint>>);

impl Candidates {
    /// Those of `rules` among `alerts`.
    pub fn new<'a>(rules: &[InhibitRule], alerts: impl Iterator<Item = (Fingerprint, &'a Alert)>) -> Self {
        let mut candidates = Candidates(vec![BTreeSet::new(); rules.len()]);
        alerts.for_each(|(id, alert)| candidates.add(rules, id, &alert.labels));
        candidates
    }

    /// Takes an alert among those of `rules`, which are always the same.
    pub fn add(&mut self, rules: &[InhibitRule], id: Fingerprint, labels: &Labels) {
        for (rule, of_rule) in rules.iter().zip(&mut self.0) {
            if all_match(&rule.sources, labels) {
                of_rule.insert(id);
            }
        }
    }

    /// Forgets an alert.
    pub fn remove(&mut self, id: Fingerprint) {
        for of_rule in &mut self.0 {
            of_rule.remove(&id);
        }
    }
}

/// The alerts that inhibit others now, found once for many questions.
pub struct Inhibitor<'a> {
    rules: Vec<(&'a InhibitRule, Sources<'a>)>,
}

/// The sources of a rule by the values on which targets must agree.
type Sources<'a> = HashMap<Vec<&'a str>, Agreeing<'a>>;

/// Of sources that agree, the first. Any of them inhibits a target that is no source; one that is
/// a source needs one that is no target. More need not be kept, so thousands of alerts that are
/// both cost each other nothing.
#[derive(Clone, Copy)]
struct Agreeing<'a> {
    any: &'a Alert,
    no_target: Option<&'a Alert>,
}

impl<'a> Inhibitor<'a> {
    /// Finds the sources of `rules` among `alerts` that fire at `now_ms`.
    pub fn new(
        rules: &'a [InhibitRule],
        candidates: &Candidates,
        alerts: &'a BTreeMap<Fingerprint, Alert>,
        now_ms: i64,
    ) -> Self {
        let sources = |(rule, ids): (&'a InhibitRule, &BTreeSet<Fingerprint>)| {
            let alerts = ids.iter().filter_map(|id| alerts.get(id));
            (rule, rule.sources(alerts.filter(|alert| !alert.is_resolved(now_ms))))
        };
        Inhibitor { rules: rules.iter().zip(&candidates.0).map(sources).collect() }
    }

    /// The alerts that inhibit one with these labels, the first of each rule, in order of the rules.
    pub fn inhibitors_of(&self, labels: &Labels) -> Vec<Fingerprint> {
        let mut found = Vec::new();
        for (rule, sources) in self.rules.iter().filter(|(_, sources)| !sources.is_empty()) {
            let is_target = all_match(&rule.targets, labels);
            let source = is_target.then(|| rule.inhibitor(labels, sources)).flatten();
            found.extend(source.filter(|source| !found.contains(source)));
        }
        found
    }
}

impl InhibitRule {
    fn sources<'a>(&self, firing: impl Iterator<Item = &'a Alert>) -> Sources<'a> {
        let mut sources = Sources::new();
        for alert in firing {
            let agreement = self.equal.iter().map(|name| alert.labels.value(name)).collect();
            let known = sources.entry(agreement).or_insert(Agreeing { any: alert, no_target: None });
            if known.no_target.is_none() && !all_match(&self.targets, &alert.labels) {
                known.no_target = Some(alert);
            }
        }
        sources
    }

    fn inhibitor(&self, target: &Labels, sources: &Sources<'_>) -> Option<Fingerprint> {
        let agreement: Vec<_> = self.equal.iter().map(|name| target.value(name)).collect();
        let agreeing = sources.get(&agreement)?;
        let is_source = all_match(&self.sources, target);
        let source = if is_source { agreeing.no_target } else { Some(agreeing.any) };
        source.map(Alert::fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::{Annotations, timestamp::Written};
    use std::path::Path;

    fn alert(labels: &[(&str, &str)], ends_at_ms: i64) -> Alert {
        Alert {
            labels: Labels::from_pairs(labels.iter().copied()),
            annotations: Annotations::empty(),
            starts_at_ms: 0,
            ends_at_ms,
            starts_written: Written::default(),
            ends_written: Written::default(),
            updated_at_ms: 0,
            generator_url: String::new(),
            timeout: false,
            held: false,
            rendered: crate::Rendered::default(),
            measure: None,
        }
    }

    fn rules(written: &str) -> Vec<InhibitRule> {
        let text = format!("route: {{receiver: r}}\nreceivers: [{{name: r}}]\ninhibit_rules:\n- {written}\n");
        Config::parse("f", &text, Path::new(".")).unwrap().inhibit_rules
    }

    /// The alerts that inhibit one with the labels `target` at 50 ms.
    fn inhibitors(rules: &[InhibitRule], alerts: &[Alert], target: &Labels) -> Vec<Fingerprint> {
        let mut alerts: BTreeMap<_, _> = alerts.iter().map(|it| (it.fingerprint(), it.clone())).collect();
        let mut candidates = Candidates::new(rules, alerts.iter().map(|(id, alert)| (*id, alert)));
        let gone = alert(&[("s", "1"), ("t", "2"), ("zone", "a")], 100);
        candidates.add(rules, gone.fingerprint(), &gone.labels);
        alerts.insert(gone.fingerprint(), gone.clone());
        candidates.remove(gone.fingerprint());
        Inhibitor::new(rules, &candidates, &alerts, 50).inhibitors_of(target)
    }

    #[test]
    fn sources_inhibit_targets_that_agree() {
        let rules = rules("{source_matchers: [s=1], target_matchers: [t=1], equal: [zone]}");
        let alerts = [alert(&[("s", "1"), ("zone", "a")], 100), alert(&[("s", "1"), ("zone", "b")], 10)];
        for (target, expected) in [
            (&[("t", "1"), ("zone", "a")][..], 1),
            (&[("t", "1"), ("zone", "b")], 0),
            (&[("t", "1")], 0),
            (&[("t", "2"), ("zone", "a")], 0),
        ] {
            let found = inhibitors(&rules, &alerts, &Labels::from_pairs(target.iter().copied()));
            let sources = &[alerts[0].fingerprint()][..expected];
            assert_eq!(found, sources, "{target:?}");
        }
    }

    #[test]
    fn missing_labels_agree_and_nothing_inhibits_itself() {
        let rules = rules("{source_match: {s: '1'}, target_match_re: {s: '.+'}, equal: [zone]}");
        let alerts = [alert(&[("s", "1"), ("x", "1")], 100)];
        let inhibitors = |target| inhibitors(&rules, &alerts, &target);
        assert_eq!(inhibitors(Labels::from_pairs([("s", "2")])), [alerts[0].fingerprint()]);
        assert!(inhibitors(alerts[0].labels.clone()).is_empty());
        assert!(inhibitors(Labels::from_pairs([("s", "1"), ("x", "2")])).is_empty());
    }
}
