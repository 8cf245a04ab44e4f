//! What was found damaged since the process started, each thing once.

use std::sync::{Mutex, PoisonError};

/// More are counted, not listed.
const LISTED_MAX: usize = 100;

#[derive(Default)]
pub(crate) struct Damage(Mutex<Vec<String>>);

impl Damage {
    pub(crate) fn note(&self, what: String) {
        let mut listed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() < LISTED_MAX && !listed.contains(&what) {
            tracing::error!(what, "damaged log data set aside");
            listed.push(what);
        }
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
