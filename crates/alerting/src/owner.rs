//! The one thread that owns the dispatcher and the journal.
//!
//! Everyone else sends it closures. It applies those that are waiting, commits what they changed in
//! one transaction, and only then answers and sets deliveries going: one disk sync serves many
//! callers, and nothing is told or acknowledged that a crash could take back.
//!
//! A change of silences is the exception: it is committed first and applied after, because it is refused
//! when the disk takes nothing, and who tries again must not make two.
//!
//! Who only looks does so on threads of their own, beside the commit: with thousands of alerts a
//! commit takes long enough to be felt. What they see may not be on disk yet.
//!
//! Bounds: [`QUEUE`] closures wait; one more is refused as busy. Closures are applied for
//! [`APPLY_MAX`] at a time, so that who looks waits no longer than that and the longest of them.
//! [`DELIVERIES_MAX`] deliveries are attempted at once, [`DELIVERIES_EACH_MAX`] of them to one
//! integration; the rest wait in the outbox.

use crate::{
    config::Receiver,
    dispatch::{Delivery, Dispatcher, Due, Effect, FailedAttempt, Finished, SilenceChanges, restore_silence},
    journal::{Change, Journal, keep_last},
    notify::deliver::{Means, deliver},
    silence::{Planned, SilenceError, Silences},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
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
/// No further closure joins a transaction once it has been put together for so long.
const APPLY_MAX: Duration = Duration::from_millis(5);

/// Events of the history that wait for a disk that takes nothing; older ones are left out.
const UNWRITTEN_EVENTS_MAX: usize = 20_000;

/// Between two tries to reach the thread when it is busy.
const RETRY_EVERY: Duration = Duration::from_millis(20);

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
    #[error(
        "what was sent is in force, but not on disk yet, and a crash would lose it; sending it again does no harm"
    )]
    NotDurable,
    #[error("the change could not be written to disk and was not made; try again")]
    NotWritten,
}

type Answer = Box<dyn FnOnce(bool) + Send>;
type Act = Box<dyn FnOnce(&mut Dispatcher, &mut Vec<Change>, i64) -> Answer + Send>;

type Plan = Box<dyn FnOnce(&Silences, i64) -> Result<Planned, SilenceError> + Send>;
type Changed = Result<Result<String, SilenceError>, OwnerError>;

/// A change of silences, of which nothing is in force before it is on disk: who is refused may try again.
struct SilenceChange {
    plan: Plan,
    /// The id of the silence asked for.
    answer: oneshot::Sender<Changed>,
}

enum Command {
    Act(Act),
    ChangeSilences(SilenceChange),
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
    /// Only the thread writes.
    dispatcher: Arc<RwLock<Dispatcher>>,
    /// The thread has ended: what is there is no longer true.
    ended: Arc<AtomicBool>,
    clock: fn() -> i64,
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
        let dispatcher = Arc::new(RwLock::new(dispatcher));
        let ended = Arc::new(AtomicBool::new(false));
        let owner = Owner { commands, dispatcher: dispatcher.clone(), ended, clock: means.clock };
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
        self.send(Command::Act(answering(act, sender)))?;
        answer.await.map_err(|_| OwnerError::Stopped)?
    }

    /// As [`Owner::act`], but waits while alerting is busy, for what must not be left out.
    pub(crate) async fn act_in_turn<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Dispatcher, &mut Vec<Change>, i64) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        let (sender, answer) = oneshot::channel();
        let mut command = Command::Act(answering(act, sender));
        while let Err((error, refused)) = self.try_send(command) {
            if error == OwnerError::Stopped {
                return Err(error);
            }
            command = refused;
            tokio::time::sleep(RETRY_EVERY).await;
        }
        answer.await.map_err(|_| OwnerError::Stopped)?
    }

    /// Puts a change of silences into force once it is on disk, and returns the id of the silence asked for.
    pub(crate) async fn change_silences(
        &self,
        plan: impl FnOnce(&Silences, i64) -> Result<Planned, SilenceError> + Send + 'static,
    ) -> Changed {
        let (sender, answer) = oneshot::channel();
        self.send(Command::ChangeSilences(SilenceChange { plan: Box::new(plan), answer: sender }))?;
        answer.await.map_err(|_| OwnerError::Stopped)?
    }

    /// Runs `read` on the dispatcher, away from the threads that serve sockets.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Dispatcher, i64) -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        if self.ended.load(Ordering::Relaxed) {
            return Err(OwnerError::Stopped);
        }
        let (dispatcher, clock) = (self.dispatcher.clone(), self.clock);
        let look = move || {
            // Poisoned by a panic of the thread, which leaves half a change behind.
            let dispatcher = dispatcher.read().map_err(|_| OwnerError::Stopped)?;
            Ok(read(&dispatcher, clock()))
        };
        match tokio::task::spawn_blocking(look).await {
            Ok(result) => result,
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
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
        self.try_send(command).map_err(|(error, _)| error)
    }

    /// Gives the command back when it is refused.
    fn try_send(&self, command: Command) -> Result<(), (OwnerError, Command)> {
        self.commands.try_send(command).map_err(|error| match error {
            TrySendError::Full(command) => (OwnerError::Busy, command),
            TrySendError::Disconnected(command) => (OwnerError::Stopped, command),
        })
    }
}

/// An act that sends its result once it is known whether it is durable.
fn answering<T: Send + 'static>(
    act: impl FnOnce(&mut Dispatcher, &mut Vec<Change>, i64) -> T + Send + 'static,
    sender: oneshot::Sender<Result<T, OwnerError>>,
) -> Act {
    Box::new(move |dispatcher, changes, now_ms| {
        let result = act(dispatcher, changes, now_ms);
        Box::new(move |durable| {
            let result = if durable { Ok(result) } else { Err(OwnerError::NotDurable) };
            // A caller that has gone does not need the answer.
            drop(sender.send(result));
        })
    })
}

/// Says that the thread has ended, also when it panics while it holds no lock.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Run {
    dispatcher: Arc<RwLock<Dispatcher>>,
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
        let _ended = Ended(self.owner.ended.clone());
        self.turn(None, inbox);
        loop {
            let first = match inbox.recv_timeout(self.wait()) {
                Ok(command) => Some(command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.turn(first, inbox);
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
        let next_ms = self.dispatcher.read().unwrap_or_else(PoisonError::into_inner).next_wakeup_ms();
        let until_ms = next_ms - (self.means.clock)();
        Duration::from_millis(until_ms.max(0) as u64).min(IDLE_MAX)
    }

    /// Applies what waits, commits it, answers, and does what was decided.
    fn turn(&mut self, first: Option<Command>, inbox: &Inbox<Command>) {
        let (began, now_ms) = (Instant::now(), (self.means.clock)());
        let mut answers = Vec::new();
        let shared = self.dispatcher.clone();
        let mut dispatcher = shared.write().unwrap_or_else(PoisonError::into_inner);
        let (mut next, mut silences) = (first, None);
        while let Some(command) = next {
            if let Command::ChangeSilences(change) = command {
                // The rest waits: what comes after it may build upon it.
                silences = Some(change);
                break;
            }
            answers.extend(self.take(&mut dispatcher, command, now_ms));
            next = if began.elapsed() < APPLY_MAX { inbox.try_recv().ok() } else { None };
        }
        if self.stopping.is_none() {
            dispatcher.note_time(now_ms);
            let mut due = Due::default();
            if dispatcher.has_due(now_ms) {
                drop(dispatcher);
                // To look through thousands of alerts takes a while. Nobody else changes them meanwhile.
                due = shared.read().unwrap_or_else(PoisonError::into_inner).due(now_ms);
                dispatcher = shared.write().unwrap_or_else(PoisonError::into_inner);
            }
            dispatcher.tick_with(due, now_ms);
        }
        let (changes, effects) = dispatcher.take();
        self.note_figures(&dispatcher);
        drop(dispatcher);
        self.unwritten.extend(changes);
        self.settle(answers, effects);
        if let Some(change) = silences {
            self.change_silences(change, now_ms);
        }
    }

    fn change_silences(&mut self, change: SilenceChange, now_ms: i64) {
        let planned = {
            let dispatcher = self.dispatcher.read().unwrap_or_else(PoisonError::into_inner);
            (change.plan)(dispatcher.silences(), now_ms)
                .map(|planned| (dispatcher.silence_changes(&planned, now_ms), planned))
        };
        let changed = match planned {
            Ok((changes, planned)) => self.write_and_apply(changes, planned).map(Ok),
            Err(refused) => Ok(Err(refused)),
        };
        // A caller that has gone does not need the answer.
        drop(change.answer.send(changed));
    }

    /// Puts a change of silences into force once it is on disk.
    fn write_and_apply(&mut self, changes: SilenceChanges, planned: Planned) -> Result<String, OwnerError> {
        let SilenceChanges { mut records, mut events } = changes;
        let shared = self.dispatcher.clone();
        // Without what is unwritten: a little may still fit on a disk that is almost full. But events go to
        // disk in their order, because who reads them goes on behind the last.
        let told = if self.unwritten.is_empty() { std::mem::take(&mut events) } else { Vec::new() };
        let untold: Vec<Change> = told.iter().map(Change::removal).collect();
        records.extend(told);
        if !self.commit(&records) {
            self.take_back(&planned, untold);
            return Err(OwnerError::NotWritten);
        }
        let id = planned.id().to_owned();
        shared.write().unwrap_or_else(PoisonError::into_inner).apply_silences(planned);
        if !self.unwritten.is_empty() {
            // What waits to be written of these silences is older, and must not have the last word.
            self.unwritten.extend(records.into_iter().chain(events));
        }
        Ok(id)
    }

    /// Whether a transaction that failed left something is known when the file is opened anew: what stays in
    /// force is written again, and the events of what was refused are removed. Their numbers are not used
    /// again: who has read them goes on behind the last, and would miss others.
    fn take_back(&mut self, refused: &Planned, untold: Vec<Change>) {
        let mut dispatcher = self.dispatcher.write().unwrap_or_else(PoisonError::into_inner);
        dispatcher.skip_events(untold.len());
        let ids = refused.silences().map(|silence| silence.id.as_str());
        self.unwritten.extend(ids.map(|id| restore_silence(dispatcher.silences(), id)));
        self.unwritten.extend(untold);
    }

    /// Whether all of `changes` are on disk.
    fn commit(&self, changes: &[Change]) -> bool {
        let Err(error) = self.journal.commit(changes) else { return true };
        self.means.metrics.journal_failures.inc();
        tracing::error!(%error, "a transition of alerting could not be made durable");
        false
    }

    fn take(&mut self, dispatcher: &mut Dispatcher, command: Command, now_ms: i64) -> Option<Answer> {
        match command {
            Command::Act(act) => return Some(act(dispatcher, &mut self.unwritten, now_ms)),
            Command::Finished(id, outcome) => {
                self.under_way.remove(&id);
                dispatcher.finished(id, &outcome, now_ms);
            }
            Command::Failed(id, failed) => dispatcher.attempt_failed(id, failed, now_ms),
            Command::Write(change) => self.unwritten.push(change),
            Command::Stop => self.stopping = Some(Instant::now()),
            Command::ChangeSilences(_) => debug_assert!(false, "a turn ends with it"),
        }
        None
    }

    /// Commits, then answers and does what was decided. When the commit fails, notifications go
    /// out all the same: an alert told twice is better than one not told.
    fn settle(&mut self, answers: Vec<Answer>, effects: Vec<Effect>) {
        let durable = self.commit(&self.unwritten);
        if durable {
            self.unwritten.clear();
        } else {
            // Rules renew their alerts all the time: without this a full disk would fill memory.
            keep_last(&mut self.unwritten, UNWRITTEN_EVENTS_MAX);
        }
        for answer in answers {
            answer(durable);
        }
        for effect in effects {
            self.perform(effect);
        }
    }

    fn note_figures(&mut self, dispatcher: &Dispatcher) {
        let (alerts, outbox, flapping) = dispatcher.sizes();
        self.means.metrics.alerts.set(alerts as i64);
        self.means.metrics.outbox.set(outbox as i64);
        self.means.metrics.flapping.set(flapping as i64);
        if dispatcher.collected_at_ms() != self.figures_at_ms {
            self.figures_at_ms = dispatcher.collected_at_ms();
            let figures = dispatcher.silences().file_figures((self.means.clock)());
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
            Effect::Deliver(delivery, receiver, at) => self.deliver(delivery, receiver, at),
        }
    }

    fn deliver(&mut self, delivery: Arc<Delivery>, receiver: Arc<Receiver>, at: usize) {
        let (means, owner, permits) = (self.means.clone(), self.owner.clone(), self.permits.clone());
        let own = self.own_permits.entry(delivery.integration.clone());
        let own = own.or_insert_with(|| Arc::new(Semaphore::new(DELIVERIES_EACH_MAX))).clone();
        let dispatcher = self.dispatcher.read().unwrap_or_else(PoisonError::into_inner);
        let templates = dispatcher.config().templates.clone();
        drop(dispatcher);
        let id = delivery.id;
        let (stop, mut stopped) = watch::channel(false);
        let runtime = self.runtime.clone();
        let task = self.runtime.spawn(async move {
            let _ending = Ending { runtime, owner: owner.clone(), id };
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
            if let Finished::GivenUp { why, .. } = &outcome {
                means.metrics.gave_up(integration.kind());
                let receiver = receiver.name.as_str();
                tracing::error!(
                    receiver,
                    integration = delivery.integration,
                    reason = why,
                    "notification was not delivered"
                );
            }
            report(&owner, id, outcome).await;
        });
        self.under_way.insert(id, Task { handle: task.abort_handle(), stop });
    }
}

/// Ends a delivery whose task panics: its group would wait for it for ever.
struct Ending {
    runtime: Handle,
    owner: Owner,
    id: u64,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (owner, id) = (self.owner.clone(), self.id);
            let why = "the attempt panicked; the log says where".to_owned();
            // Most likely over its words, before anything was sent.
            let outcome = Finished::GivenUp { why, may_be_taken: false };
            self.runtime.spawn(async move { report(&owner, id, outcome).await });
        }
    }
}

/// Tells the owner; a full queue is waited for, because the end of a delivery must not be lost.
async fn report(owner: &Owner, id: u64, outcome: Finished) {
    while owner.send(Command::Finished(id, outcome.clone())) == Err(OwnerError::Busy) {
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_delivery_whose_task_panics_ends() {
        let (commands, inbox) = sync_channel(1);
        let dispatcher = Arc::new(RwLock::new(Dispatcher::new(Arc::new(Config::default()), 0)));
        let owner = Owner { commands, dispatcher, ended: Arc::default(), clock: || 0 };
        let task = tokio::spawn(async move {
            let _ending = Ending { runtime: Handle::current(), owner, id: 7 };
            panic!("a receiver that nobody thought of");
        });
        assert!(task.await.unwrap_err().is_panic());
        let ended = tokio::task::spawn_blocking(move || inbox.recv_timeout(Duration::from_secs(10)));
        let ended = ended.await.unwrap().unwrap();
        assert!(
            matches!(ended, Command::Finished(7, Finished::GivenUp { why, .. }) if why.contains("panicked"))
        );
    }
}
