//! Answers that are errors: a JSON string, or a code and a message where the request does not fit
//! the API's description.

use alerting::{OwnerError, SilenceChangeError};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// The code of "a required field is missing" in the framework that Alertmanager is built with.
const CODE_REQUIRED: u16 = 602;
/// The code of "a field has the wrong type".
const CODE_TYPE: u16 = 601;

/// See the module.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
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

    /// A body that is not what it must be.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        let body = json!({"code": StatusCode::BAD_REQUEST.as_u16(), "message": message.into()});
        Refusal { status: StatusCode::BAD_REQUEST, body }
    }

    /// A required field of the body is missing.
    pub(super) fn required(field: &str) -> Self {
        let body = json!({"code": CODE_REQUIRED, "message": format!("{field} in body is required")});
        Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, body }
    }

    /// A part of the path has the wrong form.
    pub(super) fn wrong_type(name: &str, kind: &str, value: &str) -> Self {
        let message = format!("{name} in path must be of type {kind}: {value:?}");
        Refusal {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({"code": CODE_TYPE, "message": message}),
        }
    }

    pub(super) fn starting() -> Self {
        Refusal::unavailable("alerting has not started yet")
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
            SilenceChangeError::Silence(error @ (SilenceError::Invalid(_) | SilenceError::TooMany)) => {
                Refusal::bad(error.to_string())
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retry_later = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let mut response = (self.status, Json(self.body)).into_response();
        if retry_later {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
