//! The Prometheus HTTP API (version 1) and federation: one file an endpoint.
//!
//! Every endpoint reads its parameters from the URL and, for a POST, from a form body
//! ([`params`]), does its work on the query pool within a budget and for no longer than the caller
//! waits ([`crate::query::run`]), and answers in the common envelope ([`answer`]).

mod alertmanagers;
mod answer;
mod delete_series;
#[cfg(test)]
mod discovery_tests;
mod encode;
mod features;
mod federate;
mod format_query;
mod label_values;
mod labels;
mod metadata;
mod notifications;
mod observe;
mod params;
mod parse_query;
mod query;
mod query_exemplars;
mod query_range;
mod remote_read;
#[cfg(test)]
mod remote_read_tests;
mod series;
mod snapshot;
mod status;
mod targets;
mod targets_metadata;
#[cfg(test)]
mod tests;
mod walreplay;

pub(crate) use observe::{QueryMetrics, Watch};

use crate::app::AppState;
use axum::{
    Router,
    routing::{get, post},
};

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/federate", get(federate::federate))
        .route("/api/v1/admin/tsdb/clean_tombstones", post(delete_series::clean).put(delete_series::clean))
        .route("/api/v1/admin/tsdb/delete_series", post(delete_series::delete).put(delete_series::delete))
        .route("/api/v1/admin/tsdb/snapshot", post(snapshot::snapshot).put(snapshot::snapshot))
        .route("/api/v1/alertmanagers", get(alertmanagers::alertmanagers))
        .route("/api/v1/features", get(features::features))
        .route("/api/v1/format_query", get(format_query::format_query).post(format_query::format_query))
        .route("/api/v1/label/{name}/values", get(label_values::label_values))
        .route("/api/v1/labels", get(labels::labels).post(labels::labels))
        .route("/api/v1/metadata", get(metadata::metadata))
        .route("/api/v1/notifications", get(notifications::notifications))
        .route("/api/v1/parse_query", get(parse_query::parse_query).post(parse_query::parse_query))
        .route("/api/v1/query", get(query::query).post(query::query))
        .route("/api/v1/query_exemplars", get(query_exemplars::exemplars).post(query_exemplars::exemplars))
        .route("/api/v1/query_range", get(query_range::query_range).post(query_range::query_range))
        .route("/api/v1/read", post(remote_read::read))
        .route("/api/v1/scrape_pools", get(targets::scrape_pools))
        .route("/api/v1/series", get(series::series).post(series::series))
        .route("/api/v1/status/buildinfo", get(status::build_info))
        .route("/api/v1/status/config", get(status::config))
        .route("/api/v1/status/flags", get(status::flags))
        .route("/api/v1/status/runtimeinfo", get(status::runtime_info))
        .route("/api/v1/status/tsdb", get(status::tsdb))
        .route("/api/v1/status/walreplay", get(walreplay::wal_replay))
        .route("/api/v1/targets", get(targets::targets))
        .route("/api/v1/targets/metadata", get(targets_metadata::metadata))
}
