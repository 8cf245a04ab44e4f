//! The agent: collects a host's metrics and logs and ships them until they are stored.
//!
//! * `collect`: host metrics under node_exporter's names; `gather`: at every tick, into the `spool`.
//! * `tail`: log files, each line once; `pipeline`: what happens to a line.
//! * `ship`: delivery to each destination, for as long as it takes.
//! * [`Agent`] puts them together; [`AgentConfig`] says how; [`cli`] is the program.

mod agent;
pub mod cli;
mod collect;
mod config;
mod error;
mod exposition;
mod frames;
mod gather;
mod identity;
mod metrics;
mod pages;
mod pipeline;
mod ship;
mod spool;
mod tail;

pub use agent::{Agent, AgentHandle};
pub use config::{
    AgentConfig, Collectors, Destination, InvalidConfig, LogOutput, Logs, Paths, SourceConfig, SpoolConfig,
};
pub use error::AgentError;
pub use pipeline::StageConfig;
pub use tail::StartAt;

#[cfg(test)]
mod tests;
