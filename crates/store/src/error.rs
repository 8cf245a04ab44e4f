//! Storage errors, by what the caller should do.

use crate::StopReason;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room left: retry later. Nothing of the batch was stored.
    #[error("storage is full: {0}")]
    Full(String),
    /// The store is overloaded: retry later. Nothing of the batch was stored.
    #[error("storage is busy: {0}")]
    Busy(String),
    /// What keeps the data cannot be reached or refuses us: retry later. Nothing of the batch was
    /// acknowledged; what was stored of it all the same is recognised when it comes again.
    #[error("storage is not available: {0}")]
    Unavailable(String),
    /// A write or fsync failed and the store takes no more writes until it is reopened.
    #[error("storage stopped taking writes after a failure: {0}")]
    Poisoned(String),
    /// Reading or writing failed. The message has all of the cause, which is no source then: who prints
    /// both would say it twice.
    #[error("storage failed: {0}")]
    Io(std::io::Error),
    /// Stored bytes do not check out; what they belong to was set aside.
    #[error("damaged data: {0}")]
    Damaged(String),
    /// The request makes no sense to this store: fix it.
    #[error("{0}")]
    Invalid(String),
    /// The query's context stopped it.
    #[error(transparent)]
    Stopped(#[from] StopReason),
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> Self {
        StoreError::Io(error)
    }
}
