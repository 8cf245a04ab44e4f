//! `/loki/api/v1/format_query`: a query laid out.

use super::{params::Asked, refusal::Refusal};
use crate::app::AppState;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub(super) async fn format_query(State(app): State<AppState>, asked: Asked) -> Response {
    let text = asked.query().to_owned();
    let formatted = match crate::query::run(&app, None, move |_| logql::format_query(&text)).await {
        Ok(formatted) => formatted,
        Err(busy) => return Refusal::from(busy).into_response(),
    };
    match formatted {
        Ok(text) => Json(json!({"status": "success", "data": text})).into_response(),
        Err(error) => {
            let body = json!({"status": "invalid-query", "error": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
