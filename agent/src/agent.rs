//! Puts the parts together, and takes them apart in order.
//!
//! Start: folder lock, identity, spool, then for each destination a metrics sender, a tailer and a
//! log sender, then the ticker. End: tailers finish the files, the last collection is taken and
//! every series ended, senders empty the spool, and the last request says goodbye. All of it has
//! [`GRACE`]; what is not delivered by then is delivered after the next start.
//!
//! Memory: a collection and its encoding (under 1 MB), per destination two log batches and their
//! encodings (about 6 MB at worst) and one metrics request (about 4 MB while catching up).

use crate::{
    collect::{Runner, Setup},
    config::{AgentConfig, Destination, invalid},
    error::AgentError,
    gather::{Gatherer, Vanished, next_tick_ms},
    identity::Identity,
    metrics::OwnCounters,
    pages,
    ship::{Channel, ChannelSettings, LogSender, MetricsSender, Sender, Stop},
    spool::Spool,
    tail::{self, Mailbox},
};
use daemon::{Pool, Shutdown, clock};
use disk::{Dir, DirLock};
use model::MetricBatch;
use std::{
    sync::{Arc, Mutex, atomic::AtomicU64},
    thread,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinHandle};

/// For everything that is to be done after the signal to end.
const GRACE: Duration = Duration::from_secs(8);
/// Of which this much is for finishing log files.
const GRACE_LOGS: Duration = Duration::from_secs(4);
/// A collection that takes longer has a collector that hangs.
const COLLECT_DEADLINE: Duration = Duration::from_secs(2);
const POOL_THREADS: usize = 1;
const POOL_QUEUE: usize = 64;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The agent as a library: for the binary, and for an aggregator that watches its own host.
pub struct Agent;

/// A running agent.
#[derive(Debug)]
pub struct AgentHandle {
    supervisor: JoinHandle<()>,
    #[cfg(test)]
    pub(crate) counters: Arc<crate::metrics::Counters>,
    #[cfg(test)]
    pub(crate) kill: Shutdown,
}

impl AgentHandle {
    /// Waits for the end that the shutdown signal brings about: goodbye sent, checkpoints written.
    pub async fn join(self) {
        if let Err(error) = self.supervisor.await {
            tracing::error!(%error, "the agent ended early");
        }
    }
}

impl Agent {
    /// Starts the agent on the current runtime. It ends after `shutdown`; wait for that with
    /// [`AgentHandle::join`].
    ///
    /// # Errors
    /// When a setting cannot be used, or the data folder cannot be written or belongs to another
    /// agent.
    pub async fn start(config: AgentConfig, shutdown: Shutdown) -> Result<AgentHandle, AgentError> {
        config.check()?;
        let parts = Parts::open(config)?;
        let pages = pages::listen(&parts.config, parts.setup.clone(), shutdown.clone()).await?;
        let kill = Shutdown::new();
        let running = parts.start()?;
        let supervisor = tokio::spawn(running.supervise(shutdown, kill.clone(), pages, parts.lock));
        Ok(AgentHandle {
            supervisor,
            #[cfg(test)]
            counters: parts.setup.counters.clone(),
            #[cfg(test)]
            kill,
        })
    }
}

/// What is open before anything runs.
struct Parts {
    config: AgentConfig,
    dir: Dir,
    lock: DirLock,
    identity: Identity,
    spool: Arc<Spool>,
    setup: Setup,
    pool: Pool,
}

impl Parts {
    fn open(config: AgentConfig) -> Result<Self, AgentError> {
        let at = |source| AgentError::DataDir { path: config.data_dir.clone(), source };
        let dir = Dir::real(&config.data_dir).map_err(at)?;
        let lock = dir.lock().map_err(at)?;
        let identity = Identity::next_boot(&dir).map_err(at)?;
        let metrics: Vec<String> =
            config.destinations.iter().filter(|d| d.metrics_endpoint().is_some()).map(spool_name).collect();
        let spool = dir
            .sub("spool")
            .and_then(|dir| Spool::open(dir, config.spool.bytes_max.0, &metrics))
            .map_err(at)?;
        let setup = setup(&config);
        let pool = Pool::new(POOL_THREADS, POOL_QUEUE);
        Ok(Parts { config, dir, lock, identity, spool: Arc::new(spool), setup, pool })
    }

    fn start(&self) -> Result<Running, AgentError> {
        let client_options = daemon::http::ClientOptions {
            timeout: REQUEST_TIMEOUT,
            user_agent: concat!("bellwether-agent/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..daemon::http::ClientOptions::default()
        };
        let client = daemon::http::client(&client_options).map_err(AgentError::Client)?;
        let mut running = Running {
            stop: Stop::default(),
            mailboxes: Vec::new(),
            tailers: Vec::new(),
            log_senders: Vec::new(),
            metrics_senders: Vec::new(),
            ticker: None,
            spool: self.spool.clone(),
        };
        let mut all_news = Vec::new();
        for (i, destination) in self.config.destinations.iter().enumerate() {
            let own = destination.own_client(&client_options);
            let own = own.map_err(|problem| invalid(format!("destinations[{i}]"), problem))?;
            let settings = ChannelSettings {
                client: own.unwrap_or_else(|| client.clone()),
                token: destination.token.clone(),
                token_file: destination.token_file.clone(),
                sender: sender(&self.config, &self.identity),
                counters: self.setup.counters.destination(&spool_name(destination)),
                pool: self.pool.clone(),
                stop: running.stop.clone(),
            };
            if let Some(url) = destination.metrics_endpoint() {
                let news = Arc::new(Notify::new());
                all_news.push(news.clone());
                let sender = MetricsSender {
                    channel: Channel::metrics(url, &settings),
                    spool: self.spool.clone(),
                    destination: spool_name(destination),
                    news,
                    sequence: 0,
                    cursor_saved_at: Instant::now(),
                };
                running.metrics_senders.push(tokio::spawn(sender.run()));
            }
            if let Some(url) = destination.logs_endpoint().filter(|_| !self.config.logs.sources.is_empty()) {
                self.start_logs(&mut running, destination, url, settings)?;
            }
        }
        running.ticker = Some(self.start_ticker(all_news, running.stop.clone()));
        Ok(running)
    }

    fn start_logs(
        &self,
        running: &mut Running,
        destination: &Destination,
        url: String,
        settings: ChannelSettings,
    ) -> Result<(), AgentError> {
        let at = |source| AgentError::DataDir { path: self.config.data_dir.clone(), source };
        let name = format!("logs-{}", spool_name(destination));
        let sequence = Arc::new(AtomicU64::new(0));
        let tailing = tail::start(tail::Settings {
            sources: self.config.sources(&self.config.instance())?,
            dir: self.dir.sub(&name).map_err(at)?,
            boot: self.identity.boot,
            sequence: sequence.clone(),
            rotate_wait: self.config.rotate_wait,
            counters: settings.counters.clone(),
            agent_counters: self.setup.counters.clone(),
        })
        .map_err(at)?;
        let sender = LogSender {
            channel: Channel::logs(url, &settings),
            batches: tailing.batches,
            mailbox: tailing.mailbox.clone(),
            sequence,
        };
        running.mailboxes.push(tailing.mailbox);
        running.tailers.push(tailing.thread);
        running.log_senders.push(tokio::spawn(sender.run()));
        Ok(())
    }

    fn start_ticker(&self, news: Vec<Arc<Notify>>, stop: Stop) -> Ticker {
        let end = Shutdown::new();
        let gatherer = Gatherer {
            runner: Runner::new(self.setup.clone()),
            spool: self.spool.clone(),
            vanished: Arc::new(Mutex::new(Vanished::default())),
            destinations: self
                .config
                .destinations
                .iter()
                .filter(|destination| destination.metrics_endpoint().is_some())
                .map(spool_name)
                .collect(),
            counters: self.setup.counters.clone(),
            news,
            pool: self.pool.clone(),
            batch: MetricBatch::default(),
        };
        let (interval, agent) = (self.config.interval, self.identity.agent.clone());
        let task = tokio::spawn(tick(gatherer, interval, agent, end.clone(), stop.now));
        Ticker { end, task }
    }
}

/// Collects until `end`, then once more; not once more after `now`.
async fn tick(mut gatherer: Gatherer, interval: Duration, agent: String, end: Shutdown, now: Shutdown) {
    // At once first: whoever starts an agent wants to see something.
    let mut at_ms = clock::now_ms();
    while !end.is_triggered() {
        gatherer.tick(at_ms, false).await;
        let now_ms = clock::now_ms();
        let next_ms = next_tick_ms(at_ms.max(now_ms), interval, &agent);
        let missed = (next_ms - next_tick_ms(at_ms, interval, &agent)) / interval.as_millis().max(1) as i64;
        gatherer.counters.ticks_missed.add(u64::try_from(missed).unwrap_or(0));
        at_ms = next_ms;
        let pause = Duration::from_millis(u64::try_from(next_ms - now_ms).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = end.wait() => {}
            () = now.wait() => return,
        }
    }
    gatherer.tick(clock::now_ms(), true).await;
}

struct Ticker {
    end: Shutdown,
    task: JoinHandle<()>,
}

/// Everything that runs.
struct Running {
    stop: Stop,
    mailboxes: Vec<Arc<Mailbox>>,
    tailers: Vec<thread::JoinHandle<()>>,
    log_senders: Vec<JoinHandle<()>>,
    metrics_senders: Vec<JoinHandle<()>>,
    ticker: Option<Ticker>,
    spool: Arc<Spool>,
}

impl Running {
    /// `lock` is held until everything has ended.
    async fn supervise(
        mut self,
        shutdown: Shutdown,
        kill: Shutdown,
        pages: Option<JoinHandle<()>>,
        lock: DirLock,
    ) {
        tokio::select! {
            () = shutdown.wait() => {
                let end = self.end();
                let grace = async {
                    tokio::time::sleep(GRACE).await;
                    tracing::info!("not everything could be delivered in time; it is kept for the next start");
                };
                tokio::select! {
                    () = end => {}
                    () = grace => {}
                }
            }
            () = kill.wait() => {}
        }
        self.abandon().await;
        if let Some(pages) = pages {
            pages.abort();
        }
        drop(lock);
    }

    /// The clean end.
    async fn end(&mut self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.stop());
        let senders = join_all(&mut self.log_senders);
        if tokio::time::timeout(GRACE_LOGS, senders).await.is_err() {
            self.mailboxes.iter().for_each(|mailbox| mailbox.abandon());
        }
        if let Some(ticker) = &mut self.ticker {
            ticker.end.trigger();
            note(&(&mut ticker.task).await);
            self.ticker = None;
        }
        self.stop.gently.trigger();
        join_all(&mut self.metrics_senders).await;
    }

    /// Ends what still runs; nothing is waited for but the work at hand.
    async fn abandon(&mut self) {
        self.stop.now.trigger();
        self.mailboxes.iter().for_each(|mailbox| mailbox.abandon());
        if let Some(ticker) = self.ticker.take() {
            ticker.task.abort();
        }
        join_all(&mut self.log_senders).await;
        join_all(&mut self.metrics_senders).await;
        let tailers = std::mem::take(&mut self.tailers);
        let spool = self.spool.clone();
        let finish = tokio::task::spawn_blocking(move || {
            for tailer in tailers {
                if tailer.join().is_err() {
                    tracing::error!("a tailer panicked");
                }
            }
            if let Err(error) = spool.sync() {
                tracing::warn!(%error, "failed to sync the spool");
            }
        });
        note(&finish.await);
    }
}

async fn join_all(tasks: &mut Vec<JoinHandle<()>>) {
    while let Some(task) = tasks.last_mut() {
        note(&task.await);
        tasks.pop();
    }
}

fn note(outcome: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = outcome
        && error.is_panic()
    {
        tracing::error!(%error, "a part of the agent panicked");
    }
}

/// What is collected, and with which labels.
pub(crate) fn setup(config: &AgentConfig) -> Setup {
    Setup {
        roots: config.paths.roots(),
        disabled: config.collectors.disabled.clone(),
        base_labels: config.base_labels(),
        deadline: COLLECT_DEADLINE,
        more: OwnCounters::of,
        counters: Arc::default(),
    }
}

fn sender(config: &AgentConfig, identity: &Identity) -> Sender {
    Sender {
        agent: identity.agent.clone(),
        boot: identity.boot,
        job: config.job.clone(),
        instance: config.instance(),
        interval: config.interval,
    }
}

/// The destination's name in counters and, being plain, in file names.
fn spool_name(destination: &Destination) -> String {
    destination
        .name()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '_' })
        .collect()
}
