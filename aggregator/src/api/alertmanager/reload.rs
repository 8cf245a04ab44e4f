//! `POST /-/reload`: reads rules and the notification configuration again. All of it is good, or
//! nothing changes and the problems are the answer.

use super::{alerting, refusal::Refusal};
use crate::app::AppState;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

pub(super) async fn reload(State(app): State<AppState>) -> Result<Response, Refusal> {
    match alerting(&app)?.reload().await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(problems) => {
            let text = format!("failed to reload config:\n{problems}\n");
            Ok((StatusCode::INTERNAL_SERVER_ERROR, text).into_response())
        }
    }
}
