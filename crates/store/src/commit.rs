//! Completion of a durable write, to be waited for by a thread or awaited by a task.

use crate::StoreError;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

#[derive(Debug, Default)]
struct State {
    done: Option<Result<(), String>>,
    wakers: Vec<Waker>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Completes when a batch is durable, or with [`StoreError::Poisoned`] when it never will be.
#[derive(Clone, Debug)]
pub struct Commit(Arc<Shared>);

/// The side that completes a [`Commit`]. Dropping it uncompleted completes with an error.
#[derive(Debug)]
pub struct CommitHandle(Arc<Shared>);

impl Commit {
    /// A commit that is complete already.
    pub fn done() -> Self {
        let (commit, handle) = Self::pending();
        handle.complete(Ok(()));
        commit
    }

    /// A commit and the handle that completes it.
    pub fn pending() -> (Self, CommitHandle) {
        let shared = Arc::new(Shared::default());
        (Commit(shared.clone()), CommitHandle(shared))
    }

    /// Blocks until complete.
    ///
    /// # Errors
    /// When the write failed for good.
    pub fn wait(&self) -> Result<(), StoreError> {
        let mut state = lock(&self.0.state);
        loop {
            if let Some(done) = &state.done {
                return done.clone().map_err(StoreError::Poisoned);
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Future for Commit {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = lock(&self.0.state);
        if let Some(done) = &state.done {
            return Poll::Ready(done.clone().map_err(StoreError::Poisoned));
        }
        if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            state.wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl CommitHandle {
    /// Completes the commit; the first completion counts.
    pub fn complete(&self, result: Result<(), String>) {
        let mut state = lock(&self.0.state);
        state.done.get_or_insert(result);
        for waker in state.wakers.drain(..) {
            waker.wake();
        }
        self.0.changed.notify_all();
    }
}

impl Drop for CommitHandle {
    fn drop(&mut self) {
        self.complete(Err("the store was closed".to_owned()));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
