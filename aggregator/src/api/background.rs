//! Answers that take a while to put together, such as thousands of alerts: away from the threads
//! that serve sockets.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A list in memory as an answer in JSON. `write` puts it together with [`to_json`].
pub(crate) async fn json(write: impl FnOnce() -> serde_json::Result<Vec<u8>> + Send + 'static) -> Response {
    answer(run(write).await)
}

/// What [`to_json`] has written, as an answer.
pub(crate) fn answer(written: serde_json::Result<Vec<u8>>) -> Response {
    match written {
        Ok(body) => json_answer(body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// JSON text as an answer.
pub(crate) fn json_answer(body: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], body.into()).into_response()
}

/// What [`json`] and [`answer`] are given.
pub(crate) fn to_json(answer: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(answer)
}

/// Runs `work` on a thread that may take its time.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
