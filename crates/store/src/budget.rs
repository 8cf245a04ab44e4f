//! What a query may use, and how it is stopped.
//!
//! One [`QueryContext`] travels with a query through engine and store. Whoever reads data charges
//! it; whoever loops checks it. Counters are relaxed atomics: a limit may be overshot by what the
//! running threads charge at the same moment, never by more.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Upper bounds of one query. `u64::MAX` means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Samples or log lines held or returned at once.
    pub samples_max: u64,
    /// Bytes of memory for intermediate results.
    pub memory_bytes_max: u64,
    /// Bytes decompressed from storage.
    pub read_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { samples_max: 50_000_000, memory_bytes_max: 2 << 30, read_bytes_max: u64::MAX }
    }
}

/// Why a query was stopped. The messages name the limit and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// The caller has gone.
    #[error("query was canceled")]
    Canceled,
    /// The time limit.
    #[error("query timed out after {0}; shorten its range, add matchers, or raise the timeout")]
    Timeout(String),
    /// The sample limit.
    #[error(
        "query would load more than {0} samples (`query.samples_max`); shorten its range or add matchers"
    )]
    TooManySamples(u64),
    /// The memory limit.
    #[error(
        "query needs more than {0} bytes of memory (`query.memory_bytes_max`); aggregate, shorten its range, or add matchers"
    )]
    TooMuchMemory(u64),
    /// The read limit.
    #[error(
        "query would read more than {0} bytes (`query.read_bytes_max`); shorten its range or add matchers"
    )]
    TooMuchRead(u64),
}

/// What a query has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryUsage {
    /// Samples or lines read from storage.
    pub samples_read: u64,
    /// Samples or lines held now.
    pub samples_held: u64,
    /// Most samples held at once.
    pub samples_peak: u64,
    /// Bytes decompressed or scanned.
    pub bytes_read: u64,
    /// Bytes of intermediate results held now.
    pub memory_bytes: u64,
}

/// Budget and stop signal of one query; shared by reference between its threads.
#[derive(Debug, Default)]
pub struct QueryContext {
    counts: Counts,
    stop: Stop,
}

/// Alone on its cache lines: what one thread counts is not to slow down what another one asks.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counts {
    samples_read: AtomicU64,
    samples_held: AtomicU64,
    samples_peak: AtomicU64,
    bytes_read: AtomicU64,
    memory_bytes: AtomicU64,
}

/// What is asked all the time and hardly ever changes.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stop {
    limits: Limits,
    reason: OnceLock<StopReason>,
}

impl QueryContext {
    /// A context with these limits.
    pub fn new(limits: Limits) -> Self {
        QueryContext { stop: Stop { limits, ..Stop::default() }, ..Self::default() }
    }

    /// Stops the query; the first reason counts.
    pub fn stop(&self, reason: StopReason) {
        self.stop.reason.get_or_init(|| reason);
    }

    /// # Errors
    /// When the query has been stopped. Call it in every loop whose length data decides.
    pub fn check(&self) -> Result<(), StopReason> {
        match self.stop.reason.get() {
            None => Ok(()),
            Some(reason) => Err(reason.clone()),
        }
    }

    /// Counts `samples` as read from storage and `bytes` as decompressed or scanned.
    ///
    /// # Errors
    /// When the read limit is passed or the query has been stopped.
    pub fn charge_read(&self, samples: u64, bytes: u64) -> Result<(), StopReason> {
        self.counts.samples_read.fetch_add(samples, Relaxed);
        let total = self.counts.bytes_read.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if total > self.stop.limits.read_bytes_max {
            self.stop(StopReason::TooMuchRead(self.stop.limits.read_bytes_max));
        }
        self.check()
    }

    /// Counts samples as held in memory; [`QueryContext::release_samples`] gives them back.
    ///
    /// # Errors
    /// When the sample limit is passed or the query has been stopped.
    pub fn hold_samples(&self, samples: u64) -> Result<(), StopReason> {
        let total = self.counts.samples_held.fetch_add(samples, Relaxed).saturating_add(samples);
        if total > self.counts.samples_peak.load(Relaxed) {
            self.counts.samples_peak.fetch_max(total, Relaxed);
        }
        if total > self.stop.limits.samples_max {
            self.stop(StopReason::TooManySamples(self.stop.limits.samples_max));
        }
        self.check()
    }

    /// Gives held samples back.
    pub fn release_samples(&self, samples: u64) {
        self.counts.samples_held.fetch_sub(samples, Relaxed);
    }

    /// Counts bytes of intermediate results.
    ///
    /// # Errors
    /// When the memory limit is passed or the query has been stopped.
    pub fn hold_memory(&self, bytes: u64) -> Result<(), StopReason> {
        let total = self.counts.memory_bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if total > self.stop.limits.memory_bytes_max {
            self.stop(StopReason::TooMuchMemory(self.stop.limits.memory_bytes_max));
        }
        self.check()
    }

    /// Gives bytes back.
    pub fn release_memory(&self, bytes: u64) {
        self.counts.memory_bytes.fetch_sub(bytes, Relaxed);
    }

    /// What has been used so far.
    pub fn usage(&self) -> QueryUsage {
        QueryUsage {
            samples_read: self.counts.samples_read.load(Relaxed),
            samples_held: self.counts.samples_held.load(Relaxed),
            samples_peak: self.counts.samples_peak.load(Relaxed),
            bytes_read: self.counts.bytes_read.load(Relaxed),
            memory_bytes: self.counts.memory_bytes.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_themselves_and_the_first_reason_stays() {
        let context =
            QueryContext::new(Limits { samples_max: 10, memory_bytes_max: 100, read_bytes_max: 1000 });
        context.charge_read(5, 900).unwrap();
        context.hold_samples(10).unwrap();
        context.release_samples(10);
        context.hold_samples(10).unwrap();
        assert_eq!(context.hold_samples(1), Err(StopReason::TooManySamples(10)));
        assert_eq!(context.hold_memory(1000), Err(StopReason::TooManySamples(10)));
        assert_eq!(context.usage().samples_peak, 11);
    }
}
