//! What came of a request to a receiver, and whether trying again may help.

use reqwest::{RequestBuilder, StatusCode, header};
use std::time::Duration;

/// Most of an answer that is read; a token takes some thousand bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Most of it that is shown.
const SHOWN_CHARS_MAX: usize = 200;
/// Longest wait that a receiver may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);

/// Why an attempt failed, and whether another may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct AttemptError {
    /// What happened.
    pub(crate) message: String,
    /// Whether the same attempt may succeed later.
    pub(crate) recoverable: bool,
    /// How long the receiver wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl AttemptError {
    /// No attempt like this one will succeed.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        AttemptError { message: message.into(), recoverable: false, retry_after: None }
    }

    /// Another may.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        AttemptError { message: message.into(), recoverable: true, retry_after: None }
    }
}

/// A receiver's answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The beginning of it.
    pub(crate) body: String,
    pub(crate) end: End,
    pub(crate) content_type: String,
    pub(crate) retry_after: Option<Duration>,
}

/// How much of an answer is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// It is longer than what is read of it.
    TooLong,
    /// The connection broke before its end.
    Lost,
}

impl Answer {
    /// Sends the request. No answer is an error that may pass.
    pub(crate) async fn of(request: RequestBuilder) -> Result<Self, AttemptError> {
        // The URL may hold a token.
        let failed = |error: reqwest::Error| AttemptError::passing(describe(&error.without_url()));
        let mut response = request.send().await.map_err(failed)?;
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = header(header::CONTENT_TYPE).to_owned();
        let retry_after = header(header::RETRY_AFTER).parse().ok().map(Duration::from_secs);
        let status = response.status();
        let mut body = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_BYTES_MAX => {
                    body.extend_from_slice(&chunk[..BODY_BYTES_MAX - body.len()]);
                    break End::TooLong;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break End::Whole,
                // The status says what became of the notification; the rest is for people.
                Err(_) => break End::Lost,
            }
        };
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Answer { status, body, end, content_type, retry_after })
    }

    /// Success for 2xx. 408, 429 and 5xx may pass, 429 and 503 after the time that the receiver
    /// asks for; anything else is its last word.
    pub(crate) fn accepted(&self) -> Result<(), AttemptError> {
        if self.status.is_success() {
            return Ok(());
        }
        let recoverable = self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let retry_after = self.retry_after.filter(|_| recoverable).map(|wait| wait.min(RETRY_AFTER_MAX));
        Err(AttemptError { message: self.describe(), recoverable, retry_after })
    }

    /// The status and the beginning of the answer.
    pub(crate) fn describe(&self) -> String {
        let shown: String =
            self.body.trim().chars().filter(|c| !c.is_control()).take(SHOWN_CHARS_MAX).collect();
        let is_page = self.content_type.starts_with("text/html");
        if shown.is_empty() || is_page {
            format!("unexpected status code {}", self.status)
        } else {
            format!("unexpected status code {}: {shown}", self.status)
        }
    }
}

/// Pairs as the body of a form.
pub(crate) fn form<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        form.append_pair(name.as_ref(), value.as_ref());
    }
    form.finish()
}

/// An error with its causes, which say more than itself.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_answers_are_worth_another_attempt() {
        for (status, retry_after, expected) in [
            (200, None, None),
            (202, None, None),
            (204, None, None),
            (301, None, Some((false, None))),
            (400, Some(5), Some((false, None))),
            (401, None, Some((false, None))),
            (404, None, Some((false, None))),
            (408, None, Some((true, None))),
            (429, Some(7), Some((true, Some(7)))),
            (429, Some(100_000), Some((true, Some(600)))),
            (500, None, Some((true, None))),
            (503, Some(2), Some((true, Some(2)))),
        ] {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body: "why\n".into(),
                end: End::Whole,
                content_type: "text/plain".into(),
                retry_after: retry_after.map(Duration::from_secs),
            };
            let found = answer
                .accepted()
                .err()
                .map(|error| (error.recoverable, error.retry_after.map(|wait| wait.as_secs())));
            assert_eq!(found, expected, "{status}");
        }
    }
}
