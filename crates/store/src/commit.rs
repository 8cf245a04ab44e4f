//! Completion of a durable write, to be waited for by a thread or awaited by a task.

use crate::StoreError;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
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
pub struct Commit {
    shared: Arc<Shared>,
    /// What must complete too.
    and: Option<Box<Commit>>,
}

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
        (Commit { shared: shared.clone(), and: None }, CommitHandle(shared))
    }

    /// Completes when both have, with an error when either has one.
    #[must_use]
    pub fn and(self, other: Commit) -> Self {
        let and = match self.and {
            Some(further) => further.and(other),
            None => other,
        };
        Commit { shared: self.shared, and: Some(Box::new(and)) }
    }

    /// Blocks until complete.
    ///
    /// # Errors
    /// When the write failed for good.
    pub fn wait(&self) -> Result<(), StoreError> {
        self.shared.wait()?;
        self.and.as_ref().map_or(Ok(()), |further| further.wait())
    }
}

impl Future for Commit {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.shared.poll(context))?;
        match &mut self.and {
            Some(further) => Pin::new(further).poll(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Shared {
    fn wait(&self) -> Result<(), StoreError> {
        let mut state = lock(&self.state);
        loop {
            if let Some(done) = &state.done {
                return done.clone().map_err(StoreError::Poisoned);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        let mut state = lock(&self.state);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joined_commit_waits_for_both_and_tells_either_failure() {
        for (first, second, expected) in
            [(Ok(()), Ok(()), true), (Err("a"), Ok(()), false), (Ok(()), Err("b"), false)]
        {
            let ((a, a_handle), (b, b_handle)) = (Commit::pending(), Commit::pending());
            let joined = a.and(b);
            let mut polled = joined.clone();
            let mut context = Context::from_waker(Waker::noop());
            a_handle.complete(first.map_err(str::to_owned));
            assert_eq!(Pin::new(&mut polled).poll(&mut context).is_pending(), first.is_ok());
            b_handle.complete(second.map_err(str::to_owned));
            assert_eq!(joined.wait().is_ok(), expected);
        }
    }
}
