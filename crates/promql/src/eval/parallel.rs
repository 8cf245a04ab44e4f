//! Reading and computing series on several threads, and handing the results on in order.
//!
//! Threads take runs of neighbouring series, which stores read fastest. Results wait for those
//! before them, so what follows sees the same order as on one thread. Bound: a few runs for each
//! thread in the channel, and those that are ahead of the slowest thread.

use super::{EvalResult, Evaluator, Series, Sink, column::Charge, hints, select::SAMPLE_BYTES};
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
};
use store::SeriesSet;

/// Below this many series threads cost more than they save.
const PARALLEL_MIN: usize = 96;
/// Series of one run.
const RUN_SERIES: usize = 32;
/// Runs in the channel for each thread.
const RUNS_AHEAD: usize = 4;
/// Threads of one query.
const THREADS_MAX: usize = 8;

/// Computes the result of the series at an index from its samples; `None` when there is none.
pub(super) type Compute<'c, 'q> = &'c (dyn Fn(usize, &mut Samples) -> EvalResult<Option<Series<'q>>> + Sync);

/// A run's number and its results.
type Done<'q> = (usize, EvalResult<Vec<Series<'q>>>);

fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get).min(THREADS_MAX))
}

impl<'q> Evaluator<'q> {
    /// Reads every series of `set`, computes, and hands the results to `sink` in order.
    pub(super) fn map_series(
        &self,
        selector: Position,
        set: &dyn SeriesSet,
        compute: Compute<'_, 'q>,
        sink: Sink<'_, 'q>,
    ) -> EvalResult<()> {
        let mark_resets = self.stats_selectors.contains(&selector);
        let one = |index: usize, samples: &mut Samples| -> EvalResult<Option<Series<'q>>> {
            set.read(index, self.context, samples)?;
            if samples.is_empty() {
                return Ok(None);
            }
            let _held = Charge::new(self.context, samples.len(), samples.len() * SAMPLE_BYTES)?;
            hints::resolve(samples, mark_resets);
            compute(index, samples)
        };
        let threads = threads();
        if threads == 1 || set.len() < PARALLEL_MIN {
            let mut samples = Samples::default();
            for index in 0..set.len() {
                self.context.check()?;
                if let Some(series) = one(index, &mut samples)? {
                    sink(series)?;
                }
            }
            return Ok(());
        }
        map_parallel(set.len(), threads, &one, sink)
    }
}

fn map_parallel<'q>(
    count: usize,
    threads: usize,
    one: Compute<'_, 'q>,
    sink: Sink<'_, 'q>,
) -> EvalResult<()> {
    let runs = count.div_ceil(RUN_SERIES);
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (sender, receiver) = sync_channel(threads * RUNS_AHEAD);
    thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| work(count, &next, &is_over, one, sender));
        }
        drop(sender);
        let delivered = deliver(&receiver, runs, sink);
        is_over.store(true, Relaxed);
        // Wakes threads that wait for room.
        drop(receiver);
        delivered
    })
}

/// Takes runs until there are none left, one fails, or nobody wants more.
fn work<'q>(
    count: usize,
    next: &AtomicUsize,
    is_over: &AtomicBool,
    one: Compute<'_, 'q>,
    sender: SyncSender<Done<'q>>,
) {
    let mut samples = Samples::default();
    while !is_over.load(Relaxed) {
        let run = next.fetch_add(1, Relaxed);
        let start = run * RUN_SERIES;
        if start >= count {
            return;
        }
        let computed = compute_run(start..count.min(start + RUN_SERIES), &mut samples, one);
        let has_failed = computed.is_err();
        if sender.send((run, computed)).is_err() || has_failed {
            return;
        }
    }
}

fn compute_run<'q>(
    indexes: Range<usize>,
    samples: &mut Samples,
    one: Compute<'_, 'q>,
) -> EvalResult<Vec<Series<'q>>> {
    let mut computed = Vec::with_capacity(indexes.len());
    for index in indexes {
        computed.extend(one(index, samples)?);
    }
    Ok(computed)
}

/// Hands the runs on in order. Ends early when a run or the sink fails.
fn deliver<'q>(receiver: &Receiver<Done<'q>>, runs: usize, sink: Sink<'_, 'q>) -> EvalResult<()> {
    let mut early = BTreeMap::new();
    let mut wanted = 0;
    while wanted < runs {
        // All threads have gone: one has panicked, which the scope passes on.
        let Ok((run, computed)) = receiver.recv() else { return Ok(()) };
        early.insert(run, computed?);
        while let Some(series) = early.remove(&wanted) {
            series.into_iter().try_for_each(&mut *sink)?;
            wanted += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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

    fn ask(query: &str, limits: Limits) -> Result<QueryValue, EvalError> {
        let expr = parse(query, &ParseOptions::default()).unwrap();
        let context = QueryContext::new(limits);
        let answer = range(&expr, 60_000, 285_000, 15_000, &store(1000), &EvalOptions::default(), &context);
        answer.map(|answer| answer.value)
    }

    #[test]
    fn many_series_come_in_order_and_with_their_own_values() {
        let value = ask("rate(m[1m])", Limits::default()).unwrap();
        let QueryValue::Matrix(matrix) = value else { panic!("{value:?}") };
        assert_eq!(matrix.len(), 1000);
        for (i, series) in matrix.iter().enumerate() {
            assert_eq!(series.labels.get("i"), Some(format!("{i:05}").as_str()));
            let expected = (i + 1) as f64 / 15.0;
            assert!(series.points.iter().all(|point| (point.value.as_float() / expected - 1.0).abs() < 1e-9));
        }
    }

    #[test]
    fn a_limit_stops_all_threads() {
        let limits = Limits { samples_max: 500, ..Limits::default() };
        let error = ask("sum(rate(m[1m])) + count(m)", limits).unwrap_err();
        assert!(matches!(error, EvalError::Stopped(StopReason::TooManySamples(500))), "{error}");
    }
}
