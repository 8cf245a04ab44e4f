//! Responses: `Export…ServiceResponse` and `google.rpc.Status`, in the request's format.
//!
//! ```text
//! Export…ServiceResponse { PartialSuccess partial_success = 1; }
//! PartialSuccess         { int64 rejected_… = 1; string error_message = 2; }
//! Status                 { int32 code = 1; string message = 2; }
//! ```

use crate::protobuf::{put_bytes_field, put_message, put_varint_field};
use serde_json::json;

/// The encoding of a request and of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// `ExportLogsServiceRequest`
    Logs,
    /// `ExportMetricsServiceRequest`
    Metrics,
}

/// The body of a 200. `partial_success` is left out when nothing was rejected and there is nothing
/// to say.
pub fn success_body(format: Format, signal: Signal, rejected: u64, message: &str) -> Vec<u8> {
    let partial = rejected > 0 || !message.is_empty();
    match format {
        Format::Protobuf => {
            let mut out = Vec::new();
            if partial {
                put_message(&mut out, 1, |out| {
                    put_varint_field(out, 1, rejected);
                    put_bytes_field(out, 2, message.as_bytes());
                });
            }
            out
        }
        Format::Json if !partial => b"{}".to_vec(),
        Format::Json => {
            let counter = match signal {
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            // 64-bit integers are strings in the JSON form of protobuf.
            let body = json!({"partialSuccess": {counter: rejected.to_string(), "errorMessage": message}});
            body.to_string().into_bytes()
        }
    }
}

/// The body of an error: a `google.rpc.Status` whose code says what `http_status` says.
pub fn error_body(format: Format, http_status: u16, message: &str) -> Vec<u8> {
    let code = rpc_code(http_status);
    match format {
        Format::Protobuf => {
            let mut out = Vec::new();
            put_varint_field(&mut out, 1, code);
            put_bytes_field(&mut out, 2, message.as_bytes());
            out
        }
        Format::Json => json!({"code": code, "message": message}).to_string().into_bytes(),
    }
}

/// Codes of `google.rpc.Code`.
fn rpc_code(http_status: u16) -> u64 {
    match http_status {
        400 | 415 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        413 | 429 => 8,
        500 => 13,
        501 => 12,
        503 => 14,
        504 => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        assert_eq!(success_body(Format::Protobuf, Signal::Logs, 0, ""), b"");
        assert_eq!(success_body(Format::Json, Signal::Logs, 0, ""), b"{}");
        assert_eq!(success_body(Format::Protobuf, Signal::Logs, 3, "no"), b"\x0a\x06\x08\x03\x12\x02no");
        assert_eq!(
            success_body(Format::Json, Signal::Metrics, 3, "no"),
            br#"{"partialSuccess":{"errorMessage":"no","rejectedDataPoints":"3"}}"#
        );
        assert_eq!(error_body(Format::Protobuf, 503, "later"), b"\x08\x0e\x12\x05later");
        assert_eq!(error_body(Format::Json, 400, "x\"y"), br#"{"code":3,"message":"x\"y"}"#);
    }
}
