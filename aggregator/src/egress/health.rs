//! How an endpoint does, for the status and the log.

use daemon::clock;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The same trouble is logged this often.
const LOG_INTERVAL_MS: i64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    state: Mutex<Known>,
}

/// What is known of an endpoint.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// When it last took something.
    pub(super) stored_ms: Option<i64>,
    /// When something last failed.
    pub(super) failed_ms: Option<i64>,
    /// And why.
    pub(super) failure: String,
    logged_ms: i64,
}

impl Health {
    pub(super) fn new(name: String) -> Self {
        Health { name, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stored(&self) {
        self.lock().stored_ms = Some(clock::now_ms());
    }

    pub(super) fn failed(&self, why: &str) {
        let now_ms = clock::now_ms();
        let mut state = self.lock();
        state.failed_ms = Some(now_ms);
        why.clone_into(&mut state.failure);
        if now_ms.saturating_sub(state.logged_ms) >= LOG_INTERVAL_MS {
            state.logged_ms = now_ms;
            tracing::warn!(endpoint = self.name, why, "remote write failed");
        }
    }

    pub(super) fn known(&self) -> Known {
        self.lock().clone()
    }
}
