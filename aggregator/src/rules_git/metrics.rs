//! Own metrics of rules from git. `bellwether_rules_git_problem` carries the place and the reason,
//! so that a rule can make an alert of a refused revision that says what is wrong.

use alerting::Problem;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Problems of one repository that have a series.
const PROBLEMS_MAX: usize = 5;
/// Longest message in a label.
const MESSAGE_CHARS_MAX: usize = 300;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Source {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProblemLabels {
    source: String,
    file: String,
    line: u64,
    message: String,
}

/// See the module. Clones share the metrics.
#[derive(Clone, Default)]
pub(super) struct GitMetrics {
    seen: Family<Source, Gauge>,
    failures: Family<Source, Counter>,
    refusals: Family<Source, Counter>,
    refused: Family<Source, Gauge>,
    problems: Family<ProblemLabels, Gauge>,
    /// The series of each repository's problems.
    shown: Arc<Mutex<BTreeMap<String, Vec<ProblemLabels>>>>,
}

impl GitMetrics {
    pub(super) fn register(own: &daemon::metrics::Metrics) -> Self {
        let it = Self::default();
        own.register(|registry| {
            registry.register(
                "bellwether_rules_git_seen_timestamp_seconds",
                "When the repository of rules was last reached",
                it.seen.clone(),
            );
            registry.register(
                "bellwether_rules_git_failures",
                "Looks at the repository of rules that failed",
                it.failures.clone(),
            );
            registry.register(
                "bellwether_rules_git_refused_revisions",
                "Revisions of rules that were refused",
                it.refusals.clone(),
            );
            registry.register(
                "bellwether_rules_git_refused",
                "Whether the newest revision of rules is refused",
                it.refused.clone(),
            );
            registry.register(
                "bellwether_rules_git_problem",
                "What is wrong with the newest revision of rules",
                it.problems.clone(),
            );
        });
        it
    }

    pub(super) fn seen(&self, name: &str, now_ms: i64) {
        let source = Source { source: name.to_owned() };
        self.seen.get_or_create(&source).set(now_ms / 1000);
        // There from the start, so that the first one is an increase.
        self.failures.get_or_create(&source).inc_by(0);
        self.refusals.get_or_create(&source).inc_by(0);
        self.refused.get_or_create(&source).inc_by(0);
    }

    pub(super) fn failed(&self, name: &str) {
        self.failures.get_or_create(&Source { source: name.to_owned() }).inc();
    }

    pub(super) fn taken(&self, name: &str) {
        self.refused.get_or_create(&Source { source: name.to_owned() }).set(0);
        self.show(name, Vec::new());
    }

    pub(super) fn refused(&self, name: &str, problems: &[Problem]) {
        let source = Source { source: name.to_owned() };
        self.refused.get_or_create(&source).set(1);
        self.refusals.get_or_create(&source).inc();
        let labels = |problem: &Problem| ProblemLabels {
            source: name.to_owned(),
            file: problem.file.clone(),
            line: problem.line as u64,
            message: problem.message.chars().take(MESSAGE_CHARS_MAX).collect(),
        };
        self.show(name, problems.iter().take(PROBLEMS_MAX).map(labels).collect());
    }

    fn show(&self, name: &str, labels: Vec<ProblemLabels>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        for old in shown.remove(name).into_iter().flatten() {
            self.problems.remove(&old);
        }
        for new in &labels {
            self.problems.get_or_create(new).set(1);
        }
        shown.insert(name.to_owned(), labels);
    }
}
