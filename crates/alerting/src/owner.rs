//! The one thread that owns the dispatcher and the journal.
//!
//! Everyone else sends it closures. It applies all that are waiting, commits what they changed in
//! one transaction, and only then answers and sets deliveries going: one disk sync serves many
//! callers, and nothing is told or acknowledged that a crash could take back.
//!
//! Bounds: [`QUEUE`] closures wait; one more is refused as busy. [`DELIVERIES_MAX`] deliveries are
//! attempted at once, [`DELIVERIES_EACH_MAX`] of them to one integration; the rest wait in the
//! outbox.

use crate::{
    config::Receiver,
    dispatch::{Delivery, Dispatcher, Effect, FailedAttempt, Finished},
    journal::{Change, Journal, keep_last},
    notify::deliver::{Means, deliver},
};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        mpsc::{Receiver as Inbox, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, oneshot, watch},
    task::AbortHandle,
};

const QUEUE: usize = 4096;
const DELIVERIES_MAX: usize = 64;
/// Of these, so many to one integration: one that hangs leaves room for the others.
const DELIVERIES_EACH_MAX: usize = 8;
/// Longest wait for something to happen; bounds the effect of a clock that was set back.
const IDLE_MAX: Duration = Duration::from_secs(1);
/// How long a stop waits for attempts under way.
const STOP_GRACE: Duration = Duration::from_secs(3);

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OwnerError {
    #[error("alerting is busy; try again")]
    Busy,
    #[error("alerting has stopped")]
    Stopped,
    #[error("the change could not be made durable; try again")]
    NotDurable,
}

type Answer = Box<dyn FnOnce(bool) + Send>;
type Act = Box<dyn FnOnce(&mut Dispatcher, &mut Vec<Change>, i64) -> Answer + Send>;

enum Command {
    Act(Act),
    Failed(u64, FailedAttempt),
    Finished(u64, Finished),
    Write(Change),
    Stop,
}

/// A delivery's task.
struct Task {
    handle: AbortHandle,
    /// True once no further attempt is to be made.
    stop: watch::Sender<bool>,
}

/// A way to the owner. Clones reach the same one.
#[derive(Clone)]
pub(crate) struct Owner {
    commands: SyncSender<Command>,
}

impl Owner {
    /// Starts the thread.
    pub(crate) fn start(
        dispatcher: Dispatcher,
        journal: Arc<Journal>,
        means: Means,
        runtime: Handle,
    ) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (commands, inbox) = sync_channel(QUEUE);
        let owner = Owner { commands };
        let run = Run {
            dispatcher,
            journal,
            means,
            runtime,
            owner: owner.clone(),
            under_way: HashMap::new(),
            permits: Arc::new(Semaphore::new(DELIVERIES_MAX)),
            own_permits: HashMap::new(),
            unwritten: Vec::new(),
            stopping: None,
            figures_at_ms: i64::MIN,
        };
        let thread =
            std::thread::Builder::new().name("alerting".to_owned()).spawn(move || run.run(&inbox))?;
        Ok((owner, thread))
    }

    /// Runs `act` on the dispatcher and returns its result once what it changed is durable. `act`
    /// may add records of its own to the transaction.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Dispatcher, &mut Vec<Change>, i64) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        let (sender, answer) = oneshot::channel();
        let act: Act = Box::new(move |dispatcher, changes, now_ms| {
            let result = act(dispatcher, changes, now_ms);
            Box::new(move |durable| {
                let result = if durable { Ok(result) } else { Err(OwnerError::NotDurable) };
                // A caller that has gone does not need the answer.
                drop(sender.send(result));
            })
        });
        self.send(Command::Act(act))?;
        answer.await.map_err(|_| OwnerError::Stopped)?
    }

    /// Runs `read` on the dispatcher.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Dispatcher, i64) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        self.act(move |dispatcher, _, now_ms| read(dispatcher, now_ms)).await
    }

    /// Writes a record with the next transaction. When alerting is busy or has stopped it is left
    /// out.
    pub(crate) fn write_later(&self, change: Change) {
        if self.send(Command::Write(change)).is_err() {
            tracing::debug!("a record of small account was not written");
        }
    }

    pub(crate) fn stop(&self) {
        if self.commands.send(Command::Stop).is_err() {
            tracing::debug!("alerting had stopped before");
        }
    }

    fn send(&self, command: Command) -> Result<(), OwnerError> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(_) => OwnerError::Busy,
            TrySendError::Disconnected(_) => OwnerError::Stopped,
        })
    }
}

struct Run {
    dispatcher: Dispatcher,
    journal: Arc<Journal>,
    means: Means,
    runtime: Handle,
    owner: Owner,
    under_way: HashMap<u64, Task>,
    permits: Arc<Semaphore>,
    /// By integration.
    own_permits: HashMap<String, Arc<Semaphore>>,
    /// Changes of a transaction that failed; they go with the next.
    unwritten: Vec<Change>,
    stopping: Option<Instant>,
    /// When the figures of silences in files were taken last.
    figures_at_ms: i64,
}

impl Run {
    fn run(mut self, inbox: &Inbox<Command>) {
        self.settle(Vec::new());
        loop {
            let first = match inbox.recv_timeout(self.wait()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let now_ms = (self.means.clock)();
            let mut answers = Vec::new();
            for command in first.into_iter().chain(inbox.try_iter().take(QUEUE)) {
                answers.extend(self.take(command, now_ms));
            }
            if self.stopping.is_none() {
                self.dispatcher.tick(now_ms);
            }
            self.settle(answers);
            let patience_over = self.stopping.is_some_and(|since| since.elapsed() >= STOP_GRACE);
            if patience_over || self.stopping.is_some() && self.under_way.is_empty() {
                break;
            }
        }
        for task in self.under_way.values() {
            task.handle.abort();
        }
    }

    fn wait(&self) -> Duration {
        if self.stopping.is_some() {
            return Duration::from_millis(50);
        }
        let until_ms = self.dispatcher.next_wakeup_ms() - (self.means.clock)();
        Duration::from_millis(until_ms.max(0) as u64).min(IDLE_MAX)
    }

    fn take(&mut self, command: Command, now_ms: i64) -> Option<Answer> {
        match command {
            Command::Act(act) => return Some(act(&mut self.dispatcher, &mut self.unwritten, now_ms)),
            Command::Finished(id, outcome) => {
                self.under_way.remove(&id);
                self.dispatcher.finished(id, &outcome, now_ms);
            }
            Command::Failed(id, failed) => self.dispatcher.attempt_failed(id, failed, now_ms),
            Command::Write(change) => self.unwritten.push(change),
            Command::Stop => self.stopping = Some(Instant::now()),
        }
        None
    }

    /// Commits, then answers and does what was decided. When the commit fails, notifications go
    /// out all the same: an alert told twice is better than one not told.
    fn settle(&mut self, answers: Vec<Answer>) {
        let (changes, effects) = self.dispatcher.take();
        self.unwritten.extend(changes);
        let durable = match self.journal.commit(&self.unwritten) {
            Ok(()) => true,
            Err(error) => {
                self.means.metrics.journal_failures.inc();
                tracing::error!(%error, "a transition of alerting could not be made durable");
                false
            }
        };
        if durable {
            self.unwritten.clear();
        } else {
            // Rules renew their alerts all the time: without this a full disk would fill memory.
            keep_last(&mut self.unwritten);
        }
        for answer in answers {
            answer(durable);
        }
        for effect in effects {
            self.perform(effect);
        }
        let (alerts, outbox, flapping) = self.dispatcher.sizes();
        self.means.metrics.alerts.set(alerts as i64);
        self.means.metrics.outbox.set(outbox as i64);
        self.means.metrics.flapping.set(flapping as i64);
        if self.dispatcher.collected_at_ms() != self.figures_at_ms {
            self.figures_at_ms = self.dispatcher.collected_at_ms();
            let figures = self.dispatcher.silences().file_figures((self.means.clock)());
            self.means.metrics.silences_in_files(figures);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Stop(id) => {
                if let Some(task) = self.under_way.get(&id) {
                    task.stop.send_replace(true);
                }
            }
            // What is decided while stopping stays in the outbox for the next start.
            Effect::Deliver(..) if self.stopping.is_some() => {}
            Effect::Deliver(delivery, receiver, at) => self.deliver(*delivery, receiver, at),
        }
    }

    fn deliver(&mut self, delivery: Delivery, receiver: Arc<Receiver>, at: usize) {
        let (means, owner, permits) = (self.means.clone(), self.owner.clone(), self.permits.clone());
        let own = self.own_permits.entry(delivery.integration.clone());
        let own = own.or_insert_with(|| Arc::new(Semaphore::new(DELIVERIES_EACH_MAX))).clone();
        let templates = self.dispatcher.config().templates.clone();
        let id = delivery.id;
        let (stop, mut stopped) = watch::channel(false);
        let task = self.runtime.spawn(async move {
            let integration = &receiver.integrations[at];
            let failed = |attempt| {
                // Only the history misses it when alerting is that busy.
                if owner.send(Command::Failed(id, attempt)).is_err() {
                    tracing::debug!("a failed attempt is not in the history");
                }
            };
            let outcome =
                deliver(&means, &templates, integration, &delivery, [&own, &permits], failed, &mut stopped)
                    .await;
            if let Finished::GivenUp(reason) = &outcome {
                means.metrics.gave_up(integration.kind());
                let receiver = receiver.name.as_str();
                tracing::error!(
                    receiver,
                    integration = delivery.integration,
                    reason,
                    "notification was not delivered"
                );
            }
            report(&owner, id, outcome).await;
        });
        self.under_way.insert(id, Task { handle: task.abort_handle(), stop });
    }
}

/// Tells the owner; a full queue is waited for, because the end of a delivery must not be lost.
async fn report(owner: &Owner, id: u64, outcome: Finished) {
    while owner.send(Command::Finished(id, outcome.clone())) == Err(OwnerError::Busy) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
