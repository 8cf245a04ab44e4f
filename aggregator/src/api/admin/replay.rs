//! What rules would have done.

use crate::{
    app::AppState,
    replay::{ReplayError, Request, replay},
};
use axum::{
    Json,
    extract::{State, rejection::JsonRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use daemon::clock;

/// `GET /api/bellwether/v1/rules/replay`: how far those that are under way have come.
pub(crate) async fn get(State(app): State<AppState>) -> Response {
    Json(app.replays.progress()).into_response()
}

/// `POST /api/bellwether/v1/rules/replay`
pub(crate) async fn post(
    State(app): State<AppState>,
    body: Result<Json<Request>, JsonRejection>,
) -> Response {
    let Json(request) = match body {
        Ok(request) => request,
        Err(error) => return (StatusCode::BAD_REQUEST, Json(error.body_text())).into_response(),
    };
    match replay(&app, request, clock::now_ms()).await {
        Ok(answer) => Json(answer).into_response(),
        Err(error @ ReplayError::Busy(_)) => {
            let retry = [(header::RETRY_AFTER, "5")];
            (StatusCode::SERVICE_UNAVAILABLE, retry, Json(error.to_string())).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, Json(error.to_string())).into_response(),
    }
}
