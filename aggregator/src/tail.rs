//! Hands fresh log lines to live tails.
//!
//! A batch is shared by all followers and passed on only while somebody follows. Bound: a
//! follower that falls [`BATCHES_MAX`] batches behind loses the oldest and is told how many.

use model::LogBatch;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Batches kept for a slow follower.
const BATCHES_MAX: usize = 256;

/// See the module.
#[derive(Clone, Debug)]
pub struct Tail(broadcast::Sender<Arc<LogBatch>>);

impl Default for Tail {
    fn default() -> Self {
        Tail(broadcast::Sender::new(BATCHES_MAX))
    }
}

impl Tail {
    /// Whether anybody follows; when not, a batch need not be kept.
    pub fn is_followed(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Passes a stored batch on to the followers.
    pub fn publish(&self, batch: LogBatch) {
        // An error means that the last follower has just gone.
        if self.0.send(Arc::new(batch)).is_err() {
            tracing::trace!("nobody follows");
        }
    }

    /// Follows all batches from now on.
    pub fn follow(&self) -> broadcast::Receiver<Arc<LogBatch>> {
        self.0.subscribe()
    }
}
