//! Runs all collectors for a tick, times each, and survives one that hangs or panics.
//!
//! Collectors run on one thread. When a collection does not end within its deadline, the thread is
//! left behind together with the collector that hangs, and a new thread repeats the collection
//! without that collector. It joins in again once the old call has returned. So a hung device
//! costs one deadline, once, and its own metrics; never the rest of the collection.
//!
//! Bound: as many threads left behind as there are collectors.

use super::{CollectError, Collector, Roots, Sink, all};
use model::MetricBatch;
use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What is collected and how it is labelled.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) roots: Roots,
    /// Collectors that are switched off.
    pub(crate) disabled: BTreeSet<String>,
    /// Labels of every series, sorted by name.
    pub(crate) base_labels: Vec<(String, String)>,
    /// A collection that takes longer has a collector that hangs.
    pub(crate) deadline: Duration,
    /// Further collectors, made anew for each thread.
    pub(crate) more: fn(&Setup) -> Vec<Box<dyn Collector>>,
    /// The agent's own counters, which a collector of `more` reports.
    pub(crate) counters: Arc<crate::metrics::Counters>,
}

struct Request {
    timestamp_ms: i64,
    batch: MetricBatch,
    reply: oneshot::Sender<MetricBatch>,
}

struct Worker {
    requests: SyncSender<Request>,
    excluded: BTreeSet<&'static str>,
    progress: Arc<Progress>,
}

/// What a thread is doing, for the one who waits.
#[derive(Default)]
struct Progress {
    /// The collector that runs, and whether the thread was left behind.
    state: Mutex<(Option<&'static str>, bool)>,
}

impl Progress {
    fn with<T>(&self, read: impl FnOnce(&mut (Option<&'static str>, bool)) -> T) -> T {
        read(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Stuck = Arc<Mutex<BTreeSet<&'static str>>>;

/// See the module.
pub(crate) struct Runner {
    setup: Setup,
    make: fn(&Setup) -> Vec<Box<dyn Collector>>,
    worker: Option<Worker>,
    stuck: Stuck,
}

impl Runner {
    pub(crate) fn new(setup: Setup) -> Self {
        let make = |setup: &Setup| {
            let mut collectors = all(&setup.roots);
            collectors.extend((setup.more)(setup));
            collectors
        };
        Self::with(setup, make)
    }

    fn with(setup: Setup, make: fn(&Setup) -> Vec<Box<dyn Collector>>) -> Self {
        Runner { setup, make, worker: None, stuck: Stuck::default() }
    }

    /// Collects everything at `timestamp_ms` into `batch`, which is cleared first.
    pub(crate) async fn collect(&mut self, timestamp_ms: i64, mut batch: MetricBatch) -> MetricBatch {
        loop {
            batch.clear();
            let worker = match self.worker() {
                Ok(worker) => worker,
                Err(error) => {
                    tracing::error!(%error, "failed to start the collecting thread");
                    return batch;
                }
            };
            let (reply, answer) = oneshot::channel();
            if worker.requests.send(Request { timestamp_ms, batch, reply }).is_err() {
                // The thread ended between two ticks; the next round starts another.
                batch = MetricBatch::default();
                continue;
            }
            match tokio::time::timeout(self.setup.deadline, answer).await {
                Ok(Ok(batch)) => {
                    self.worker = Some(worker);
                    return batch;
                }
                Ok(Err(_)) => batch = MetricBatch::default(),
                Err(_) => {
                    self.leave_behind(&worker);
                    batch = MetricBatch::default();
                }
            }
        }
    }

    /// The thread at hand, if it still runs the right set of collectors.
    fn worker(&mut self) -> std::io::Result<Worker> {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match self.worker.take() {
            Some(worker) if worker.excluded == stuck => Ok(worker),
            _ => start(&self.setup, (self.make)(&self.setup), stuck, self.stuck.clone()),
        }
    }

    fn leave_behind(&self, worker: &Worker) {
        let hanging = worker.progress.with(|(current, left_behind)| {
            *left_behind = true;
            *current
        });
        // Without a current collector the thread is merely slow and will end by itself.
        if let Some(name) = hanging {
            tracing::warn!(collector = name, "collector hangs; going on without it");
            self.stuck.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
    }
}

fn start(
    setup: &Setup,
    mut collectors: Vec<Box<dyn Collector>>,
    excluded: BTreeSet<&'static str>,
    stuck: Stuck,
) -> std::io::Result<Worker> {
    collectors.retain(|collector| {
        !setup.disabled.contains(collector.name()) && !excluded.contains(collector.name())
    });
    let (requests, inbox) = sync_channel(1);
    let progress = Arc::new(Progress::default());
    let thread = Thread {
        collectors: collectors.into_iter().map(|collector| Slot { collector, failing: false }).collect(),
        excluded: excluded.clone(),
        base_labels: setup.base_labels.clone(),
        progress: progress.clone(),
        stuck,
    };
    thread::Builder::new().name("collect".to_owned()).spawn(move || thread.serve(&inbox))?;
    Ok(Worker { requests, excluded, progress })
}

struct Slot {
    collector: Box<dyn Collector>,
    /// A failure is logged when it begins, not at every tick.
    failing: bool,
}

struct Thread {
    collectors: Vec<Slot>,
    excluded: BTreeSet<&'static str>,
    base_labels: Vec<(String, String)>,
    progress: Arc<Progress>,
    stuck: Stuck,
}

impl Thread {
    fn serve(mut self, inbox: &Receiver<Request>) {
        while let Ok(Request { timestamp_ms, mut batch, reply }) = inbox.recv() {
            if !self.collect(timestamp_ms, &mut batch) || reply.send(batch).is_err() {
                return;
            }
        }
    }

    /// False when the thread was left behind meanwhile.
    fn collect(&mut self, timestamp_ms: i64, batch: &mut MetricBatch) -> bool {
        let mut outcomes = Vec::with_capacity(self.collectors.len() + self.excluded.len());
        let mut sink = Sink::new(batch, &self.base_labels, timestamp_ms);
        for slot in &mut self.collectors {
            let name = slot.collector.name();
            self.progress.with(|(current, _)| *current = Some(name));
            let started = Instant::now();
            let outcome = run(slot.collector.as_mut(), &mut sink);
            outcomes.push((name, started.elapsed().as_secs_f64(), outcome.is_ok()));
            let left_behind = self.progress.with(|(current, left_behind)| {
                *current = None;
                *left_behind
            });
            if left_behind {
                self.stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                return false;
            }
            slot.note(outcome);
        }
        outcomes.extend(self.excluded.iter().map(|name| (*name, 0.0, false)));
        write_outcomes(&outcomes, &mut sink);
        if sink.refused() > 0 {
            tracing::debug!(series = sink.refused(), "series with unusable labels were left out");
        }
        true
    }
}

impl Slot {
    fn note(&mut self, outcome: Result<(), CollectError>) {
        let name = self.collector.name();
        match outcome {
            Ok(()) => self.failing = false,
            Err(_) if self.failing => {}
            Err(error) => {
                self.failing = true;
                if error.is_absence() {
                    tracing::debug!(collector = name, %error, "collector has nothing to read on this host");
                } else {
                    tracing::warn!(collector = name, %error, "collector failed");
                }
            }
        }
    }
}

fn run(collector: &mut dyn Collector, sink: &mut Sink<'_>) -> Result<(), CollectError> {
    // A panic leaves at worst a family half written, which is what a failure may leave, too.
    catch_unwind(AssertUnwindSafe(|| collector.collect(sink))).unwrap_or(Err(CollectError::Panicked))
}

fn write_outcomes(outcomes: &[(&'static str, f64, bool)], sink: &mut Sink<'_>) {
    let mut family = sink.gauge("node_scrape_collector_duration_seconds", "Seconds that a collector took.");
    for (name, seconds, _) in outcomes {
        family.sample(&[("collector", name)], *seconds);
    }
    let mut family = sink.gauge("node_scrape_collector_success", "Whether a collector succeeded.");
    for (name, _, success) in outcomes {
        family.sample(&[("collector", name)], f64::from(u8::from(*success)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fixture, TICK_MS, render};
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    static RELEASED: AtomicBool = AtomicBool::new(false);

    struct Hanging;

    impl Collector for Hanging {
        fn name(&self) -> &'static str {
            "hanging"
        }

        fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
            while !RELEASED.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(5));
            }
            out.gauge("hanging", "h").value(1.0);
            Ok(())
        }
    }

    struct Panicking;

    impl Collector for Panicking {
        fn name(&self) -> &'static str {
            "panicking"
        }

        fn collect(&mut self, _: &mut Sink<'_>) -> Result<(), CollectError> {
            panic!("on purpose");
        }
    }

    struct Fine;

    impl Collector for Fine {
        fn name(&self) -> &'static str {
            "fine"
        }

        fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
            out.gauge("fine", "f").value(1.0);
            Ok(())
        }
    }

    fn setup(deadline_ms: u64) -> Setup {
        Setup {
            roots: Fixture::new().roots(),
            disabled: BTreeSet::new(),
            base_labels: vec![("job".into(), "node".into())],
            deadline: Duration::from_millis(deadline_ms),
            more: |_| Vec::new(),
            counters: Arc::default(),
        }
    }

    fn success(lines: &[String], collector: &str) -> Option<bool> {
        let start = format!("node_scrape_collector_success{{collector=\"{collector}\"");
        lines.iter().find(|line| line.starts_with(&start)).map(|line| line.ends_with(" 1"))
    }

    #[tokio::test]
    async fn a_hung_collector_does_not_blank_the_rest() {
        let make = |_: &Setup| -> Vec<Box<dyn Collector>> {
            vec![Box::new(Hanging), Box::new(Panicking), Box::new(Fine)]
        };
        let mut runner = Runner::with(setup(100), make);
        let lines = render(&runner.collect(TICK_MS, MetricBatch::default()).await);
        assert!(lines.contains(&r#"fine{job="node"} 1"#.to_owned()), "{lines:#?}");
        assert_eq!(success(&lines, "hanging"), Some(false));
        assert_eq!(success(&lines, "panicking"), Some(false));
        assert_eq!(success(&lines, "fine"), Some(true));

        RELEASED.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let lines = render(&runner.collect(TICK_MS, MetricBatch::default()).await);
            if success(&lines, "hanging") == Some(true) {
                break;
            }
            assert!(Instant::now() < deadline, "it joins in again: {lines:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn disabled_collectors_are_not_mentioned() {
        let mut setup = setup(1000);
        setup.disabled.insert("cpu".to_owned());
        let lines = render(&Runner::new(setup).collect(TICK_MS, MetricBatch::default()).await);
        assert_eq!(success(&lines, "cpu"), None);
        assert_eq!(success(&lines, "loadavg"), Some(false), "the fixture is an empty host");
    }
}
