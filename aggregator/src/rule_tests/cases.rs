//! One test: its clock, and its cases compared at their times.

use super::{
    Failure, Fix, Loaded, Suite, compare, duration,
    inputs::{self, Inputs},
    labels, render,
    schema::{AlertCase, NotificationCase, SampleCase, ScalingCase, TestYaml},
    world::{Plan, World, steps},
};
use alerting::{Querier, Source, rules::AlertState};
use serde_saphyr::Spanned;

/// See the module.
pub(super) struct Run<'a> {
    world: World,
    start_ms: i64,
    step_ms: i64,
    steps: i64,
    fuzzy: bool,
    /// In order of time.
    alerts: Vec<Timed<'a, AlertCase>>,
    notifications: Vec<Timed<'a, NotificationCase>>,
    scaling: Vec<Timed<'a, ScalingCase>>,
    samples: Vec<(Source, Timed<'a, SampleCase>)>,
}

/// A case and its time after the start.
struct Timed<'a, T> {
    at_ms: i64,
    case: &'a Spanned<T>,
}

fn timed<'a, T>(
    cases: &'a Option<Vec<Spanned<T>>>,
    eval_time: impl Fn(&T) -> Option<&str>,
) -> Result<Vec<Timed<'a, T>>, Failure> {
    let time = |case: &'a Spanned<T>| match inputs::duration(eval_time(&case.value), 0) {
        Ok(at_ms) => Ok(Timed { at_ms, case }),
        Err(error) => Err(Failure::at(case.referenced, format!("eval_time: {error}"))),
    };
    let mut timed = cases.iter().flatten().map(time).collect::<Result<Vec<_>, _>>()?;
    timed.sort_by_key(|case| case.at_ms);
    Ok(timed)
}

impl<'a> Run<'a> {
    /// # Errors
    /// What is wrong with the test before anything was evaluated.
    pub(super) fn new(
        suite: &Suite<'_>,
        loaded: &Loaded,
        test: &'a Spanned<TestYaml>,
    ) -> Result<Self, Failure> {
        let place = test.referenced;
        let test = &test.value;
        let start_ms = match &test.start_timestamp {
            None => 0,
            Some(text) => start(&text.value).map_err(|error| Failure::at(text.referenced, error))?,
        };
        let interval_ms = match &test.interval {
            None => suite.step_ms,
            Some(text) => match duration(text)? {
                0 => suite.step_ms,
                ms => ms,
            },
        };
        let inputs = Inputs::parse(&test.input_series, &test.input_logs, start_ms, interval_ms)
            .map_err(|(place, error)| Failure::at(place, error))?;
        let mut samples = Vec::new();
        for (source, cases) in
            [(Source::Metrics, &test.promql_expr_test), (Source::Logs, &test.logql_expr_test)]
        {
            samples
                .extend(timed(cases, |case| case.eval_time.as_deref())?.into_iter().map(|it| (source, it)));
        }
        let mut run = Run {
            alerts: timed(&test.alert_rule_test, |case| case.eval_time.as_deref())?,
            notifications: timed(&test.notification_test, |case| case.eval_time.as_deref())?,
            scaling: timed(&test.scaling_test, |case| case.eval_time.as_deref())?,
            samples,
            world: World::new(
                Plan {
                    groups: &loaded.groups,
                    routes: loaded.routes.as_ref().filter(|_| test.notification_test.is_some()),
                    policies: if test.scaling_test.is_some() { &loaded.policies } else { &[] },
                    external_url: test.external_url.clone().unwrap_or_default(),
                    external_labels: labels(&test.external_labels),
                    promql: suite.options.promql.clone(),
                    start_ms,
                    step_ms: suite.step_ms,
                },
                inputs,
            ),
            start_ms,
            step_ms: suite.step_ms,
            steps: 0,
            fuzzy: suite.fuzzy,
        };
        run.steps = steps(run.duration_ms(), run.step_ms).map_err(|error| Failure::at(place, error))?;
        run.complete(loaded)?;
        Ok(run)
    }

    /// What a case must have.
    fn complete(&self, loaded: &Loaded) -> Result<(), Failure> {
        if let Some(alert) =
            self.alerts.iter().find(|it| it.case.value.alertname.as_deref().is_none_or(str::is_empty))
        {
            let message = "an item under `alert_rule_test` needs `alertname`";
            return Err(Failure::at(alert.case.referenced, message));
        }
        if let (Some(notification), None) = (self.notifications.first(), &loaded.routes) {
            let message = "`notification_test` needs `alertmanager_config` at the top of the file";
            return Err(Failure::at(notification.case.referenced, message));
        }
        if let Some(scaling) =
            self.scaling.iter().find(|it| self.world.decision(&it.case.value.policy).is_none())
        {
            let message =
                format!("no policy `{}` in the `policy_files` of this file", scaling.case.value.policy);
            return Err(Failure::at(scaling.case.referenced, message));
        }
        Ok(())
    }

    /// How many cases there are to compare.
    pub(super) fn cases(&self) -> usize {
        self.alerts.len() + self.notifications.len() + self.scaling.len() + self.samples.len()
    }

    fn duration_ms(&self) -> i64 {
        let last = |times: Option<i64>| times.unwrap_or(0);
        last(self.alerts.last().map(|it| it.at_ms))
            .max(last(self.notifications.last().map(|it| it.at_ms)))
            .max(last(self.scaling.last().map(|it| it.at_ms)))
            .max(last(self.samples.iter().map(|(_, it)| it.at_ms).max()))
    }

    /// Runs through time and compares; a rule that fails ends the test.
    pub(super) fn run(&mut self, failures: &mut Vec<Failure>) {
        for step in 0..self.steps {
            let from_ms = step * self.step_ms;
            if let Err(errors) = self.world.evaluate(self.start_ms + from_ms) {
                let place = self.alerts.first().map(|it| it.case.referenced);
                let at = model::duration_to_string(from_ms);
                let message = format!("evaluation at {at} failed: {}", errors.join("; "));
                failures
                    .push(place.map_or_else(|| Failure::of_file(&message), |it| Failure::at(it, &message)));
                return;
            }
            let window = from_ms..from_ms + self.step_ms;
            for it in self.alerts.iter().filter(|it| window.contains(&it.at_ms)) {
                self.compare_alerts(it, failures);
            }
            if let Err(error) = self.compare_in(&window, failures) {
                failures.push(Failure::of_file(error));
                return;
            }
        }
        for (source, it) in &self.samples {
            self.compare_samples(*source, it, failures);
        }
    }

    /// Notifications and scaling go on between evaluations.
    fn compare_in(
        &mut self,
        window: &std::ops::Range<i64>,
        failures: &mut Vec<Failure>,
    ) -> Result<(), String> {
        let in_window = |at_ms: i64| window.contains(&at_ms);
        let mut moments: Vec<i64> = self.notifications.iter().map(|it| it.at_ms).collect();
        moments.extend(self.scaling.iter().map(|it| it.at_ms));
        moments.retain(|at_ms| in_window(*at_ms));
        moments.push(window.end - 1);
        moments.sort_unstable();
        moments.dedup();
        for at_ms in moments {
            self.world.advance(self.start_ms + at_ms)?;
            for index in 0..self.notifications.len() {
                if self.notifications[index].at_ms == at_ms {
                    let told = self.world.take_told();
                    self.compare_told(&self.notifications[index], &told, failures);
                }
            }
            for it in self.scaling.iter().filter(|it| it.at_ms == at_ms) {
                self.compare_decision(it, failures);
            }
        }
        Ok(())
    }

    fn compare_alerts(&self, it: &Timed<'_, AlertCase>, failures: &mut Vec<Failure>) {
        let case = &it.case.value;
        let name = case.alertname.as_deref().unwrap_or_default();
        let firing = (
            "exp_alerts",
            "firing",
            AlertState::Firing,
            Some(case.exp_alerts.as_deref().unwrap_or_default()),
        );
        let pending = ("exp_pending", "pending", AlertState::Pending, case.exp_pending.as_deref());
        for (key, word, state, expected) in [firing, pending] {
            let Some(expected) = expected else { continue };
            let expected = compare::expected_alerts(name, expected);
            let got = compare::alerts(&self.world.groups, name, state);
            if expected == got {
                continue;
            }
            let what = format!("alert `{name}` at {}: other alerts are {word}", eval_time(it.at_ms));
            let expected = expected.iter().map(compare::show_alert).collect();
            let shown = got.iter().map(compare::show_alert).collect();
            failures.push(mismatch(it.case, what, expected, shown, Fix { key, value: render::alerts(&got) }));
        }
    }

    fn compare_samples(&self, source: Source, it: &Timed<'_, SampleCase>, failures: &mut Vec<Failure>) {
        let case = &it.case.value;
        let what = format!("query `{}` at {}", case.expr, eval_time(it.at_ms));
        let failed = |error: String| Failure::at(it.case.referenced, format!("{what}: {error}"));
        let got = match self.world.evaluator.instant(source, &case.expr, self.start_ms + it.at_ms) {
            Ok(reading) => compare::samples(reading),
            Err(error) => return failures.push(failed(error.to_string())),
        };
        let expected = match compare::expected_samples(case.exp_samples.as_deref().unwrap_or_default()) {
            Ok(expected) => expected,
            Err(error) => return failures.push(failed(error)),
        };
        if !compare::same_samples(&expected, &got, self.fuzzy) {
            let fix = Fix { key: "exp_samples", value: render::samples(&got) };
            let expected = expected.iter().map(compare::show_sample).collect();
            let shown = got.iter().map(compare::show_sample).collect();
            failures.push(mismatch(it.case, format!("{what} answers otherwise"), expected, shown, fix));
        }
    }

    fn compare_told(
        &self,
        it: &Timed<'_, NotificationCase>,
        told: &[alerting::dispatch::Told],
        failures: &mut Vec<Failure>,
    ) {
        let expected = it.case.value.exp_notifications.as_deref().unwrap_or_default();
        let mut same = expected.len() == told.len();
        for (expected, told) in expected.iter().zip(told) {
            match compare::is_told(expected, told, self.start_ms) {
                Ok(is_it) => same &= is_it,
                Err(error) => return failures.push(Failure::at(it.case.referenced, error)),
            }
        }
        if !same {
            let what = format!("other notifications were sent up to {}", eval_time(it.at_ms));
            let fix = Fix { key: "exp_notifications", value: render::notifications(told, self.start_ms) };
            let expected =
                expected.iter().map(|it| render::flow(&render::expected_notification(it))).collect();
            let shown = told.iter().map(|told| compare::show_told(told, self.start_ms)).collect();
            failures.push(mismatch(it.case, what, expected, shown, fix));
        }
    }

    fn compare_decision(&self, it: &Timed<'_, ScalingCase>, failures: &mut Vec<Failure>) {
        let case = &it.case.value;
        let what = format!("policy `{}` at {}", case.policy, eval_time(it.at_ms));
        let Some(Some(decision)) = self.world.decision(&case.policy) else {
            return failures.push(Failure::at(it.case.referenced, format!("{what} has not decided yet")));
        };
        let Some(expected) = &case.exp_decision else {
            let message = format!(
                "{what}: `exp_decision` is missing; it decides: {}",
                compare::show_decision(decision)
            );
            let fix = Fix { key: "exp_decision", value: render::decision(decision, None) };
            return failures.push(Failure { fix: Some(fix), ..Failure::at(it.case.referenced, message) });
        };
        if !compare::is_decided(expected, decision) {
            let fix = Fix { key: "exp_decision", value: render::decision(decision, Some(expected)) };
            let expected = vec![render::flow(&render::expected_decision(expected))];
            let shown = vec![compare::show_decision(decision)];
            failures.push(mismatch(it.case, format!("{what} decides otherwise"), expected, shown, fix));
        }
    }
}

fn eval_time(at_ms: i64) -> String {
    model::duration_to_string(at_ms)
}

fn mismatch<T>(
    case: &Spanned<T>,
    what: String,
    expected: Vec<String>,
    got: Vec<String>,
    fix: Fix,
) -> Failure {
    let list = |items: Vec<String>| {
        if items.is_empty() {
            return " none".to_owned();
        }
        items.iter().map(|item| format!("\n      {}", item.replace('\n', "\n      "))).collect::<String>()
    };
    let message = format!("{what}\n    expected:{}\n    got:{}", list(expected), list(got));
    Failure { fix: Some(fix), ..Failure::at(case.referenced, message) }
}

/// Seconds since the epoch, or RFC 3339.
fn start(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1000.0) as i64);
    }
    let parsed: Result<jiff::Timestamp, _> = text.parse();
    parsed.map(|at| at.as_millisecond()).map_err(|_| {
        format!("start_timestamp `{text}` is neither seconds since the epoch nor like 2026-01-31T12:00:00Z")
    })
}
