//! The shipped rule packs and which of them are on.

use crate::{app::AppState, packs::PackView};
use axum::{Json, extract::State};

/// `GET /api/bellwether/v1/packs`
pub(crate) async fn packs(State(app): State<AppState>) -> Json<Vec<PackView>> {
    Json(app.packs.views())
}
