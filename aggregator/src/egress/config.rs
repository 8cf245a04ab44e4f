//! `remote_write:`, one entry an endpoint. Names and defaults are Prometheus' where it has the same
//! setting; what would be passed over is refused.

use super::relabelling::RelabelConfig;
use crate::config::Duration;
use daemon::Secret;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Where metrics are sent on to, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteWriteConfig {
    /// Where to.
    pub url: HttpUrl,
    /// Tells endpoints apart in metrics, logs and on disk; the URL unless given.
    #[serde(default)]
    pub name: Option<String>,
    /// From connect to the answer.
    #[serde(default = "thirty_seconds")]
    pub remote_timeout: Duration,
    /// Remote write 1.0 or 2.0.
    #[serde(default)]
    pub protobuf_message: ProtobufMessage,
    /// Further headers of every request.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Which series are sent, and under which labels.
    #[serde(default)]
    pub write_relabel_configs: Vec<RelabelConfig>,
    /// Whether exemplars are sent.
    #[serde(default)]
    pub send_exemplars: bool,
    /// Whether native histograms are sent by 1.0; 2.0 always sends them.
    #[serde(default)]
    pub send_native_histograms: bool,
    /// User and password.
    #[serde(default)]
    pub basic_auth: Option<BasicAuth>,
    /// Any other `Authorization`.
    #[serde(default)]
    pub authorization: Option<Authorization>,
    /// What of TLS differs from the system's.
    #[serde(default)]
    pub tls_config: TlsConfig,
    /// Batches, connections and retries.
    #[serde(default)]
    pub queue_config: QueueConfig,
    /// Descriptions of families.
    #[serde(default)]
    pub metadata_config: MetadataConfig,
}

fn thirty_seconds() -> Duration {
    Duration(30_000)
}

/// The message that requests carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProtobufMessage {
    /// Remote write 1.0.
    #[default]
    #[serde(rename = "prometheus.WriteRequest")]
    V1,
    /// Remote write 2.0; an endpoint that answers 415, or does not say what it has written, gets 1.0 from
    /// then on.
    #[serde(rename = "io.prometheus.write.v2.Request")]
    V2,
}

/// User and password.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user.
    pub username: String,
    /// The password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file with the password, read for every request.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

/// A type and credentials.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authorization {
    /// The first word of the header.
    #[serde(default = "bearer")]
    pub r#type: String,
    /// The rest of it.
    #[serde(default)]
    pub credentials: Option<Secret>,
    /// A file with it, read for every request.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn bearer() -> String {
    "Bearer".to_owned()
}

/// What of TLS differs from the system's.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Our certificate (PEM), for receivers that ask for one.
    pub cert_file: Option<PathBuf>,
    /// Its key (PEM).
    pub key_file: Option<PathBuf>,
    /// The name that the receiver's certificate must have, instead of the URL's host.
    pub server_name: Option<String>,
    /// Trust any certificate.
    pub insecure_skip_verify: bool,
}

/// Batches, connections and retries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// Samples read ahead for each connection.
    pub capacity: usize,
    /// Connections; series are spread over them by their labels.
    pub max_shards: usize,
    /// Samples in one request.
    pub max_samples_per_send: usize,
    /// How long a request waits to be filled.
    pub batch_send_deadline: Duration,
    /// Longest pause before the first retry.
    pub min_backoff: Duration,
    /// Longest pause before any retry.
    pub max_backoff: Duration,
    /// Whether 429 is retried as 5xx is.
    pub retry_on_http_429: bool,
    /// Samples older than this are not sent; `0` for all.
    pub sample_age_limit: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        QueueConfig {
            capacity: 10_000,
            max_shards: 4,
            max_samples_per_send: 2_000,
            batch_send_deadline: Duration(5_000),
            min_backoff: Duration(30),
            max_backoff: Duration(5_000),
            retry_on_http_429: true,
            sample_age_limit: Duration(0),
        }
    }
}

/// Most connections to one endpoint.
const SHARDS_MAX: usize = 200;

/// Descriptions of families.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataConfig {
    /// Whether they are sent.
    pub send: bool,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        MetadataConfig { send: true }
    }
}

/// An address of the web without a password in it, which would be printed with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpUrl(pub reqwest::Url);

impl TryFrom<String> for HttpUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = reqwest::Url::parse(&text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(format!("`{text}` is no http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("put user and password under `basic_auth`, not into the URL".to_owned());
        }
        Ok(HttpUrl(url))
    }
}

/// As it is shown: what follows `?` may be a token.
impl From<HttpUrl> for String {
    fn from(HttpUrl(mut url): HttpUrl) -> String {
        if url.query().is_some() {
            url.set_query(Some("hidden"));
        }
        url.into()
    }
}

impl RemoteWriteConfig {
    /// How the endpoint is called in metrics, logs and on disk: without what follows `?`, where
    /// some receivers want a token.
    pub fn endpoint_name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let mut url = self.url.0.clone();
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        })
    }

    fn problem(&self) -> Option<String> {
        let queue = &self.queue_config;
        let has_two = |inline: bool, file: bool| inline && file;
        if self.basic_auth.is_some() && self.authorization.is_some() {
            return Some("set one of `basic_auth` and `authorization`".to_owned());
        }
        if let Some(basic) = &self.basic_auth
            && has_two(basic.password.is_some(), basic.password_file.is_some())
        {
            return Some("set one of `password` and `password_file`".to_owned());
        }
        if let Some(given) = &self.authorization
            && given.credentials.is_some() == given.credentials_file.is_some()
        {
            return Some("set one of `credentials` and `credentials_file`".to_owned());
        }
        if self.tls_config.cert_file.is_some() != self.tls_config.key_file.is_some() {
            return Some("`cert_file` and `key_file` belong together".to_owned());
        }
        if let Some(name) = &self.tls_config.server_name
            && rustls::pki_types::DnsName::try_from(name.as_str()).is_err()
        {
            return Some(format!("`server_name` must be a name, which `{name}` is not"));
        }
        if queue.capacity == 0 || queue.max_samples_per_send == 0 {
            return Some("`capacity` and `max_samples_per_send` must be above 0".to_owned());
        }
        if !(1..=SHARDS_MAX).contains(&queue.max_shards) {
            return Some(format!("`max_shards` must be from 1 to {SHARDS_MAX}"));
        }
        (queue.min_backoff.0 > queue.max_backoff.0)
            .then(|| "`min_backoff` must not be above `max_backoff`".to_owned())
    }
}

/// Everything wrong with these endpoints that their form does not show, one line each.
pub(crate) fn problems(endpoints: &[RemoteWriteConfig]) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let name = endpoint.endpoint_name();
        if endpoints[..index].iter().any(|before| before.endpoint_name() == name) {
            problems.push((index, format!("remote_write `{name}` is there twice: give each a `name`")));
        }
        let built = super::endpoint::client(endpoint).err().map(|error| format!("{error:#}"));
        let problem = endpoint.problem().or(built);
        problems.extend(problem.map(|problem| (index, format!("remote_write `{name}`: {problem}"))));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parse(endpoint: &str) -> Result<Config, String> {
        let text = format!("remote_write:\n- url: http://127.0.0.1:1/w\n{endpoint}");
        daemon::config::parse_yaml(&text, "c.yml").map_err(|error| error.to_string())
    }

    #[test]
    fn prometheus_entries_are_read() {
        let config = parse(
            "  name: far\n  protobuf_message: io.prometheus.write.v2.Request\n  remote_timeout: 10s\n  \
             headers: {X-Scope-OrgID: '7'}\n  basic_auth: {username: u, password_file: /x}\n  \
             queue_config: {max_shards: 2, batch_send_deadline: 1s}\n  write_relabel_configs:\n  \
             - source_labels: [__name__]\n    regex: up\n    action: keep\n",
        )
        .unwrap();
        let endpoint = &config.remote_write[0];
        assert_eq!(
            (endpoint.endpoint_name(), endpoint.protobuf_message),
            ("far".into(), ProtobufMessage::V2)
        );
        assert_eq!(endpoint.queue_config.capacity, 10_000);
        assert_eq!(problems(&config.remote_write), []);
        let printed = serde_json::to_string(&config).unwrap();
        assert!(printed.contains("<secret>") && printed.contains("\"regex\":\"up\""), "{printed}");
    }

    #[test]
    fn what_follows_the_question_mark_is_not_shown() {
        let config = parse("- url: http://127.0.0.1:2/w?token=abc\n").unwrap();
        let printed = serde_json::to_string(&config).unwrap();
        assert!(printed.contains("http://127.0.0.1:2/w?hidden") && !printed.contains("abc"), "{printed}");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (endpoint, message) in [
            ("  queue_confg: {}\n", "did you mean `queue_config`?"),
            ("  remote_timeout: soon\n", "soon"),
            ("  write_relabel_configs:\n  - action: keeps\n", "keeps"),
            ("  write_relabel_configs:\n  - regex: '('\n    action: keep\n", "regexp"),
            ("- url: ftp://x\n", "no http or https"),
            ("- url: http://u:p@x/\n", "basic_auth"),
        ] {
            let error = parse(endpoint).unwrap_err();
            assert!(error.starts_with("c.yml:") && error.contains(message), "{error}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_told() {
        for (endpoint, message) in [
            ("- url: http://127.0.0.1:1/w?token=x\n", "there twice"),
            ("  authorization: {}\n", "one of `credentials`"),
            ("  tls_config: {cert_file: /x}\n", "belong together"),
            ("  tls_config: {ca_file: /does/not/exist}\n", "/does/not/exist"),
            ("  tls_config: {server_name: 10.0.0.1}\n", "server_name"),
            ("  queue_config: {max_shards: 0}\n", "max_shards"),
        ] {
            let found = problems(&parse(endpoint).unwrap().remote_write);
            assert!(found.len() == 1 && found[0].1.contains(message), "{found:?}");
        }
    }
}
