use super::*;
use crate::querier::{ExpressionError, QueryFailure, Reading};

/// Finds every expression good but those with `bad` in them.
struct Checker;

impl Querier for Checker {
    fn instant(&self, _: Source, _: &str, _: i64) -> Result<Reading, QueryFailure> {
        Ok(Reading::Vector(Vec::new()))
    }

    fn check(&self, source: Source, expr: &str) -> Result<(), ExpressionError> {
        match expr.find("bad") {
            Some(at) => Err(ExpressionError {
                line: 1,
                column: at + 1,
                message: format!("unexpected identifier in {}", source.as_str()),
            }),
            None => Ok(()),
        }
    }
}

fn load(text: &str) -> (LoadedRules, Vec<String>) {
    let (mut loaded, mut problems) = (LoadedRules::default(), Vec::new());
    parse_rules("f.yml", text, &Checker, &mut loaded, &mut problems);
    (loaded, problems.iter().map(Problem::to_string).collect())
}

#[test]
fn every_field_is_read() {
    let (loaded, problems) = load(
        r#"
groups:
- name: g
  interval: 30s
  query_offset: 1m
  limit: 10
  labels: {team: db, severity: info}
  source: logs
  rules:
  - record: a:b:c
    expr: sum(rate(x[5m]))
  - alert: A
    expr: |
      a:b:c > 1
      and on () vector(1)
    for: 1h30m
    keep_firing_for: 10m
    labels: {severity: page, n: 1}
    annotations: {summary: "{{ $labels.x }} {{ .Value | humanize }}"}
- name: empty
  rules:
"#,
    );
    assert_eq!(problems, [""; 0]);
    let group = &loaded.groups[0];
    assert_eq!(
        (group.interval_ms, group.query_offset_ms, group.limit, group.source),
        (30_000, 60_000, 10, Source::Logs)
    );
    assert_eq!(group.id(), "f.yml;g");
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(group.rules[0].labels, pairs(&[("severity", "info"), ("team", "db")]));
    assert_eq!(group.rules[1].labels, pairs(&[("n", "1"), ("severity", "page"), ("team", "db")]));
    let RuleKind::Alert { for_ms, keep_firing_for_ms, .. } = group.rules[1].kind else { panic!("an alert") };
    assert_eq!((for_ms, keep_firing_for_ms), (5_400_000, 600_000));
    assert_eq!(loaded.groups[1].interval_ms, DEFAULT_INTERVAL_MS);
}

#[test]
fn problems_say_where_and_what() {
    for (rule, expected) in [
        (
            "{alert: A, expr: up, for: '5'}",
            "f.yml:5:31: group \"g\", rule 1, \"A\": for: not a valid duration string",
        ),
        (
            "{record: a, expr: 'bad('}",
            "f.yml:5:23: group \"g\", rule 1, \"a\": could not parse expression: 1:1: unexpected",
        ),
        ("{alert: A, record: b, expr: up}", "only one of `record` and `alert` must be set"),
        ("{record: a, expr: up, for: 5m}", "invalid field `for` in recording rule"),
        ("{record: a, expr: up, keep_firing_for: 5m}", "invalid field `keep_firing_for` in recording rule"),
        ("{record: a, expr: up, annotations: {x: y}}", "invalid field `annotations` in recording rule"),
        ("{record: a, expr: up, labels: {__name__: b}}", "invalid label name: `__name__`"),
        ("{expr: up}", "f.yml:5:5: group \"g\", rule 1, \"\": one of `record` or `alert` must be set"),
        ("{alert: A}", "field `expr` must be set"),
        ("{record: 'a{b=\"c\"}', expr: up}", "invalid recording rule name"),
        ("{alert: A, expr: up, annotations: {x: '{{ env \"HOME\" }}'}}", "annotation `x`: template: "),
        ("{alert: A, expr: up, annotations: {x: '{{ $value'}}", "annotation `x`: template: "),
        ("{alert: A, expr: up, labels: {x: '{{ $job }}'}}", "label `x`: template: "),
        ("{alert: A, expr: up == 0, fro: 5m}", "unknown field `fro`"),
    ] {
        let (_, problems) = load(&format!("# a comment\ngroups:\n- name: g\n  rules:\n  - {rule}\n"));
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{rule}: {problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with("f.yml:5:")), "{rule}: {problems:?}");
    }
    for (text, expected) in [
        ("groups: [", "f.yml:"),
        ("- name: g\n", "f.yml:1:1: "),
        ("groups:\n- name: ''\n  rules: []\n", "group name must not be empty"),
        (
            "groups:\n- {name: g, rules: []}\n- {name: g, rules: []}\n",
            "f.yml:3:3: group name `g` is repeated",
        ),
        ("groups:\n- {name: g, source: traces}\n", "must be `metrics` or `logs`"),
    ] {
        let (_, problems) = load(text);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{text}: {problems:?}");
    }
    assert_eq!(load("").1, [""; 0]);
    assert_eq!(load("groups: []\n").1, [""; 0]);
}

#[test]
fn a_rule_written_twice_is_a_warning() {
    let (loaded, problems) =
        load("groups:\n- name: g\n  rules:\n  - {record: a, expr: up}\n  - {record: a, expr: up == 1}\n");
    assert!(problems.is_empty());
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].line, 5);
}

#[test]
fn folders_are_searched_and_one_bad_file_refuses_all() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("deep")).unwrap();
    for (name, text) in [
        ("a.yml", "groups: [{name: a}]"),
        ("deep/b.yaml", "groups: [{name: b}]"),
        ("a.test.yml", "tests: []"),
        ("notes.txt", "no"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let paths = [folder.path().to_owned()];
    let loaded = load_rules(&paths, &Checker).unwrap();
    assert_eq!(loaded.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    std::fs::write(folder.path().join("c.yml"), "groups: [{nam: c}]").unwrap();
    let problems = load_rules(&paths, &Checker).unwrap_err();
    assert!(problems.to_string().contains("c.yml:1:11: unknown field `nam`"), "{problems}");
    assert!(load_rules(&[folder.path().join("missing.yml")], &Checker).is_err());
}

const MANIFESTS: &str = r#"# Generated.
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: node
  namespace: monitoring
  labels: {prometheus: k8s, role: alert-rules}
spec:
  groups:
  - name: g
    partial_response_strategy: warn
    rules:
    - alert: A
      expr: |
        up == 0
      for: 15m
      annotations: {summary: "{{ $labels.instance }}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: x}
data: {spec: "groups: []"}
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: other}
spec:
  groups:
  - name: g
    rules: [{record: a:b, expr: 1}]
---
apiVersion: v1
kind: List
items:
- kind: PrometheusRule
  metadata: {name: listed}
  spec: {groups: [{name: g, rules: [{record: c:d, expr: sum(x)}]}]}
"#;

#[test]
fn manifests_of_kubernetes_are_read() {
    let (loaded, problems) = load(MANIFESTS);
    assert_eq!(problems, [""; 0]);
    let groups: Vec<_> = loaded.groups.iter().map(|group| (group.id(), group.rules.len())).collect();
    let expected = ["f.yml#monitoring/node;g", "f.yml#other;g", "f.yml#listed;g"];
    assert_eq!(groups, expected.map(|id| (id.to_owned(), 1)));
    assert_eq!(loaded.groups[1].rules[0].expr, "1");
    let warnings: Vec<_> = loaded.warnings.iter().map(Problem::to_string).collect();
    assert_eq!(
        warnings,
        ["f.yml:21:7: a manifest of the kind `ConfigMap` holds no rules and is passed over"]
    );
}

#[test]
fn mistakes_in_manifests_have_their_place_in_the_file() {
    let broken = MANIFESTS.replace("expr: 1", "expr: bad, fro: 5m").replace("for: 15m", "for: soon");
    let (_, problems) = load(&broken);
    let places: Vec<_> = problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["17", "31"], "{problems:?}");
    let (_, problems) = load(&format!("%YAML 1.1\n{broken}--- # end\n"));
    let places: Vec<_> = problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["18", "32"], "{problems:?}");
    let (_, problems) =
        load(&MANIFESTS.replace("for: 15m", "fro: 15m").replace("annotations:", "annotation:"));
    let places: Vec<_> = problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["17", "18"], "all of a manifest are told: {problems:?}");
    let (_, problems) = load("groups:\n- {name: g, partial_response_strategy: warn}\n");
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn mistakes_of_form_are_all_told() {
    let text = "groups:\n- name: a\n  intervall: 1m\n  rules:\n  - alert: A\n    exprr: up\n  - {alert: B, expr: up, for: [1m]}\n  - record: c\n    expr: up\n    labels: x\n";
    let problems = load(text).1;
    let lines: Vec<_> = problems.iter().map(|problem| problem.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["3", "6", "7", "10"], "{problems:#?}");
}
