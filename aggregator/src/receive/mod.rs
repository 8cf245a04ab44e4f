//! The way in: one file a protocol.
//!
//! Every receiver does the same steps ([`request`]): wait for a free place, read the body up to its
//! limit, decompress, decode and append on the ingest pool, then wait until the batch is durable
//! before it answers. What differs is the decoder and what each answer looks like.
//!
//! Bounds: `limits.writes_in_flight_max` requests are worked on at once, each with one body of at
//! most `limits.body_bytes_max` and `limits.decompressed_bytes_max`.
//!
//! Answers, by what the sender should do: 2xx it is durable; 400, 413, 415 never send this again;
//! 503 with `Retry-After` send the same again.

mod append;
mod counters;
mod early_samples;
mod elastic;
mod failure;
mod identity;
mod influx;
#[cfg(test)]
mod influx_tests;
mod journal;
mod json_lines;
#[cfg(test)]
mod log_protocol_tests;
mod loki_push;
mod otlp_logs;
mod otlp_metrics;
mod receivers;
mod refusals;
mod remote_write;
mod request;
mod splunk;
pub(crate) mod syslog;
#[cfg(test)]
mod tests;

pub(crate) use receivers::Receivers;
pub use syslog::SyslogConfig;

use crate::app::AppState;
use axum::{
    Router,
    routing::{any, post},
};

/// All receivers.
pub(crate) fn routes() -> Router<AppState> {
    prometheus_routes()
        .merge(splunk::routes())
        .route("/_bulk", any(elastic::api))
        .route("/api/v2/write", post(influx::write_v2))
        .route("/elasticsearch", any(elastic::api))
        .route("/elasticsearch/", any(elastic::api))
        .route("/elasticsearch/{*path}", any(elastic::api))
        .route("/insert/jsonline", post(json_lines::insert))
        .route("/loki/api/v1/push", post(loki_push::push))
        .route("/upload", post(journal::upload))
        .route("/v1/logs", post(otlp_logs::export))
        .route("/otlp/v1/logs", post(otlp_logs::export))
        .route("/v1/metrics", post(otlp_metrics::export))
        .route("/otlp/v1/metrics", post(otlp_metrics::export))
        .route("/write", post(influx::write_v1))
        .route("/{index}/_bulk", any(elastic::api))
}

/// The receivers that are also mounted under `/prometheus`.
pub(crate) fn prometheus_routes() -> Router<AppState> {
    Router::new()
        .route("/api/v1/write", post(remote_write::write))
        .route("/api/v1/otlp/v1/metrics", post(otlp_metrics::export))
}
