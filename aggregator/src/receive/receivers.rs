//! What receivers share: places for requests, buffers that are used again, counters.

use super::{
    counters::{Counters, Protocol},
    early_samples::EarlySamples,
    failure::Failure,
    refusals::{Refusals, Sender},
};
use crate::config::LimitsConfig;
use daemon::metrics::Metrics;
use model::{LogBatch, MetricBatch};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// Buffers kept for the next request; more would only keep memory.
const SPARE_MAX: usize = 8;
/// A buffer that has grown beyond this in a rare large request is not kept.
const SPARE_BYTES_MAX: usize = 16 << 20;

/// Buffers for one request.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) body: Vec<u8>,
    pub(super) metrics: MetricBatch,
    pub(super) logs: LogBatch,
}

/// See the module.
pub(crate) struct Receivers {
    pub(super) places: Arc<Semaphore>,
    pub(super) counters: Counters,
    pub(super) early_samples: EarlySamples,
    pub(super) refusals: Refusals,
    spare: Mutex<Vec<Scratch>>,
}

impl Receivers {
    pub(crate) fn new(limits: &LimitsConfig, own: &Metrics) -> Self {
        Receivers {
            places: Arc::new(Semaphore::new(limits.writes_in_flight_max.max(1))),
            counters: Counters::new(own),
            early_samples: EarlySamples::new(own),
            refusals: Refusals::default(),
            spare: Mutex::default(),
        }
    }

    /// Counts a request that was refused as a whole, and tells of it.
    pub(super) fn failed(&self, protocol: Protocol, sender: &Sender, failure: &Failure) {
        self.counters.failure(protocol, failure);
        self.refusals.whole(protocol, sender, failure);
    }

    /// Lends buffers to `work` and keeps them for the next request.
    pub(super) fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut scratch = spare.unwrap_or_default();
        let result = work(&mut scratch);
        let is_large = scratch.body.capacity() > SPARE_BYTES_MAX;
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_MAX && !is_large {
            spare.push(scratch);
        }
        result
    }
}
