//! One request to one endpoint, and what its answer means.

use super::config::{ProtobufMessage, RemoteWriteConfig};
use anyhow::Context;
use daemon::{
    Secret, clock,
    http::{ClientOptions, ClientTls, explain},
};
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use model::MetricBatch;
use reqwest::{Client, Response, StatusCode, Url};
use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use wire::{
    compression::{Encoding, compress},
    remote_write::{SILENCE_MAX, SILENT, Silence, Version, encode_v1, encode_v2},
};

/// Of an answer that explains a refusal, this much is read and logged.
const ANSWER_BYTES_MAX: usize = 16 << 10;
const MESSAGE_CHARS_MAX: usize = 300;
const VERSION: HeaderName = HeaderName::from_static("x-prometheus-remote-write-version");
const WRITTEN: [&str; 2] =
    ["x-prometheus-remote-write-samples-written", "x-prometheus-remote-write-histograms-written"];

/// See the module.
pub(super) struct Endpoint {
    config: RemoteWriteConfig,
    url: Url,
    client: Client,
    headers: HeaderMap,
    /// It has said that it does not know 2.0, or not said that it does.
    is_old: AtomicBool,
    /// When it said last what was written.
    proven: Mutex<Option<Instant>>,
}

/// A request's body and the version it speaks.
pub(super) struct Message {
    version: Version,
    body: bytes::Bytes,
}

impl Message {
    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// The samples are through. `written` when it says how many are.
    Stored { written: Option<u64> },
    /// The form is not known there: 1.0 may be.
    Unsupported,
    /// The samples will never be taken as they are. `written` when it says how many were.
    Refused { written: Option<u64>, why: String },
    /// The same again later.
    Retry { after: Option<Duration>, why: String },
}

/// The client of an endpoint.
///
/// # Errors
/// When a certificate cannot be read.
pub(super) fn client(config: &RemoteWriteConfig) -> anyhow::Result<Client> {
    let tls = &config.tls_config;
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))
    };
    let identity_pem = match (&tls.cert_file, &tls.key_file) {
        (Some(certificate), Some(key)) => Some(format!("{}\n{}", read(certificate)?, read(key)?)),
        _ => None,
    };
    let options = ClientOptions {
        timeout: Duration::from_millis(config.remote_timeout.0),
        tls: ClientTls {
            ca_pem: tls.ca_file.as_deref().map(daemon::http::read_authorities).transpose()?,
            identity_pem,
            insecure_skip_verify: tls.insecure_skip_verify,
            ..ClientTls::default()
        },
        connect_to: tls.server_name.as_ref().and(config.url.0.host_str()).map(bare),
        ..ClientOptions::default()
    };
    headers(config)?;
    daemon::http::client(&options).context("certificate or key cannot be used")
}

/// A host without the brackets that an address of version 6 has in a URL.
fn bare(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// The URL that the client is given: with the name of the certificate, where that differs.
fn target(config: &RemoteWriteConfig) -> anyhow::Result<Url> {
    let mut url = config.url.0.clone();
    if let Some(name) = &config.tls_config.server_name {
        url.set_host(Some(name)).with_context(|| format!("`server_name` `{name}`"))?;
    }
    Ok(url)
}

fn headers(config: &RemoteWriteConfig) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if config.tls_config.server_name.is_some() {
        // The name is for TLS alone.
        headers.insert(HOST, HeaderValue::from_str(config.url.0.authority())?);
    }
    for (name, value) in &config.headers {
        let header: HeaderName = name.parse().with_context(|| format!("`{name}` is no header name"))?;
        let mut value =
            HeaderValue::from_str(value.expose()).with_context(|| format!("value of header `{name}`"))?;
        value.set_sensitive(true);
        headers.insert(header, value);
    }
    Ok(headers)
}

impl Endpoint {
    pub(super) fn new(config: RemoteWriteConfig) -> anyhow::Result<Self> {
        let (url, client, headers) = (target(&config)?, client(&config)?, headers(&config)?);
        Ok(Endpoint {
            config,
            url,
            client,
            headers,
            is_old: AtomicBool::new(false),
            proven: Mutex::new(None),
        })
    }

    pub(super) fn config(&self) -> &RemoteWriteConfig {
        &self.config
    }

    pub(super) fn version(&self) -> Version {
        match self.config.protobuf_message {
            ProtobufMessage::V2 if !self.is_old.load(Ordering::Relaxed) => Version::V2,
            _ => Version::V1,
        }
    }

    /// From now on 1.0 is spoken; `false` when it was already.
    pub(super) fn step_down(&self) -> bool {
        self.config.protobuf_message == ProtobufMessage::V2 && !self.is_old.swap(true, Ordering::Relaxed)
    }

    /// The message of a batch.
    pub(super) fn encode(&self, batch: &MetricBatch) -> Result<Message, wire::WireError> {
        let version = self.version();
        let (mut plain, mut body) = (Vec::new(), Vec::new());
        match version {
            Version::V1 => encode_v1(batch, &mut plain),
            Version::V2 => encode_v2(batch, &mut plain),
        }
        compress(Encoding::Snappy, &plain, &mut body)?;
        Ok(Message { version, body: body.into() })
    }

    pub(super) async fn post(&self, message: &Message, silence: &mut Silence) -> Answer {
        let authorization = match self.authorization().await {
            Ok(authorization) => authorization,
            Err(why) => {
                silence.pause(Instant::now());
                return Answer::Retry { after: None, why };
            }
        };
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, message.version.content_type())
            .header(CONTENT_ENCODING, Encoding::Snappy.as_str())
            .header(VERSION, message.version.version_header())
            .body(message.body.clone());
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        match request.headers(self.headers.clone()).send().await {
            Ok(response) => {
                let is_429_retried = self.config.queue_config.retry_on_http_429;
                let answer = read(response, message.version, is_429_retried).await;
                self.heard(answer, message.version, silence, Instant::now())
            }
            Err(error) => {
                silence.pause(Instant::now());
                // The URL may hold a token.
                Answer::Retry { after: None, why: explain(&error.without_url()) }
            }
        }
    }

    /// What the answer to a message of this version means. Who knows 2.0 says what was written. Older
    /// receivers find nothing in it that they know, and are content with that. `silence` is that of a lane:
    /// behind a load balancer, what one hears does not tell who answers another.
    fn heard(&self, answer: Answer, version: Version, silence: &mut Silence, now: Instant) -> Answer {
        let mut proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Answer::Stored { written: None } if version == Version::V2 => {
                let goes_on = silence.goes_on(now);
                let is_older =
                    proven.is_none_or(|at| goes_on && now.saturating_duration_since(at) >= SILENCE_MAX);
                return match is_older {
                    true => Answer::Unsupported,
                    false => Answer::Retry { after: None, why: SILENT.to_owned() },
                };
            }
            Answer::Stored { written: Some(_) } | Answer::Refused { written: Some(_), .. } => {
                *proven = Some(now);
            }
            _ => {}
        }
        match answer {
            Answer::Retry { .. } => silence.pause(now),
            _ => silence.end(),
        }
        answer
    }

    /// The header's value; from its file each time, because passwords are rotated.
    async fn authorization(&self) -> Result<Option<HeaderValue>, String> {
        let text = if let Some(basic) = &self.config.basic_auth {
            let password = secret(basic.password.as_ref(), basic.password_file.as_deref()).await?;
            let pair = format!("{}:{}", basic.username, password.expose());
            format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
        } else if let Some(given) = &self.config.authorization {
            let credentials = secret(given.credentials.as_ref(), given.credentials_file.as_deref()).await?;
            format!("{} {}", given.r#type, credentials.expose())
        } else {
            return Ok(None);
        };
        let mut value = HeaderValue::from_str(&text).map_err(|error| format!("credentials: {error}"))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

async fn secret(inline: Option<&Secret>, file: Option<&Path>) -> Result<Secret, String> {
    let Some(path) = file else { return Ok(inline.cloned().unwrap_or_else(|| Secret::new(""))) };
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|error| format!("failed to read `{}`: {error}", path.display()))?;
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

async fn read(response: Response, version: Version, is_429_retried: bool) -> Answer {
    let status = response.status();
    let (written, after) = (written(&response), retry_after(response.headers(), clock::now_ms()));
    if status.is_success() {
        return Answer::Stored { written };
    }
    match status {
        StatusCode::UNSUPPORTED_MEDIA_TYPE if version == Version::V2 => Answer::Unsupported,
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS && is_429_retried => {
            Answer::Retry { after, why: describe(status, response).await }
        }
        _ => Answer::Refused { written, why: describe(status, response).await },
    }
}

/// How much was stored nevertheless: receivers of 2.0 say so.
fn written(response: &Response) -> Option<u64> {
    let number = |name: &&str| response.headers().get(*name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let counts: Vec<u64> = WRITTEN.iter().filter_map(number).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}

/// Seconds, or a date.
fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at_ms = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Duration::from_millis(u64::try_from(at_ms.saturating_sub(now_ms)).unwrap_or(0)))
}

async fn describe(status: StatusCode, mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&body);
    let text: String = text.trim().chars().take(MESSAGE_CHARS_MAX).filter(|c| !c.is_control()).collect();
    format!("{status}: {text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn an_endpoint_that_knew_2_0_is_not_taken_for_an_older_one_at_once() {
        let text = "remote_write: [{url: 'http://x/', protobuf_message: io.prometheus.write.v2.Request}]";
        let config: Config = daemon::config::parse_yaml(text, "test").unwrap();
        let endpoint = Endpoint::new(config.remote_write[0].clone()).unwrap();
        let start = Instant::now();
        let hear = |answer, silence: &mut Silence, seconds| {
            endpoint.heard(answer, Version::V2, silence, start + Duration::from_secs(seconds))
        };
        let silent = || Answer::Stored { written: None };
        let (mut one, mut other) = (Silence::default(), Silence::default());
        assert_eq!(hear(silent(), &mut one, 0), Answer::Unsupported, "it is not known");
        let refused = || Answer::Refused { written: Some(0), why: "one sample is too old".to_owned() };
        assert_eq!(hear(refused(), &mut one, 0), refused(), "it is now");
        for seconds in [0, 299] {
            assert!(matches!(hear(silent(), &mut one, seconds), Answer::Retry { .. }));
        }
        let written = || Answer::Stored { written: Some(0) };
        assert_eq!(hear(written(), &mut other, 299), written());
        assert!(matches!(hear(silent(), &mut one, 598), Answer::Retry { .. }), "it speaks to the other lane");
        assert_eq!(hear(silent(), &mut one, 599), Answer::Unsupported, "to neither for five minutes");
        assert_eq!(endpoint.heard(silent(), Version::V1, &mut one, start), silent());
    }

    #[test]
    fn receivers_say_when_to_come_back() {
        let after = |text: &str| {
            retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]), 1_000_000_000_000)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 09 Sep 2001 01:47:10 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sun, 09 Sep 2001 01:46:00 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
    }
}
