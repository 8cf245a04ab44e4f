//! `/loki/api/v1/format_query`: a query laid out.

use super::params::Asked;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub(super) async fn format_query(asked: Asked) -> Response {
    match logql::format_query(asked.query()) {
        Ok(text) => Json(json!({"status": "success", "data": text})).into_response(),
        Err(error) => {
            let body = json!({"status": "invalid-query", "error": error.to_string()});
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
