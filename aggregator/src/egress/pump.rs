//! Reads the journal for one endpoint and hands what it finds to the endpoint's connections, on a
//! thread of its own: decoding and relabelling are plain computing, and waiting for room is all
//! that else happens here.

use super::{
    dealer::Dealer,
    endpoint::Endpoint,
    journal::Journal,
    lane::Parcel,
    metrics::EndpointMetrics,
    progress::{Progress, Ticket},
};
use daemon::{Shutdown, clock};
use model::MetricBatch;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

/// Between two writes of the cursor, and longest wait without a look at the shutdown.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_millis(200);

/// The way to a connection.
pub(super) struct LaneDoor {
    pub(super) sender: mpsc::Sender<Parcel>,
    /// Samples that may still be put in.
    pub(super) room: Arc<Semaphore>,
    pub(super) capacity: usize,
}

/// How far an endpoint is.
pub(super) struct Tracker {
    pub(super) key: String,
    pub(super) journal: Arc<Journal>,
    pub(super) progress: Progress,
    pub(super) metrics: EndpointMetrics,
}

/// See the module.
pub(super) struct Pump {
    pub(super) tracker: Arc<Tracker>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) dealer: Dealer,
    pub(super) doors: Vec<LaneDoor>,
    pub(super) runtime: Handle,
    pub(super) shutdown: Shutdown,
}

impl Tracker {
    /// Moves the cursor behind what is finished.
    fn settle(&self) {
        while let Some(entry) = self.progress.next_finished() {
            self.journal.advance(&self.key, entry.after, entry.samples);
        }
    }

    /// Writes the cursor down and brings the gauges up to date.
    pub(super) fn save(&self, now_ms: i64) {
        self.settle();
        if let Err(error) = self.journal.save(&self.key) {
            tracing::error!(%error, "the cursor of remote write was not saved; samples may be sent twice");
        }
        self.metrics.pending.set(self.pending_samples() as i64);
        self.metrics.journal_bytes.set(self.journal.bytes() as i64);
        self.metrics.lag.set(self.lag_seconds(now_ms));
    }

    pub(super) fn pending_samples(&self) -> u64 {
        self.journal.pending_samples(&self.key)
    }

    pub(super) fn lag_seconds(&self, now_ms: i64) -> f64 {
        let oldest_ms = self.progress.oldest_ms().unwrap_or(now_ms);
        now_ms.saturating_sub(oldest_ms).max(0) as f64 / 1000.0
    }
}

impl Pump {
    pub(super) fn run(mut self) {
        let mut reader = self.tracker.journal.reader(&self.tracker.key);
        let (mut payload, mut batch) = (Vec::new(), MetricBatch::default());
        let mut upkept = Instant::now();
        while !self.shutdown.is_triggered() {
            let seen = self.tracker.journal.durable_count();
            match reader.next(&mut payload, &mut batch) {
                Ok(Some((after, head))) => {
                    let ticket = self.tracker.progress.begin(after, head.samples, head.appended_ms);
                    if !self.hand_out(&batch, ticket, &mut upkept) {
                        return;
                    }
                }
                Ok(None) => self.tracker.journal.wait(seen, WAIT),
                Err(error) => {
                    tracing::error!(%error, "the journal of remote write cannot be read");
                    self.tracker.journal.wait(u64::MAX, UPKEEP_INTERVAL);
                }
            }
            self.upkeep(&mut upkept);
        }
    }

    fn upkeep(&self, upkept: &mut Instant) {
        self.tracker.settle();
        if upkept.elapsed() >= UPKEEP_INTERVAL {
            *upkept = Instant::now();
            self.tracker.save(clock::now_ms());
        }
    }

    /// `false` when the process is to end.
    fn hand_out(&mut self, batch: &MetricBatch, ticket: Ticket, upkept: &mut Instant) -> bool {
        for (lane, piece) in self.dealer.deal(batch, self.endpoint.version(), clock::now_ms()) {
            let Some(room) = self.room(lane, piece.sample_count(), upkept) else { return false };
            let parcel = Parcel { batch: piece, ticket: ticket.another(), room };
            if !self.put(lane, parcel, upkept) {
                return false;
            }
        }
        ticket.finish();
        true
    }

    /// Puts a parcel into a connection's queue; `false` when the process is to end.
    fn put(&self, lane: usize, parcel: Parcel, upkept: &mut Instant) -> bool {
        let sender = &self.doors[lane].sender;
        loop {
            match self.runtime.block_on(async { timeout(WAIT, sender.reserve()).await }) {
                Ok(Ok(place)) => {
                    place.send(parcel);
                    return true;
                }
                Ok(Err(_)) => return false,
                Err(_) if self.shutdown.is_triggered() => return false,
                Err(_) => self.upkeep(upkept),
            }
        }
    }

    /// Waits for room in a connection's queue; `None` when the process is to end.
    fn room(&self, lane: usize, samples: usize, upkept: &mut Instant) -> Option<OwnedSemaphorePermit> {
        let door = &self.doors[lane];
        let wanted = samples.min(door.capacity) as u32;
        loop {
            let acquire = door.room.clone().acquire_many_owned(wanted);
            match self.runtime.block_on(async { timeout(WAIT, acquire).await }) {
                Ok(Ok(room)) => return Some(room),
                Ok(Err(_)) => return None,
                Err(_) if self.shutdown.is_triggered() => return None,
                Err(_) => self.upkeep(upkept),
            }
        }
    }
}
