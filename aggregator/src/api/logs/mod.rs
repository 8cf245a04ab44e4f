//! What people ask about log lines besides the lines: those around one, the values of fields, how
//! many there are over time. Below `/api/bellwether/v1/logs/`.
//!
//! Parameters and refusals are those of Loki's API, so that whoever has a LogQL query can take it
//! from there to here.

mod context;
mod facets;
mod histogram;
mod statistics;
#[cfg(test)]
mod tests;

use super::loki::asks;
use crate::app::AppState;
use axum::Router;

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/bellwether/v1/logs/context", asks(context::context))
        .route("/api/bellwether/v1/logs/facets", asks(facets::facets))
        .route("/api/bellwether/v1/logs/histogram", asks(histogram::histogram))
}
