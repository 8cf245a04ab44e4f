//! Keeps both stores in shape: sealing, merging and retention, each on a thread of its own, so
//! that a long merge of one never delays the other and neither takes a place in a pool.

use crate::app::{AppState, Part};
use daemon::{Shutdown, clock};
use std::{
    thread::{self, JoinHandle},
    time::Duration,
};
use store::RetentionClock;

/// Pause between two looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after a failure, which is logged each time.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

const NS_PER_MS: i64 = 1_000_000;

/// Starts both threads. They end soon after `shutdown`. `logs_clock` is that of the log store as it was
/// opened; the metric store has its own.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn start(
    app: &AppState,
    mut logs_clock: RetentionClock,
    shutdown: &Shutdown,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let metrics = {
        let store = app.metrics.clone();
        let part = app.part("maintenance of metrics");
        spawn("maintain-metrics", part, shutdown, move || store.maintain(clock::now_ms()))?
    };
    let logs = {
        let store = app.logs.clone();
        let part = app.part("maintenance of logs");
        spawn("maintain-logs", part, shutdown, move || {
            let now_ns = clock::now_ns();
            store.maintain(now_ns, believed_ns(&mut logs_clock, now_ns))
        })?
    };
    Ok(vec![metrics, logs])
}

/// The time by which log lines are too old.
fn believed_ns(clock: &mut RetentionClock, now_ns: i64) -> i64 {
    let now_ms = now_ns.div_euclid(NS_PER_MS);
    let believed_ms = clock.believe(now_ms, || None);
    if believed_ms == now_ms { now_ns } else { believed_ms.saturating_mul(NS_PER_MS) }
}

fn spawn(
    name: &'static str,
    part: Part,
    shutdown: &Shutdown,
    mut work: impl FnMut() -> Result<(), store::StoreError> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let shutdown = shutdown.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let _part = part;
        while !shutdown.is_triggered() {
            let pause = match work() {
                Ok(()) => PAUSE,
                Err(error) => {
                    tracing::error!(%error, task = name, "maintenance failed");
                    PAUSE_AFTER_FAILURE
                }
            };
            sleep(pause, &shutdown);
        }
    })
}

/// Sleeps in slices, so that a shutdown does not wait for the whole pause.
fn sleep(pause: Duration, shutdown: &Shutdown) {
    const SLICE: Duration = Duration::from_millis(100);
    let mut left = pause;
    while !left.is_zero() && !shutdown.is_triggered() {
        thread::sleep(SLICE.min(left));
        left = left.saturating_sub(SLICE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_NS: i64 = 3_600_000_000_000;

    #[test]
    fn log_lines_are_not_judged_by_a_clock_that_is_wrong_from_the_start() {
        let mut clock = RetentionClock::starting_at(Some(3_600_000));
        let wrong = 90_000 * HOUR_NS;
        assert_eq!(believed_ns(&mut clock, wrong), HOUR_NS);
        assert_eq!(believed_ns(&mut clock, HOUR_NS + 7), HOUR_NS + 7, "it is set right");
        // Set right after it was behind, it counts after an hour, not after years.
        assert_eq!(believed_ns(&mut clock, 5), 5);
        assert_eq!(believed_ns(&mut clock, wrong), 0);
        assert_eq!(believed_ns(&mut clock, wrong + HOUR_NS), wrong + HOUR_NS);
    }
}
