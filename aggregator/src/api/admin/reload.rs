//! Reading files again by request.

use crate::{app::AppState, reload};
use axum::{extract::State, http::StatusCode};

/// `POST /-/reload`
pub(crate) async fn reload(State(app): State<AppState>) -> (StatusCode, String) {
    match reload::reload(&app).await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("failed to reload: {error}\n")),
    }
}
