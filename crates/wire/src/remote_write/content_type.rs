//! The media types of remote write.

/// Version of the remote write protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// `prometheus.WriteRequest`
    V1,
    /// `io.prometheus.write.v2.Request`
    V2,
}

const MEDIA_TYPE: &str = "application/x-protobuf";
const PROTO_V1: &str = "prometheus.WriteRequest";
const PROTO_V2: &str = "io.prometheus.write.v2.Request";

/// A content type that no receiver of remote write takes: answer 415, so that a sender of 2.0
/// falls back to 1.0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentTypeError {
    /// Not protobuf.
    #[error("expected {MEDIA_TYPE} as the first (media) part, got `{0}` content-type")]
    MediaType(String),
    /// A message of another kind.
    #[error("got `{0}` content-type; unknown remote write protobuf message `{1}`")]
    Message(String, String),
}

impl Version {
    /// From the value of `Content-Type`; empty or without a `proto` parameter means 1.0.
    ///
    /// # Errors
    /// When the media type is another, or the `proto` parameter is unknown.
    pub fn from_content_type(value: &str) -> Result<Self, ContentTypeError> {
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or("");
        if media_type.is_empty() && parts.clone().next().is_none() {
            return Ok(Version::V1);
        }
        if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
            return Err(ContentTypeError::MediaType(value.to_owned()));
        }
        for parameter in parts {
            let (name, message) = parameter.split_once('=').unwrap_or((parameter, ""));
            if !name.trim().eq_ignore_ascii_case("proto") {
                continue;
            }
            return match message.trim().trim_matches('"') {
                PROTO_V1 => Ok(Version::V1),
                PROTO_V2 => Ok(Version::V2),
                other => Err(ContentTypeError::Message(value.to_owned(), other.to_owned())),
            };
        }
        Ok(Version::V1)
    }

    /// The value of `Content-Type` to send.
    pub fn content_type(self) -> &'static str {
        match self {
            Version::V1 => MEDIA_TYPE,
            Version::V2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        }
    }

    /// The value of `X-Prometheus-Remote-Write-Version` to send.
    pub fn version_header(self) -> &'static str {
        match self {
            Version::V1 => "0.1.0",
            Version::V2 => "2.0.0",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (value, expected) in [
            ("", Some(Version::V1)),
            ("application/x-protobuf", Some(Version::V1)),
            ("Application/X-Protobuf; charset=utf-8", Some(Version::V1)),
            ("application/x-protobuf;proto=prometheus.WriteRequest", Some(Version::V1)),
            ("application/x-protobuf; proto=io.prometheus.write.v2.Request", Some(Version::V2)),
            ("application/x-protobuf; a=b; proto=\"io.prometheus.write.v2.Request\"", Some(Version::V2)),
            (Version::V1.content_type(), Some(Version::V1)),
            (Version::V2.content_type(), Some(Version::V2)),
            ("application/x-protobuf;proto=io.prometheus.write.v3.Request", None),
            ("application/x-protobuf;proto=", None),
            ("application/json", None),
            (";proto=prometheus.WriteRequest", None),
        ] {
            assert_eq!(Version::from_content_type(value).ok(), expected, "{value}");
        }
    }
}
