//! Rule groups at work: a task per group that sleeps until its slot and evaluates on the pool.
//!
//! A reload replaces the set as a whole or not at all. Unchanged groups go on untouched; a changed
//! one stops after the evaluation under way and hands its alerts to its successor.

use super::{
    active::Grace,
    definition::GroupDefinition,
    group::{Environment, Group, GroupRecord},
    load::LoadedRules,
    schedule::Slots,
};
use crate::{
    alert::Alert,
    history::Event,
    journal::{Change, Table},
    metrics::Metrics,
    owner::{Owner, OwnerError},
};
use daemon::{Pool, Shutdown};
use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::task::JoinHandle;

/// Evaluations that may wait for a thread of the pool.
const QUEUE: usize = 4096;
/// How long after a start a missing element does not resolve an alert whose data has not come: twice the time for which a
/// query looks back.
const GRACE_MS: i64 = 10 * 60_000;
/// Between two tries to end a group while the pool is busy.
const RETIRE_AGAIN: Duration = Duration::from_millis(100);

/// A group and its task.
struct Running {
    definition: Arc<GroupDefinition>,
    group: Arc<Mutex<Group>>,
    view: Arc<Mutex<Arc<Group>>>,
    stop: Shutdown,
    task: JoinHandle<()>,
}

/// See the module.
pub(crate) struct RuleEngine {
    environment: Environment,
    owner: Owner,
    pool: Pool,
    metrics: Metrics,
    clock: fn() -> i64,
    running: Mutex<BTreeMap<String, Running>>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RuleEngine {
    pub(crate) fn new(environment: Environment, owner: Owner, metrics: Metrics, clock: fn() -> i64) -> Self {
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        RuleEngine {
            environment,
            owner,
            pool: Pool::new(threads, QUEUE),
            metrics,
            clock,
            running: Mutex::default(),
            reloading: tokio::sync::Mutex::default(),
        }
    }

    /// The state of every group after its last evaluation, by file and name.
    pub(crate) fn groups(&self) -> Vec<Arc<Group>> {
        lock(&self.running).values().map(|running| lock(&running.view).clone()).collect()
    }

    /// Starts with `loaded`, going on from the alerts of `records`. Alerts of rules that are gone
    /// are resolved.
    pub(crate) async fn start(&self, loaded: LoadedRules, mut records: BTreeMap<String, GroupRecord>) {
        let since_ms = (self.clock)();
        let grace = Grace { since_ms, until_ms: since_ms + GRACE_MS };
        let mut held = BTreeSet::new();
        let mut groups = Vec::new();
        for definition in loaded.groups {
            let id = definition.id();
            let mut group = Group::new(Arc::new(definition));
            if let Some(record) = records.remove(&id) {
                group.restore(record, grace);
            }
            held.extend(group.held());
            groups.push((id, group));
        }
        let gone: Vec<_> = records.into_keys().collect();
        let released = self.owner.act(move |dispatcher, changes, now_ms| {
            dispatcher.release_unheld(&held, now_ms);
            changes.extend(gone.into_iter().map(|id| Change::remove(Table::RuleGroups, id)));
        });
        if let Err(error) = released.await {
            tracing::error!(%error, "alerts of rules that are gone were not resolved");
        }
        // Only now: an alert that fires at once must not be taken for one that is gone.
        for (id, group) in groups {
            self.run(id, group);
        }
    }

    /// Replaces the groups by `loaded`.
    pub(crate) async fn replace(&self, loaded: LoadedRules) {
        let _one_at_a_time = self.reloading.lock().await;
        let wanted: BTreeMap<String, GroupDefinition> =
            loaded.groups.into_iter().map(|definition| (definition.id(), definition)).collect();
        let is_same =
            |id: &String, running: &mut Running| wanted.get(id) == Some(running.definition.as_ref());
        let leaving: BTreeMap<String, Running> =
            lock(&self.running).extract_if(.., |id, running| !is_same(id, running)).collect();
        for running in leaving.values() {
            running.stop.trigger();
        }
        let mut earlier = BTreeMap::new();
        for (id, running) in leaving {
            if running.task.await.is_err() {
                tracing::error!(group = id, "the task of a rule group panicked");
            }
            earlier.insert(id, lock(&running.group).clone());
        }
        for (id, definition) in wanted {
            if lock(&self.running).contains_key(&id) {
                continue;
            }
            let mut group = Group::new(Arc::new(definition));
            if let Some(before) = earlier.get_mut(&id) {
                group.inherit(before);
            }
            self.run(id, group);
        }
        for (id, group) in earlier {
            self.retire(id, group).await;
        }
    }

    /// Ends what is left of a group that was removed or changed.
    async fn retire(&self, id: String, group: Group) {
        let now_ms = (self.clock)();
        // Nothing else would ever resolve the alerts of a group that is gone.
        let resolved = loop {
            let (mut group, environment) = (group.clone(), self.environment.clone());
            match self.pool.run(move || group.retire(&environment, now_ms)).await {
                Ok(resolved) => break resolved,
                Err(_) => tokio::time::sleep(RETIRE_AGAIN).await,
            }
        };
        let is_gone = !lock(&self.running).contains_key(&id);
        let removed = is_gone.then(|| Change::remove(Table::RuleGroups, id.as_str()));
        if is_gone {
            self.metrics.forget(&id);
        }
        hand_over(&self.owner, &id, resolved, removed, Vec::new()).await;
    }

    fn run(&self, id: String, group: Group) {
        let definition = group.definition.clone();
        let view = Arc::new(Mutex::new(Arc::new(group.clone())));
        let group = Arc::new(Mutex::new(group));
        let stop = Shutdown::new();
        let task = GroupTask {
            id: id.clone(),
            definition: definition.clone(),
            group: group.clone(),
            view: view.clone(),
            environment: self.environment.clone(),
            owner: self.owner.clone(),
            pool: self.pool.clone(),
            metrics: self.metrics.clone(),
            clock: self.clock,
        };
        let task = tokio::spawn(task.run(stop.clone()));
        lock(&self.running).insert(id, Running { definition, group, view, stop, task });
    }

    /// Whether every group's task is at work.
    pub(crate) fn is_healthy(&self) -> bool {
        lock(&self.running).values().all(|running| !running.task.is_finished())
    }

    /// Stops every group after the evaluation under way.
    pub(crate) async fn stop(&self) {
        let running = std::mem::take(&mut *lock(&self.running));
        for group in running.values() {
            group.stop.trigger();
        }
        for (id, group) in running {
            if group.task.await.is_err() {
                tracing::error!(group = id, "the task of a rule group panicked");
            }
        }
    }
}

struct GroupTask {
    id: String,
    definition: Arc<GroupDefinition>,
    group: Arc<Mutex<Group>>,
    view: Arc<Mutex<Arc<Group>>>,
    environment: Environment,
    owner: Owner,
    pool: Pool,
    metrics: Metrics,
    clock: fn() -> i64,
}

impl GroupTask {
    async fn run(self, stop: Shutdown) {
        let slots = Slots::new(&self.id, self.definition.interval_ms);
        // The first evaluation does not wait: a user who has just started wants to see it.
        let mut slot = slots.current((self.clock)());
        loop {
            let wait_ms = (slot - (self.clock)()).max(0);
            tokio::select! {
                () = stop.wait() => return,
                () = tokio::time::sleep(Duration::from_millis(wait_ms as u64)) => {}
            }
            slot = slots.not_ahead(slot, (self.clock)());
            self.evaluate(slot).await;
            let (next, missed) = slots.next(slot, (self.clock)());
            if missed > 0 {
                self.metrics.missed(&self.id, missed);
            }
            slot = next;
        }
    }

    async fn evaluate(&self, at_ms: i64) {
        let (group, environment, clock) = (self.group.clone(), self.environment.clone(), self.clock);
        let evaluate = move || {
            let mut group = lock(&group);
            let now_ms = clock();
            let outcome = group.evaluate(&environment, at_ms);
            group.began(now_ms);
            (outcome, group.clone())
        };
        // A panic costs this evaluation, not the group.
        let evaluated = self.pool.run(move || catch_unwind(AssertUnwindSafe(evaluate)));
        let (outcome, after) = match evaluated.await {
            Ok(Ok(evaluated)) => evaluated,
            failed => {
                let why = failed.err().map_or("it panicked".to_owned(), |busy| busy.to_string());
                tracing::error!(group = self.id, why, "rule group was not evaluated");
                return self.metrics.missed(&self.id, 1);
            }
        };
        let seconds = after.last_duration.as_secs_f64();
        self.metrics.evaluated(&self.id, after.rules.len() as u64, outcome.failures, seconds);
        let record =
            outcome.changed.then(|| Change::put(Table::RuleGroups, self.id.as_str(), &after.record()));
        *lock(&self.view) = Arc::new(after);
        if record.is_some() || !outcome.alerts.is_empty() || !outcome.events.is_empty() {
            hand_over(&self.owner, &self.id, outcome.alerts, record, outcome.events).await;
        }
    }
}

/// Alerts of one transaction; between them others are served.
const HANDED_AT_ONCE: usize = 500;

/// Gives alerts and events to the dispatcher. The first transaction holds the group's record: by
/// it a start after a crash between two of them knows which alerts the rules hold, resolves those
/// that they do not, and hears of the others at their next renewal.
async fn hand_over(
    owner: &Owner,
    group: &str,
    alerts: Vec<Alert>,
    record: Option<Change>,
    events: Vec<Event>,
) {
    let (mut record, mut events, mut alerts) = (record, events, alerts.into_iter());
    loop {
        let part: Vec<Alert> = alerts.by_ref().take(HANDED_AT_ONCE).collect();
        let (first_record, first_events) = (record.take(), std::mem::take(&mut events));
        let handed = owner.act_in_turn(move |dispatcher, changes, now_ms| {
            changes.extend(first_record);
            first_events.into_iter().for_each(|event| dispatcher.record(Event { at_ms: now_ms, ..event }));
            part.into_iter().map(|alert| dispatcher.post(alert, now_ms)).filter(Result::is_err).count()
        });
        match handed.await {
            Ok(0) => {}
            Ok(refused) => {
                tracing::error!(group, refused, "alerts were refused because too many are held")
            }
            // They are in force; that nothing can be written is told once for all.
            Err(OwnerError::NotDurable) => {}
            Err(error) => tracing::error!(group, %error, "alerts of a rule group were not handed over"),
        }
        if alerts.len() == 0 {
            return;
        }
    }
}
