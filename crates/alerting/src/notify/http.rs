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
    /// Whether the receiver may have taken it, or a part, all the same.
    pub(crate) may_be_taken: bool,
}

impl AttemptError {
    /// No attempt like this one will succeed, and the receiver has taken nothing.
    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        AttemptError { message: message.into(), recoverable: false, retry_after: None, may_be_taken: false }
    }

    /// Another may.
    pub(crate) fn passing(message: impl Into<String>) -> Self {
        AttemptError { recoverable: true, ..Self::permanent(message) }
    }

    /// The same, when the receiver may have taken it.
    pub(crate) fn in_doubt(self) -> Self {
        self.after(true)
    }

    /// The same, of a request after others of the attempt, of which one was taken or none.
    pub(crate) fn after(self, is_begun: bool) -> Self {
        AttemptError { may_be_taken: self.may_be_taken || is_begun, ..self }
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
    /// Sends the request. No answer is an error that may pass; unless there was no connection, the request
    /// may have arrived.
    pub(crate) async fn of(request: RequestBuilder) -> Result<Self, AttemptError> {
        let failed = |error: reqwest::Error| {
            let is_sent = !error.is_connect() && !error.is_builder();
            // The URL may hold a token.
            AttemptError::passing(describe(&error.without_url())).after(is_sent)
        };
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
    ///
    /// A server that fails, or a proxy before it, may have done what was asked. Not so with 503, by which
    /// it says that it does nothing now: a receiver that is down for an hour need not hear of what was over
    /// before it was back.
    pub(crate) fn accepted(&self) -> Result<(), AttemptError> {
        if self.status.is_success() {
            return Ok(());
        }
        let recoverable = self.status.is_server_error()
            || matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let retry_after = self.retry_after.filter(|_| recoverable).map(|wait| wait.min(RETRY_AFTER_MAX));
        let may_be_taken = self.status.is_server_error() && self.status != StatusCode::SERVICE_UNAVAILABLE;
        Err(AttemptError { message: self.describe(), recoverable, retry_after, may_be_taken })
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
            (301, None, Some((false, None, false))),
            (400, Some(5), Some((false, None, false))),
            (401, None, Some((false, None, false))),
            (404, None, Some((false, None, false))),
            (408, None, Some((true, None, false))),
            (429, Some(7), Some((true, Some(7), false))),
            (429, Some(100_000), Some((true, Some(600), false))),
            (500, None, Some((true, None, true))),
            (502, None, Some((true, None, true))),
            (503, None, Some((true, None, false))),
            (503, Some(2), Some((true, Some(2), false))),
            (504, None, Some((true, None, true))),
        ] {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                body: "why\n".into(),
                end: End::Whole,
                content_type: "text/plain".into(),
                retry_after: retry_after.map(Duration::from_secs),
            };
            let found = answer.accepted().err().map(|error| {
                (error.recoverable, error.retry_after.map(|wait| wait.as_secs()), error.may_be_taken)
            });
            assert_eq!(found, expected, "{status}");
        }
    }

    /// A server that reads a request and hangs up, one that never answers, and none at all.
    #[tokio::test]
    async fn who_was_connected_may_have_taken_it() {
        use tokio::{io::AsyncReadExt, net::TcpListener};
        let client = daemon::http::client(&daemon::http::ClientOptions::default()).unwrap();
        for (listens, hangs_up) in [(true, true), (true, false), (false, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let serve = async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.read_u8().await.unwrap();
                if !hangs_up {
                    std::future::pending::<()>().await;
                }
            };
            // Dropped, it listens no more.
            let server = listens.then(|| tokio::spawn(serve));
            let request = client.post(url).timeout(Duration::from_millis(500)).body("x");
            let error = Answer::of(request).await.unwrap_err();
            assert_eq!((error.recoverable, error.may_be_taken), (true, listens), "{error:?}");
            server.into_iter().for_each(|server| server.abort());
        }
    }
}
