//! Reading and computing series on several threads, and handing the results on in order.
//!
//! Threads take runs of neighbouring series, which stores read fastest; the calling one takes its share
//! of them, and calls the others only when what is left takes longer than starting them is worth.
//! Results wait for those before them, so what follows sees the same order as on one thread.
//! Bound: a few runs for each thread in the channel, and those that are ahead of the slowest thread.

use super::{EvalResult, Evaluator, Series, Sink, column::Charge, hints, select::memory_of};
use crate::position::Position;
use model::Samples;
use std::{
    collections::BTreeMap,
    num::NonZero,
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};
use store::{SeriesReader, SeriesSet};

/// Below this many series threads cost more than they save.
const PARALLEL_MIN: usize = 96;
/// Most and fewest series of one run.
const RUN_SERIES_MAX: usize = 32;
const RUN_SERIES_MIN: usize = 8;
/// Runs for each thread, at least, so that none has much more to do than another.
const RUNS_EACH: usize = 8;
/// Runs in the channel for each thread.
const RUNS_AHEAD: usize = 4;
/// Threads of one query.
const THREADS_MAX: usize = 8;
/// Less work than this is done sooner alone: starting threads, and what they all need anew, takes half a
/// millisecond of CPU. Tests of few series are to see the threads, too.
const HELP_MIN: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(1) };

/// Computes the result of the series at an index from its samples; `None` when there is none. `P` is
/// what a thread keeps from series to series.
pub(super) type Compute<'c, 'q, P> =
    &'c (dyn Fn(usize, &mut Samples, &mut P) -> EvalResult<Option<Series<'q>>> + Sync);

/// A run's number and its results.
type Done<'q> = (usize, EvalResult<Vec<Series<'q>>>);

fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX))
}

impl<'q> Evaluator<'q> {
    /// Reads every series of `set`, computes, and hands the results to `sink` in order.
    pub(super) fn map_series<P: Default>(
        &self,
        selector: Position,
        set: &dyn SeriesSet,
        compute: Compute<'_, 'q, P>,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let work =
            Work { evaluator: self, mark_resets: self.stats_selectors.contains(&selector), set, compute };
        let threads = threads();
        if threads == 1 || set.len() < PARALLEL_MIN {
            let mut worker = work.worker()?;
            for index in 0..set.len() {
                self.context.check()?;
                if let Some(series) = worker.series(index)? {
                    sink(series)?;
                }
            }
            return Ok(());
        }
        map_parallel(&work, threads, sink)
    }
}

/// What all threads share.
struct Work<'w, 'q, P> {
    evaluator: &'w Evaluator<'q>,
    mark_resets: bool,
    set: &'w dyn SeriesSet,
    compute: Compute<'w, 'q, P>,
}

impl<'q, P: Default> Work<'_, 'q, P> {
    fn worker(&self) -> EvalResult<Worker<'_, 'q, P>> {
        Ok(Worker {
            work: self,
            reader: self.set.reader(),
            samples: Samples::default(),
            held: Charge::new(self.evaluator.context, 0, 0)?,
            kept: P::default(),
        })
    }
}

/// One thread's part of it.
struct Worker<'w, 'q, P> {
    work: &'w Work<'w, 'q, P>,
    reader: Box<dyn SeriesReader + 'w>,
    samples: Samples,
    /// The longest series so far, since its room is kept.
    held: Charge<'q>,
    kept: P,
}

impl<'q, P> Worker<'_, 'q, P> {
    fn series(&mut self, index: usize) -> EvalResult<Option<Series<'q>>> {
        let samples = &mut self.samples;
        self.reader.read(index, self.work.evaluator.context, samples)?;
        if samples.is_empty() {
            return Ok(None);
        }
        self.held.raise(samples.len(), memory_of(samples))?;
        hints::resolve(samples, self.work.mark_resets);
        (self.work.compute)(index, samples, &mut self.kept)
    }

    fn run(&mut self, indexes: Range<usize>) -> EvalResult<Vec<Series<'q>>> {
        let mut computed = Vec::with_capacity(indexes.len());
        for index in indexes {
            computed.extend(self.series(index)?);
        }
        Ok(computed)
    }
}

/// The runs of a set, taken one after the other by all threads.
struct Runs {
    series: usize,
    /// Series of one run.
    length: usize,
    next: AtomicUsize,
    is_over: AtomicBool,
}

impl Runs {
    fn new(series: usize, threads: usize) -> Self {
        let length = (series / (threads * RUNS_EACH)).clamp(RUN_SERIES_MIN, RUN_SERIES_MAX);
        Runs { series, length, next: AtomicUsize::new(0), is_over: AtomicBool::new(false) }
    }

    fn count(&self) -> usize {
        self.series.div_ceil(self.length)
    }

    /// How long the runs after this one will take one thread, which has done all up to it.
    fn left_after(&self, run: usize, begun: Instant) -> Duration {
        begun.elapsed().mul_f64((self.count() - run - 1) as f64 / (run + 1) as f64)
    }

    /// The number of a run that nobody has taken and its series.
    fn take(&self) -> Option<(usize, Range<usize>)> {
        if self.is_over.load(Relaxed) {
            return None;
        }
        let run = self.next.fetch_add(1, Relaxed);
        let start = run * self.length;
        (start < self.series).then(|| (run, start..self.series.min(start + self.length)))
    }
}

fn map_parallel<'q, P: Default>(
    work: &Work<'_, 'q, P>,
    threads: usize,
    sink: Sink<'_, 'q>,
) -> EvalResult<()> {
    let runs = Runs::new(work.set.len(), threads);
    let (sender, receiver) = sync_channel(threads * RUNS_AHEAD);
    thread::scope(|scope| {
        let runs = &runs;
        let call_help = || {
            for _ in 1..threads {
                let sender = sender.clone();
                scope.spawn(move || help(work, runs, &sender));
            }
            drop(sender);
        };
        let delivered = lead(work, runs, &receiver, call_help, sink);
        runs.is_over.store(true, Relaxed);
        // Wakes threads that wait for room.
        drop(receiver);
        delivered
    })
}

/// Takes runs until there are none left, one fails, or nobody wants more.
fn help<'q, P: Default>(work: &Work<'_, 'q, P>, runs: &Runs, sender: &SyncSender<Done<'q>>) {
    let mut worker = match work.worker() {
        Ok(worker) => worker,
        // Whoever leads is stopped as well.
        Err(_) => return,
    };
    while let Some((run, indexes)) = runs.take() {
        let computed = worker.run(indexes);
        let has_failed = computed.is_err();
        if sender.send((run, computed)).is_err() || has_failed {
            return;
        }
    }
}

/// Takes runs as well, and hands all of them on in order. Ends early when a run or the sink fails.
fn lead<'q, P: Default>(
    work: &Work<'_, 'q, P>,
    runs: &Runs,
    receiver: &Receiver<Done<'q>>,
    call_help: impl FnOnce(),
    sink: Sink<'_, 'q>,
) -> EvalResult<()> {
    let mut worker = work.worker()?;
    let (mut early, mut wanted) = (BTreeMap::new(), 0);
    let (begun, mut call_help) = (Instant::now(), Some(call_help));
    while wanted < runs.count() {
        match runs.take() {
            Some((run, indexes)) => {
                early.insert(run, worker.run(indexes)?);
                if let Some(call_help) = call_help.take_if(|_| runs.left_after(run, begun) >= HELP_MIN) {
                    call_help();
                }
            }
            None => match receiver.recv() {
                Ok((run, computed)) => {
                    early.insert(run, computed?);
                }
                // All threads have gone: one has panicked, which the scope passes on, or was stopped.
                Err(_) => return Ok(work.evaluator.context.check()?),
            },
        }
        while let Ok((run, computed)) = receiver.try_recv() {
            early.insert(run, computed?);
        }
        while let Some(series) = early.remove(&wanted) {
            series.into_iter().try_for_each(&mut *sink)?;
            wanted += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Runs};
    use crate::{
        eval::{EvalError, EvalOptions, QueryValue, range},
        parser::{ParseOptions, parse},
    };
    use model::{Labels, MetricBatch};
    use store::{Limits, MemMetricStore, MetricStore, QueryContext, StopReason};

    fn store(series: usize) -> MemMetricStore {
        let store = MemMetricStore::new();
        let mut batch = MetricBatch::default();
        for i in 0..series {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("i", format!("{i:05}"))]);
            batch.begin_with(labels.as_ref());
            (0..20).for_each(|at| batch.sample(at * 15_000, 0, (at * (i as i64 + 1)) as f64));
        }
        store.append(&batch, None, 0).unwrap();
        store
    }

    fn ask(series: usize, query: &str, limits: Limits) -> Result<QueryValue, EvalError> {
        let expr = parse(query, &ParseOptions::default()).unwrap();
        let context = QueryContext::new(limits);
        let answer = range(&expr, 60_000, 285_000, 15_000, &store(series), &EvalOptions::default(), &context);
        answer.map(|answer| answer.value)
    }

    #[test]
    fn many_series_come_in_order_and_with_their_own_values() {
        for count in [1, 95, 96, 97, 203, 1000] {
            let value = ask(count, "rate(m[1m])", Limits::default()).unwrap();
            let QueryValue::Matrix(matrix) = value else { panic!("{value:?}") };
            assert_eq!(matrix.len(), count);
            for (i, series) in matrix.iter().enumerate() {
                assert_eq!(series.labels.get("i"), Some(format!("{i:05}").as_str()));
                let expected = (i + 1) as f64 / 15.0;
                let is_near = |value: f64| (value / expected - 1.0).abs() < 1e-9;
                assert!(series.points.iter().all(|point| is_near(point.value.as_float())));
            }
        }
    }

    #[test]
    fn what_is_left_is_reckoned_from_what_is_done() {
        let runs = Runs::new(320, 2);
        assert_eq!((runs.length, runs.count()), (20, 16));
        let begun = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        let seconds = |run| runs.left_after(run, begun).as_secs_f64().round();
        assert_eq!((seconds(0), seconds(3), seconds(15)), (15.0, 3.0, 0.0));
    }

    #[test]
    fn a_limit_stops_all_threads() {
        let limits = Limits { samples_max: 500, ..Limits::default() };
        let error = ask(1000, "sum(rate(m[1m])) + count(m)", limits).unwrap_err();
        assert!(matches!(error, EvalError::Stopped(StopReason::TooManySamples(500))), "{error}");
    }
}
