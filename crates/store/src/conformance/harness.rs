//! Runs cases on fresh stores and brings their data into every state that they may be read in.

use crate::{LogStore, MetricStore};
use std::{
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The clock of all cases, milliseconds: a day in 2026.
pub(super) const NOW_MS: i64 = 1_780_000_000_000;
/// The same instant in nanoseconds.
pub(super) const NOW_NS: i64 = NOW_MS * 1_000_000;
const DAY_MS: i64 = 86_400_000;

/// What [`Subject::settle`] does with the data appended so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// Nothing.
    Kept,
    /// Flushes and does all maintenance that is due within a day.
    Flushed,
    /// Drops the store without a flush and opens it again.
    Reopened,
    /// Both.
    FlushedAndReopened,
}

impl Settle {
    pub(super) const ALL: [Settle; 4] =
        [Settle::Kept, Settle::Flushed, Settle::Reopened, Settle::FlushedAndReopened];
    /// The two ends: nothing done, and everything.
    pub(super) const ENDS: [Settle; 2] = [Settle::Kept, Settle::FlushedAndReopened];
    const IN_PROCESS: [Settle; 2] = [Settle::Kept, Settle::Flushed];
}

/// The calls of housekeeping that both traits have.
pub(super) trait Housekeep {
    fn housekeep(&self);
}

impl Housekeep for dyn MetricStore {
    fn housekeep(&self) {
        self.maintain(NOW_MS).expect("maintenance works");
        self.flush().expect("a flush works");
        self.maintain(NOW_MS + DAY_MS).expect("maintenance works after a flush");
    }
}

impl Housekeep for dyn LogStore {
    fn housekeep(&self) {
        self.maintain(NOW_NS, NOW_NS).expect("maintenance works");
        self.flush().expect("a flush works");
        self.maintain(NOW_NS + DAY_MS * 1_000_000, NOW_NS + DAY_MS * 1_000_000)
            .expect("maintenance works after a flush");
    }
}

/// The store under test.
pub(super) struct Subject<'a, S: ?Sized> {
    /// Empty only while the store is being reopened.
    store: Option<Box<S>>,
    reopen: Option<&'a dyn Fn() -> Box<S>>,
    settle: Settle,
}

impl<S: ?Sized> Deref for Subject<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        self.store.as_deref().expect("the store is open between calls of `settle`")
    }
}

impl<S: ?Sized + Housekeep> Subject<'_, S> {
    /// Brings what has been appended into the state that this run of the case is about.
    pub(super) fn settle(&mut self) {
        if matches!(self.settle, Settle::Flushed | Settle::FlushedAndReopened) {
            self.housekeep();
        }
        if matches!(self.settle, Settle::Reopened | Settle::FlushedAndReopened) {
            let reopen = self.reopen.expect("only durable backends are reopened");
            // The old store lets go of its files before the new one looks at them.
            self.store = None;
            self.store = Some(reopen());
        }
    }
}

/// A rule's name and its check.
pub(super) type Case<S> = (&'static str, fn(&mut Subject<'_, S>));

/// The listed functions with their names.
macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        &[$((stringify!($case), $module::$case)),*]
    };
}
pub(super) use cases;

/// Says on a panic which case it was.
struct Announce<'a>(&'a str, Settle);

impl Drop for Announce<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("conformance case `{}` failed ({:?})", self.0, self.1);
        }
    }
}

/// Runs the cases on a backend that lives no longer than the process.
pub(super) fn run<S: ?Sized + Housekeep>(cases: &[Case<S>], open: &dyn Fn() -> Box<S>) {
    for (name, case) in cases {
        for settle in Settle::IN_PROCESS {
            let _announce = Announce(name, settle);
            case(&mut Subject { store: Some(open()), reopen: None, settle });
        }
    }
}

/// Runs the cases on a backend that can be opened again, each at a place of its own, `at_once` of them
/// at a time.
pub(super) fn run_durable<S: ?Sized + Housekeep, P>(
    cases: &[Case<S>],
    settles: &[Settle],
    at_once: usize,
    place: &(dyn Fn() -> P + Sync),
    open: &(dyn Fn(&P) -> Box<S> + Sync),
) {
    let run = |(name, case): &Case<S>, settle| {
        let _announce = Announce(name, settle);
        let place = place();
        let reopen = || open(&place);
        case(&mut Subject { store: Some(reopen()), reopen: Some(&reopen), settle });
    };
    let runs: Vec<_> =
        cases.iter().flat_map(|case| settles.iter().map(move |settle| (case, *settle))).collect();
    let taken = AtomicUsize::new(0);
    let work = || {
        // From the end: random histories stand there and take longest.
        while let Some((case, settle)) = runs.iter().rev().nth(taken.fetch_add(1, Ordering::Relaxed)) {
            run(case, *settle);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..at_once {
            scope.spawn(work);
        }
        work();
    });
}
