//! Answers that are errors: a JSON string, or a code and a message where the request does not fit
//! the API's description.

use alerting::{OwnerError, SilenceChangeError};
use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// The code of "a required field is missing" in the framework that Alertmanager is built with.
const CODE_REQUIRED: u16 = 602;
/// The code of "a field has the wrong type".
const CODE_TYPE: u16 = 601;

/// The code of "a list is too short".
const CODE_TOO_FEW: u16 = 612;

/// See the module.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    /// `null` for none.
    body: Value,
}

impl Refusal {
    /// The caller must ask otherwise.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::BAD_REQUEST, body: Value::String(message.into()) }
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::NOT_FOUND, body: Value::String(message.into()) }
    }

    /// What was asked for by its id is not there; the answer has no body.
    pub(super) fn nothing_there() -> Self {
        Refusal { status: StatusCode::NOT_FOUND, body: Value::Null }
    }

    /// A body that is not what it must be.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Refusal::plain(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such endpoint.
    pub(super) fn no_endpoint(path: &str) -> Self {
        Refusal::plain(StatusCode::NOT_FOUND, format!("path {path} was not found"))
    }

    /// The endpoint has other methods.
    pub(super) fn other_methods(method: &Method, allowed: &str) -> Self {
        let message = format!("method {method} is not allowed, but [{allowed}] are");
        Refusal::plain(StatusCode::METHOD_NOT_ALLOWED, message)
    }

    /// The body is not said to be JSON.
    pub(super) fn other_media_type(given: &str) -> Self {
        let message =
            format!("unsupported media type {}, only [application/json] are allowed", model::quote(given));
        Refusal::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message)
    }

    /// A required field of the body is missing.
    pub(super) fn required(field: &str) -> Self {
        Refusal::unfit(CODE_REQUIRED, format!("{field} in body is required"))
    }

    /// A list of the body is empty.
    pub(super) fn too_few(field: &str) -> Self {
        Refusal::unfit(CODE_TOO_FEW, format!("{field} in body should have at least 1 items"))
    }

    /// Something in the body or the path has the wrong form.
    pub(super) fn wrong_type(name: &str, place: &str, kind: &str, value: &str) -> Self {
        Refusal::unfit(
            CODE_TYPE,
            format!("{name} in {place} must be of type {kind}: {}", model::quote(value)),
        )
    }

    fn plain(status: StatusCode, message: impl Into<String>) -> Self {
        Refusal { status, body: json!({"code": status.as_u16(), "message": message.into()}) }
    }

    fn unfit(code: u16, message: String) -> Self {
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, body: json!({"code": code, "message": message}) }
    }

    pub(super) fn starting() -> Self {
        Refusal::unavailable("alerting has not started yet")
    }

    /// It could not be done, whoever asks.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, body: Value::String(message.into()) }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Refusal { status: StatusCode::SERVICE_UNAVAILABLE, body: Value::String(message.into()) }
    }
}

impl From<OwnerError> for Refusal {
    fn from(error: OwnerError) -> Self {
        Refusal::unavailable(error.to_string())
    }
}

impl From<SilenceChangeError> for Refusal {
    fn from(error: SilenceChangeError) -> Self {
        use alerting::silence::SilenceError;
        match error {
            SilenceChangeError::Owner(error) => error.into(),
            SilenceChangeError::Silence(error @ SilenceError::NotFound) => {
                Refusal::not_found(error.to_string())
            }
            SilenceChangeError::Silence(error) => Refusal::bad(error.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retry_later = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = match self.body {
            Value::Null => self.status.into_response(),
            body => (self.status, Json(body)).into_response(),
        };
        if retry_later {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
