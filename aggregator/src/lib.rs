//! The aggregator: receives, stores, answers, evaluates, notifies, scales, and shows.
//!
//! Everything meets here and nothing is computed here. [`app::App`] is the state that handlers
//! share; [`wiring`] builds it from [`config::Config`]; [`receive`] is the way in, [`api`] the way
//! out, [`cli`] the operator's command line.

mod agents;
mod alerting_events;
pub mod api;
pub mod app;
mod auth;
pub mod cli;
mod clickhouse;
mod condition;
pub mod config;
mod demo;
mod egress;
mod empty_folders;
mod evaluate;
mod external_url;
mod log_metrics;
mod maintain;
mod packs;
mod query;
mod readings;
pub mod receive;
mod reload;
mod replay;
mod rule_tests;
pub mod rules_git;
mod same_origin;
mod self_monitor;
mod shipped;
#[cfg(test)]
mod slo_tests;
mod store_metrics;
mod stream_retention;
mod tail;
mod ui;
mod wiring;

pub use wiring::{Server, start};
