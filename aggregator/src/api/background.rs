//! Answers that take a while to put together, such as thousands of alerts: away from the threads
//! that serve sockets.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer};

/// A list in memory as an answer in JSON. `write` puts it together with [`to_json`].
pub(crate) async fn json(write: impl FnOnce() -> serde_json::Result<Vec<u8>> + Send + 'static) -> Response {
    answer(run(write).await)
}

/// What [`to_json`] has written, as an answer.
pub(crate) fn answer(written: serde_json::Result<Vec<u8>>) -> Response {
    match written {
        Ok(body) => {
            let kind = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, kind)], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What [`json`] and [`answer`] are given.
pub(crate) fn to_json(answer: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(answer)
}

/// As [`to_json`], a list of which each item is made when its turn comes. So many items are worth
/// room for all of them from the start: a body that grows is copied again and again.
pub(crate) fn list_to_json<T: Serialize>(
    items: impl Iterator<Item = T>,
    bytes_expected: usize,
) -> serde_json::Result<Vec<u8>> {
    let mut body = Vec::with_capacity(bytes_expected);
    serde_json::Serializer::new(&mut body).collect_seq(items)?;
    Ok(body)
}

/// Runs `work` on a thread that may take its time.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
