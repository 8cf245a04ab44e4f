//! `POST /api/v1/write`: Prometheus remote write 1.0 and 2.0.
//!
//! 204 when all is stored. What was refused is told with 400 and the rest is stored: the sender
//! must not send it again, and its operator must see it. Responses to 2.0, and only those, carry
//! the numbers of samples, histograms and exemplars written.

use super::{
    append::{Appended, Decoded},
    counters::Protocol,
    failure::Failure,
    request::{Work, header_text, receive, refused_unread},
};
use crate::app::AppState;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use wire::{
    compression::{Encoding, decompress},
    remote_write::{Version, decode_v1, decode_v2},
};

const SAMPLES_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS_WRITTEN: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS_WRITTEN: HeaderName = HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

pub(super) async fn write(State(app): State<AppState>, request: Request) -> Response {
    let (version, encoding) = match negotiate(request.headers()) {
        Ok(negotiated) => negotiated,
        // Which version it would have been is not known: 1 is what those without a content type speak.
        Err(failure) => {
            return refused_unread(&app, Protocol::RemoteWrite1, &request, failure).respond_text();
        }
    };
    let protocol = match version {
        Version::V1 => Protocol::RemoteWrite1,
        Version::V2 => Protocol::RemoteWrite2,
    };
    let result = receive(&app, protocol, request, move |work| decode(version, encoding, work)).await;
    let (mut response, written) = match result {
        Ok(appended) => (respond(&appended), Written::of(&appended)),
        Err(failure) => (failure.respond_text(), Written::default()),
    };
    if version == Version::V2 {
        written.put(response.headers_mut());
    }
    response
}

/// Anything not understood is 415, which tells a sender of 2.0 to fall back to 1.0.
fn negotiate(headers: &HeaderMap) -> Result<(Version, Encoding), Failure> {
    let version = Version::from_content_type(header_text(headers, header::CONTENT_TYPE))
        .map_err(|error| Failure::Unsupported(error.to_string()))?;
    let encoding = header_text(headers, header::CONTENT_ENCODING);
    match Encoding::from_header(encoding) {
        // Senders may leave the header out: snappy is all that the protocol knows.
        Some(Encoding::Identity) if encoding.is_empty() => Ok((version, Encoding::Snappy)),
        Some(encoding @ (Encoding::Snappy | Encoding::Zstd)) => Ok((version, encoding)),
        _ => Err(Failure::Unsupported(format!(
            "unsupported content encoding `{encoding}`: send snappy or zstd"
        ))),
    }
}

fn decode(version: Version, encoding: Encoding, work: Work<'_>) -> Result<Decoded, Failure> {
    let scratch = work.scratch;
    decompress(encoding, work.body, work.decompressed_bytes_max, &mut scratch.body)?;
    let report = match version {
        Version::V1 => decode_v1(&scratch.body, &mut scratch.metrics)?,
        Version::V2 => decode_v2(&scratch.body, &mut scratch.metrics)?,
    };
    Ok(Decoded::Metrics(report))
}

fn respond(appended: &Appended) -> Response {
    match appended.rejected {
        0 => StatusCode::NO_CONTENT.into_response(),
        _ => Failure::Malformed(appended.message.clone()).respond_text(),
    }
}

/// The counts in responses to 2.0.
#[derive(Debug, Default, PartialEq)]
struct Written {
    samples: u64,
    histograms: u64,
    exemplars: u64,
}

impl Written {
    /// A batch that had been stored before was written then. The store counts samples and
    /// histograms together: what it refused is taken off the samples first.
    fn of(appended: &Appended) -> Self {
        let report = &appended.report;
        let decoded = report.samples + report.histograms;
        let stored = if appended.duplicate { decoded } else { appended.stored.min(decoded) };
        let histograms = report.histograms.min(stored);
        Written { samples: stored - histograms, histograms, exemplars: report.exemplars }
    }

    fn put(&self, headers: &mut HeaderMap) {
        headers.insert(SAMPLES_WRITTEN, HeaderValue::from(self.samples));
        headers.insert(HISTOGRAMS_WRITTEN, HeaderValue::from(self.histograms));
        headers.insert(EXEMPLARS_WRITTEN, HeaderValue::from(self.exemplars));
    }
}
