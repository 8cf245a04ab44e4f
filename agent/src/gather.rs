//! Collects at every tick and puts the result into the spool.
//!
//! Ticks are multiples of the interval, moved by an amount that follows from the agent's id, so
//! that a fleet does not knock all at once. Samples carry the tick's time. A tick that comes while
//! a collection still runs is left out and counted.

use crate::{
    collect::Runner,
    metrics::{Counters, Loss},
    spool::Spool,
};
use daemon::Pool;
use model::{MetricBatch, STALE_NAN};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;
use wire::{
    compression::{Encoding, compress},
    remote_write,
};
use xxhash_rust::xxh3::xxh3_64;

/// See the module.
pub(crate) struct Gatherer {
    pub(crate) runner: Runner,
    pub(crate) spool: Arc<Spool>,
    pub(crate) vanished: Arc<Mutex<Vanished>>,
    pub(crate) destinations: Vec<String>,
    pub(crate) counters: Arc<Counters>,
    /// One for each sender: a permit is kept for one that is busy.
    pub(crate) news: Vec<Arc<Notify>>,
    pub(crate) pool: Pool,
    pub(crate) batch: MetricBatch,
}

impl Gatherer {
    /// One collection. With `is_last` every series ends right after it.
    pub(crate) async fn tick(&mut self, timestamp_ms: i64, is_last: bool) {
        let batch = self.runner.collect(timestamp_ms, std::mem::take(&mut self.batch)).await;
        let (vanished, spool) = (self.vanished.clone(), self.spool.clone());
        let job = move || {
            let mut batch = batch;
            let mut vanished = vanished.lock().unwrap_or_else(PoisonError::into_inner);
            vanished.mark(&mut batch, timestamp_ms, is_last);
            let stored = store(&spool, &batch, timestamp_ms);
            (batch, stored)
        };
        match self.pool.run(job).await {
            Ok((batch, stored)) => {
                let samples = batch.sample_count() as u64;
                self.batch = batch;
                self.count(samples, stored);
            }
            Err(busy) => {
                tracing::warn!(%busy, "a collection was left out");
                self.counters.ticks_missed.add(1);
            }
        }
        self.news.iter().for_each(|news| news.notify_one());
    }

    fn count(&self, samples: u64, stored: io::Result<Vec<crate::spool::Dropped>>) {
        for destination in &self.destinations {
            let counters = self.counters.destination(destination);
            counters.samples_read.add(samples);
            // A sender that waits for its receiver does not look.
            counters.spool_bytes.set(self.spool.waiting_bytes(destination));
        }
        match stored {
            Ok(dropped) => {
                for dropped in dropped.into_iter().filter(|dropped| dropped.samples > 0) {
                    tracing::warn!(
                        destination = dropped.destination,
                        samples = dropped.samples,
                        "the spool is full"
                    );
                    let counters = self.counters.destination(&dropped.destination);
                    counters.samples_lost.add(Loss::QueueFull, dropped.samples);
                }
            }
            Err(error) => {
                tracing::error!(%error, "failed to write to the spool");
                for destination in &self.destinations {
                    self.counters.destination(destination).samples_lost.add(Loss::QueueFull, samples);
                }
            }
        }
    }
}

fn store(spool: &Spool, batch: &MetricBatch, timestamp_ms: i64) -> io::Result<Vec<crate::spool::Dropped>> {
    let (mut raw, mut body) = (Vec::new(), Vec::new());
    remote_write::encode_v2(batch, &mut raw);
    compress(Encoding::Zstd, &raw, &mut body).map_err(io::Error::other)?;
    spool.append(batch.sample_count() as u64, timestamp_ms, &body)
}

/// The pause until the next tick after `now_ms`.
pub(crate) fn next_tick_ms(now_ms: i64, interval: Duration, agent: &str) -> i64 {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let shift = (xxh3_64(agent.as_bytes()) % interval_ms.unsigned_abs()) as i64;
    let since = (now_ms - shift).rem_euclid(interval_ms);
    now_ms + interval_ms - since
}

/// Which series there were, so that one that is gone can be ended with a staleness marker instead
/// of lingering for minutes. A gap in delivery never ends a series.
#[derive(Debug, Default)]
pub(crate) struct Vanished {
    /// Labels, and the tick they were last seen at.
    seen: HashMap<Vec<u8>, u64>,
    tick: u64,
}

impl Vanished {
    /// Adds a staleness marker for every series that was in the last collection and is not in this
    /// one; with `is_last` for those of this one as well.
    pub(crate) fn mark(&mut self, batch: &mut MetricBatch, timestamp_ms: i64, is_last: bool) {
        self.tick += 1;
        for series in batch.series() {
            let labels = series.labels().as_bytes();
            match self.seen.get_mut(labels) {
                Some(tick) => *tick = self.tick,
                None => {
                    self.seen.insert(labels.to_vec(), self.tick);
                }
            }
        }
        let tick = self.tick;
        if is_last || self.seen.len() > batch.series_count() {
            self.seen.retain(|labels, seen| {
                let is_gone = *seen != tick;
                if is_gone || is_last {
                    batch.begin_with(model::LabelsRef::from_trusted_bytes(labels));
                    // After the last real sample, for a series may have only one at an instant.
                    batch.sample(timestamp_ms + i64::from(!is_gone), 0, STALE_NAN);
                }
                !is_gone
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(names: &[&str]) -> MetricBatch {
        let mut batch = MetricBatch::default();
        for name in names {
            batch.begin();
            batch.label(b"__name__", name.as_bytes());
            batch.end_labels().unwrap();
            batch.sample(10, 0, 1.0);
        }
        batch
    }

    fn stale(batch: &MetricBatch) -> Vec<(String, i64)> {
        let is_stale = |series: &model::SeriesView<'_>| model::is_stale(series.samples()[0].value);
        let mut found: Vec<_> = batch
            .series()
            .filter(is_stale)
            .map(|series| {
                (series.labels().to_owned().metric_name().to_owned(), series.samples()[0].timestamp_ms)
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_series_that_is_gone_ends_once() {
        let mut vanished = Vanished::default();
        let mut mark = |names: &[&str], is_last: bool| {
            let mut batch = batch(names);
            vanished.mark(&mut batch, 10, is_last);
            stale(&batch)
        };
        assert_eq!(mark(&["a", "b"], false), []);
        assert_eq!(mark(&["a", "c"], false), [("b".to_owned(), 10)]);
        assert_eq!(mark(&["a", "c"], false), []);
        assert_eq!(mark(&["a"], true), [("a".to_owned(), 11), ("c".to_owned(), 10)]);
    }

    #[test]
    fn ticks_are_regular_and_differ_between_agents() {
        let interval = Duration::from_secs(10);
        let first = next_tick_ms(1_000_003, interval, "a");
        assert!(first > 1_000_003 && first <= 1_010_003);
        assert_eq!(next_tick_ms(first, interval, "a"), first + 10_000);
        let differing = ["b", "c", "d"].iter().any(|agent| next_tick_ms(1_000_003, interval, agent) != first);
        assert!(differing);
    }
}
