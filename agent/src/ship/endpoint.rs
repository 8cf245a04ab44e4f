//! One request to one address, and what its answer means.

use super::protocol::{Message, Protocol};
use bytes::Bytes;
use daemon::{Secret, http::explain};
use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use std::{path::PathBuf, time::Duration};
use wire::compression::Encoding;

/// Of an answer that explains a refusal, this much is read and logged.
const ANSWER_BYTES_MAX: usize = 64 << 10;
const MESSAGE_CHARS_MAX: usize = 300;
const WRITTEN: [&str; 2] =
    ["x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written"];

/// Who sends: the same on every request.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) agent: String,
    pub(crate) boot: u64,
    pub(crate) job: String,
    pub(crate) instance: String,
    pub(crate) interval: Duration,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) client: Client,
    pub(super) url: String,
    pub(super) token: Option<Secret>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) sender: Sender,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Post {
    pub(super) protocol: Protocol,
    pub(super) body: Bytes,
    pub(super) boot: u64,
    pub(super) sequence: u64,
    /// The last request before a clean end.
    pub(super) is_goodbye: bool,
}

/// What became of it.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Stored. How much of it was written, or how much was not, when the receiver says so.
    Stored { written: Option<u64>, refused: u64 },
    /// Another form of the payload may do.
    Unsupported,
    /// A smaller payload may do.
    TooLarge,
    /// The payload will never do. What was written nevertheless, when the receiver says so.
    Refused { written: Option<u64>, why: String },
    /// The same again later.
    Retry { after: Option<Duration>, why: String },
}

impl Endpoint {
    pub(super) async fn post(&self, post: &Post) -> Answer {
        let request = match self.request(post).await {
            Ok(request) => request,
            Err(why) => return Answer::Retry { after: None, why },
        };
        match request.body(post.body.clone()).send().await {
            Ok(response) => read(response, post.protocol.message).await,
            Err(error) => Answer::Retry { after: None, why: explain(&error) },
        }
    }

    async fn request(&self, post: &Post) -> Result<RequestBuilder, String> {
        let sender = &self.sender;
        let mut request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, post.protocol.message.content_type())
            .header("x-bellwether-agent", &sender.agent)
            .header("x-bellwether-boot", post.boot)
            .header("x-bellwether-sequence", post.sequence)
            .header("x-bellwether-job", printable(&sender.job))
            .header("x-bellwether-instance", printable(&sender.instance))
            .header("x-bellwether-interval-ms", sender.interval.as_millis() as u64)
            .header("x-bellwether-version", env!("CARGO_PKG_VERSION"));
        if post.protocol.encoding != Encoding::Identity {
            request = request.header(CONTENT_ENCODING, post.protocol.encoding.as_str());
        }
        match post.protocol.message {
            Message::RemoteWrite(version) => {
                request = request.header("x-prometheus-remote-write-version", version.version_header());
            }
            // Our receiver makes every resource attribute a label of the stream.
            Message::OtlpLogs => request = request.header("x-bellwether-labels", "resource"),
        }
        if post.is_goodbye {
            request = request.header("x-bellwether-goodbye", "1");
        }
        match self.token().await? {
            Some(token) => Ok(request.header(AUTHORIZATION, format!("Bearer {}", token.expose()))),
            None => Ok(request),
        }
    }

    /// The token; from its file each time, because tokens are rotated.
    async fn token(&self) -> Result<Option<Secret>, String> {
        let Some(path) = &self.token_file else { return Ok(self.token.clone()) };
        let text = tokio::fs::read_to_string(path).await;
        let text = text.map_err(|error| format!("token file `{}`: {error}", path.display()))?;
        Ok(Some(Secret::new(text.trim())))
    }
}

/// Headers are ASCII; labels need not be.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '_' }).collect()
}

async fn read(response: Response, message: Message) -> Answer {
    let status = response.status();
    let written = written(&response);
    let after = retry_after(&response);
    if status.is_success() {
        let refused = match message {
            Message::OtlpLogs => refused_records(&body(response).await),
            Message::RemoteWrite(_) => 0,
        };
        return Answer::Stored { written, refused };
    }
    match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Answer::Unsupported,
        StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge,
        _ if is_senders_fault(status) => {
            Answer::Refused { written, why: describe(status, &body(response).await) }
        }
        _ => Answer::Retry { after, why: describe(status, &body(response).await) },
    }
}

/// Whether the payload itself is the trouble. A missing right or a wrong address is not.
fn is_senders_fault(status: StatusCode) -> bool {
    const NOT_THE_PAYLOAD: [StatusCode; 8] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::PAYMENT_REQUIRED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_client_error() && !NOT_THE_PAYLOAD.contains(&status)
}

fn written(response: &Response) -> Option<u64> {
    let number = |name: &&str| response.headers().get(*name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let counts: Vec<u64> = WRITTEN.iter().filter_map(number).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

fn retry_after(response: &Response) -> Option<Duration> {
    // The other form, a date, is not used by any receiver of telemetry.
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The answer's body, as far as it is of interest.
async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(ANSWER_BYTES_MAX);
    body
}

fn describe(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.trim().chars().take(MESSAGE_CHARS_MAX).filter(|c| !c.is_control()).collect();
    format!("{status}: {text}")
}

/// `ExportLogsServiceResponse` of OTLP.
#[derive(Clone, PartialEq, prost::Message)]
struct LogsResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected_log_records: i64,
}

fn refused_records(body: &[u8]) -> u64 {
    let response = <LogsResponse as prost::Message>::decode(body).unwrap_or_default();
    let refused = response.partial_success.map_or(0, |partial| partial.rejected_log_records);
    u64::try_from(refused).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_tokens_and_addresses_are_no_reason_to_drop_data() {
        for (status, expected) in [
            (400, true),
            (409, true),
            (422, true),
            (401, false),
            (403, false),
            (404, false),
            (429, false),
            (500, false),
            (302, false),
        ] {
            assert_eq!(is_senders_fault(StatusCode::from_u16(status).unwrap()), expected, "{status}");
        }
    }

    #[test]
    fn partial_success_is_read() {
        assert_eq!(refused_records(&[0x0a, 0x02, 0x08, 0x03]), 3);
        assert_eq!(refused_records(&[]), 0);
        assert_eq!(refused_records(b"{}"), 0);
    }
}
