//! Why a write request failed as a whole, by what its sender should do.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use daemon::PoolBusy;
use model::shorten_example;
use store::StoreError;
use wire::WireError;

/// After this a sender may come back when we are busy.
const RETRY_AFTER_SECONDS: u16 = 1;
/// After this a sender may come back when the disk is full or the store has failed.
const RETRY_LATER_SECONDS: u16 = 30;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Come back soon.
    #[error("{0}")]
    Busy(String),
    /// The body, as sent or decompressed, is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The body did not come in time.
    #[error("the body did not arrive within {0} s")]
    Slow(u64),
    /// A content type or encoding that is not understood here.
    #[error("{0}")]
    Unsupported(String),
    /// The request is malformed.
    #[error("{0}")]
    Malformed(String),
    /// Nothing in the request could be stored, and all of it was refused.
    #[error("{0}")]
    NothingValid(String),
    /// The store could not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        // Some quote what they cannot read, such as the name of an action.
        let mut problem = error.to_string();
        shorten_example(&mut problem);
        match error.is_too_large() {
            true => Failure::TooLarge(problem),
            false => Failure::Malformed(problem),
        }
    }
}

impl From<PoolBusy> for Failure {
    fn from(busy: PoolBusy) -> Self {
        Failure::Busy(busy.to_string())
    }
}

impl Failure {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Failure::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Failure::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Failure::Malformed(_) | Failure::Store(StoreError::Invalid(_)) => StatusCode::BAD_REQUEST,
            Failure::NothingValid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Failure::Store(StoreError::Io(_) | StoreError::Damaged(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Busy(_) | Failure::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The `reason` label of the failure counter.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Failure::Busy(_) | Failure::Store(StoreError::Busy(_)) => "busy",
            Failure::TooLarge(_) => "too_large",
            Failure::Slow(_) => "slow",
            Failure::Unsupported(_) => "unsupported",
            Failure::Malformed(_) | Failure::Store(StoreError::Invalid(_)) => "malformed",
            Failure::NothingValid(_) => "nothing_valid",
            Failure::Store(StoreError::Full(_)) => "full",
            Failure::Store(_) => "store",
        }
    }

    fn retry_after_seconds(&self) -> Option<u16> {
        match self {
            Failure::Busy(_) | Failure::Store(StoreError::Busy(_)) => Some(RETRY_AFTER_SECONDS),
            other => (other.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_LATER_SECONDS),
        }
    }

    /// The response with this body.
    pub(super) fn respond(&self, content_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = (self.status(), [(header::CONTENT_TYPE, content_type)], body).into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// The response as text, as Prometheus and Loki answer.
    pub(super) fn respond_text(&self) -> Response {
        let mut response = self.respond("text/plain; charset=utf-8", format!("{self}\n").into_bytes());
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_says_what_the_sender_should_do() {
        let io = std::io::Error::other("broken");
        for (failure, status, retry_after) in [
            (Failure::Busy(String::new()), 503, "1"),
            (Failure::Store(StoreError::Busy(String::new())), 503, "1"),
            (Failure::Store(StoreError::Full(String::new())), 503, "30"),
            (Failure::Store(StoreError::Poisoned(String::new())), 503, "30"),
            (Failure::Store(StoreError::Io(io)), 500, ""),
            (Failure::Store(StoreError::Invalid(String::new())), 400, ""),
            (Failure::Malformed(String::new()), 400, ""),
            (Failure::Slow(60), 408, ""),
            (Failure::TooLarge(String::new()), 413, ""),
            (Failure::Unsupported(String::new()), 415, ""),
            (Failure::NothingValid(String::new()), 422, ""),
        ] {
            let response = failure.respond_text();
            let header = response.headers().get(header::RETRY_AFTER);
            let found = header.and_then(|value| value.to_str().ok()).unwrap_or("");
            assert_eq!((response.status().as_u16(), found), (status, retry_after), "{failure:?}");
        }
    }
}
