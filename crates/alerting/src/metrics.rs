//! What rules and notifications say about themselves on `/metrics`.

use crate::silence::FileFigures;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::sync::atomic::AtomicU64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByGroup {
    rule_group: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByIntegration {
    integration: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByWhat {
    what: &'static str,
}

/// What can be wrong at a reload by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reloadable {
    /// Rule files.
    Rules,
    /// Alertmanager's configuration.
    Routes,
    /// Files of silences.
    Silences,
}

/// See the module. Clones share the numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    evaluations: Family<ByGroup, Counter>,
    evaluation_failures: Family<ByGroup, Counter>,
    iterations_missed: Family<ByGroup, Counter>,
    last_duration: Family<ByGroup, Gauge<f64, AtomicU64>>,
    attempts: Family<ByIntegration, Counter>,
    attempts_failed: Family<ByIntegration, Counter>,
    given_up: Family<ByIntegration, Counter>,
    reload_ok: Family<ByWhat, Gauge>,
    pub(crate) journal_failures: Counter,
    pub(crate) alerts: Gauge,
    pub(crate) outbox: Gauge,
    pub(crate) flapping: Gauge,
    silences: Family<ByState, Gauge>,
    pub(crate) events: crate::history::SinkMetrics,
}

impl Metrics {
    pub(crate) fn register(&self, metrics: &daemon::metrics::Metrics) {
        let this = self.clone();
        metrics.register(|registry| {
            registry.register("bellwether_rule_evaluations", "Rules evaluated", this.evaluations);
            registry.register(
                "bellwether_rule_evaluation_failures",
                "Rule evaluations that failed",
                this.evaluation_failures,
            );
            registry.register(
                "bellwether_rule_group_iterations_missed",
                "Evaluations of rule groups that were skipped because an earlier one took too long",
                this.iterations_missed,
            );
            registry.register(
                "bellwether_rule_group_last_duration_seconds",
                "How long the last evaluation of a rule group took",
                this.last_duration,
            );
            registry.register("bellwether_notification_attempts", "Attempts to notify", this.attempts);
            registry.register(
                "bellwether_notification_attempts_failed",
                "Attempts to notify that failed",
                this.attempts_failed,
            );
            registry.register(
                "bellwether_notifications_given_up",
                "Notifications that were not delivered before the group's next flush",
                this.given_up,
            );
            registry.register(
                "bellwether_alerting_reload_successful",
                "Whether rules, routes and silences were good when they were last read",
                this.reload_ok,
            );
            registry.register(
                "bellwether_alerting_journal_failures",
                "Transitions that could not be made durable at once",
                this.journal_failures,
            );
            registry.register("bellwether_alerts", "Alerts held by the dispatcher", this.alerts);
            registry.register(
                "bellwether_notification_outbox",
                "Notifications decided and not yet delivered",
                this.outbox,
            );
            registry.register(
                "bellwether_alerts_flapping",
                "Alerts that begin and end too often",
                this.flapping,
            );
            registry.register(
                "bellwether_silences_in_files",
                "Silences that files hold, by what they do",
                this.silences,
            );
            registry.register(
                "bellwether_alerting_events_logged",
                "Events of alerting copied into the log store",
                this.events.appended,
            );
            registry.register(
                "bellwether_alerting_events_log_refusals",
                "Times that the log store did not take events of alerting, which were then tried again",
                this.events.refused,
            );
            registry.register(
                "bellwether_alerting_events_log_lost",
                "Events of alerting that the history dropped before the log store took them",
                this.events.lost,
            );
        });
    }

    pub(crate) fn silences_in_files(&self, figures: FileFigures) {
        for (state, count) in [
            ("active", figures.active),
            ("waiting", figures.waiting),
            ("expiring", figures.expiring),
            ("expired", figures.expired),
        ] {
            self.silences.get_or_create(&ByState { state }).set(count as i64);
        }
    }

    pub(crate) fn evaluated(&self, group: &str, rules: u64, failures: u64, seconds: f64) {
        let label = ByGroup { rule_group: group.to_owned() };
        self.evaluations.get_or_create(&label).inc_by(rules);
        self.evaluation_failures.get_or_create(&label).inc_by(failures);
        self.last_duration.get_or_create(&label).set(seconds);
    }

    pub(crate) fn missed(&self, group: &str, iterations: u64) {
        let label = ByGroup { rule_group: group.to_owned() };
        self.iterations_missed.get_or_create(&label).inc_by(iterations);
    }

    /// Forgets a group that is no more.
    pub(crate) fn forget(&self, group: &str) {
        let label = ByGroup { rule_group: group.to_owned() };
        for family in [&self.evaluations, &self.evaluation_failures, &self.iterations_missed] {
            family.remove(&label);
        }
        self.last_duration.remove(&label);
    }

    pub(crate) fn attempted(&self, integration: &'static str, succeeded: bool) {
        let label = ByIntegration { integration };
        self.attempts.get_or_create(&label).inc();
        self.attempts_failed.get_or_create(&label).inc_by(u64::from(!succeeded));
    }

    pub(crate) fn gave_up(&self, integration: &'static str) {
        self.given_up.get_or_create(&ByIntegration { integration }).inc();
    }

    pub(crate) fn reloaded(&self, what: Reloadable, good: bool) {
        let what = match what {
            Reloadable::Rules => "rules",
            Reloadable::Routes => "routes",
            Reloadable::Silences => "silences",
        };
        self.reload_ok.get_or_create(&ByWhat { what }).set(i64::from(good));
    }
}
