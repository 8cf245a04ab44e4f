//! The envelope of every answer, and the errors with their types and statuses.

use crate::api::json_text::{push_json_string, push_json_strings};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use daemon::PoolBusy;
use promql::{Annotations, EvalError, ParseError};
use serde_json::Value;
use store::{StopReason, StoreError};

/// Most warnings, and most infos, of one answer; the rest are counted.
const REMARKS_SHOWN: usize = 10;

/// Error types of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    /// The request is wrong.
    BadData,
    /// The query fails on this data.
    Execution,
    /// The caller went away.
    Canceled,
    /// The time limit.
    Timeout,
    /// Something broke here.
    Internal,
    /// Too much to do; come back.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn bad_data(message: impl Into<String>) -> Self {
        ApiError { kind: ErrorKind::BadData, message: message.into() }
    }

    /// A parameter that cannot be used.
    pub(super) fn parameter(name: &str, problem: impl std::fmt::Display) -> Self {
        ApiError::bad_data(format!("invalid parameter \"{name}\": {problem}"))
    }

    fn status_and_type(&self) -> (StatusCode, &'static str) {
        // Prometheus' own code for a caller that has gone; no constant exists for it.
        let canceled = StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT);
        match self.kind {
            ErrorKind::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
            ErrorKind::Execution => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            ErrorKind::Canceled => (canceled, "canceled"),
            ErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
            ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        }
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> Self {
        ApiError::parameter("query", error)
    }
}

impl From<StopReason> for ApiError {
    fn from(reason: StopReason) -> Self {
        let kind = match reason {
            StopReason::Canceled => ErrorKind::Canceled,
            StopReason::Timeout(_) => ErrorKind::Timeout,
            StopReason::TooManySamples(_) | StopReason::TooMuchMemory(_) | StopReason::TooMuchRead(_) => {
                ErrorKind::Execution
            }
        };
        ApiError { kind, message: reason.to_string() }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stopped(reason) => reason.into(),
            StoreError::Invalid(message) => ApiError::bad_data(message),
            other => ApiError { kind: ErrorKind::Internal, message: other.to_string() },
        }
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Execution(message) => ApiError { kind: ErrorKind::Execution, message },
            EvalError::Stopped(reason) => reason.into(),
            EvalError::Store(error) => error.into(),
        }
    }
}

impl From<PoolBusy> for ApiError {
    fn from(busy: PoolBusy) -> Self {
        ApiError { kind: ErrorKind::Unavailable, message: busy.to_string() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error_type) = self.status_and_type();
        let mut body = format!("{{\"status\":\"error\",\"errorType\":\"{error_type}\",\"error\":");
        push_json_string(&mut body, &self.message);
        body.push('}');
        let mut response = json_response(status, body);
        if self.kind == ErrorKind::Unavailable {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Bytes that the envelope takes around the data, remarks aside.
pub(super) const ENVELOPE_BYTES: usize = 64;

/// A successful answer: data that is JSON text already, and remarks about it.
#[derive(Debug, Default)]
pub(super) struct Success {
    data: String,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Success {
    pub(super) fn new(data: String) -> Self {
        Success { data, ..Success::default() }
    }

    pub(super) fn of(data: &Value) -> Self {
        Success::new(data.to_string())
    }

    pub(super) fn annotated(mut self, annotations: &Annotations) -> Self {
        self.warnings.extend(shown(annotations.warnings(), "warning"));
        self.infos.extend(shown(annotations.infos(), "info"));
        self
    }

    /// With the warning that a limit cut the result, if it did.
    pub(super) fn truncated(mut self, is_truncated: bool) -> Self {
        if is_truncated {
            self.warnings.push("results truncated due to limit".to_owned());
        }
        self
    }
}

/// The first few remarks, and how many there are beside them.
fn shown(mut remarks: Vec<String>, what: &str) -> Vec<String> {
    let omitted = remarks.len().saturating_sub(REMARKS_SHOWN);
    if omitted > 0 {
        remarks.truncate(REMARKS_SHOWN);
        remarks.push(format!("{omitted} more {what} annotations omitted"));
    }
    remarks
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        // Answers may have megabytes: moving them costs less than another buffer.
        let mut body = self.data;
        body.insert_str(0, "{\"status\":\"success\",\"data\":");
        for (name, remarks) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !remarks.is_empty() {
                body.push_str(&format!(",\"{name}\":"));
                push_json_strings(&mut body, remarks.iter().map(String::as_str));
            }
        }
        body.push('}');
        json_response(StatusCode::OK, body)
    }
}

fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
