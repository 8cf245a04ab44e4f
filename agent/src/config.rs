//! The agent's configuration: defaults that work, and checks that name the setting.

use crate::{
    collect::{self, Roots},
    pipeline::{Pipeline, StageConfig},
    tail::{Pattern, ROTATE_WAIT, Source, StartAt, exclusions},
};
use daemon::{
    Secret,
    config::{Bytes, TextOrNumber},
    http::{ClientOptions, ClientTls, read_authorities},
};
use serde::{Deserialize, Deserializer, de};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// The shortest interval between collections.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// A spool smaller than this holds a few minutes only.
const SPOOL_BYTES_MIN: u64 = 1 << 20;
const DESTINATIONS_MAX: usize = 16;

/// Everything that can be set.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Where samples and lines go; every destination gets everything.
    pub destinations: Vec<Destination>,
    /// Identity, checkpoints and spool. One agent per folder.
    pub data_dir: PathBuf,
    /// Pause between collections.
    #[serde(deserialize_with = "duration")]
    pub interval: Duration,
    /// The `job` label of metrics, and of logs whose source does not say.
    pub job: String,
    /// The `instance` label; the host's name when not set.
    pub instance: Option<String>,
    /// Further labels of everything.
    pub labels: BTreeMap<String, String>,
    /// Address of the agent's own pages, such as `:9391`; none when empty.
    pub listen: Option<String>,
    /// Where the host's trees are.
    pub paths: Paths,
    /// Which metrics.
    pub collectors: Collectors,
    /// How much is kept while a destination is away.
    pub spool: SpoolConfig,
    /// Which logs.
    pub logs: Logs,
    /// The agent's own log.
    pub log: LogOutput,
    /// How long a rotated file is watched for late lines; shorter in tests.
    #[serde(skip)]
    pub rotate_wait: Duration,
}

impl Default for AgentConfig {
    fn default() -> Self {
        AgentConfig {
            destinations: vec![Destination {
                url: "http://127.0.0.1:9390".to_owned(),
                ..Destination::default()
            }],
            data_dir: PathBuf::from("./bellwether-agent-data"),
            interval: Duration::from_secs(10),
            job: "node".to_owned(),
            instance: None,
            labels: BTreeMap::new(),
            listen: None,
            paths: Paths::default(),
            collectors: Collectors::default(),
            spool: SpoolConfig::default(),
            logs: Logs::default(),
            log: LogOutput::default(),
            rotate_wait: ROTATE_WAIT,
        }
    }
}

/// A receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Destination {
    /// A Bellwether aggregator: `http://host:9390`.
    pub url: String,
    /// Instead: where remote write goes, in full.
    pub metrics_url: Option<String>,
    /// Instead: where OTLP logs go, in full.
    pub logs_url: Option<String>,
    /// Bearer token.
    pub token: Option<Secret>,
    /// A file with the bearer token, read again for each request.
    pub token_file: Option<PathBuf>,
    /// A file (PEM) with the authorities to believe, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// The host's trees, for an agent in a container.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The host's `/proc`.
    pub procfs: PathBuf,
    /// The host's `/sys`.
    pub sysfs: PathBuf,
    /// The host's `/`.
    pub rootfs: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Paths { procfs: "/proc".into(), sysfs: "/sys".into(), rootfs: "/".into() }
    }
}

impl Paths {
    pub(crate) fn roots(&self) -> Roots {
        Roots { procfs: self.procfs.clone(), sysfs: self.sysfs.clone(), rootfs: self.rootfs.clone() }
    }
}

/// Which metrics are collected.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Collectors {
    /// Names of collectors that are switched off.
    pub disabled: BTreeSet<String>,
}

/// How much is kept while a destination is away.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Bytes on disk; the oldest samples go first.
    pub bytes_max: Bytes,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        // Two to three days of a usual host.
        SpoolConfig { bytes_max: Bytes(256 << 20) }
    }
}

/// Which logs are followed.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// Groups of files.
    pub sources: Vec<SourceConfig>,
}

impl Default for Logs {
    fn default() -> Self {
        let paths = ["/var/log/*.log", "/var/log/syslog", "/var/log/messages"].map(str::to_owned).to_vec();
        Logs { sources: vec![SourceConfig { paths, ..SourceConfig::default() }] }
    }
}

/// A group of files with the same treatment.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SourceConfig {
    /// Patterns: `*`, `?`, `[…]`, `{a,b}`, and `**` for any number of folders.
    pub paths: Vec<String>,
    /// Patterns of files to pass over.
    pub exclude: Vec<String>,
    /// Where to begin with a file that is seen for the first time.
    pub from: StartAt,
    /// The `job` label.
    pub job: Option<String>,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// What happens to lines.
    pub stages: Vec<StageConfig>,
}

/// The agent's own log.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogOutput {
    /// A level, or a `target=level` list.
    #[serde(deserialize_with = "daemon::logging::deserialize_filter")]
    pub filter: String,
    /// Text or JSON lines.
    pub format: daemon::logging::Format,
}

impl Default for LogOutput {
    fn default() -> Self {
        LogOutput { filter: "info".to_owned(), format: daemon::logging::Format::default() }
    }
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub struct InvalidConfig {
    /// Its path in the file.
    pub setting: String,
    /// What is wrong with it.
    pub problem: String,
}

pub(crate) fn invalid(setting: impl Into<String>, problem: impl Into<String>) -> InvalidConfig {
    InvalidConfig { setting: setting.into(), problem: problem.into() }
}

impl AgentConfig {
    /// Checks everything that can be checked without touching the network or the data.
    ///
    /// # Errors
    /// With the first setting that cannot be used.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        if self.interval < INTERVAL_MIN {
            return Err(invalid("interval", format!("shorter than {INTERVAL_MIN:?}")));
        }
        if self.spool.bytes_max.0 < SPOOL_BYTES_MIN {
            return Err(invalid("spool.bytes_max", "less than 1MiB"));
        }
        if let Some(address) = self.listen.as_deref().filter(|address| !address.is_empty()) {
            daemon::listen::split(address).map_err(|problem| invalid("listen", problem))?;
        }
        if self.destinations.len() > DESTINATIONS_MAX {
            return Err(invalid("destinations", format!("more than {DESTINATIONS_MAX}")));
        }
        for (i, destination) in self.destinations.iter().enumerate() {
            destination.check().map_err(|problem| invalid(format!("destinations[{i}]"), problem))?;
        }
        let known = collect::names();
        if let Some(name) = self.collectors.disabled.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(invalid(
                "collectors.disabled",
                format!("unknown collector `{name}`; there are {}", known.join(", ")),
            ));
        }
        self.sources(&self.instance()).map(|_| ())
    }

    /// Checks that files can be read which are only read when they are used, and may come later.
    ///
    /// # Errors
    /// With the first that cannot.
    pub(crate) fn check_files(&self) -> Result<(), InvalidConfig> {
        for (i, destination) in self.destinations.iter().enumerate() {
            if let Some(path) = &destination.token_file {
                std::fs::read_to_string(path).map_err(|error| {
                    let problem = format!("failed to read `{}`: {error}", path.display());
                    invalid(format!("destinations[{i}].token_file"), problem)
                })?;
            }
        }
        Ok(())
    }

    /// The `instance` label.
    pub(crate) fn instance(&self) -> String {
        self.instance.clone().unwrap_or_else(host_name)
    }

    /// Labels of every series, sorted by name.
    pub(crate) fn base_labels(&self) -> Vec<(String, String)> {
        let mut labels = self.labels.clone();
        labels.insert("job".to_owned(), self.job.clone());
        labels.insert("instance".to_owned(), self.instance());
        labels.into_iter().collect()
    }

    /// The groups of log files, ready to be followed.
    pub(crate) fn sources(&self, instance: &str) -> Result<Vec<Source>, InvalidConfig> {
        let sources = self.logs.sources.iter().enumerate();
        sources.map(|(i, source)| self.source(i, source, instance)).collect()
    }

    fn source(&self, i: usize, source: &SourceConfig, instance: &str) -> Result<Source, InvalidConfig> {
        let setting = |name: &str| format!("logs.sources[{i}].{name}");
        let patterns: Result<Vec<Pattern>, String> =
            source.paths.iter().map(|text| Pattern::new(text)).collect();
        let mut labels = self.labels.clone();
        labels.insert("job".to_owned(), source.job.clone().unwrap_or_else(|| self.job.clone()));
        labels.insert("instance".to_owned(), instance.to_owned());
        labels.extend(source.labels.clone());
        Ok(Source {
            name: source.paths.join(" "),
            patterns: patterns.map_err(|problem| invalid(setting("paths"), problem))?,
            exclude: exclusions(&source.exclude).map_err(|problem| invalid(setting("exclude"), problem))?,
            start_at: source.from,
            labels: labels.into_iter().collect(),
            pipeline: Pipeline::new(&source.stages).map_err(|problem| invalid(setting("stages"), problem))?,
        })
    }
}

impl Destination {
    fn check(&self) -> Result<(), String> {
        if self.url.is_empty() && self.metrics_url.is_none() && self.logs_url.is_none() {
            return Err("give `url`, or `metrics_url` and `logs_url`".to_owned());
        }
        if self.token.is_some() && self.token_file.is_some() {
            return Err("both `token` and `token_file` are set; keep one".to_owned());
        }
        for url in [self.metrics_endpoint(), self.logs_endpoint()].into_iter().flatten() {
            let parsed = reqwest::Url::parse(&url).map_err(|error| format!("`{url}`: {error}"))?;
            if !matches!(parsed.scheme(), "http" | "https") {
                return Err(format!("`{url}` is neither http nor https"));
            }
        }
        self.own_client(&ClientOptions::default()).map(drop)
    }

    /// Like a client of these options, but it believes whom `ca_file` names; `None` without one.
    pub(crate) fn own_client(&self, options: &ClientOptions) -> Result<Option<reqwest::Client>, String> {
        let Some(path) = &self.ca_file else { return Ok(None) };
        let unusable = |error: &dyn std::fmt::Display| format!("`ca_file` `{}`: {error}", path.display());
        let ca_pem = read_authorities(path).map_err(|error| format!("`ca_file`: {error}"))?;
        let tls = ClientTls { ca_pem: Some(ca_pem), ..options.tls.clone() };
        let options = ClientOptions { tls, ..options.clone() };
        daemon::http::client(&options).map(Some).map_err(|error| unusable(&error))
    }

    /// Where remote write goes, if anywhere.
    pub(crate) fn metrics_endpoint(&self) -> Option<String> {
        self.metrics_url.clone().or_else(|| self.below("/api/v1/write"))
    }

    /// Where OTLP logs go, if anywhere.
    pub(crate) fn logs_endpoint(&self) -> Option<String> {
        self.logs_url.clone().or_else(|| self.below("/v1/logs"))
    }

    fn below(&self, path: &str) -> Option<String> {
        (!self.url.is_empty()).then(|| format!("{}{path}", self.url.trim_end_matches('/')))
    }

    /// What the destination is called in counters and messages.
    pub(crate) fn name(&self) -> String {
        let url = [Some(self.url.clone()), self.metrics_url.clone(), self.logs_url.clone()];
        let url = url.into_iter().flatten().find(|url| !url.is_empty()).unwrap_or_default();
        let parsed = reqwest::Url::parse(&url).ok();
        let host = parsed.as_ref().and_then(|url| Some((url.host_str()?.to_owned(), url.port())));
        match host {
            Some((host, Some(port))) => format!("{host}:{port}"),
            Some((host, None)) => host,
            None => url,
        }
    }
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Reads `10s` or `1m30s`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = TextOrNumber::deserialize(deserializer)?.0;
    let hinted = |error| format!("{error}; write 10s or 1m30s");
    let ms = model::parse_duration_ms(&text).map_err(hinted).map_err(de::Error::custom)?;
    Ok(Duration::from_millis(ms.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AgentConfig, String> {
        let config: AgentConfig =
            daemon::config::parse_yaml(text, "agent.yaml").map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn the_sample_is_the_defaults() {
        let sample = parse(include_str!("../agent.yaml")).unwrap();
        let default = AgentConfig { data_dir: "/var/lib/bellwether-agent".into(), ..AgentConfig::default() };
        assert_eq!(format!("{sample:?}"), format!("{default:?}"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, expected) in [
            ("intervall: 5s", "did you mean `interval`?"),
            ("interval: 5 seconds", "not a valid duration"),
            ("interval: 10", "write 10s or 1m30s"),
            ("interval: 1ms", "interval: shorter than"),
            ("destinations: [{}]", "destinations[0]: give `url`"),
            ("destinations: [{url: 'ftp://x'}]", "neither http nor https"),
            ("destinations: [{url: 'http://x', token: a, token_file: b}]", "keep one"),
            (
                "destinations: [{url: 'https://x', ca_file: /nonexistent}]",
                "destinations[0]: `ca_file`: failed to read `/nonexistent`: No such file",
            ),
            (
                "destinations: [{url: 'https://x', ca_file: /dev/null}]",
                "destinations[0]: `ca_file`: `/dev/null` holds no certificate in PEM form",
            ),
            ("collectors: {disabled: [cpus]}", "unknown collector `cpus`"),
            ("logs: {sources: [{paths: ['/a/[']}]}", "logs.sources[0].paths: "),
            ("logs: {sources: [{paths: [/a], stages: [{drop: '('}]}]}", "logs.sources[0].stages: stage 1"),
            ("listen: '9391'", "listen: `9391` is no address to listen on"),
            ("spool: {bytes_max: 5}", "spool.bytes_max"),
            ("spool: {bytes_max: 1023KiB}", "spool.bytes_max: less than 1MiB"),
            ("spool: {bytes_max: 5 lightyears}", "write 512MiB"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_token_must_be_there_at_a_check_and_may_come_after_a_start() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (path, is_there) in [(file.path().to_str().unwrap(), true), ("/nonexistent", false), ("/", false)]
        {
            let config = parse(&format!("destinations: [{{url: 'http://x', token_file: {path}}}]")).unwrap();
            let checked = config.check_files().map_err(|error| error.to_string());
            assert_eq!(checked.is_ok(), is_there, "{checked:?}");
            let named = format!("destinations[0].token_file: failed to read `{path}`: ");
            assert!(checked.err().is_none_or(|error| error.starts_with(&named)));
        }
    }

    #[test]
    fn endpoints_and_names() {
        let ours = Destination { url: "https://bw.example.org/".into(), ..Destination::default() };
        assert_eq!(ours.metrics_endpoint().unwrap(), "https://bw.example.org/api/v1/write");
        assert_eq!(ours.logs_endpoint().unwrap(), "https://bw.example.org/v1/logs");
        assert_eq!(ours.name(), "bw.example.org");
        let foreign = Destination {
            metrics_url: Some("http://prom:9090/api/v1/write".into()),
            ..Destination::default()
        };
        assert_eq!(foreign.logs_endpoint(), None);
        assert_eq!(foreign.name(), "prom:9090");
    }
}
