//! How a tailer's thread hears from the rest of the agent.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What has come since the last look.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Boot and sequence of batches that are stored, or will never be. At most the batches in
    /// flight.
    pub(super) answered: VecDeque<(u64, u64)>,
    /// Read what is there, wait for its answers, then end.
    pub(super) stop: bool,
    /// End now.
    pub(super) abandon: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl Mailbox {
    /// The batch has been answered and will not be sent again.
    pub(crate) fn answer(&self, boot: u64, sequence: u64) {
        self.with(|inbox| inbox.answered.push_back((boot, sequence)));
    }

    /// Asks the tailer to finish: what is in the files now is still shipped.
    pub(crate) fn stop(&self) {
        self.with(|inbox| inbox.stop = true);
    }

    /// Asks the tailer to end at once; what is in flight is sent again after the next start.
    pub(crate) fn abandon(&self) {
        self.with(|inbox| inbox.abandon = true);
    }

    fn with(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what has come, waiting for up to `timeout` when nothing has. A stop is seen by every
    /// call, and waited for once only: `was_stopped` tells that the caller knows of it.
    pub(super) fn wait(&self, timeout: Duration, was_stopped: bool) -> Inbox {
        let is_quiet =
            |inbox: &mut Inbox| inbox.answered.is_empty() && !inbox.abandon && inbox.stop == was_stopped;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_quiet);
        let (mut inbox, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Inbox { answered: std::mem::take(&mut inbox.answered), stop: inbox.stop, abandon: inbox.abandon }
    }
}
