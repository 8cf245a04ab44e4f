use crate::{
    querier::{ExpressionError, Querier, QueryFailure, Reading, SampleSink, Source},
    rules::{AlertState, Environment, Grace, Group, LoadedRules, parse_rules},
};
use model::{Labels, MetricBatch, Value, VectorSample};
use std::sync::{Arc, Mutex};

/// Disks by host: how full they are; `None` when nothing is measured. What of them was sent before the
/// start is known by their hosts.
#[derive(Default)]
struct World(Mutex<Vec<(&'static str, Option<f64>)>>, Mutex<Vec<&'static str>>);

impl World {
    fn labels(host: &str) -> Labels {
        Labels::from_pairs([("__name__", "disk"), ("instance", host)])
    }

    fn set(&self, disks: &[(&'static str, Option<f64>)]) {
        *self.0.lock().unwrap() = disks.to_vec();
    }
}

impl Querier for World {
    fn instant(&self, _: Source, _: &str, at_ms: i64) -> Result<Reading, QueryFailure> {
        let disks = self.0.lock().unwrap();
        let full = disks.iter().filter_map(|(host, value)| Some((host, value.filter(|value| *value > 0.9)?)));
        let sample = |(host, value): (&&'static str, f64)| VectorSample {
            labels: World::labels(host),
            timestamp_ms: at_ms,
            value: Value::Float(value),
        };
        Ok(Reading::Vector(full.map(sample).collect()))
    }

    fn presence(&self, _: Source, _: &str, _: i64) -> Result<Option<Vec<Labels>>, QueryFailure> {
        if self.is_blind() {
            return Ok(None);
        }
        let disks = self.0.lock().unwrap();
        Ok(Some(
            disks.iter().filter(|(_, value)| value.is_some()).map(|(host, _)| World::labels(host)).collect(),
        ))
    }

    fn labels_since(
        &self,
        _: Source,
        expr: &str,
        at_ms: i64,
        _: i64,
    ) -> Result<Option<Vec<Labels>>, QueryFailure> {
        let Reading::Vector(elements) = self.instant(Source::Metrics, expr, at_ms)? else { return Ok(None) };
        let old = self.1.lock().unwrap();
        let is_new = |labels: &Labels| !old.contains(&labels.value("instance"));
        Ok(Some(elements.into_iter().map(|element| element.labels).filter(is_new).collect()))
    }

    fn check(&self, _: Source, _: &str) -> Result<(), ExpressionError> {
        Ok(())
    }
}

impl SampleSink for World {
    fn append(&self, _: &MetricBatch) -> Result<(), QueryFailure> {
        Ok(())
    }
}

impl World {
    /// One that cannot tell what is measured.
    fn is_blind(&self) -> bool {
        self.0.lock().unwrap().iter().any(|(host, _)| *host == "blind")
    }
}

struct Stage {
    world: Arc<World>,
    group: Group,
    now_ms: i64,
}

impl Stage {
    fn new(no_data: &str) -> Self {
        let world = Arc::new(World::default());
        let text = format!(
            "groups:\n- name: g\n  rules:\n  - {{alert: Full, expr: disk > 0.9, labels: {{team: ops}}, annotations: {{summary: full}}{no_data}}}\n"
        );
        let (mut loaded, mut problems) = (LoadedRules::default(), Vec::new());
        parse_rules("f", &text, world.as_ref(), &mut loaded, &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
        Stage { world, group: Group::new(Arc::new(loaded.groups.remove(0))), now_ms: 0 }
    }

    /// Evaluates a minute later; the alerts that are not over.
    fn step(&mut self, disks: &[(&'static str, Option<f64>)]) -> Vec<String> {
        self.world.set(disks);
        self.now_ms += 60_000;
        let environment = Environment {
            querier: self.world.clone(),
            sink: self.world.clone(),
            external_url: String::new(),
            external_labels: Labels::empty(),
        };
        self.group.evaluate(&environment, self.now_ms);
        let active = self.group.rules[0].active.iter().filter(|alert| alert.state != AlertState::Inactive);
        active
            .map(|alert| format!("{}{}", alert.labels.value("instance"), alert.labels.value("no_data")))
            .collect()
    }
}

#[test]
fn without_a_word_missing_data_resolves_as_in_prometheus() {
    let mut stage = Stage::new("");
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    assert_eq!(stage.step(&[("a", None)]), [""; 0]);
}

#[test]
fn missing_data_keeps_the_state_and_recovery_resolves() {
    let mut stage = Stage::new(", no_data: keep_state");
    assert_eq!(stage.step(&[("a", Some(0.95)), ("b", Some(0.95))]), ["a", "b"]);
    assert_eq!(stage.step(&[("a", None), ("b", Some(0.5))]), ["a"], "b has recovered, a is not known");
    assert_eq!(stage.step(&[("a", None), ("b", None)]), ["a"]);
    assert_eq!(stage.step(&[("a", Some(0.5)), ("b", None)]), [""; 0]);
}

#[test]
fn nothing_measured_is_an_alert_of_its_own() {
    let mut stage = Stage::new(", no_data: alert");
    assert_eq!(stage.step(&[("a", Some(0.5))]), [""; 0]);
    assert_eq!(stage.step(&[("a", None)]), ["true"]);
    let alert = stage.group.rules[0].active.iter().next().unwrap();
    assert_eq!(alert.labels.to_string(), r#"{alertname="Full", no_data="true", team="ops"}"#);
    assert!(alert.annotations.value("summary").contains("No data for Full"));
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    assert_eq!(stage.step(&[("a", None)]), ["a", "true"], "it stays, and that nothing is measured is told");
}

impl Stage {
    /// Goes on from what was stored; until a quarter of an hour of the clock it is lately.
    fn restart(&mut self) {
        let record = self.group.record();
        self.group = Group::new(self.group.definition.clone());
        self.group.restore(record, Grace { since_ms: self.now_ms, until_ms: 15 * 60_000 });
    }
}

#[test]
fn what_is_missing_right_after_a_restart_is_not_over() {
    for unknown in [&[("a", None)][..], &[], &[("blind", None)]] {
        let mut stage = Stage::new("");
        assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
        stage.restart();
        for minute in 2..15 {
            assert_eq!(stage.step(unknown), ["a"], "minute {minute}");
        }
        assert_eq!(stage.step(unknown), [""; 0], "missing for good is over, as in Prometheus");
    }
}

#[test]
fn a_recovery_that_is_measured_is_told_at_once_after_a_restart() {
    let mut stage = Stage::new("");
    assert_eq!(stage.step(&[("a", Some(0.95)), ("b", Some(0.95))]), ["a", "b"]);
    stage.restart();
    assert_eq!(stage.step(&[("a", Some(0.5)), ("b", None)]), ["b"], "a has recovered, b is not known");
}

#[test]
fn data_that_came_after_a_restart_and_went_is_missing_as_ever() {
    for gone in [&[("a", None)][..], &[], &[("blind", None)]] {
        let mut stage = Stage::new("");
        assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
        stage.restart();
        assert_eq!(stage.step(&[("a", None)]), ["a"], "it has not come");
        assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
        assert_eq!(stage.step(gone), [""; 0]);
    }
    let mut stage = Stage::new(", no_data: keep_state");
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    stage.restart();
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    assert_eq!(stage.step(&[("a", None)]), ["a"], "as the rule says");
}

#[test]
fn an_alert_that_is_new_since_a_restart_has_no_grace() {
    let mut stage = Stage::new("");
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    stage.restart();
    assert_eq!(stage.step(&[("b", Some(0.95))]), ["a", "b"]);
    assert_eq!(stage.step(&[]), ["a"], "b has come and gone, a has not come yet");
}

#[test]
fn what_was_sent_before_a_restart_does_not_count_as_come() {
    let mut stage = Stage::new("");
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    stage.restart();
    *stage.world.1.lock().unwrap() = vec!["a"];
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    assert_eq!(stage.step(&[("a", None)]), ["a"], "what was sent since is still to come");
    stage.world.1.lock().unwrap().clear();
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    assert_eq!(stage.step(&[("a", None)]), [""; 0]);
}

#[test]
fn an_alert_that_a_comparison_has_ended_is_not_awaited_any_more() {
    let mut stage = Stage::new(", keep_firing_for: 5m");
    assert_eq!(stage.step(&[("a", Some(0.95))]), ["a"]);
    stage.restart();
    assert_eq!(stage.step(&[("a", Some(0.5))]), ["a"]);
    for _ in 0..4 {
        assert_eq!(stage.step(&[]), ["a"]);
    }
    assert_eq!(stage.step(&[]), [""; 0], "it was kept for its five minutes");
}
