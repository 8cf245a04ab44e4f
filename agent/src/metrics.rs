//! What the agent counts about its own work.
//!
//! The counters are shipped with every collection, and served on `/metrics`, like any other
//! family. For each destination, once everything in flight has been answered:
//! *read = acknowledged + lost*, for samples and for lines. Lines that a pipeline filtered out on
//! purpose are counted apart, before `read`.

use crate::collect::{CollectError, Collector, Setup, Sink};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// Why something read was never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The receiver refused it for what it is.
    Rejected,
    /// The spool was full, or could not be written.
    QueueFull,
    /// The file was rotated away or removed before it was read.
    RotatedBeforeRead,
    /// The file was truncated before it was read.
    TruncatedBeforeRead,
}

const LOSSES: [(Loss, &str); 4] = [
    (Loss::Rejected, "rejected"),
    (Loss::QueueFull, "queue_full"),
    (Loss::RotatedBeforeRead, "rotated_before_read"),
    (Loss::TruncatedBeforeRead, "truncated_before_read"),
];

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// For gauges.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A count for each reason of a loss.
#[derive(Debug, Default)]
pub(crate) struct Losses([Count; LOSSES.len()]);

impl Losses {
    pub(crate) fn add(&self, why: Loss, by: u64) {
        if let Some(i) = LOSSES.iter().position(|(loss, _)| *loss == why) {
            self.0[i].add(by);
        }
    }

    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().map(Count::get).sum()
    }
}

/// Work for one destination.
#[derive(Debug, Default)]
pub(crate) struct DestinationCounters {
    pub(crate) samples_read: Count,
    pub(crate) samples_acknowledged: Count,
    pub(crate) samples_lost: Losses,
    pub(crate) spool_bytes: Count,
    /// When the oldest sample that waits was collected; 0 when none does.
    pub(crate) spool_oldest_ms: Count,
    pub(crate) lines_read: Count,
    pub(crate) lines_acknowledged: Count,
    pub(crate) lines_lost: Losses,
    pub(crate) lines_filtered: Count,
    pub(crate) lines_truncated: Count,
    pub(crate) lines_not_utf8: Count,
    /// Bytes whose lines were never seen and can therefore not be counted.
    pub(crate) log_bytes_lost: Losses,
    pub(crate) log_bytes_lag: Count,
    pub(crate) log_age_ms: Count,
    pub(crate) log_files: Count,
    pub(crate) requests: Count,
    pub(crate) request_bytes: Count,
    pub(crate) retries: Count,
}

/// Everything the agent counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    destinations: Mutex<BTreeMap<String, Arc<DestinationCounters>>>,
    pub(crate) ticks_missed: Count,
    pub(crate) checkpoint_failures: Count,
}

impl Counters {
    /// The counters of a destination, made when it is first asked for.
    pub(crate) fn destination(&self, name: &str) -> Arc<DestinationCounters> {
        let mut destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        destinations.entry(name.to_owned()).or_default().clone()
    }

    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<String> {
        self.all().into_iter().map(|(name, _)| name).collect()
    }

    fn all(&self) -> Vec<(String, Arc<DestinationCounters>)> {
        let destinations = self.destinations.lock().unwrap_or_else(PoisonError::into_inner);
        destinations.iter().map(|(name, counters)| (name.clone(), counters.clone())).collect()
    }
}

/// Reports [`Counters`] as families.
pub(crate) struct OwnCounters(Arc<Counters>);

impl OwnCounters {
    pub(crate) fn of(setup: &Setup) -> Vec<Box<dyn Collector>> {
        vec![Box::new(OwnCounters(setup.counters.clone()))]
    }
}

/// It grows with the clock, also while nothing is delivered.
fn age_seconds(oldest_ms: u64, now_ms: i64) -> f64 {
    if oldest_ms == 0 { 0.0 } else { now_ms.saturating_sub_unsigned(oldest_ms).max(0) as f64 / 1000.0 }
}

type Read = fn(&DestinationCounters) -> f64;
type ReadLosses = fn(&DestinationCounters) -> &Losses;

const COUNTERS: [(&str, &str, Read); 10] = [
    ("bellwether_agent_samples_read_total", "Samples collected.", |d| d.samples_read.get() as f64),
    ("bellwether_agent_samples_acknowledged_total", "Samples that are stored.", |d| {
        d.samples_acknowledged.get() as f64
    }),
    ("bellwether_agent_log_lines_read_total", "Lines read, without those filtered out.", |d| {
        d.lines_read.get() as f64
    }),
    ("bellwether_agent_log_lines_acknowledged_total", "Lines that are stored.", |d| {
        d.lines_acknowledged.get() as f64
    }),
    ("bellwether_agent_log_lines_filtered_total", "Lines that a pipeline dropped on purpose.", |d| {
        d.lines_filtered.get() as f64
    }),
    (
        "bellwether_agent_log_lines_truncated_total",
        "Lines shipped without their end because they are too long.",
        |d| d.lines_truncated.get() as f64,
    ),
    (
        "bellwether_agent_log_lines_not_utf8_total",
        "Lines shipped with replaced bytes because they are not UTF-8.",
        |d| d.lines_not_utf8.get() as f64,
    ),
    ("bellwether_agent_requests_total", "Requests that got an answer.", |d| d.requests.get() as f64),
    ("bellwether_agent_request_bytes_total", "Bytes of request bodies, compressed.", |d| {
        d.request_bytes.get() as f64
    }),
    ("bellwether_agent_retries_total", "Requests that had to be made again.", |d| d.retries.get() as f64),
];

const GAUGES: [(&str, &str, Read); 5] = [
    ("bellwether_agent_spool_bytes", "Bytes of samples waiting on disk.", |d| d.spool_bytes.get() as f64),
    ("bellwether_agent_spool_age_seconds", "Age of the oldest sample not acknowledged.", |d| {
        age_seconds(d.spool_oldest_ms.get(), daemon::clock::now_ms())
    }),
    ("bellwether_agent_log_lag_bytes", "Bytes of log files not acknowledged.", |d| {
        d.log_bytes_lag.get() as f64
    }),
    (
        "bellwether_agent_log_lag_seconds",
        "Time for which some line has been waiting for its acknowledgement.",
        |d| d.log_age_ms.get() as f64 / 1000.0,
    ),
    ("bellwether_agent_log_files", "Log files followed.", |d| d.log_files.get() as f64),
];

const LOST: [(&str, &str, ReadLosses); 3] = [
    ("bellwether_agent_samples_lost_total", "Samples that will never be stored, by reason.", |d| {
        &d.samples_lost
    }),
    ("bellwether_agent_log_lines_lost_total", "Lines that will never be stored, by reason.", |d| {
        &d.lines_lost
    }),
    (
        "bellwether_agent_log_bytes_lost_total",
        "Bytes of log files that were gone before they could be read, by reason.",
        |d| &d.log_bytes_lost,
    ),
];

impl Collector for OwnCounters {
    fn name(&self) -> &'static str {
        "agent"
    }

    fn collect(&mut self, out: &mut Sink<'_>) -> Result<(), CollectError> {
        let destinations = self.0.all();
        for (name, help, read) in COUNTERS {
            let mut family = out.counter(name, help);
            for (destination, counters) in &destinations {
                family.sample(&[("destination", destination)], read(counters));
            }
        }
        for (name, help, read) in LOST {
            let mut family = out.counter(name, help);
            for (destination, counters) in &destinations {
                for ((_, reason), count) in LOSSES.iter().zip(&read(counters).0) {
                    family.sample(&[("destination", destination), ("reason", reason)], count.get() as f64);
                }
            }
        }
        for (name, help, read) in GAUGES {
            let mut family = out.gauge(name, help);
            for (destination, counters) in &destinations {
                family.sample(&[("destination", destination)], read(counters));
            }
        }
        out.counter(
            "bellwether_agent_ticks_missed_total",
            "Collections that were left out because one took too long.",
        )
        .value(self.0.ticks_missed.get() as f64);
        out.counter("bellwether_agent_checkpoint_failures_total", "Checkpoints that could not be written.")
            .value(self.0.checkpoint_failures.get() as f64);
        let mut family = out.gauge("bellwether_agent_build_info", "The agent's version; always 1.");
        family.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_reason() {
        let counters = Arc::new(Counters::default());
        counters.destination("a").lines_lost.add(Loss::Rejected, 3);
        counters.destination("a").samples_read.add(2);
        let mut batch = model::MetricBatch::default();
        OwnCounters(counters).collect(&mut Sink::new(&mut batch, &[], 1)).unwrap();
        let text: Vec<String> = batch
            .series()
            .map(|series| format!("{} {}", series.labels(), series.samples()[0].value))
            .collect();
        for expected in [
            r#"{__name__="bellwether_agent_log_lines_lost_total", destination="a", reason="rejected"} 3"#,
            r#"{__name__="bellwether_agent_samples_read_total", destination="a"} 2"#,
        ] {
            assert!(text.iter().any(|line| line == expected), "{text:#?}");
        }
    }
}
