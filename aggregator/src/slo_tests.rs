//! Objectives against hand-made series: what burns the budget fast pages within minutes, what
//! burns it slowly makes a ticket, and silence is silence.

use crate::{
    config::{PromqlConfig, QueryConfig},
    evaluate::Evaluator,
};
use alerting::{
    Settings,
    rules::{AlertState, Environment, Group},
};
use model::{Labels, METRIC_NAME, MetricBatch};
use std::sync::Arc;
use store::{MemLogStore, MemMetricStore, MetricStore};

const START_MS: i64 = 1_700_000_000_000;
const MINUTE_MS: i64 = 60_000;

/// A service whose requests are made up, and the rules of its objective.
struct World {
    store: Arc<MemMetricStore>,
    groups: Vec<Group>,
    environment: Environment,
    step_ms: i64,
    now_ms: i64,
    good: f64,
    bad: f64,
}

impl World {
    /// `range` is that of the rates; a step takes a share of it.
    fn new(range: &str, step_minutes: i64, more: &str) -> Self {
        let store = Arc::new(MemMetricStore::new());
        let (query, promql) = (QueryConfig::default(), PromqlConfig::default());
        let evaluator =
            Arc::new(Evaluator::new(store.clone(), Arc::new(MemLogStore::new()), &query, &promql));
        let text = format!(
            "slos:\n- name: web\n  objective: 99.9\n  {more}\n  \
             bad: sum(rate(requests_total{{code=\"500\"}}[{range}]))\n  \
             total: sum(rate(requests_total[{range}]))\n"
        );
        let settings = Settings { built_in_rules: vec![("slo.yml".into(), text)], ..Settings::default() };
        let loaded = alerting::read_rules(&settings, evaluator.as_ref()).unwrap();
        let environment = Environment {
            querier: evaluator.clone(),
            sink: evaluator,
            external_url: String::new(),
            external_labels: Labels::empty(),
        };
        let groups = loaded.groups.into_iter().map(|group| Group::new(Arc::new(group))).collect();
        let step_ms = step_minutes * MINUTE_MS;
        World { store, groups, environment, step_ms, now_ms: START_MS, good: 0.0, bad: 0.0 }
    }

    /// Serves `rate` requests a minute for some minutes, of which a share fails. Returns after how
    /// many minutes an alert was first seen to fire, by its name.
    fn serve(&mut self, minutes: i64, rate: f64, failing: f64) -> Vec<(String, i64)> {
        let (began_ms, mut seen) = (self.now_ms, Vec::<(String, i64)>::new());
        while self.now_ms < began_ms + minutes * MINUTE_MS {
            self.now_ms += self.step_ms;
            let requests = rate * (self.step_ms / MINUTE_MS) as f64;
            self.good += requests * (1.0 - failing);
            self.bad += requests * failing;
            self.sample();
            for alert in self.evaluate() {
                if !seen.iter().any(|(known, _)| *known == alert) {
                    seen.push((alert, (self.now_ms - began_ms) / MINUTE_MS));
                }
            }
        }
        seen
    }

    fn sample(&self) {
        let mut batch = MetricBatch::default();
        // The series of failures does not exist before the first one.
        let series = [("200", self.good), ("500", self.bad)];
        for (code, count) in series.into_iter().filter(|(_, count)| *count > 0.0) {
            let labels = Labels::from_pairs([(METRIC_NAME, "requests_total"), ("code", code)]);
            batch.begin_with(labels.as_ref());
            batch.sample(self.now_ms, 0, count);
        }
        self.store.append(&batch, None, self.now_ms).unwrap();
    }

    /// Evaluates what is due and returns the alerts that fire.
    fn evaluate(&mut self) -> Vec<String> {
        let mut firing = Vec::new();
        for group in &mut self.groups {
            let interval_ms = group.definition.interval_ms.max(self.step_ms);
            if (self.now_ms - START_MS) % interval_ms == 0 {
                let outcome = group.evaluate(&self.environment, self.now_ms);
                let errors: Vec<_> = group.rules.iter().filter_map(|rule| rule.last_error.as_ref()).collect();
                assert_eq!(outcome.failures, 0, "{errors:?}");
            }
            for rule in &group.rules {
                if rule.active.iter().any(|alert| alert.state == AlertState::Firing) {
                    firing.push(rule.definition.name().to_owned());
                }
            }
        }
        firing
    }

    fn fires(&mut self) -> bool {
        !self.evaluate().is_empty()
    }
}

#[test]
fn a_fast_burn_pages_within_minutes_and_ends_soon_after() {
    let mut world = World::new("2m", 1, "labels: {team: web}");
    assert_eq!(world.serve(120, 600.0, 0.0), []);
    let seen = world.serve(20, 600.0, 0.2);
    let page = seen.iter().find(|(name, _)| name == "SloBurnsFast").expect("it pages");
    assert!(page.1 <= 6, "{seen:?}");
    // The window of half an hour has to pass, and the five minutes that an alert is kept.
    world.serve(40, 600.0, 0.0);
    let fast = |world: &mut World| world.evaluate().contains(&"SloBurnsFast".to_owned());
    assert!(!fast(&mut world), "the hour is still bad, and it is over");
}

#[test]
fn a_slow_burn_makes_a_ticket_and_no_page() {
    let mut world = World::new("10m", 5, "labels: {team: web}");
    assert_eq!(world.serve(24 * 60, 600.0, 0.0005), [], "half of what it may");
    let seen = world.serve(12 * 60, 600.0, 0.004);
    let [(name, after)] = seen.as_slice() else { panic!("one alert: {seen:?}") };
    assert_eq!(name, "SloBurnsSlowly");
    assert!((3 * 60..10 * 60).contains(after), "{seen:?}");
}

#[test]
fn without_traffic_there_is_silence() {
    let mut world = World::new("2m", 1, "labels: {team: web}");
    assert_eq!(world.serve(60, 0.0, 0.0), [], "no series at all");
    assert_eq!(world.serve(60, 600.0, 0.0), []);
    assert_eq!(world.serve(60, 0.0, 0.0), [], "a counter that stands still");
}

#[test]
fn a_few_failures_of_a_quiet_service_can_be_left_alone() {
    let quiet = |more: &str| {
        let mut world = World::new("2m", 1, more);
        world.serve(60, 1.0, 0.0);
        world.serve(3, 1.0, 1.0);
        world.fires()
    };
    assert!(quiet("labels: {team: web}"), "three failures of sixty are a large share");
    assert!(!quiet("errors_min: 10"));
}

#[test]
fn the_budget_that_is_left_is_recorded() {
    let mut world = World::new("2m", 1, "labels: {team: web}");
    world.serve(60, 600.0, 0.0);
    world.serve(60, 600.0, 0.001);
    let left = alerting::Querier::instant(
        world.environment.querier.as_ref(),
        alerting::Source::Metrics,
        "slo:budget_left:ratio",
        world.now_ms,
    );
    let alerting::Reading::Vector(left) = left.unwrap() else { panic!("a vector") };
    let value = left[0].value.as_float();
    assert!((0.4..0.6).contains(&value), "half of the time at the rate that uses it all: {value}");
    assert_eq!(left[0].labels.get("team"), Some("web"));
}
