//! Loki's HTTP API: queries, labels, series, statistics, volumes, live tail.
//!
//! Refusals are plain text, as Loki's are. Every endpoint takes its parameters from the query
//! string, from a form body, or from both.

mod answer;
mod delete;
mod detected_fields;
mod detected_labels;
mod drilldown_limits;
mod entries;
mod format_query;
mod index_shards;
mod index_stats;
mod labels;
mod observe;
mod params;
mod patterns;
mod query;
mod query_range;
mod refusal;
mod series;
mod statistics;
mod status;
mod tail;
#[cfg(test)]
mod tests;
mod volume;

pub(super) use answer::labels_json;
pub(super) use params::{Asked, HOUR_NS};
pub(super) use refusal::Refusal;

use crate::app::AppState;
use axum::{
    Router,
    routing::{MethodRouter, get},
};

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/loki/api/v1/query", asks(query::query))
        .route("/loki/api/v1/query_range", asks(query_range::query_range))
        .route("/loki/api/v1/labels", asks(labels::names))
        .route("/loki/api/v1/label", asks(labels::names))
        .route("/loki/api/v1/label/{name}/values", asks(labels::values))
        .route("/loki/api/v1/series", asks(series::series))
        .route("/loki/api/v1/index/shards", asks(index_shards::index_shards))
        .route("/loki/api/v1/index/stats", asks(index_stats::index_stats))
        .route("/loki/api/v1/index/volume", asks(volume::volume))
        .route("/loki/api/v1/index/volume_range", asks(volume::volume_range))
        .route("/loki/api/v1/patterns", asks(patterns::patterns))
        .route("/loki/api/v1/detected_fields", asks(detected_fields::fields))
        .route("/loki/api/v1/detected_field/{name}/values", asks(detected_fields::values))
        .route("/loki/api/v1/detected_labels", asks(detected_labels::labels))
        .route(
            "/loki/api/v1/delete",
            get(delete::list).post(delete::delete).put(delete::delete).delete(delete::cancel),
        )
        .route("/loki/api/v1/drilldown-limits", get(drilldown_limits::limits))
        .route("/loki/api/v1/format_query", asks(format_query::format_query))
        .route("/loki/api/v1/status/buildinfo", get(status::buildinfo))
        .route("/loki/api/v1/tail", get(tail::tail))
        .route("/ready", get(status::ready))
}

/// Both methods that Loki takes a question by.
pub(super) fn asks<H, T>(handler: H) -> MethodRouter<AppState>
where
    H: axum::handler::Handler<T, AppState>,
    T: 'static,
{
    get(handler.clone()).post(handler)
}
