use super::*;
use crate::{
    querier::{ExpressionError, Source},
    rules::{LoadedRules, parse_rules},
};
use model::{MetricBatch, Value};
use std::sync::Mutex;

/// Answers by expression; an expression that is not there fails. Takes what is recorded, and
/// answers `recorded` with it.
#[derive(Default)]
struct World {
    answers: Mutex<BTreeMap<String, Vec<VectorSample>>>,
    written: Mutex<Vec<String>>,
    sink_is_broken: Mutex<bool>,
}

impl World {
    fn say(&self, expr: &str, elements: &[(&[(&str, &str)], f64)]) {
        let sample = |(labels, value): &(&[(&str, &str)], f64)| VectorSample {
            labels: Labels::from_pairs(labels.iter().copied()),
            timestamp_ms: 0,
            value: Value::Float(*value),
        };
        self.answers.lock().unwrap().insert(expr.to_owned(), elements.iter().map(sample).collect());
    }

    fn fail(&self, expr: &str) {
        self.answers.lock().unwrap().remove(expr);
    }

    fn take_written(&self) -> Vec<String> {
        std::mem::take(&mut self.written.lock().unwrap())
    }
}

impl Querier for World {
    fn instant(&self, _: Source, expr: &str, _: i64) -> Result<Reading, QueryFailure> {
        if expr == "one" {
            return Ok(Reading::Scalar(1.0));
        }
        assert!(expr != "broken", "nobody thought of that");
        let answer = self.answers.lock().unwrap().get(expr).cloned();
        answer.map(Reading::Vector).ok_or_else(|| QueryFailure("query timed out".to_owned()))
    }

    fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
        Ok(())
    }
}

impl SampleSink for World {
    fn append(&self, batch: &MetricBatch) -> Result<(), QueryFailure> {
        assert!(!*self.sink_is_broken.lock().unwrap(), "nobody thought of that either");
        let line = |series: model::SeriesView<'_>| {
            let sample = series.samples()[0];
            let value =
                if model::is_stale(sample.value) { "stale".to_owned() } else { sample.value.to_string() };
            format!("{} {value} @{}", series.labels(), sample.timestamp_ms / 1000)
        };
        self.written.lock().unwrap().extend(batch.series().map(line));
        Ok(())
    }
}

fn environment(world: &Arc<World>) -> Environment {
    Environment {
        querier: world.clone(),
        sink: world.clone(),
        external_url: "http://bw".to_owned(),
        external_labels: Labels::from_pairs([("dc", "x")]),
    }
}

fn group(world: &World, rules: &str) -> Group {
    let (mut loaded, mut problems) = (LoadedRules::default(), Vec::new());
    let text = format!("groups:\n- name: g\n{rules}");
    parse_rules("f", &text, world, &mut loaded, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    Group::new(Arc::new(loaded.groups.remove(0)))
}

const MINUTE: i64 = 60_000;

#[test]
fn recorded_series_are_written_and_end() {
    let world = Arc::new(World::default());
    let mut group = group(
        &world,
        "  query_offset: 1m\n  rules:\n  - {record: a, expr: x, labels: {k: v, job: ''}}\n  - {record: b, expr: one}\n",
    );
    world.say("x", &[(&[("__name__", "x"), ("job", "j"), ("i", "1")], 5.0)]);
    group.evaluate(&environment(&world), 10 * MINUTE);
    assert_eq!(world.take_written(), [r#"{__name__="a", i="1", k="v"} 5 @540"#, r#"{__name__="b"} 1 @540"#]);
    world.say("x", &[]);
    group.evaluate(&environment(&world), 11 * MINUTE);
    assert_eq!(
        world.take_written(),
        [r#"{__name__="a", i="1", k="v"} stale @600"#, r#"{__name__="b"} 1 @600"#]
    );
}

#[test]
fn an_alert_fires_with_its_texts_and_resolves() {
    let world = Arc::new(World::default());
    let rule = r#"  rules:
  - alert: Down
    expr: x
    for: 1m
    labels: {severity: page, where: "{{ $labels.i }}@{{ $externalLabels.dc }}"}
    annotations: {summary: "{{ $labels.i }} is {{ $value }}", broken: "{{ template \"none\" }}", link: "{{ externalURL }}"}
"#;
    let mut group = group(&world, rule);
    world.say("x", &[(&[("__name__", "x"), ("i", "1")], 5.0)]);
    let first = group.evaluate(&environment(&world), 0);
    assert!(first.alerts.is_empty() && first.changed, "pending is not told");
    assert_eq!(world.take_written().len(), 2);
    let second = group.evaluate(&environment(&world), MINUTE);
    let [alert] = second.alerts.as_slice() else { panic!("one alert: {:?}", second.alerts) };
    assert_eq!(alert.labels.to_string(), r#"{alertname="Down", i="1", severity="page", where="1@x"}"#);
    assert_eq!(alert.annotations.value("summary"), "1 is 5");
    assert_eq!(alert.annotations.value("link"), "http://bw");
    assert!(
        alert.annotations.value("broken").starts_with("<error expanding template:"),
        "{:?}",
        alert.annotations
    );
    assert_eq!((alert.starts_at_ms, alert.ends_at_ms, alert.held), (MINUTE, 5 * MINUTE, true));
    assert_eq!(alert.generator_url, "http://bw/graph?g0.expr=x&g0.tab=1");
    let third = group.evaluate(&environment(&world), 2 * MINUTE);
    assert!(third.alerts.is_empty() && !third.changed, "nothing new within the resend delay");
    world.say("x", &[]);
    let fourth = group.evaluate(&environment(&world), 3 * MINUTE);
    assert_eq!((fourth.alerts.len(), fourth.alerts[0].ends_at_ms, fourth.changed), (1, 3 * MINUTE, true));
    assert!(fourth.alerts[0].is_resolved(3 * MINUTE));
}

#[test]
fn a_failing_query_changes_nothing() {
    let world = Arc::new(World::default());
    let mut group = group(&world, "  rules:\n  - {alert: Down, expr: x}\n");
    world.say("x", &[(&[("i", "1")], 5.0)]);
    group.evaluate(&environment(&world), 0);
    world.take_written();
    world.fail("x");
    for minute in 1..20 {
        let outcome = group.evaluate(&environment(&world), minute * MINUTE);
        assert_eq!((outcome.failures, outcome.alerts.len(), outcome.changed), (1, 0, false));
    }
    let rule = &group.rules[0];
    assert_eq!((rule.health, rule.last_error.as_deref()), (Health::Err, Some("query timed out")));
    assert_eq!(rule.active.iter().next().unwrap().state, AlertState::Firing);
    assert!(world.take_written().is_empty());
    world.say("x", &[]);
    assert_eq!(group.evaluate(&environment(&world), 20 * MINUTE).alerts.len(), 1);
    assert_eq!(group.rules[0].health, Health::Ok);
}

#[test]
fn a_panic_is_a_failure_of_its_rule_and_harms_no_alert() {
    let world = Arc::new(World::default());
    let rules = "  rules:\n  - {record: b, expr: broken}\n  - {alert: Down, expr: x}\n";
    let mut group = group(&world, rules);
    world.say("x", &[(&[("i", "1")], 5.0)]);
    let first = group.evaluate(&environment(&world), 0);
    assert_eq!((first.failures, first.alerts.len()), (1, 1), "the rule behind it is evaluated");
    let [broken, good] = group.rules.as_slice() else { panic!("two rules") };
    assert_eq!((broken.health, good.health), (Health::Err, Health::Ok));
    assert_eq!(broken.last_error.as_deref(), Some("the evaluation panicked: nobody thought of that"));
    // Once the alerts have been stepped already, and handed on in part.
    world.say("x", &[]);
    *world.sink_is_broken.lock().unwrap() = true;
    let second = group.evaluate(&environment(&world), MINUTE);
    assert_eq!((second.failures, second.alerts.len(), second.changed), (2, 0, false));
    assert_eq!(second.events.len(), 1, "that the second rule fails, not what became of its alerts");
    assert_eq!(group.rules[1].active.iter().next().unwrap().state, AlertState::Firing);
    assert_eq!(group.held().count(), 1);
    *world.sink_is_broken.lock().unwrap() = false;
    world.take_written();
    let third = group.evaluate(&environment(&world), 2 * MINUTE);
    assert!(third.alerts[0].is_resolved(2 * MINUTE) && group.rules[1].health == Health::Ok);
    assert_eq!(world.take_written().len(), 2, "its series end");
}

#[test]
fn limits_and_equal_label_sets_are_errors_that_resolve_nothing() {
    let world = Arc::new(World::default());
    let mut group =
        group(&world, "  limit: 1\n  rules:\n  - {alert: A, expr: x}\n  - {record: r, expr: x}\n");
    world.say("x", &[(&[("i", "1")], 5.0)]);
    group.evaluate(&environment(&world), 0);
    world.say("x", &[(&[("i", "1")], 5.0), (&[("i", "2")], 5.0)]);
    let outcome = group.evaluate(&environment(&world), MINUTE);
    assert_eq!((outcome.failures, outcome.alerts.len()), (2, 0));
    assert_eq!(group.rules[0].last_error.as_deref(), Some("exceeded limit of 1 with 2 alerts"));
    assert_eq!(group.rules[1].last_error.as_deref(), Some("exceeded limit of 1 with 2 series"));
    assert_eq!(group.rules[0].active.iter().count(), 1);
    world.say("x", &[(&[("__name__", "a"), ("i", "1")], 5.0), (&[("__name__", "b"), ("i", "1")], 5.0)]);
    group.evaluate(&environment(&world), 2 * MINUTE);
    let expected = "vector contains metrics with the same labelset after applying alert labels";
    assert_eq!(group.rules[0].last_error.as_deref(), Some(expected));
}

#[test]
fn a_changed_group_hands_its_alerts_on_and_a_removed_one_resolves_them() {
    let world = Arc::new(World::default());
    let mut before = group(&world, "  rules:\n  - {alert: A, expr: x}\n  - {alert: B, expr: x}\n");
    world.say("x", &[(&[("i", "1")], 5.0)]);
    before.evaluate(&environment(&world), 0);
    world.take_written();
    let mut after = group(&world, "  interval: 30s\n  rules:\n  - {alert: A, expr: y}\n");
    after.inherit(&mut before);
    assert_eq!(after.held().count(), 1);
    let resolved = before.retire(&environment(&world), MINUTE);
    assert_eq!(resolved.iter().map(Alert::name).collect::<Vec<_>>(), ["B"]);
    assert!(resolved[0].is_resolved(MINUTE));
    assert_eq!(world.take_written().len(), 2, "both series of B end");
}

#[test]
fn a_record_brings_alerts_back() {
    let world = Arc::new(World::default());
    let rules = "  rules:\n  - {alert: A, expr: x}\n";
    let mut before = group(&world, rules);
    world.say("x", &[(&[("i", "1")], f64::NAN)]);
    before.evaluate(&environment(&world), 0);
    let json = serde_json::to_string(&before.record()).unwrap();
    let mut after = group(&world, rules);
    let grace = Grace { since_ms: 0, until_ms: 10 * MINUTE };
    after.restore(serde_json::from_str(&json).unwrap(), grace);
    assert_eq!(after.held().count(), 1);
    world.say("x", &[]);
    let outcome = after.evaluate(&environment(&world), MINUTE);
    assert!(
        outcome.alerts.iter().all(|alert| !alert.is_resolved(MINUTE)),
        "missing data after a start is no recovery"
    );
    assert_eq!(after.evaluate(&environment(&world), 10 * MINUTE).alerts.len(), 1);
}
