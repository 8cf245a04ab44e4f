//! A question that is not answered: status and plain text.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use daemon::PoolBusy;
use logql::{EvalError, ParseError};
use store::{StopReason, StoreError};

#[derive(Debug, PartialEq)]
pub(in crate::api) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(in crate::api) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into() }
    }

    /// The caller must ask otherwise.
    pub(in crate::api) fn bad(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (self.status, headers, self.message + "\n").into_response()
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Refusal::bad(error.to_string())
    }
}

impl From<StopReason> for Refusal {
    fn from(reason: StopReason) -> Self {
        let status = match reason {
            // nginx's "client closed request", as Loki answers.
            StopReason::Canceled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            StopReason::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal { status, message: reason.to_string() }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stopped(reason) => reason.into(),
            StoreError::Invalid(message) => Refusal::bad(message),
            other => {
                tracing::error!(error = %other, "the log store failed to answer");
                Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, message: other.to_string() }
            }
        }
    }
}

impl From<EvalError> for Refusal {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Stopped(reason) => reason.into(),
            EvalError::Store(error) => error.into(),
            // Loki answers 500 here, and clients know the text.
            EvalError::Matching(message) => Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, message },
            other => Refusal::bad(other.to_string().trim_end()),
        }
    }
}

impl From<PoolBusy> for Refusal {
    fn from(busy: PoolBusy) -> Self {
        Refusal { status: StatusCode::TOO_MANY_REQUESTS, message: busy.to_string() }
    }
}
