//! A bounded pool for work that takes longer than half a millisecond: decoding, evaluation,
//! compression, storage. It keeps such work off the threads that serve sockets and timers.
//!
//! Bounds: `threads` jobs run at once and `queue` more wait; one beyond is refused with
//! [`PoolBusy`], to be answered as "busy, come back". A job whose caller has gone before it
//! starts is dropped; one that runs is told through whatever cancellation its input carries.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("busy: {waiting} jobs are waiting already; try again later")]
pub struct PoolBusy {
    /// Jobs waiting when this one was refused.
    pub waiting: usize,
}

/// See the module. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Pool {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    queue: usize,
}

/// Counts a waiting job for as long as it lives.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// A pool that runs `threads` jobs at once and lets `queue` wait.
    pub fn new(threads: usize, queue: usize) -> Self {
        Pool { running: Arc::new(Semaphore::new(threads.max(1))), waiting: Arc::default(), queue }
    }

    /// Runs `job` on a pool thread and returns its result. A panic in the job goes on in the
    /// caller.
    ///
    /// # Errors
    /// When the queue is full.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolBusy> {
        let permit = match self.running.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let waiting = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _counted = Waiting(self.waiting.clone());
                if waiting >= self.queue {
                    return Err(PoolBusy { waiting });
                }
                self.running.clone().acquire_owned().await.expect("the semaphore is never closed")
            }
        };
        let task = tokio::task::spawn_blocking(move || {
            let _running = permit;
            job()
        });
        match task.await {
            Ok(value) => Ok(value),
            Err(failure) => std::panic::resume_unwind(failure.into_panic()),
        }
    }

    /// Jobs waiting for a thread.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let pool = Pool::new(1, 1);
        let (release, gate) = std::sync::mpsc::sync_channel::<()>(0);
        let first = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(move || gate.recv().is_ok()).await }
        });
        while pool.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(|| 2).await }
        });
        while pool.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 3).await, Err(PoolBusy { waiting: 1 }));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(true));
        assert_eq!(second.await.unwrap(), Ok(2));
        assert_eq!(pool.waiting(), 0);
    }
}
