//! Egress: what the metric store acknowledges is sent on by remote write to any number of
//! endpoints, at least once and without a gap.
//!
//! ```text
//! receivers ─► forwarding ─► store            endpoint A: pump ─► dealer ─► lane 1 … lane n ─► HTTP
//!                      └───► journal ───┬───►                        │
//!                            (on disk)  └───► endpoint B: …          └ progress ─► cursor
//! ```
//!
//! Each endpoint has a cursor in the journal, which moves when the endpoint has taken or refused
//! all of a record. Bounds: the journal's bytes on disk, and `capacity` samples a connection in
//! memory; an endpoint that is slow or away makes its own reading wait and nothing else.

mod backoff;
mod config;
mod cut;
mod dealer;
mod endpoint;
mod forwarding;
mod health;
mod journal;
mod lane;
mod metrics;
mod progress;
mod pump;
mod record;
mod relabelling;
#[cfg(test)]
mod tests;

pub(crate) use config::{RemoteWriteConfig, problems};

use crate::config::Config;
use anyhow::bail;
use daemon::{Shutdown, clock};
use dealer::Dealer;
use endpoint::Endpoint;
use forwarding::ForwardingStore;
use health::Health;
use journal::{Follower, Journal};
use lane::Lane;
use metrics::{EndpointMetrics, Families};
use progress::Progress;
use pump::{LaneDoor, Pump, Tracker};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{sync::Arc, thread};
use store::MetricStore;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

/// The folder of the journal.
const FOLDER: &str = "egress";
/// Parcels in a connection's queue; how many samples they have is bounded apart.
const PARCELS_MAX: usize = 1024;

/// The endpoints and their journal.
pub(crate) struct Egress {
    journal: Arc<Journal>,
    lines: Vec<Line>,
    families: Families,
}

/// One endpoint.
struct Line {
    name: String,
    endpoint: Arc<Endpoint>,
    health: Arc<Health>,
    tracker: Arc<Tracker>,
}

/// What is under way, to be waited for.
pub(crate) struct Running {
    egress: Arc<Egress>,
    pumps: Vec<thread::JoinHandle<()>>,
    lanes: Vec<JoinHandle<()>>,
}

impl Egress {
    /// Opens the journal below `dir`; `None` without endpoints, when nothing is kept for any.
    ///
    /// # Errors
    /// When an endpoint's settings do not hold or the journal cannot be opened.
    pub(crate) fn open(dir: &disk::Dir, config: &Config) -> anyhow::Result<Option<Egress>> {
        if config.remote_write.is_empty() {
            if dir.list()?.iter().any(|name| name == FOLDER) {
                dir.remove_all(FOLDER)?;
            }
            return Ok(None);
        }
        let problems = problems(&config.remote_write);
        if !problems.is_empty() {
            let problems: Vec<_> = problems.into_iter().map(|(_, problem)| problem).collect();
            bail!(problems.join("\n"));
        }
        let families = Families::default();
        let numbers: Vec<EndpointMetrics> =
            config.remote_write.iter().map(|config| families.endpoint(&config.endpoint_name())).collect();
        let follower = |(config, metrics): (&RemoteWriteConfig, &EndpointMetrics)| Follower {
            key: key(&config.endpoint_name()),
            lost: metrics.buffer_full.clone(),
        };
        let followers = config.remote_write.iter().zip(&numbers).map(follower).collect();
        let bytes_max = config.limits.remote_write_bytes_max.0;
        let journal = Arc::new(Journal::open(dir.sub(FOLDER)?, bytes_max, followers)?);
        let line = |(config, metrics): (&RemoteWriteConfig, EndpointMetrics)| {
            let name = config.endpoint_name();
            let tracker =
                Tracker { key: key(&name), journal: journal.clone(), progress: Progress::default(), metrics };
            anyhow::Ok(Line {
                endpoint: Arc::new(Endpoint::new(config.clone())?),
                health: Arc::new(Health::new(name.clone())),
                tracker: Arc::new(tracker),
                name,
            })
        };
        let lines = config.remote_write.iter().zip(numbers).map(line).collect::<anyhow::Result<_>>()?;
        Ok(Some(Egress { journal, lines, families }))
    }

    /// A store that also writes what it takes to the journal.
    pub(crate) fn forwarding(&self, inner: Arc<dyn MetricStore>) -> Arc<dyn MetricStore> {
        Arc::new(ForwardingStore { inner, journal: self.journal.clone() })
    }

    /// Starts to send, until `shutdown`. Called on the runtime.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start(
        self: Arc<Self>,
        own: &daemon::metrics::Metrics,
        shutdown: &Shutdown,
    ) -> std::io::Result<Running> {
        self.families.register(own);
        let (mut pumps, mut lanes) = (Vec::new(), Vec::new());
        for line in &self.lines {
            let (pump, line_lanes) = line.prepare(shutdown);
            lanes.extend(line_lanes.into_iter().map(|lane| tokio::spawn(lane.run())));
            let thread = thread::Builder::new().name("remote-write".to_owned());
            pumps.push(thread.spawn(move || pump.run())?);
        }
        Ok(Running { egress: self, pumps, lanes })
    }

    /// How each endpoint does.
    pub(crate) fn status(&self) -> Value {
        let now_ms = clock::now_ms();
        let endpoint = |line: &Line| {
            let (known, metrics) = (line.health.known(), &line.tracker.metrics);
            json!({
                "name": line.name,
                "version": line.endpoint.version().version_header(),
                "pending_samples": line.tracker.pending_samples(),
                "lag_seconds": line.tracker.lag_seconds(now_ms),
                "sent_samples": metrics.sent.get(),
                "failed_samples": metrics.failed.get(),
                "dropped_samples": metrics.dropped(),
                "stored_ms": known.stored_ms,
                "failed_ms": known.failed_ms,
                "failure": known.failure,
            })
        };
        json!({
            "journal_bytes": self.journal.bytes(),
            "endpoints": self.lines.iter().map(endpoint).collect::<Vec<_>>(),
        })
    }
}

impl Line {
    fn prepare(&self, shutdown: &Shutdown) -> (Pump, Vec<Lane>) {
        let queue = &self.endpoint.config().queue_config;
        let (mut doors, mut lanes) = (Vec::new(), Vec::new());
        for _ in 0..queue.max_shards {
            let (sender, inbox) = mpsc::channel(PARCELS_MAX);
            let capacity = queue.capacity.min(Semaphore::MAX_PERMITS);
            doors.push(LaneDoor { sender, room: Arc::new(Semaphore::new(capacity)), capacity });
            lanes.push(Lane {
                endpoint: self.endpoint.clone(),
                metrics: self.tracker.metrics.clone(),
                health: self.health.clone(),
                inbox,
                shutdown: shutdown.clone(),
            });
        }
        let pump = Pump {
            tracker: self.tracker.clone(),
            endpoint: self.endpoint.clone(),
            dealer: Dealer::new(self.endpoint.config(), self.tracker.metrics.clone()),
            doors,
            runtime: Handle::current(),
            shutdown: shutdown.clone(),
        };
        (pump, lanes)
    }
}

impl Running {
    /// Waits for everything to end after the shutdown, and writes the cursors down.
    ///
    /// # Errors
    /// When a part panicked.
    pub(crate) async fn join(self) -> anyhow::Result<()> {
        for lane in self.lanes {
            lane.await?;
        }
        tokio::task::spawn_blocking(move || {
            for pump in self.pumps {
                if pump.join().is_err() {
                    bail!("a thread of remote write panicked");
                }
            }
            self.egress.lines.iter().for_each(|line| line.tracker.save(clock::now_ms()));
            Ok(())
        })
        .await?
    }
}

/// A plain file name that stands for the endpoint.
fn key(name: &str) -> String {
    Sha256::digest(name.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
