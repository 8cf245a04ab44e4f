//! Builds a running aggregator from its configuration: a list of short steps, in order. Engines
//! and stores meet only here.

use crate::{
    agents::Agents,
    alerting_events::EventLog,
    api,
    app::{App, AppState},
    auth::{self, Guard},
    clickhouse::ClickHouseConfig,
    config::{AuthMode, Bytes, Config, Duration, RetentionConfig},
    egress::{self, Egress},
    empty_folders::warn_of_empty_folders,
    evaluate::Evaluator,
    log_metrics, maintain, packs,
    readings::PolicyReadings,
    receive::{self, syslog::Syslog},
    reload,
    rules_git::{self, RuleRepositories},
    self_monitor, shipped,
    stream_retention::StreamRetentionConfig,
};
use alerting::Alerting;
use anyhow::{Context, bail};
use daemon::{
    Shutdown, clock,
    http::{ClientOptions, LinkLocal, ServerOptions, TlsFiles},
};
use model::Labels;
use scaling::Scaling;
use std::{net::SocketAddr, sync::Arc, thread, time::Instant};
use store::{AgeLimits, LogStore, MetricStore, RetentionClock};
use tokio::task::JoinHandle;

/// Share of the file system, in percent, that each store may fill when no size is configured.
const DEFAULT_SHARE_PERCENT: u64 = 40;

/// A running aggregator.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What its handlers share.
    pub app: AppState,
    http: JoinHandle<()>,
    syslog: Syslog,
    monitor: JoinHandle<()>,
    packs: JoinHandle<()>,
    sending: Option<egress::Running>,
    maintenance: Vec<thread::JoinHandle<()>>,
}

/// Opens the stores, starts everything, and returns once requests are answered.
///
/// # Errors
/// When a part cannot start; the message says which and why.
pub async fn start(config: Config, shutdown: &Shutdown) -> anyhow::Result<Server> {
    let guard = guard(&config)?;
    let tls = config.tls.as_ref().map(TlsFiles::load).transpose().context("failed to set up TLS")?;
    let listener = config.listen.0.bind().await.with_context(|| {
        format!("failed to listen on {}; is another Bellwether running?", config.listen.0)
    })?;
    let address = listener.local_addr()?;
    let dir = disk::Dir::real(&config.data_dir.0)
        .with_context(|| format!("failed to open the data folder `{}`", config.data_dir.0.display()))?;
    let (metrics, logs) = open_stores(&config, &dir).await?;
    let logs_clock = logs_clock(&config, logs.as_ref());
    let egress = Egress::open(&dir, &config)?.map(Arc::new);
    let metrics = egress.as_ref().map_or(metrics.clone(), |egress| egress.forwarding(metrics));
    let app = Arc::new(App::new(config, metrics, logs, Agents::open(dir.sub("agents")?)));
    let sending = egress.map(|egress| start_egress(&app, egress, shutdown)).transpose()?;
    log_metrics::register(&app.own, &app.logs);
    let evaluator = evaluator(&app);
    look_for_packs(&app).await?;
    start_alerting(&app, evaluator.clone(), shutdown).await?;
    start_scaling(&app, evaluator).await?;
    warn_of_empty_folders(&app.config);
    reload::on_hangup(app.clone(), shutdown.clone())?;
    let maintenance = maintain::start(&app, logs_clock, shutdown)?;
    let monitor = tokio::spawn(self_monitor::run(app.clone(), instance(address), shutdown.clone()));
    let packs = tokio::spawn(packs::run(app.clone(), shutdown.clone()));
    let syslog = receive::syslog::start(&app, shutdown).await?;
    let service = api::service(&app, guard);
    let server_options = ServerOptions { tls, ..ServerOptions::default() };
    let http = tokio::spawn(daemon::http::serve(listener, service, server_options, shutdown.clone()));
    app.set_ready(true);
    tracing::info!(%address, "ready");
    Ok(Server { address, app, http, syslog, monitor, packs, sending, maintenance })
}

impl Server {
    /// Waits for the shutdown signal's effect on every part, in order: no new requests, no more
    /// evaluations, no more own samples, no more merges; then the stores are flushed.
    ///
    /// # Errors
    /// When a part panicked or a store could not be flushed.
    pub async fn join(self) -> anyhow::Result<()> {
        self.http.await?;
        self.syslog.join().await?;
        self.packs.await?;
        if let Some(alerting) = self.app.alerting() {
            alerting.stop().await;
        }
        if let Some(scaling) = self.app.scaling() {
            scaling.stop().await;
        }
        self.monitor.await?;
        if let Some(sending) = self.sending {
            sending.join().await?;
        }
        let Server { app, maintenance, .. } = self;
        tokio::task::spawn_blocking(move || {
            for thread in maintenance {
                if thread.join().is_err() {
                    bail!("a maintenance thread panicked");
                }
            }
            app.metrics.flush().context("failed to flush metrics")?;
            app.logs.flush().context("failed to flush logs")
        })
        .await?
    }
}

/// What this server calls itself in its own metrics: its host, as its agent does, and its port. The
/// address that it listens on says little, such as `0.0.0.0`, and the same on every host.
fn instance(address: SocketAddr) -> String {
    format!("{}:{}", rustix::system::uname().nodename().to_string_lossy(), address.port())
}

fn evaluator(app: &App) -> Arc<Evaluator> {
    Arc::new(Evaluator::new(app.metrics.clone(), app.logs.clone(), &app.config.query, &app.config.promql))
}

fn start_egress(app: &App, egress: Arc<Egress>, shutdown: &Shutdown) -> anyhow::Result<egress::Running> {
    app.set_egress(egress.clone());
    egress.start(&app.own, shutdown).context("failed to start remote write")
}

pub(crate) fn external_url(config: &Config) -> String {
    let given = config.alerting.external_url.clone().map(String::from);
    given.unwrap_or_else(|| format!("http://{}", config.listen.0))
}

async fn start_scaling(app: &AppState, evaluator: Arc<Evaluator>) -> anyhow::Result<()> {
    let policies = app.config.scaling.policies.clone();
    // The shipped policy is an example: it makes room for policies of one's own, which may well be
    // copies of it.
    let is_example_wanted = app.config.alerting.shipped_rules && policies.is_empty();
    let settings = scaling::Settings {
        policies,
        built_in_policies: if is_example_wanted { shipped::scaling() } else { Vec::new() },
        state_dir: app.config.data_dir.0.join("scaling"),
        external_url: external_url(&app.config),
    };
    let parts = scaling::Parts {
        readings: Arc::new(PolicyReadings::new(evaluator, app.alerting().cloned())),
        clock: clock::now_ms,
    };
    app.set_scaling(Scaling::start(settings, parts, &app.own).await.context("failed to start auto-scaling")?);
    Ok(())
}

/// Which shipped rules are evaluated from the start: those whose metrics the store has.
async fn look_for_packs(app: &AppState) -> anyhow::Result<()> {
    let worker = app.clone();
    let look = move || worker.packs.look(worker.metrics.as_ref(), clock::now_ms());
    app.query_pool.run(look).await?;
    Ok(())
}

async fn start_alerting(
    app: &AppState,
    evaluator: Arc<Evaluator>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let config = &app.config.alerting;
    let (rules, repositories) = rules_git::split(&config.rules)?;
    let repositories = RuleRepositories::new(repositories);
    let settings = alerting::Settings {
        rules,
        sources: repositories.names(),
        built_in_rules: app.packs.rules(),
        evaluation_interval_ms: i64::try_from(config.evaluation_interval.0).unwrap_or(i64::MAX),
        alertmanager_config: config.alertmanager_config.clone(),
        silences: config.silences.clone(),
        state_dir: app.config.data_dir.0.join("alerting"),
        external_url: external_url(&app.config),
        external_labels: Labels::empty(),
    };
    let parts = alerting::Parts {
        querier: evaluator.clone(),
        sink: evaluator,
        events: Some(Arc::new(EventLog::new(app.logs.clone(), app.tail.clone()))),
        client: daemon::http::client(&ClientOptions {
            link_local: LinkLocal::Refused,
            // As Alertmanager's, whose configuration says so where they are wanted.
            proxy_from_environment: false,
            ..ClientOptions::default()
        })?,
        clock: clock::now_ms,
    };
    let alerting = Alerting::start(settings, parts, &app.own).await.context("failed to start alerting")?;
    let alerting = Arc::new(alerting);
    repositories.start(&alerting, &app.own, app.config.data_dir.0.join("rules-git"), shutdown);
    app.set_rule_repositories(repositories);
    app.set_alerting(alerting);
    Ok(())
}

/// The tokens to ask for, or `None` on an open loopback listener.
pub(crate) fn guard(config: &Config) -> anyhow::Result<Option<Guard>> {
    let tokens = auth::tokens(&config.auth.tokens)?;
    let loopback = config.listen.0.is_loopback();
    if loopback && config.auth.mode == AuthMode::Auto {
        return Ok(None);
    }
    if tokens.is_empty() {
        bail!(
            "listening on {} needs bearer tokens, since it is not loopback or `auth.mode` is `always`: \
             make one with `bellwether token --role admin` and put what it prints under `auth.tokens`",
            config.listen.0
        );
    }
    if !loopback && config.tls.is_none() && !config.plain_http {
        bail!(
            "listening on {} needs `tls`, or tokens and data could be read on the way: name a certificate, or say \
             `plain_http: true` when something before this listener speaks TLS or the network is trusted",
            config.listen.0
        );
    }
    Ok(Some(Guard(tokens.into())))
}

async fn open_stores(
    config: &Config,
    dir: &disk::Dir,
) -> anyhow::Result<(Arc<dyn MetricStore>, Arc<dyn LogStore>)> {
    let retention = config.retention.clone();
    if let Some(clickhouse) = config.storage.clickhouse.clone() {
        return tokio::task::spawn_blocking(move || open_clickhouse(&clickhouse, &retention)).await?;
    }
    let stream_retention =
        retention.logs_streams.iter().map(StreamRetentionConfig::rule).collect::<anyhow::Result<_>>()?;
    let share = default_share(config)?;
    let (metrics_dir, logs_dir) = (dir.sub("metrics")?, dir.sub("logs")?);
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        let options = tsdb::TsdbOptions {
            limits: age_limits(retention.metrics_age),
            size_bytes_max: Some(size(retention.metrics_size, share)),
            tiers: tsdb::TierAges {
                five_minutes: tier_age(retention.metrics_5m_age),
                one_hour: tier_age(retention.metrics_1h_age),
            },
            ..tsdb::TsdbOptions::default()
        };
        let metrics = tsdb::Tsdb::open(metrics_dir, options, clock::now_ms())
            .context("failed to open the metric store")?;
        let options = logstore::LogstoreOptions {
            limits: age_limits(retention.logs_age),
            stream_retention,
            size_bytes_max: Some(size(retention.logs_size, share)),
            ..logstore::LogstoreOptions::default()
        };
        let logs = logstore::Logstore::open(logs_dir, options, clock::now_ns())
            .context("failed to open the log store")?;
        tracing::info!(seconds = begun.elapsed().as_secs_f64(), "stores are open");
        anyhow::Ok((Arc::new(metrics) as Arc<dyn MetricStore>, Arc::new(logs) as Arc<dyn LogStore>))
    })
    .await?
}

/// What time it may be, as far as log lines tell before anything is added.
fn logs_clock(config: &Config, logs: &dyn LogStore) -> RetentionClock {
    // A store elsewhere would have to be asked, and does not know at once.
    let is_here = config.storage.clickhouse.is_none();
    let newest_ns = is_here.then(|| logs.stats().newest_ns).flatten();
    RetentionClock::starting_at(newest_ns.map(|newest_ns| newest_ns.div_euclid(1_000_000)))
}

/// ClickHouse bounds sizes by itself; ages are ours.
fn open_clickhouse(
    config: &ClickHouseConfig,
    retention: &RetentionConfig,
) -> anyhow::Result<(Arc<dyn MetricStore>, Arc<dyn LogStore>)> {
    let opened = clickhouse_store::ClickHouse::open(&config.options()?)
        .context("failed to open the ClickHouse store")?;
    let metrics = opened.metrics(age_limits(retention.metrics_age));
    let logs = opened.logs(age_limits(retention.logs_age));
    Ok((Arc::new(metrics), Arc::new(logs)))
}

fn age_limits(age: Duration) -> AgeLimits {
    match age.0 {
        0 => AgeLimits::default(),
        ms => AgeLimits::with_retention(std::time::Duration::from_millis(ms)),
    }
}

fn tier_age(age: Duration) -> Option<std::time::Duration> {
    (age.0 > 0).then(|| std::time::Duration::from_millis(age.0))
}

fn size(configured: Bytes, share: u64) -> u64 {
    if configured.0 > 0 { configured.0 } else { share }
}

fn default_share(config: &Config) -> anyhow::Result<u64> {
    let stat = rustix::fs::statvfs(&config.data_dir.0).context("failed to ask for the file system's size")?;
    Ok(stat.f_blocks.saturating_mul(stat.f_frsize) / 100 * DEFAULT_SHARE_PERCENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_tls_is_off_only_where_somebody_says_so() {
        let refused = |text: &str| {
            let token = "auth: {tokens: [{name: a, role: admin, token: a-token-0123456789}]}\n";
            let config: Config = daemon::config::parse_yaml(&format!("{token}{text}"), "test").unwrap();
            guard(&config).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(refused("listen: 0.0.0.0:9390\n").contains("plain_http"));
        assert_eq!(refused("listen: 0.0.0.0:9390\nplain_http: true\n"), "");
        assert_eq!(refused("listen: 0.0.0.0:9390\ntls: {cert_file: a, key_file: b}\n"), "");
        assert_eq!(refused("listen: 127.0.0.1:9390\n"), "");
        assert_eq!(refused("listen: localhost:9390\n"), "");
        assert!(refused("listen: :9390\n").contains("plain_http"));
    }
}
