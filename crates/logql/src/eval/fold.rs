//! Rows of a scan folded into one state for each worker.
//!
//! Bound: at most `lines_max` matching rows are taken; whoever folds is told when there were more.

use crate::{
    EvalError,
    pipeline::{Pipeline, Scratch},
};
use std::{
    num::NonZero,
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};
use store::{LogScan, QueryContext, Row};

/// Rows below which a second thread costs more than it saves.
const ROWS_PER_WORKER: u64 = 50_000;

/// A scan, what its rows must pass, and how many of them are taken.
pub(super) struct Fold<'a> {
    pub(super) scan: &'a dyn LogScan,
    pub(super) pipeline: &'a Pipeline,
    pub(super) context: &'a QueryContext,
    pub(super) lines_max: u64,
    /// Only every so many units are read.
    pub(super) every: usize,
}

/// What the workers have made of the rows.
pub(super) struct Folded<T> {
    pub(super) states: Vec<T>,
    /// Whether rows were left out because of the limit.
    pub(super) is_partial: bool,
}

impl Fold<'_> {
    /// Hands each row that passes to `take`, with its labels and line in the scratch.
    pub(super) fn run<T: Send>(
        &self,
        make: impl Fn() -> T + Sync,
        take: impl Fn(&mut T, &Scratch, &Row<'_>) -> Result<(), EvalError> + Sync,
    ) -> Result<Folded<T>, EvalError> {
        let progress = Progress { next: AtomicUsize::new(0), lines: AtomicU64::new(0) };
        let threads = self.threads();
        let work = || {
            let mut state = make();
            self.work(&progress, &mut state, &take).map(|()| state)
        };
        let results = if threads <= 1 {
            vec![work()]
        } else {
            let results = Mutex::new(Vec::with_capacity(threads));
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        let result = work();
                        results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    });
                }
            });
            results.into_inner().unwrap_or_else(PoisonError::into_inner)
        };
        let states = results.into_iter().collect::<Result<_, _>>()?;
        Ok(Folded { states, is_partial: progress.lines.load(Relaxed) > self.lines_max })
    }

    fn threads(&self) -> usize {
        let units = self.scan.units();
        let rows: u64 = units.iter().step_by(self.every).map(|unit| unit.rows_max).sum();
        let useful = (rows.min(self.lines_max) / ROWS_PER_WORKER).clamp(1, units.len().max(1) as u64);
        std::thread::available_parallelism().map_or(1, NonZero::get).min(useful as usize)
    }

    fn work<T>(
        &self,
        progress: &Progress,
        state: &mut T,
        take: &impl Fn(&mut T, &Scratch, &Row<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut scratch = Scratch::default();
        loop {
            let index = progress.next.fetch_add(1, Relaxed).saturating_mul(self.every);
            if index >= self.scan.units().len() || progress.lines.load(Relaxed) > self.lines_max {
                return Ok(());
            }
            let mut result = Ok(());
            self.scan.read(index, self.context, &mut |row: Row<'_>| {
                if let Err(reason) = self.context.check() {
                    result = Err(reason.into());
                    return ControlFlow::Break(());
                }
                self.pipeline.load(&mut scratch, row.stream, row.labels, row.metadata);
                if !self.pipeline.run(&mut scratch, row.timestamp_ns, row.line) {
                    return ControlFlow::Continue(());
                }
                if progress.lines.fetch_add(1, Relaxed) >= self.lines_max {
                    return ControlFlow::Break(());
                }
                result = take(state, &scratch, &row);
                if result.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            result?;
        }
    }
}

struct Progress {
    next: AtomicUsize,
    /// Rows that passed, the first one beyond the limit included.
    lines: AtomicU64,
}
