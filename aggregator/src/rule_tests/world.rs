//! What a test runs in: the live evaluator, rules, routes and policies over stores in memory,
//! moved by the test's own clock.
//!
//! Bound: [`STEPS_MAX`] evaluations of a test.

use super::inputs::Inputs;
use crate::{
    config::{PromqlConfig, QueryConfig},
    evaluate::Evaluator,
    readings::PolicyReadings,
};
use alerting::{
    config::Config,
    dispatch::{Rehearsal, Told},
    rules::{Environment, Group, GroupDefinition},
};
use model::Labels;
use scaling::{Decision, Policy, Readings, State, decide, measure};
use std::sync::{Arc, Mutex, PoisonError};
use store::{MemLogStore, MemMetricStore};

/// Most evaluations of one test: three years of minutes.
const STEPS_MAX: i64 = 1_600_000;

/// What a world is made of.
pub(super) struct Plan<'a> {
    pub(super) groups: &'a [Arc<GroupDefinition>],
    pub(super) routes: Option<&'a Arc<Config>>,
    pub(super) policies: &'a [Policy],
    pub(super) external_url: String,
    pub(super) external_labels: Labels,
    pub(super) promql: PromqlConfig,
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
}

/// See the module.
pub(super) struct World {
    inputs: Inputs,
    pub(super) evaluator: Arc<Evaluator>,
    environment: Environment,
    pub(super) groups: Vec<Group>,
    stage: Option<Rehearsal>,
    policies: Vec<PolicyAtWork>,
    readings: Arc<TestReadings>,
}

struct PolicyAtWork {
    policy: Policy,
    state: State,
    due_ms: i64,
    decision: Option<Decision>,
}

/// Readings of policies, whose guards see the alerts of the test.
struct TestReadings {
    queries: PolicyReadings,
    firing: Mutex<Vec<String>>,
}

impl Readings for TestReadings {
    fn read(&self, expr: &str, at_ms: i64) -> Result<Vec<scaling::Reading>, String> {
        self.queries.read(expr, at_ms)
    }

    fn check(&self, expr: &str) -> Result<(), (usize, usize, String)> {
        self.queries.check(expr)
    }

    fn firing_alerts(&self) -> Vec<String> {
        self.firing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl World {
    /// A world at its start, before anything happened.
    pub(super) fn new(plan: Plan<'_>, inputs: Inputs) -> Self {
        let (metrics, logs) = (Arc::new(MemMetricStore::new()), Arc::new(MemLogStore::new()));
        let evaluator = Evaluator::new(metrics.clone(), logs.clone(), &QueryConfig::default(), &plan.promql)
            .with_subquery_step(plan.step_ms);
        let evaluator = Arc::new(evaluator);
        let readings =
            TestReadings { queries: PolicyReadings::new(evaluator.clone(), None), firing: Mutex::default() };
        let at_work = |policy: &Policy| PolicyAtWork {
            policy: policy.clone(),
            state: State::default(),
            due_ms: plan.start_ms,
            decision: None,
        };
        World {
            inputs: inputs.over(metrics, logs),
            environment: Environment {
                querier: evaluator.clone(),
                sink: evaluator.clone(),
                external_url: plan.external_url.trim_end_matches('/').to_owned(),
                external_labels: plan.external_labels,
            },
            evaluator,
            groups: plan.groups.iter().map(|group| Group::new(group.clone())).collect(),
            stage: plan.routes.map(|config| Rehearsal::new(config.clone(), plan.start_ms)),
            policies: plan.policies.iter().map(at_work).collect(),
            readings: Arc::new(readings),
        }
    }

    /// Evaluates every group at `at_ms`.
    ///
    /// # Errors
    /// What is wrong with an input, or each rule that failed.
    pub(super) fn evaluate(&mut self, at_ms: i64) -> Result<(), Vec<String>> {
        self.inputs.load_until(at_ms).map_err(|error| vec![error])?;
        let mut failures = Vec::new();
        for group in &mut self.groups {
            let outcome = group.evaluate(&self.environment, at_ms);
            let failed = group.rules.iter().filter_map(|rule| {
                rule.last_error.as_ref().map(|error| format!("rule `{}`: {error}", rule.definition.name()))
            });
            failures.extend(failed);
            for alert in outcome.alerts {
                if let Some(stage) = &mut self.stage
                    && let Err(error) = stage.post(alert, at_ms)
                {
                    failures.push(error.to_string());
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// Lets notifications and scaling go on until `to_ms`.
    ///
    /// # Errors
    /// What is wrong with an input.
    pub(super) fn advance(&mut self, to_ms: i64) -> Result<(), String> {
        if let Some(stage) = &mut self.stage {
            stage.advance(to_ms);
        }
        let firing = self.firing();
        *self.readings.firing.lock().unwrap_or_else(PoisonError::into_inner) = firing;
        for at_work in &mut self.policies {
            while at_work.due_ms <= to_ms {
                let now_ms = at_work.due_ms;
                self.inputs.load_until(now_ms)?;
                let inputs = measure(&at_work.policy, self.readings.as_ref(), now_ms);
                let (decision, state) = decide(&at_work.policy, &at_work.state, &inputs);
                at_work.state = state;
                at_work.decision = Some(decision);
                at_work.due_ms += at_work.policy.interval_ms.max(1);
            }
        }
        Ok(())
    }

    fn firing(&self) -> Vec<String> {
        let rules = self.groups.iter().flat_map(|group| &group.rules);
        let fires = |rule: &&alerting::rules::RuleState| {
            rule.active.iter().any(|alert| alert.state == alerting::rules::AlertState::Firing)
        };
        rules.filter(fires).map(|rule| rule.definition.name().to_owned()).collect()
    }

    /// What was told since the last call.
    pub(super) fn take_told(&mut self) -> Vec<Told> {
        self.stage.as_mut().map(Rehearsal::take_told).unwrap_or_default()
    }

    /// The last decision of a policy, by uid or name; `None` for a policy that is not there.
    pub(super) fn decision(&self, policy: &str) -> Option<Option<&Decision>> {
        let is_it = |at_work: &&PolicyAtWork| at_work.policy.uid == policy || at_work.policy.name == policy;
        self.policies.iter().find(is_it).map(|at_work| at_work.decision.as_ref())
    }
}

/// How many evaluations a test has, or why it may not have so many.
pub(super) fn steps(duration_ms: i64, step_ms: i64) -> Result<i64, String> {
    let steps = duration_ms / step_ms + 1;
    if steps > STEPS_MAX {
        return Err(format!("{steps} evaluations are more than {STEPS_MAX}; choose a longer interval"));
    }
    Ok(steps)
}
