//! Runs one query: on the query pool, inside its budget, and no longer than its caller waits.
//!
//! A listing that the store has at hand is answered at once, on the thread that serves its socket: a hop
//! to the pool and back wakes two threads, which takes longer than most listings.

use crate::app::App;
use daemon::PoolBusy;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use store::{Limits, QueryContext, StopReason};

/// What is used of a store's budget on a thread that serves sockets: nothing. A store charges what it
/// reads before it does, and what it walks beyond some hundred microseconds.
const AT_HAND: Limits = Limits { samples_max: 0, memory_bytes_max: 0, read_bytes_max: 0 };

/// Stops the query when the handler is dropped, which is what happens when the client goes away.
struct StopOnDrop(Arc<QueryContext>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(StopReason::Canceled);
    }
}

/// Runs `work` with a context that stops at the caller's `timeout` or the configured one,
/// whichever is shorter, or when the returned future is dropped.
///
/// # Errors
/// When too many queries wait already, or this one's time is up before it has begun.
pub(crate) async fn run<T: Send + 'static>(
    app: &App,
    timeout: Option<Duration>,
    work: impl FnOnce(&QueryContext) -> T + Send + 'static,
) -> Result<T, PoolBusy> {
    let settings = &app.config.query;
    let limits = Limits {
        samples_max: settings.samples_max,
        memory_bytes_max: settings.memory_bytes_max.0,
        read_bytes_max: settings.read_bytes_max.0,
    };
    let context = Arc::new(QueryContext::new(limits));
    let guard = StopOnDrop(context.clone());
    let ceiling = Duration::from_millis(settings.timeout.0);
    let timeout = timeout.map_or(ceiling, |asked| asked.min(ceiling));
    let has_begun = Arc::new(AtomicBool::new(false));
    let begun = has_begun.clone();
    let job = app.query_pool.run(move || {
        begun.store(true, Ordering::Relaxed);
        work(&context)
    });
    let mut job = std::pin::pin!(job);
    tokio::select! {
        done = job.as_mut() => return done,
        () = tokio::time::sleep(timeout) => {}
    }
    guard.0.stop(StopReason::Timeout(model::duration_to_string(timeout.as_millis() as i64)));
    if !has_begun.load(Ordering::Relaxed) {
        // Whoever does not want to wait any longer is not to wait for a place on the pool.
        return Err(PoolBusy { waiting: app.query_pool.waiting() });
    }
    job.await
}

/// As [`run`], of a listing, which is answered here when it `is_simple` and the store has it at hand.
///
/// # Errors
/// As [`run`].
pub(crate) async fn list<T: Send + 'static>(
    app: &App,
    is_simple: bool,
    listing: impl Fn(&QueryContext) -> T + Send + 'static,
) -> Result<T, PoolBusy> {
    // Another machine has nothing at hand.
    if is_simple && app.config.storage.clickhouse.is_none() {
        let context = QueryContext::new(AT_HAND);
        let listed = listing(&context);
        if context.check().is_ok() {
            return Ok(listed);
        }
    }
    run(app, None, listing).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    #[tokio::test]
    async fn a_listing_goes_to_the_pool_when_it_is_not_at_hand() {
        let app = App::for_tests();
        let here = thread::current().id();
        let threads = Arc::new(Mutex::new(Vec::<ThreadId>::new()));
        for (is_simple, bytes, moves) in [(true, 0, false), (true, 1, true), (false, 0, true)] {
            let seen = threads.clone();
            let listing = move |context: &QueryContext| {
                seen.lock().unwrap().push(thread::current().id());
                context.charge_read(0, bytes)
            };
            list(&app, is_simple, listing).await.unwrap().unwrap();
            let threads = std::mem::take(&mut *threads.lock().unwrap());
            assert_eq!(threads[0] == here, is_simple);
            assert_eq!(threads.last().is_some_and(|thread| *thread != here), moves);
        }
    }

    #[tokio::test]
    async fn a_query_ends_at_its_timeout_and_when_its_caller_goes() {
        let app = App::for_tests();
        let spin = |context: &QueryContext| {
            loop {
                if let Err(reason) = context.check() {
                    return reason;
                }
                std::thread::yield_now();
            }
        };
        let reason = run(&app, Some(Duration::from_millis(20)), spin).await.unwrap();
        assert_eq!(reason, StopReason::Timeout("20ms".into()));

        let (tell, heard) = std::sync::mpsc::sync_channel(1);
        let query = tokio::spawn({
            let app = app.clone();
            async move { run(&app, None, move |context| tell.send(spin(context)).is_ok()).await }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
        query.abort();
        let reason =
            tokio::task::spawn_blocking(move || heard.recv_timeout(Duration::from_secs(5))).await.unwrap();
        assert_eq!(reason, Ok(StopReason::Canceled));
    }

    #[tokio::test]
    async fn a_query_whose_time_is_up_does_not_wait_for_a_place() {
        let app = App::for_tests();
        let (release, gate) = std::sync::mpsc::sync_channel::<()>(1);
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let mut held = Vec::new();
        while app.query_pool.waiting() == 0 {
            let (app, gate) = (app.clone(), gate.clone());
            held.push(tokio::spawn(async move {
                run(&app, None, move |_| gate.lock().unwrap().recv().is_err()).await
            }));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let waited = run(&app, Some(Duration::from_millis(20)), |_| ()).await;
        assert!(waited.is_err(), "{waited:?}");
        drop(release);
        for query in held {
            assert_eq!(query.await.unwrap(), Ok(true));
        }
    }
}
