//! `bellwether check` and `bellwether test` beside promtool.

use std::path::{Path, PathBuf};
use tests::{find_tool, repository_root, run_binary, shared_dir, skip};

fn passes(command: &str, file: &Path) -> (bool, String) {
    let (status, out, errors) = run_binary("bellwether", &[command, &file.display().to_string()]);
    (status == 0, format!("{out}{errors}"))
}

#[test]
fn the_recorded_verdicts_of_promtool_are_ours() {
    let Some(folder) =
        shared_dir().map(|shared| shared.join("conformance/promtool")).filter(|it| it.is_dir())
    else {
        return skip("there is no conformance material for promtool");
    };
    let table = std::fs::read_to_string(folder.join("expected.tsv")).expect("verdicts are recorded");
    let mut wrong = Vec::new();
    for line in table.lines() {
        let columns: Vec<&str> = line.split('\t').collect();
        let [verdict, command, file] = columns[..] else { panic!("not a verdict: {line}") };
        let (passed, output) = passes(command, &folder.join(file));
        if passed != (verdict == "pass") {
            wrong.push(format!("{command} {file}: expected {verdict}\n{output}"));
        }
    }
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_tests_of_shipped_rules_pass_here_and_there() {
    let folder = repository_root().join("rules/tests");
    let (passed, output) = passes("test", &folder);
    assert!(passed, "{output}");
    if find_tool("promtool").is_none() {
        return skip("promtool is not installed");
    }
    for file in std::fs::read_dir(folder).expect("there are tests").flatten().map(|entry| entry.path()) {
        // Only what promtool can read.
        let text = std::fs::read_to_string(&file).expect("a test file is text");
        let is_ours = ["input_logs", "logql_expr_test", "notification_test", "scaling_test", "exp_pending"];
        if !is_ours.iter().any(|word| text.contains(word)) {
            let (passed, output) = promtool("test", &file);
            assert!(passed, "{}: {output}", file.display());
        }
    }
}

fn promtool(command: &str, file: &Path) -> (bool, String) {
    let done = std::process::Command::new("promtool")
        .args([command, "rules"])
        .arg(file)
        .output()
        .expect("promtool runs");
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: 'doubled', expr: m * 2, labels: {kept: 1}}
  - {alert: A, expr: doubled > 4, for: 1m, labels: {severity: 1, who: '{{ $labels.a }}'}, annotations: {s: '{{ $value }}', e: ''}}
";

/// One test each; promtool says which pass.
const TESTS: [&str; 24] = [
    "input_series: [{series: m, values: '1 2 3'}]\n  promql_expr_test: [{expr: doubled, eval_time: 2m, exp_samples: [{labels: 'doubled{kept=\"1\"}', value: 6}]}]",
    "input_series: [{series: 'm{a=\"x\"}', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {a: x, kept: 1, severity: 1, who: x}, exp_annotations: {s: 6, e: ''}}]}]",
    "input_series: [{series: 'm{a=\"x\"}', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {a: x, kept: '1', severity: '1', who: x, alertname: A}, exp_annotations: {s: '6', e: }}]}]",
    "input_series: [{series: 'm{a=\"x\"}', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {a: x, kept: 1, severity: 1, who: x}, exp_annotations: {s: 6}}]}]",
    "input_series: [{series: 'm', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {kept: 1, severity: 1, who: ''}, exp_annotations: {s: 6, e: ''}}]}]",
    "input_series: [{series: 'm', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: A, exp_alerts: [{exp_labels: {kept: 1, severity: 1}, exp_annotations: {s: 6, e: ''}}]}]",
    "input_series: [{series: 'm', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, alertname: Nobody}]",
    "input_series: [{series: 'm', values: '3x5'}]\n  alert_rule_test: [{eval_time: 1m, exp_alerts: []}]",
    "input_series: [{series: 'm', values: 'x'}]\n  promql_expr_test: [{expr: m, eval_time: 0}]",
    "input_series: [{series: 'm', values: '1 2'}, {series: 'm', values: '7 8'}]\n  promql_expr_test: [{expr: m, eval_time: 1m, exp_samples: [{labels: m, value: 8}]}]",
    "input_series: [{series: 'm{', values: '1'}]\n  promql_expr_test: [{expr: m, eval_time: 0}]",
    "promql_expr_test: [{expr: 'm[5m]', eval_time: 0}]",
    "promql_expr_test: [{expr: '\"text\"', eval_time: 0}]",
    "promql_expr_test: [{expr: 'sum(', eval_time: 0}]",
    "promql_expr_test: [{expr: 'vector(1)', eval_time: 0, exp_samples: [{labels: '{', value: 1}]}]",
    "promql_expr_test: [{expr: 'vector(1)', eval_time: 0, exp_samples: [{value: 1}, {value: 1}]}]",
    "promql_expr_test: [{expr: 'vector(0.1) + vector(0.2)', eval_time: 0, exp_samples: [{value: 0.3}]}]",
    "promql_expr_test: [{expr: 'vector(0.1) + vector(0.2)', eval_time: 0, exp_samples: [{value: 0.30000000000000004}]}]",
    "input_series: [{series: 'm', values: '1 2 3 4'}]\n  promql_expr_test: [{expr: 'sum_over_time(m[2m30s:1m])', eval_time: 3m, exp_samples: [{value: 9}]}]",
    "input_series: [{series: 'm', values: '1 2 3 4'}]\n  promql_expr_test: [{expr: 'm @ 60', eval_time: 3m, exp_samples: [{labels: m, value: 2}]}]",
    "input_series: [{series: 'm', values: '1 2 3 4'}]\n  promql_expr_test: [{expr: 'm', eval_time: 150s, exp_samples: [{labels: m, value: 3}]}]",
    "input_series: [{series: 'm', values: '1 _ _ _ _ _ _ 2'}]\n  promql_expr_test: [{expr: 'm', eval_time: 6m}, {expr: 'count(m)', eval_time: 7m, exp_samples: [{labels: '{}', value: 1}]}]",
    "external_labels: {cluster: c}\n  input_series: [{series: 'm{a=\"b\"}', values: '3x3'}]\n  promql_expr_test: [{expr: 'ALERTS', eval_time: 0, exp_samples: [{labels: 'ALERTS{a=\"b\",alertname=\"A\",alertstate=\"pending\",kept=\"1\",severity=\"1\",who=\"b\"}', value: 1}]}]",
    "input_series: [{series: 'doubled{kept=\"1\"}', values: '5x3'}]\n  promql_expr_test: [{expr: 'doubled', eval_time: 1m, exp_samples: [{labels: 'doubled{kept=\"1\"}', value: 5}]}]",
];

#[test]
fn tests_of_every_kind_have_promtools_verdict() {
    if find_tool("promtool").is_none() {
        return skip("promtool is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("r.yml"), RULES).expect("written");
    let mut wrong = Vec::new();
    let mut verdicts = [0, 0];
    for (index, test) in TESTS.iter().enumerate() {
        let text =
            format!("rule_files: [r.yml]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  {test}\n");
        let file: PathBuf = folder.path().join(format!("{index}.test.yml"));
        std::fs::write(&file, &text).expect("written");
        let ((theirs, said), (ours, output)) = (promtool("test", &file), passes("test", &file));
        verdicts[usize::from(theirs)] += 1;
        if theirs != ours {
            wrong.push(format!("{text}promtool passes: {theirs}\n{said}\nours passes: {ours}\n{output}"));
        }
    }
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(verdicts.iter().all(|count| *count > 5), "both verdicts are asked for: {verdicts:?}");
}
