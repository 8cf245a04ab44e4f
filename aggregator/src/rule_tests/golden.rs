//! What Prometheus makes of templates: every line of the recorded table, expanded as annotations of
//! an alert by the live evaluator. How it was recorded says `crates/template/testdata/record.py`.

use crate::{
    config::{PromqlConfig, QueryConfig},
    evaluate::Evaluator,
};
use alerting::rules::{Environment, Group, LoadedRules, parse_rules};
use model::{Labels, MetricBatch};
use std::sync::Arc;
use store::{MemLogStore, MemMetricStore, MetricStore};

const TABLE: &str = include_str!("../../../crates/template/testdata/rules.tsv");

fn environment() -> (Environment, Arc<Evaluator>) {
    let metrics = Arc::new(MemMetricStore::new());
    let mut batch = MetricBatch::default();
    let mut series = |labels: &[(&str, &str)], value: f64| {
        batch.begin_with(Labels::from_pairs(labels.iter().copied()).as_ref());
        batch.sample(0, 0, value);
        batch.sample(60_000, 0, value);
    };
    let m = [
        ("__name__", "m"),
        ("instance", "web-1:9100"),
        ("job", "node"),
        ("path", "/a b&c<d>"),
        ("quoted", "it's \"q\""),
        ("word", "größe 日本"),
    ];
    series(&m, 1234.5678);
    for (instance, value) in [("a", 1.0), ("b", 0.0), ("c", 1.0)] {
        series(&[("__name__", "up"), ("instance", instance)], value);
    }
    metrics.append(&batch, None, 0).unwrap();
    let logs = Arc::new(MemLogStore::new());
    let evaluator =
        Arc::new(Evaluator::new(metrics, logs, &QueryConfig::default(), &PromqlConfig::default()));
    let environment = Environment {
        querier: evaluator.clone(),
        sink: evaluator.clone(),
        external_url: "http://prom.test/p".to_owned(),
        external_labels: Labels::from_pairs([("cluster", "c1")]),
    };
    (environment, evaluator)
}

/// The annotation, or at which stage it fails.
fn expand(template: &str, environment: &Environment, evaluator: &Evaluator) -> Result<String, &'static str> {
    let rule = serde_json::json!({"alert": "A", "expr": "m > 0", "annotations": {"out": template}});
    let file = serde_json::json!({"groups": [{"name": "g", "rules": [rule]}]}).to_string();
    let (mut loaded, mut problems) = (LoadedRules::default(), Vec::new());
    parse_rules("r.yml", &file, evaluator, &mut loaded, &mut problems);
    if !problems.is_empty() {
        return Err("!parse");
    }
    let mut group = Group::new(Arc::new(loaded.groups.remove(0)));
    group.evaluate(environment, 60_000);
    let alert = group.rules[0].active.iter().next().expect("the alert fires");
    let text = alert.annotations.value("out").to_owned();
    if text.starts_with("<error expanding template:") { Err("!execute") } else { Ok(text) }
}

#[test]
fn templates_of_rules_give_what_prometheus_gives() {
    let (environment, evaluator) = environment();
    let mut differences = Vec::new();
    let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let (template, expected) = line.split_once('\t').expect("two columns");
        let template: String = serde_json::from_str(template).unwrap();
        let got = match expand(&template, &environment, &evaluator) {
            Ok(text) => serde_json::Value::from(text).to_string(),
            Err(stage) => stage.to_owned(),
        };
        let expected = serde_json::from_str::<serde_json::Value>(expected)
            .map_or(expected.to_owned(), |it| it.to_string());
        // A mistake that Prometheus finds when the alert fires may be found when the file is read.
        let is_found_earlier = expected == "!execute" && got == "!parse";
        if got != expected && !is_found_earlier {
            differences.push(format!("{template}\n  expected {expected}\n  got      {got}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}
