//! The shipped rules keep the rules of the house.

use super::*;
use crate::{
    config::{PromqlConfig, QueryConfig},
    evaluate::Evaluator,
};
use alerting::{
    Settings, Source,
    rules::{LoadedRules, RuleKind},
};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};
use store::{MemLogStore, MemMetricStore};

/// More would be ignored.
const ON_BY_DEFAULT_MAX: usize = 15;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every shipped rule, whether its pack is on or not.
fn loaded() -> LoadedRules {
    loaded_with(Vec::new())
}

fn loaded_with(more: Vec<(String, String)>) -> LoadedRules {
    let (metrics, logs) = (Arc::new(MemMetricStore::new()), Arc::new(MemLogStore::new()));
    let evaluator = Evaluator::new(metrics, logs, &QueryConfig::default(), &PromqlConfig::default());
    let file = |(name, text): (&str, &str)| (format!("{name}.yml"), text.to_owned());
    let built_in_rules = shipped::rules().into_iter().map(file).chain(more).collect();
    let settings = Settings { built_in_rules, ..Settings::default() };
    alerting::read_rules(&settings, &evaluator).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Names of alerts by the language of their expressions.
fn alert_names(source: Source) -> BTreeSet<String> {
    let groups = loaded().groups.into_iter().filter(|group| group.source == source);
    let rules = groups.flat_map(|group| group.rules).filter(alerting::rules::RuleDefinition::is_alert);
    rules.map(|rule| rule.name().to_owned()).collect()
}

#[test]
fn few_alerts_are_on_before_anything_is_watched() {
    let packs = Packs::new(&PackModes::default(), true);
    packs.look(&MemMetricStore::new(), 1_800_000_000_000);
    let on: Vec<_> =
        packs.packs.lock().unwrap().iter().filter(|pack| pack.on).map(|pack| pack.text).collect();
    let names: BTreeSet<_> = on.into_iter().flat_map(alerts).collect();
    assert!(names.contains("Watchdog") && names.contains("HostMissing"));
    assert!(names.len() <= ON_BY_DEFAULT_MAX, "{} alerts are on by default: {names:?}", names.len());
}

#[test]
fn every_pack_says_when_it_is_evaluated() {
    let silent = |pack: &&Pack| matches!(pack.head.when, When::Never) || pack.head.title.is_empty();
    let packs = Packs::new(&PackModes::default(), true);
    let packs = packs.packs.lock().unwrap();
    let silent: Vec<_> = packs.iter().filter(silent).map(|pack| pack.name).collect();
    assert!(silent.is_empty(), "no good `# Evaluated …` line in {silent:?}");
}

#[test]
fn every_alert_says_how_grave_it_is_what_it_is_and_what_to_do() {
    let mut problems = Vec::new();
    // What objectives expand to is shipped, too.
    let objective = "slos: [{name: x, objective: 99, bad: errs, total: all}]".to_owned();
    let loaded = loaded_with(vec![("slo.yml".to_owned(), objective)]);
    for rule in loaded.groups.into_iter().flat_map(|group| group.rules) {
        let RuleKind::Alert { name, annotations, .. } = &rule.kind else { continue };
        let severity =
            rule.labels.iter().find(|(label, _)| label == "severity").map(|(_, value)| value.as_str());
        if !matches!(
            (severity, name.as_str()),
            (Some("critical" | "warning" | "info"), _) | (Some("none"), "Watchdog")
        ) {
            problems.push(format!("{name}: severity is {severity:?}"));
        }
        let annotation = |wanted: &str| {
            annotations.iter().find(|(known, _)| known == wanted).map_or("", |(_, text)| text.as_str())
        };
        let page = name.to_lowercase();
        if annotation("summary").is_empty() || annotation("description").is_empty() {
            problems.push(format!("{name}: summary and description are needed"));
        }
        if annotation("runbook_url") != format!("{{{{ $externalURL }}}}/runbooks/{page}") {
            problems.push(format!("{name}: runbook_url is `{}`", annotation("runbook_url")));
        }
        let runbook = repository().join("docs/runbooks").join(format!("{page}.md"));
        let text = std::fs::read_to_string(&runbook).unwrap_or_default();
        let headings =
            ["Meaning", "Impact", "Diagnosis", "Mitigation"].map(|heading| format!("\n## {heading}\n"));
        if !text.starts_with(&format!("# {name}\n")) || !headings.iter().all(|heading| text.contains(heading))
        {
            problems.push(format!("{name}: docs/runbooks/{page}.md lacks its title or one of its sections"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// As much of promtool's unit-test format as is needed to see what a test looks at.
#[derive(Deserialize)]
struct TestFile {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
}

#[derive(Deserialize)]
struct AlertTest {
    alertname: String,
    #[serde(default)]
    exp_alerts: Vec<serde::de::IgnoredAny>,
}

#[test]
fn every_alert_is_seen_to_fire_and_to_stay_silent() {
    let (mut fires, mut silent) = (BTreeMap::<String, usize>::new(), BTreeSet::new());
    for entry in std::fs::read_dir(repository().join("rules/tests")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let file: TestFile =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for test in file.tests.into_iter().flat_map(|test| test.alert_rule_test) {
            if test.exp_alerts.is_empty() {
                silent.insert(test.alertname);
            } else {
                *fires.entry(test.alertname).or_default() += test.exp_alerts.len();
            }
        }
    }
    let names = alert_names(Source::Metrics);
    let never: Vec<_> = names.iter().filter(|name| !fires.contains_key(*name)).collect();
    // The watchdog is never silent.
    let always: Vec<_> = names.iter().filter(|name| !silent.contains(*name) && *name != "Watchdog").collect();
    assert!(
        never.is_empty() && always.is_empty(),
        "not seen to fire: {never:?}\nnot seen silent: {always:?}"
    );
}
