//! What every handler shares.

use crate::{
    agents::Agents, api::QueryMetrics, config::Config, egress::Egress, packs::Packs, receive::Receivers,
    replay::Underway, rules_git::RuleRepositories, store_metrics::StoreMetrics, tail::Tail,
};
use alerting::Alerting;
use daemon::{Pool, clock, metrics::Metrics};
use scaling::Scaling;
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};
use store::{LogStore, MetricStore};

/// The state of a router: cheap to clone.
pub type AppState = Arc<App>;

/// The running aggregator as handlers see it.
pub struct App {
    /// The configuration in force at start. What reloads lives in the parts themselves.
    pub config: Config,
    /// Where metrics are.
    pub metrics: Arc<dyn MetricStore>,
    /// Where logs are.
    pub logs: Arc<dyn LogStore>,
    /// Runs decoding and appending.
    pub ingest_pool: Pool,
    /// Runs queries, apart from ingest so that neither starves the other.
    pub query_pool: Pool,
    /// The process's own metrics.
    pub own: Metrics,
    /// Who reports, and when they last did.
    pub agents: Agents,
    /// The shipped rules, and which of them are evaluated.
    pub(crate) packs: Packs,
    /// Fresh log lines for live tails.
    pub tail: Tail,
    /// What the receivers share.
    pub(crate) receivers: Receivers,
    /// Own metrics of queries.
    pub(crate) query_metrics: QueryMetrics,
    /// Replays of rules under way.
    pub(crate) replays: Underway,
    /// When the process started, milliseconds since the epoch.
    pub started_ms: i64,
    alerting: OnceLock<Arc<Alerting>>,
    scaling: OnceLock<Scaling>,
    rule_repositories: OnceLock<RuleRepositories>,
    egress: OnceLock<Arc<Egress>>,
    ready: AtomicBool,
    /// The first part that panicked.
    broken: OnceLock<&'static str>,
}

/// Held by a part that must run for as long as the process does: its panic is told by `/-/healthy`.
pub(crate) struct Part {
    app: AppState,
    name: &'static str,
}

impl Drop for Part {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.app.broken.get_or_init(|| self.name);
        }
    }
}

/// Jobs that may wait for a pool before requests are refused as busy.
const POOL_QUEUE: usize = 256;
/// Ingest threads when the store is elsewhere: they wait for it, and those that wait together are
/// written together.
const REMOTE_INGEST_THREADS: usize = 16;

impl App {
    /// An aggregator over these stores, not yet marked ready.
    pub fn new(
        config: Config,
        metrics: Arc<dyn MetricStore>,
        logs: Arc<dyn LogStore>,
        agents: Agents,
    ) -> Self {
        let own = Metrics::default();
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let query_pool = Pool::new(config.query.concurrency.unwrap_or(threads), config.query.queue);
        let ingest_threads = match &config.storage.clickhouse {
            Some(_) => threads.max(REMOTE_INGEST_THREADS),
            None => threads,
        };
        // A store elsewhere has figures of its own, and asking it takes a while.
        if config.storage.clickhouse.is_none() {
            let figures = Box::new(StoreMetrics(metrics.clone()));
            own.register(|registry| registry.register_collector(figures));
        }
        App {
            ingest_pool: Pool::new(ingest_threads, POOL_QUEUE),
            query_metrics: QueryMetrics::new(&own, &query_pool),
            query_pool,
            packs: Packs::new(&config.alerting.packs, config.alerting.shipped_rules),
            receivers: Receivers::new(&config.limits, &own),
            config,
            metrics,
            logs,
            own,
            agents,
            tail: Tail::default(),
            replays: Underway::default(),
            started_ms: clock::now_ms(),
            alerting: OnceLock::new(),
            scaling: OnceLock::new(),
            rule_repositories: OnceLock::new(),
            egress: OnceLock::new(),
            ready: AtomicBool::new(false),
            broken: OnceLock::new(),
        }
    }

    /// An aggregator over in-memory stores with default settings, for tests of handlers.
    #[cfg(test)]
    pub(crate) fn for_tests() -> AppState {
        let metrics = Arc::new(store::MemMetricStore::new());
        let logs = Arc::new(store::MemLogStore::new());
        let app = App::new(Config::default(), metrics, logs, Agents::in_memory());
        app.set_ready(true);
        Arc::new(app)
    }

    /// Rules and notifications, `None` until they have started.
    pub fn alerting(&self) -> Option<&Arc<Alerting>> {
        self.alerting.get()
    }

    /// Hands over the started rules and notifications; the first ones stay.
    pub fn set_alerting(&self, alerting: Arc<Alerting>) {
        self.alerting.get_or_init(|| alerting);
    }

    /// Auto-scaling, `None` until it has started.
    pub fn scaling(&self) -> Option<&Scaling> {
        self.scaling.get()
    }

    /// Hands over the started auto-scaling; the first one stays.
    pub fn set_scaling(&self, scaling: Scaling) {
        self.scaling.get_or_init(|| scaling);
    }

    /// Remote write out, `None` when there is no endpoint.
    pub(crate) fn egress(&self) -> Option<&Egress> {
        self.egress.get().map(Arc::as_ref)
    }

    /// Hands over remote write out; the first one stays.
    pub(crate) fn set_egress(&self, egress: Arc<Egress>) {
        self.egress.get_or_init(|| egress);
    }

    /// The repositories that rules come from, `None` until alerting has started.
    pub(crate) fn rule_repositories(&self) -> Option<&RuleRepositories> {
        self.rule_repositories.get()
    }

    /// Hands over the repositories; the first ones stay.
    pub(crate) fn set_rule_repositories(&self, repositories: RuleRepositories) {
        self.rule_repositories.get_or_init(|| repositories);
    }

    /// For a part to hold while it runs.
    pub(crate) fn part(self: &Arc<Self>, name: &'static str) -> Part {
        Part { app: self.clone(), name }
    }

    /// The part that has stopped after a panic, if any has.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        self.broken.get().copied()
    }

    /// Whether requests can be answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Says whether requests can be answered.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }
}
