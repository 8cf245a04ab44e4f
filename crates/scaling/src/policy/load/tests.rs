use super::*;
use crate::readings::Reading;

struct Checker;

impl Readings for Checker {
    fn read(&self, _: &str, _: i64) -> Result<Vec<Reading>, String> {
        Ok(Vec::new())
    }

    fn check(&self, expr: &str) -> Result<(), (usize, usize, String)> {
        if expr.contains("bad") { Err((1, 3, "unexpected end".to_owned())) } else { Ok(()) }
    }

    fn firing_alerts(&self) -> Vec<String> {
        Vec::new()
    }
}

fn load(text: &str) -> Result<LoadedPolicies, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.yaml"), text).unwrap();
    std::fs::write(folder.path().join("key"), "s3cret\n").unwrap();
    let prefix = format!("{}/", folder.path().display());
    load_policies(&[folder.path().to_owned()], &Checker)
        .map_err(|problems| problems.to_string().replace(&prefix, ""))
}

const FULL: &str = r#"
version: 1
receivers:
- {name: web-asg, url: 'https://hooks.example.org/scale', secret_file: key}
policies:
- name: web-frontend
  uid: web
  mode: enforce
  target: {receiver: web-asg, kind: generic, id: "asg/web", current: 'max(size)'}
  min: 2
  max: 20
  interval: 15s
  checks:
  - name: rps
    query: 'sum(rate(http_requests_total[2m]))'
    type: target
    per: total
    target: 150
    tolerance: 0.1
    max_age: 90s
    on_no_data: hold
  - name: queue
    query: 'sum(queue_depth)'
    type: step
    steps: [{from: 100, to: 1000, add: 2}, {from: 1000, add: 50%}]
  scale_out: {stabilization: 0s, cooldown: 0s, limits: [{percent: 100, period: 60s}, {count: 4, period: 60s}], select: max}
  scale_in: {stabilization: 300s, cooldown: 60s, limits: [{count: 2, period: 60s}], select: min}
  schedules:
  - {name: office, cron: "0 7 * * 1-5", duration: 12h, tz: Europe/Paris, min: 6}
  fallback: {after: 5m, replicas: 8, never_scale_in: true}
  guards: [{alert: DeployInProgress, effect: paused_in}]
  annotations: {owner: web-team}
"#;

#[test]
fn every_field_is_read() {
    let loaded = load(FULL).unwrap();
    let policy = &loaded.policies[0];
    assert_eq!((policy.uid.as_str(), policy.min, policy.max, policy.interval_ms), ("web", 2, 20, 15_000));
    let CheckKind::Step(steps) = &policy.checks[1].kind else { panic!("a step check") };
    assert_eq!((steps[0].add, steps[1].add), (Amount::Count(2), Amount::Percent(50.0)));
    assert_eq!(policy.scale_in.limits, [Limit { amount: Amount::Count(2), period_ms: 60_000 }]);
    let receiver = &loaded.receivers["web-asg"];
    assert_eq!(receiver.secret.as_ref().unwrap().expose(), "s3cret");
    assert_eq!(receiver.link_local, LinkLocal::Refused, "its name may not lead to cloud metadata");
    // A Monday, half past seven in Paris.
    let monday = "2026-11-23T06:30:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    assert_eq!(policy.bounds(monday), (6, 20));
    assert_eq!(policy.bounds(monday - 3_600_000), (2, 20));
}

#[test]
fn mistakes_of_form_are_all_told() {
    let wrong = FULL.replace("mode: enforce", "modus: enforce").replace("interval: 15s", "intervall: 15s");
    let told = load(&wrong).unwrap_err();
    let lines: Vec<_> = told.lines().map(|line| line.split(':').nth(1).unwrap()).collect();
    assert_eq!(lines, ["8", "12"], "{told}");
}

#[test]
fn problems_say_where_and_what() {
    for (from, to, expected) in [
        ("mode: enforce", "mode: on", "p.yaml:8:9: mode is `on`"),
        ("max: 20", "max: 1", "p.yaml:11:8: `max` must be"),
        ("interval: 15s", "interval: 15", "p.yaml:12:13: not a valid duration"),
        ("'sum(queue_depth)'", "'bad('", "p.yaml:23:12: could not parse expression: 1:3: unexpected end"),
        ("on_no_data: hold", "on_no_data: zero", "no data is not zero"),
        ("target: 150", "target: 0", "needs a `target` above 0"),
        ("add: 50%", "add: half", "`half` is not a number of replicas or a percentage"),
        ("to: 1000", "to: 10", "a step's `to` must be above its `from`"),
        ("count: 2, period", "count: 0, period", "a limit needs one of `count` and `percent`"),
        ("0 7 * * 1-5", "0 7 * *", "does not have five fields"),
        ("Europe/Paris", "Europe/Nowhere", "time zone `Europe/Nowhere` is not known"),
        ("never_scale_in: true", "never_scale_in: false", "never shrinks"),
        ("effect: paused_in", "effect: enforce", "a guard can only pause"),
        ("receiver: web-asg", "receiver: other", "receiver `other` is not defined"),
        ("https://hooks.example.org/scale", "http://169.254.169.254/", "link-local"),
        ("uid: web", "uid: 'a b'", "a uid of letters"),
        ("version: 1", "version: 2", "p.yaml:2:10: version is 2"),
        ("tolerance: 0.1", "tolerence: 0.1", "did you mean `tolerance`?"),
    ] {
        let error = load(&FULL.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_link_local_receiver_is_allowed_by_name_only() {
    let url = "https://hooks.example.org/scale";
    let text =
        FULL.replace(&format!("url: '{url}'"), "url: 'http://169.254.7.7/scale', allow_link_local: true");
    assert_eq!(load(&text).unwrap().receivers["web-asg"].link_local, LinkLocal::Allowed);
}

#[test]
fn policies_may_come_with_the_program() {
    let built_in = [("shipped/p.yaml".to_owned(), FULL.replace("secret_file: key", "secret: k"))];
    assert_eq!(load_all(&[], &built_in, &Checker).unwrap().policies[0].file, "shipped/p.yaml");
    assert!(load_policies(&[PathBuf::from("/nonexistent/p.yaml")], &Checker).is_err());
}

#[test]
fn a_dry_run_needs_no_receiver() {
    let text = FULL.replace("mode: enforce", "mode: dry_run").replace("receiver: web-asg", "receiver: none");
    assert_eq!(load(&text).unwrap().policies[0].mode, Mode::DryRun);
}
