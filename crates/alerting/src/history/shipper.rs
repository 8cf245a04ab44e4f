//! Copies events into a log stream, so that they can be searched beside all other logs for as long
//! as logs are kept.
//!
//! The journal is the queue: a thread reads what was committed since it last looked, so alerting
//! never waits for the log store and nothing is held in memory. While the store refuses, the same
//! events are tried again; what the journal has dropped meanwhile is counted as lost. After a
//! restart it goes on behind the last event that is known to be in the log.

use super::{Event, key};
use crate::{
    journal::{Change, Journal, Table},
    owner::Owner,
    querier::EventSink,
};
use prometheus_client::metrics::counter::Counter;
use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

/// Events of one append.
const BATCH_MAX: usize = 1000;
/// Between two looks, and after a refusal.
const PAUSE: Duration = Duration::from_secs(1);
/// The record that says how far the log stream has come.
pub(crate) const CURSOR: &str = "event_stream";

/// What the copying says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct SinkMetrics {
    pub(crate) appended: Counter,
    pub(crate) refused: Counter,
    pub(crate) lost: Counter,
}

#[derive(Default)]
struct Signal {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// See the module. Dropping it does not stop the thread; [`Shipper::stop`] does.
pub(crate) struct Shipper {
    signal: Arc<Signal>,
    thread: std::thread::JoinHandle<()>,
}

impl Shipper {
    /// Starts the thread.
    pub(crate) fn start(
        journal: Arc<Journal>,
        sink: Arc<dyn EventSink>,
        owner: Owner,
        metrics: SinkMetrics,
    ) -> std::io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let heard = signal.clone();
        let thread = std::thread::Builder::new().name("alerting-events".to_owned()).spawn(move || {
            let cursor = journal.get::<u64>(Table::Cursors, CURSOR).ok().flatten().unwrap_or(0);
            Run { journal, sink, owner, metrics, cursor }.run(&heard);
        })?;
        Ok(Shipper { signal, thread })
    }

    /// Copies what is there once more and stops.
    pub(crate) fn stop(self) {
        *self.signal.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.signal.changed.notify_all();
        if self.thread.join().is_err() {
            tracing::error!("the thread that copies alerting events into the logs panicked");
        }
    }
}

struct Run {
    journal: Arc<Journal>,
    sink: Arc<dyn EventSink>,
    owner: Owner,
    metrics: SinkMetrics,
    cursor: u64,
}

impl Run {
    fn run(&mut self, signal: &Signal) {
        loop {
            while self.copy() {}
            let stopped = signal.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            if *stopped {
                break;
            }
            let waited = signal.changed.wait_timeout(stopped, PAUSE);
            let stopped = *waited.unwrap_or_else(PoisonError::into_inner).0;
            if stopped {
                self.copy();
                break;
            }
        }
    }

    /// Copies a batch; whether there may be more at once.
    fn copy(&mut self) -> bool {
        let events: Vec<Event> = match self.journal.after(Table::History, &key(self.cursor), BATCH_MAX) {
            Ok(events) => events,
            Err(error) => {
                tracing::warn!(%error, "events of alerting could not be read");
                return false;
            }
        };
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return false };
        if let Err(error) = self.sink.append(&events) {
            self.metrics.refused.inc();
            tracing::debug!(%error, "events of alerting wait for the log store");
            return false;
        }
        if self.cursor > 0 {
            self.metrics.lost.inc_by(first.id.saturating_sub(self.cursor + 1));
        }
        self.metrics.appended.inc_by(events.len() as u64);
        let is_full = events.len() == BATCH_MAX;
        self.cursor = last.id;
        self.owner.write_later(Change::put(Table::Cursors, CURSOR, &self.cursor));
        is_full
    }
}
