use super::*;

/// Writes files and runs the test file `t.test.yml` among them.
fn run_files(files: &[(&str, &str)]) -> (tempfile::TempDir, Report) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().join("t.test.yml");
    let report = run(&path, &std::fs::read_to_string(&path).unwrap(), &Options::default());
    (folder, report)
}

fn messages(report: &Report) -> String {
    report.failures.iter().map(|it| format!("{}:{}: {}\n", it.line, it.column, it.message)).collect()
}

const RULES: &str = "
groups:
- name: g
  rules:
  - alert: Slow
    expr: latency > 1
    for: 2m
    labels: {severity: page}
    annotations: {summary: 'at {{ $value }}', empty: ''}
";

const LOG_RULES: &str = "
groups:
- name: logs
  source: logs
  rules:
  - alert: Errors
    expr: sum by (service_name) (count_over_time({job=\"shop\"} | detected_level=\"error\" [1m])) > 2
";

const ROUTES: &str = "
route:
  receiver: mail
  group_wait: 30s
  group_interval: 5m
  routes: [{matchers: [severity=\"page\"], receiver: pager}]
receivers:
- {name: mail, webhook_configs: [{url: 'http://mail.test/'}]}
- {name: pager, webhook_configs: [{url: 'http://pager.test/'}]}
";

#[test]
fn pending_and_firing_alerts_are_told_apart() {
    let test = "
rule_files: [r.yml]
tests:
- name: slow
  input_series: [{series: 'latency{a=\"b\"}', values: '2x10'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Slow, exp_pending: [{exp_labels: {a: b, severity: page}, exp_annotations: {summary: at 2, empty: }}]}
  - {eval_time: 2m, alertname: Slow, exp_pending: [], exp_alerts: [{exp_labels: {a: b, severity: page}, exp_annotations: {summary: at 2, empty: ''}}]}
  - {eval_time: 2m, alertname: Slow, exp_pending: [{}], exp_alerts: [{exp_labels: {a: b, severity: page}, exp_annotations: {summary: at 2}}]}
";
    let (_folder, report) = run_files(&[("r.yml", RULES), ("t.test.yml", test)]);
    assert_eq!((report.tests, report.cases, report.failures.len()), (1, 3, 2), "{}", messages(&report));
    assert!(messages(&report).starts_with("9:5: test `slow`: alert `Slow` at 2m: other alerts are firing"));
}

#[test]
fn lines_of_logs_make_alerts() {
    let test = "
rule_files: [r.yml]
tests:
- interval: 1m
  input_logs:
  - stream: '{job=\"shop\"}'
    lines:
    - {at: 90s, line: 'level=error msg=failed', times: 4, every: 5s}
    - {at: 90s, line: 'level=info msg=fine', times: 9, every: 1s}
  alert_rule_test:
  - {eval_time: 1m, alertname: Errors}
  - {eval_time: 2m, alertname: Errors, exp_alerts: [{exp_labels: {service_name: shop}}]}
  - {eval_time: 3m, alertname: Errors}
  logql_expr_test:
  - {expr: 'count_over_time({job=\"shop\"} |= \"fine\" [1m])', eval_time: 2m, exp_samples: [{labels: '{job=\"shop\", service_name=\"shop\", detected_level=\"info\"}', value: 9}]}
";
    let (_folder, report) = run_files(&[("r.yml", LOG_RULES), ("t.test.yml", test)]);
    assert_eq!((report.cases, messages(&report).as_str()), (4, ""));
}

#[test]
fn notifications_go_to_their_receivers_at_their_times() {
    let test = "
rule_files: [r.yml]
alertmanager_config: routes.yml
tests:
- interval: 1m
  input_series: [{series: latency, values: '2x5 0x20'}]
  notification_test:
  - {eval_time: 2m, exp_notifications: []}
  - eval_time: 3m
    exp_notifications:
    - {at: 2m30s, receiver: pager, integration: webhook, status: firing, reason: first notification, alerts: [{labels: {alertname: Slow, severity: page}}]}
  - eval_time: 10m
    exp_notifications:
    - {at: 7m30s, receiver: pager, status: resolved, group_labels: {}, group_key: '{}/{severity=\"page\"}:{}'}
  - {eval_time: 20m, exp_notifications: [{receiver: mail}]}
";
    let (_folder, report) = run_files(&[("r.yml", RULES), ("routes.yml", ROUTES), ("t.test.yml", test)]);
    assert_eq!(report.failures.len(), 1, "{}", messages(&report));
    assert!(
        messages(&report).contains("sent up to 20m\n    expected:\n      {receiver: mail}\n    got: none"),
        "{}",
        messages(&report)
    );
    let without = test.replace("alertmanager_config: routes.yml", "");
    let (_folder, report) = run_files(&[("r.yml", RULES), ("t.test.yml", &without)]);
    assert!(messages(&report).contains("needs `alertmanager_config`"), "{}", messages(&report));
}

const POLICY: &str = "
version: 1
receivers: [{name: fleet, url: 'http://127.0.0.1:1/'}]
policies:
- name: web
  uid: web-1
  mode: enforce
  target: {receiver: fleet, kind: generic, id: web, current: 'count(up == 1)'}
  min: 1
  max: 10
  interval: 30s
  checks:
  - {name: load, query: 'sum(load)', type: target, per: total, target: 2, max_age: 90s, on_no_data: hold}
  scale_out: {stabilization: 0s, cooldown: 60s, limits: [{count: 4, period: 60s}], select: max}
  scale_in: {stabilization: 300s, cooldown: 60s, limits: [{count: 1, period: 60s}], select: min}
  guards: [{alert: Slow, effect: paused}]
";

#[test]
fn policies_decide_and_are_paused_by_alerts() {
    let test = "
rule_files: [r.yml]
policy_files: [p.yaml]
tests:
- interval: 30s
  input_series:
  - {series: 'up{i=\"1\"}', values: '1x40'}
  - {series: 'load', values: '2x9 12x15 20x40'}
  - {series: 'latency', values: '0x20 2x20'}
  scaling_test:
  - {eval_time: 1m, policy: web, exp_decision: {action: none, current: 1, desired: 1}}
  - {eval_time: 5m, policy: web-1, exp_decision: {action: out, desired: 5, recommended: 6, reason: metric, limited_by: rate_limited}}
  - {eval_time: 13m, policy: web, exp_decision: {action: none, desired: 6, recommended: 10, limited_by: paused}}
  - {eval_time: 13m, policy: web, exp_decision: {desired: 7}}
";
    let (_folder, report) = run_files(&[("r.yml", RULES), ("p.yaml", POLICY), ("t.test.yml", test)]);
    assert_eq!(report.failures.len(), 1, "{}", messages(&report));
    assert!(
        messages(&report).contains("14:5: policy `web` at 13m decides otherwise"),
        "{}",
        messages(&report)
    );
    let (_folder, report) = run_files(&[
        ("r.yml", RULES),
        ("p.yaml", POLICY),
        ("t.test.yml", &test.replace("policy: web,", "policy: other,")),
    ]);
    assert!(messages(&report).contains("no policy `other`"), "{}", messages(&report));
}

#[test]
fn what_is_updated_passes_and_keeps_its_comments() {
    let test = "
# about the file
rule_files: [r.yml]
alertmanager_config: routes.yml
tests:
- interval: 1m  # a minute
  input_series: [{series: 'latency{a=\"it''s\"}', values: '2x5'}]
  alert_rule_test:
  # first
  - eval_time: 2m
    alertname: Slow
    exp_alerts:
    - exp_labels: {wrong: label}
    # second
  - {eval_time: 1m, alertname: Slow, exp_pending: []}  # third
  promql_expr_test:
  - expr: latency * -0.5
    eval_time: 1m
  notification_test:
  - eval_time: 3m
";
    let (folder, report) = run_files(&[("r.yml", RULES), ("routes.yml", ROUTES), ("t.test.yml", test)]);
    assert_eq!(report.failures.len(), 4, "{}", messages(&report));
    let (text, count) = updated(test, &report.failures);
    assert_eq!(count, 4);
    for comment in ["# about the file", "# a minute", "# first", "# second", "# third"] {
        assert!(text.contains(comment), "{comment}\n{text}");
    }
    let again = run(&folder.path().join("t.test.yml"), &text, &Options::default());
    assert_eq!(messages(&again), "", "{text}");
}

#[test]
fn hostile_tests_end_with_a_message() {
    for (test, expected) in [
        (
            "rule_files: [r.yml]\ntests: [{input_series: [{series: a, values: 1x99999999999}]}]\n",
            "too many repetitions",
        ),
        ("tests: [{promql_expr_test: [{expr: a, eval_time: 100y}]}]\n", "evaluations are more than"),
        ("tests: [{input_series: [{series: '{}', values: 1}]}]\n", "needs labels"),
        (
            "tests: [{input_logs: [{stream: '{a=\"b\"}', lines: [{line: x, times: 4294967295}]}]}]\n",
            "more than 5000000 lines",
        ),
        ("rule_files: [missing.yml]\ntests: [{alert_rule_test: [{eval_time: 1m}]}]\n", "needs `alertname`"),
        ("tests: 5\n", "1:8"),
        ("nonsense: 5\n", "unknown field"),
    ] {
        let (_folder, report) = run_files(&[("r.yml", RULES), ("t.test.yml", test)]);
        assert!(messages(&report).contains(expected), "{test}: {}", messages(&report));
    }
}
