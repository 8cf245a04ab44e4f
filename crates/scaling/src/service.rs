//! The running whole: a task per policy that measures, decides, makes the decision durable and
//! has it delivered.
//!
//! One delivery is under way per policy. A newer decision replaces an older one that was not
//! accepted yet, because sizes are absolute.

use crate::{
    decide::{Action, Decision, Inputs, Measured, State, decide},
    journal::{Change, Journal, JournalError, Table},
    metrics::Metrics,
    policy::{LoadedPolicies, Mode, Policy, Problems, Receiver, load_all},
    readings::Readings,
    webhook::{Attempt, Clients, Delivery, attempt, backoff, delivery},
};
use daemon::{Pool, Shutdown};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::watch, task::JoinHandle};

/// Decisions that may wait for a thread of the pool.
const QUEUE: usize = 1024;
/// Between two tries to take out of the outbox what has ended.
const REMOVE_EVERY: Duration = Duration::from_secs(5);

/// What scaling is told by its user.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Policy files, or folders of them.
    pub policies: Vec<PathBuf>,
    /// Policy files that come with the program: name and text.
    pub built_in_policies: Vec<(String, String)>,
    /// Where the journal is kept.
    pub state_dir: PathBuf,
    /// Where people reach this server, for links.
    pub external_url: String,
}

/// What scaling is given by the process.
#[derive(Clone)]
pub struct Parts {
    /// Answers expressions.
    pub readings: Arc<dyn Readings>,
    /// Reads the wall clock, in milliseconds.
    pub clock: fn() -> i64,
}

/// Why scaling did not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum StartError {
    #[error(transparent)]
    Problems(#[from] Problems),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("failed to set up the HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

/// How the last delivery stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Nothing was to be delivered.
    #[default]
    None,
    /// Being tried.
    UnderWay {
        /// Its number.
        sequence: u64,
        /// Attempts that failed.
        failed_attempts: u32,
        /// What the last one came to.
        last_error: Option<String>,
    },
    /// The receiver has taken it.
    Accepted {
        /// Its number.
        sequence: u64,
    },
    /// It was refused, or its time was up.
    Failed {
        /// Its number.
        sequence: u64,
        /// Why.
        error: String,
    },
}

/// A policy and what became of it.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// The policy.
    pub policy: Arc<Policy>,
    /// Its last decision, if it has come to one.
    pub decision: Option<Decision>,
    /// Deliveries so far.
    pub sequence: u64,
    /// How the last one stands.
    pub delivery: DeliveryStatus,
}

/// What a policy's tasks and the API share.
#[derive(Default)]
struct Status {
    state: State,
    decision: Option<Decision>,
    delivery: DeliveryStatus,
}

struct Running {
    policy: Arc<Policy>,
    receiver: Option<Receiver>,
    status: Arc<Mutex<Status>>,
    stop: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

/// What every policy's tasks use.
#[derive(Clone)]
struct Common {
    parts: Parts,
    clients: Clients,
    external_url: String,
    journal: Arc<Journal>,
    pool: Pool,
    metrics: Metrics,
}

/// See the module.
pub struct Scaling {
    settings: Settings,
    common: Common,
    running: Mutex<BTreeMap<String, Running>>,
    reloading: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scaling {
    /// Reads policies, opens the journal and starts deciding. Call it within a tokio runtime.
    ///
    /// # Errors
    /// When a file has problems or the journal cannot be opened.
    pub async fn start(
        settings: Settings,
        parts: Parts,
        own: &daemon::metrics::Metrics,
    ) -> Result<Self, StartError> {
        let loaded = load_in_background(settings.clone(), parts.readings.clone()).await?;
        let journal = Arc::new(Journal::open(&settings.state_dir)?);
        let mut states: BTreeMap<String, State> = journal.load(Table::States)?;
        let mut decisions: BTreeMap<String, Decision> = journal.load(Table::Decisions)?;
        let mut outbox: BTreeMap<String, Delivery> = journal.load(Table::Outbox)?;
        let metrics = Metrics::default();
        metrics.register(own);
        metrics.reloaded(true);
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let external_url = settings.external_url.clone();
        let (clients, pool) = (Clients::new()?, Pool::new(threads, QUEUE));
        let common = Common { parts, clients, external_url, journal, pool, metrics };
        let scaling =
            Scaling { settings, common, running: Mutex::default(), reloading: tokio::sync::Mutex::default() };
        for policy in loaded.policies {
            let uid = policy.uid.clone();
            let status = Status {
                state: states.remove(&uid).unwrap_or_default(),
                decision: decisions.remove(&uid),
                delivery: DeliveryStatus::None,
            };
            let receiver = loaded.receivers.get(&policy.target.receiver).cloned();
            scaling.run(policy, receiver, Arc::new(Mutex::new(status)), outbox.remove(&uid));
        }
        Ok(scaling)
    }

    /// Reads the policies again. All of them are good, or nothing changes. State is kept by uid.
    ///
    /// # Errors
    /// Every problem found.
    pub async fn reload(&self) -> Result<(), Problems> {
        let read = self.read().await?;
        self.take(read).await;
        Ok(())
    }

    /// Reads policies again and changes nothing yet.
    ///
    /// # Errors
    /// Every problem found.
    pub async fn read(&self) -> Result<LoadedPolicies, Problems> {
        let read = load_in_background(self.settings.clone(), self.common.parts.readings.clone()).await;
        self.common.metrics.reloaded(read.is_ok());
        read
    }

    /// Puts what was read into force.
    pub async fn take(&self, read: LoadedPolicies) {
        let _one_at_a_time = self.reloading.lock().await;
        let LoadedPolicies { policies, receivers } = read;
        let same = |running: &Running| {
            let receiver = receivers.get(&running.policy.target.receiver);
            policies.iter().any(|policy| *policy == *running.policy) && receiver == running.receiver.as_ref()
        };
        let leaving: BTreeMap<String, Running> =
            lock(&self.running).extract_if(.., |_, running| !same(running)).collect();
        let mut kept = BTreeMap::new();
        for (uid, running) in leaving {
            end(&uid, running.stop, running.tasks).await;
            kept.insert(uid, running.status);
        }
        let mut outbox: BTreeMap<String, Delivery> =
            self.common.journal.load(Table::Outbox).unwrap_or_else(|error| {
                tracing::error!(%error, "deliveries under way are not continued");
                BTreeMap::new()
            });
        for policy in policies {
            if lock(&self.running).contains_key(&policy.uid) {
                continue;
            }
            let receiver = receivers.get(&policy.target.receiver).cloned();
            let status = kept.remove(&policy.uid).unwrap_or_default();
            let waiting = outbox.remove(&policy.uid);
            self.run(policy, receiver, status, waiting);
        }
    }

    fn run(
        &self,
        policy: Policy,
        receiver: Option<Receiver>,
        status: Arc<Mutex<Status>>,
        waiting: Option<Delivery>,
    ) {
        let policy = Arc::new(policy);
        let stop = Shutdown::new();
        let (outbox, deliveries) = watch::channel(waiting);
        let task = PolicyTask {
            common: self.common.clone(),
            policy: policy.clone(),
            status: status.clone(),
            outbox: (policy.mode != Mode::DryRun && receiver.is_some()).then_some(outbox),
        };
        let mut tasks = vec![tokio::spawn(task.run(stop.clone()))];
        if let Some(receiver) = receiver.clone() {
            let common = self.common.clone();
            let courier = Courier { common, policy: policy.clone(), receiver, status: status.clone() };
            tasks.push(tokio::spawn(courier.run(deliveries, stop.clone())));
        }
        lock(&self.running).insert(policy.uid.clone(), Running { policy, receiver, status, stop, tasks });
    }

    /// Every policy and what became of it, by uid.
    pub fn policies(&self) -> Vec<PolicyView> {
        let view = |running: &Running| {
            let status = lock(&running.status);
            PolicyView {
                policy: running.policy.clone(),
                decision: status.decision.clone(),
                sequence: status.state.sequence,
                delivery: status.delivery.clone(),
            }
        };
        lock(&self.running).values().map(view).collect()
    }

    /// Stops deciding and delivering; what was not accepted stays in the outbox.
    pub async fn stop(&self) {
        let running = std::mem::take(&mut *lock(&self.running));
        for policy in running.values() {
            policy.stop.trigger();
        }
        for (uid, policy) in running {
            end(&uid, policy.stop, policy.tasks).await;
        }
    }
}

async fn end(uid: &str, stop: Shutdown, tasks: Vec<JoinHandle<()>>) {
    stop.trigger();
    for task in tasks {
        if task.await.is_err() {
            tracing::error!(policy = uid, "a task of a scaling policy panicked");
        }
    }
}

async fn load_in_background(
    settings: Settings,
    readings: Arc<dyn Readings>,
) -> Result<LoadedPolicies, Problems> {
    let task = tokio::task::spawn_blocking(move || {
        load_all(&settings.policies, &settings.built_in_policies, readings.as_ref())
    });
    match task.await {
        Ok(loaded) => loaded,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

/// Measures and decides.
struct PolicyTask {
    common: Common,
    policy: Arc<Policy>,
    status: Arc<Mutex<Status>>,
    outbox: Option<watch::Sender<Option<Delivery>>>,
}

impl PolicyTask {
    async fn run(self, stop: Shutdown) {
        let interval = Duration::from_millis(self.policy.interval_ms.max(1) as u64);
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.wait() => return,
                _ = ticks.tick() => {}
            }
            self.step().await;
        }
    }

    async fn step(&self) {
        let now_ms = (self.common.parts.clock)();
        let state = lock(&self.status).state.clone();
        let turns_before = state.direction_changes;
        let (policy, common) = (self.policy.clone(), self.common.clone());
        let delivers = self.outbox.is_some();
        let decided = self.common.pool.run(move || {
            let inputs = measure(&policy, common.parts.readings.as_ref(), now_ms);
            let (decision, state) = decide(&policy, &state, &inputs);
            let moves = delivers && decision.action != Action::None;
            let delivery =
                if moves { delivery(&policy, &decision, state.sequence, &common.external_url) } else { None };
            let mut changes = vec![
                Change::put(Table::States, &policy.uid, &state),
                Change::put(Table::Decisions, &policy.uid, &decision),
            ];
            changes
                .extend(delivery.as_ref().map(|delivery| Change::put(Table::Outbox, &policy.uid, delivery)));
            let written = common.journal.commit(&changes);
            (decision, state, delivery, written)
        });
        let (decision, state, delivery, written) = match decided.await {
            Ok(decided) => decided,
            Err(busy) => {
                tracing::warn!(policy = self.policy.uid, %busy, "scaling policy was not evaluated");
                return;
            }
        };
        if let Err(error) = written {
            // A number that is not on disk could be used again: in doubt, hold.
            tracing::error!(policy = self.policy.uid, %error, "a scaling decision was not made durable and is dropped");
            return;
        }
        self.common.metrics.decided(&self.policy, &decision, state.direction_changes != turns_before);
        let mut status = lock(&self.status);
        // A dry run comes to the same decision time and again.
        let is_news = status.decision.as_ref().is_none_or(|last| {
            (last.action, last.current, last.desired) != (decision.action, decision.current, decision.desired)
        });
        if decision.action != Action::None && is_news {
            tracing::info!(
                policy = self.policy.uid,
                current = decision.current,
                desired = decision.desired,
                reason = decision.reason.as_str(),
                sequence = state.sequence,
                delivered = delivery.is_some(),
                "scaling decision"
            );
        }
        status.state = state;
        status.decision = Some(decision);
        drop(status);
        if let (Some(outbox), Some(delivery)) = (&self.outbox, delivery) {
            outbox.send_replace(Some(delivery));
        }
    }
}

/// Asks for everything that a decision needs.
pub fn measure(policy: &Policy, readings: &dyn Readings, now_ms: i64) -> Inputs {
    let read = |expr: &str| match readings.read(expr, now_ms) {
        Err(error) => Measured::NoData(error),
        Ok(elements) => match elements.as_slice() {
            [] => Measured::NoData("the result is empty".to_owned()),
            [one] => Measured::Value {
                value: one.value,
                age_ms: one.sampled_at_ms.map_or(0, |at_ms| (now_ms - at_ms).max(0)),
            },
            several => Measured::NoData(format!("the result has {} elements, must have one", several.len())),
        },
    };
    Inputs {
        now_ms,
        current: read(&policy.target.current),
        checks: policy.checks.iter().map(|check| read(&check.query)).collect(),
        firing_alerts: if policy.guards.is_empty() {
            Default::default()
        } else {
            readings.firing_alerts().into_iter().collect()
        },
    }
}

/// Delivers, one at a time, the newest only.
struct Courier {
    common: Common,
    policy: Arc<Policy>,
    receiver: Receiver,
    status: Arc<Mutex<Status>>,
}

impl Courier {
    async fn run(self, mut deliveries: watch::Receiver<Option<Delivery>>, stop: Shutdown) {
        loop {
            let delivery = deliveries.borrow_and_update().clone();
            if let Some(delivery) = delivery {
                tokio::select! {
                    () = stop.wait() => return,
                    // Dropping the attempt is safe: the number tells the receiver which is newer.
                    changed = deliveries.changed() => if changed.is_err() { return } else { continue },
                    () = self.carry_out(&delivery) => {}
                }
            }
            tokio::select! {
                () = stop.wait() => return,
                changed = deliveries.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn carry_out(&self, delivery: &Delivery) {
        let status = self.deliver(delivery).await;
        self.conclude(delivery, status);
        let (uid, sequence) = (&self.policy.uid, delivery.sequence);
        let remove = || self.common.journal.remove_delivery(uid, sequence);
        let tell = |error| {
            tracing::error!(policy = uid, sequence, %error, "a delivery that has ended stays in the outbox until that can be written; a restart before that repeats it");
        };
        until_done(REMOVE_EVERY, remove, tell).await;
    }

    async fn deliver(&self, delivery: &Delivery) -> DeliveryStatus {
        let sequence = delivery.sequence;
        let mut failed_attempts = 0;
        let mut last_error = None;
        loop {
            lock(&self.status).delivery =
                DeliveryStatus::UnderWay { sequence, failed_attempts, last_error: last_error.clone() };
            let now_ms = (self.common.parts.clock)();
            if now_ms >= delivery.expires_at_ms {
                let error = last_error.unwrap_or_else(|| "its time was up".to_owned());
                return DeliveryStatus::Failed { sequence, error };
            }
            let (error, asked) = match attempt(&self.common.clients, &self.receiver, delivery, now_ms).await {
                Attempt::Accepted => return DeliveryStatus::Accepted { sequence },
                Attempt::Refused(error) => {
                    self.common.metrics.delivery_failed(&self.policy.uid);
                    return DeliveryStatus::Failed { sequence, error };
                }
                Attempt::Retry(error, asked) => (error, asked),
            };
            self.common.metrics.delivery_failed(&self.policy.uid);
            failed_attempts += 1;
            tracing::warn!(
                policy = self.policy.uid,
                sequence,
                failed_attempts,
                error,
                "a scaling decision was not accepted yet"
            );
            last_error = Some(error);
            tokio::time::sleep(backoff(failed_attempts, delivery, asked)).await;
        }
    }

    fn conclude(&self, delivery: &Delivery, status: DeliveryStatus) {
        if let DeliveryStatus::Failed { error, .. } = &status {
            tracing::error!(
                policy = self.policy.uid,
                sequence = delivery.sequence,
                error,
                "a scaling decision was not carried out"
            );
        }
        lock(&self.status).delivery = status;
    }
}

/// Tries until it succeeds. Only the first error is told.
async fn until_done<E>(every: Duration, mut run: impl FnMut() -> Result<(), E>, tell: impl FnOnce(E)) {
    let Err(error) = run() else { return };
    tell(error);
    loop {
        tokio::time::sleep(every).await;
        if run().is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
