//! Keeps both stores in shape: sealing, merging and retention, each on a thread of its own, so
//! that a long merge of one never delays the other and neither takes a place in a pool.

use crate::{
    app::{AppState, Part},
    steady_clock::SteadyClock,
};
use daemon::{Shutdown, clock};
use std::{
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Pause between two looks at what is due.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after a failure, which is logged each time.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Starts both threads. They end soon after `shutdown`.
///
/// # Errors
/// When a thread cannot be started.
pub(crate) fn start(app: &AppState, shutdown: &Shutdown) -> std::io::Result<Vec<JoinHandle<()>>> {
    let metrics = {
        let store = app.metrics.clone();
        let part = app.part("maintenance of metrics");
        spawn("maintain-metrics", part, shutdown, move || store.maintain(clock::now_ms()))?
    };
    let logs = {
        let store = app.logs.clone();
        let (begun, mut steady) = (Instant::now(), SteadyClock::default());
        let mut now_ns = move || steady.now_ns(clock::now_ns(), begun.elapsed());
        let part = app.part("maintenance of logs");
        spawn("maintain-logs", part, shutdown, move || store.maintain(now_ns()))?
    };
    Ok(vec![metrics, logs])
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
