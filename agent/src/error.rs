//! Why an agent cannot start.

use crate::config::InvalidConfig;
use std::{io, path::PathBuf};

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// The data folder cannot be used.
    #[error("data folder `{}`: {}", path.display(), explain(source))]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The own pages cannot be served.
    #[error("failed to listen on `{address}`: {source}")]
    Listen {
        /// From the configuration.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// No HTTP client could be made.
    #[error("failed to start the HTTP client: {0}")]
    Client(reqwest::Error),
}

fn explain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock => "another agent uses it".to_owned(),
        _ => error.to_string(),
    }
}
