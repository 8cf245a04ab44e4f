//! Routes to come.

use crate::app::AppState;
use axum::Router;

/// The routes of this protocol.
pub(crate) fn routes() -> Router<AppState> {
    Router::new()
}
