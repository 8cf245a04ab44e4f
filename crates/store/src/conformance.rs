//! The suite that every backend passes: each rule of the traits as a small named case.
//!
//! A backend's test calls [`metric_store`] or [`log_store`] with a closure that makes an empty
//! store, or the `durable_` variant when its data outlive the process. Every case runs several
//! times, with its data still where they were appended, after a flush, and (durable backends)
//! after the store was closed and opened again, so that a rule holds in memory, in immutable parts
//! and after recovery alike.
//!
//! Stores are opened without age limits ([`crate::AgeLimits::NONE`]); the `_limits` suites hand
//! limits in. A case panics with a message that says what was expected; its name, and how far its
//! data had settled, are printed to standard error.

mod harness;
mod logs;
mod metrics;
mod random;

use crate::{AgeLimits, LogStore, MetricStore};
use harness::{Settle, run, run_durable};

/// Cases at once where each spends most of its time waiting for a server.
const REMOTE_AT_ONCE: usize = 8;

/// Runs the metric suite; `open` makes an empty store without age limits.
pub fn metric_store(open: impl Fn() -> Box<dyn MetricStore>) {
    run(metrics::CASES, &open);
}

/// Runs the metric suite on a backend that keeps its data at a place (such as a temporary folder)
/// that `place` makes and `open` opens, the first time and again.
pub fn durable_metric_store<P>(
    place: impl Fn() -> P + Sync,
    open: impl Fn(&P) -> Box<dyn MetricStore> + Sync,
) {
    run_durable(metrics::CASES, &Settle::ALL, 1, &place, &open);
    run_durable(metrics::DURABLE_CASES, &[Settle::Reopened, Settle::FlushedAndReopened], 1, &place, &open);
}

/// Runs the metric suite on a backend whose data live elsewhere and cost a journey each time: as in
/// [`durable_metric_store`], but only with data as they were appended and after all of it, and several
/// cases at once. Places must not share anything that a case looks at.
pub fn remote_metric_store<P>(
    place: impl Fn() -> P + Sync,
    open: impl Fn(&P) -> Box<dyn MetricStore> + Sync,
) {
    run_durable(metrics::CASES, &Settle::ENDS, REMOTE_AT_ONCE, &place, &open);
    run_durable(metrics::DURABLE_CASES, &[Settle::Reopened], REMOTE_AT_ONCE, &place, &open);
}

/// Checks that a metric store refuses and drops by age as the limits given to `open` say.
pub fn metric_store_limits(open: impl Fn(AgeLimits) -> Box<dyn MetricStore>) {
    metrics::age_limits(&open);
}

/// Runs the log suite; `open` makes an empty store without age limits.
pub fn log_store(open: impl Fn() -> Box<dyn LogStore>) {
    run(logs::CASES, &open);
}

/// Runs the log suite on a backend that keeps its data; see [`durable_metric_store`].
pub fn durable_log_store<P>(place: impl Fn() -> P + Sync, open: impl Fn(&P) -> Box<dyn LogStore> + Sync) {
    run_durable(logs::CASES, &Settle::ALL, 1, &place, &open);
    run_durable(logs::DURABLE_CASES, &[Settle::Reopened, Settle::FlushedAndReopened], 1, &place, &open);
}

/// Runs the log suite on a backend whose data live elsewhere; see [`remote_metric_store`].
pub fn remote_log_store<P>(place: impl Fn() -> P + Sync, open: impl Fn(&P) -> Box<dyn LogStore> + Sync) {
    run_durable(logs::CASES, &Settle::ENDS, REMOTE_AT_ONCE, &place, &open);
    run_durable(logs::DURABLE_CASES, &[Settle::Reopened], REMOTE_AT_ONCE, &place, &open);
}

/// Checks that a log store refuses and drops by age as the limits given to `open` say.
pub fn log_store_limits(open: impl Fn(AgeLimits) -> Box<dyn LogStore>) {
    logs::age_limits(&open);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemLogStore, MemMetricStore};

    #[test]
    fn the_metric_reference_passes() {
        metric_store(|| Box::new(MemMetricStore::new()));
        metric_store_limits(|limits| Box::new(MemMetricStore::with_limits(limits)));
    }

    #[test]
    fn the_log_reference_passes() {
        log_store(|| Box::new(MemLogStore::new()));
        log_store_limits(|limits| Box::new(MemLogStore::with_limits(limits)));
    }
}
