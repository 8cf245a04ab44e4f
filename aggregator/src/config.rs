//! The aggregator's configuration file: every section has its default, so no file is needed.
//!
//! Paths are relative to the working directory. `docs/guides/configuration.md` shows the file.

use crate::{
    auth::Role, clickhouse::ClickHouseConfig, egress::RemoteWriteConfig, external_url::ExternalUrl,
    packs::PackModes, receive::SyslogConfig, rules_git::RuleSource, stream_retention::StreamRetentionConfig,
};
use daemon::{
    ListenAddress, Secret,
    config::{TextOrNumber, default_for_nothing},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{net::SocketAddr, path::PathBuf};

pub use daemon::config::Bytes;

// Defaults of settings of which 0 would leave nothing to work with.
const BODY_BYTES_MAX: u64 = 32 << 20;
const DECOMPRESSED_BYTES_MAX: u64 = 128 << 20;
const WRITES_IN_FLIGHT_MAX: u64 = 64;
const REMOTE_WRITE_BYTES_MAX: u64 = 1 << 30;
const TIMEOUT_MS: u64 = 120_000;
const SAMPLES_MAX: u64 = 50_000_000;
const MEMORY_BYTES_MAX: u64 = 2 << 30;
const READ_BYTES_MAX: u64 = 1 << 40;
const LOG_LINES_MAX: u64 = 5_000;
const LOOKBACK_MS: u64 = 300_000;
const EVALUATION_INTERVAL_MS: u64 = 15_000;

/// The whole file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where everything is kept.
    #[serde(deserialize_with = "default_for_nothing")]
    pub data_dir: DataDir,
    /// The one port that serves everything.
    #[serde(deserialize_with = "default_for_nothing")]
    pub listen: Listen,
    /// The certificate to serve TLS with.
    pub tls: Option<daemon::http::TlsFiles>,
    /// Whether plain HTTP may be served beyond loopback.
    pub plain_http: bool,
    /// Who may call.
    #[serde(deserialize_with = "default_for_nothing")]
    pub auth: AuthConfig,
    /// Where data are kept when not in the data folder.
    #[serde(deserialize_with = "default_for_nothing")]
    pub storage: StorageConfig,
    /// How long and how much is kept.
    #[serde(deserialize_with = "default_for_nothing")]
    pub retention: RetentionConfig,
    /// Bounds on what is received.
    #[serde(deserialize_with = "default_for_nothing")]
    pub limits: LimitsConfig,
    /// Bounds on queries.
    #[serde(deserialize_with = "default_for_nothing")]
    pub query: QueryConfig,
    /// Listeners for syslog.
    #[serde(deserialize_with = "default_for_nothing")]
    pub syslog: SyslogConfig,
    /// PromQL settings.
    #[serde(deserialize_with = "default_for_nothing")]
    pub promql: PromqlConfig,
    /// Rules and notifications.
    #[serde(deserialize_with = "default_for_nothing")]
    pub alerting: AlertingConfig,
    /// Auto-scaling.
    #[serde(deserialize_with = "default_for_nothing")]
    pub scaling: ScalingConfig,
    /// Where metrics are sent on to.
    #[serde(deserialize_with = "default_for_nothing")]
    pub remote_write: Vec<RemoteWriteConfig>,
    /// Log output.
    #[serde(deserialize_with = "default_for_nothing")]
    pub log: LogConfig,
}

/// The data folder.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataDir(pub PathBuf);

impl Default for DataDir {
    fn default() -> Self {
        DataDir("bellwether-data".into())
    }
}

/// The listening address.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Listen(pub ListenAddress);

impl Default for Listen {
    fn default() -> Self {
        Listen(ListenAddress(SocketAddr::from(([127, 0, 0, 1], 9390))))
    }
}

/// When a token is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Beyond loopback.
    #[default]
    Auto,
    /// On loopback too.
    Always,
}

/// Who may call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// When a token is asked for.
    pub mode: AuthMode,
    /// The tokens.
    #[serde(deserialize_with = "default_for_nothing")]
    pub tokens: Vec<TokenConfig>,
}

/// One token. Exactly one of `token`, `token_file`, `sha256`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// For logs.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// The token itself.
    #[serde(default)]
    pub token: Option<Secret>,
    /// A file with the token.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// The token's SHA-256 in hexadecimal, as `bellwether token` prints it.
    #[serde(default)]
    pub sha256: Option<String>,
}

/// Where metrics and logs are kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// In a ClickHouse; in the data folder when absent.
    pub clickhouse: Option<ClickHouseConfig>,
}

/// How long and how much is kept. A size bound drops the oldest data first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Age of metrics, `0` for no bound by age.
    pub metrics_age: Duration,
    /// Bytes of metrics, `0` for 40 % of the file system.
    pub metrics_size: Bytes,
    /// Age of what remains of metrics in buckets of five minutes, `0` for none.
    pub metrics_5m_age: Duration,
    /// Age of what remains of metrics in buckets of an hour, `0` for none.
    pub metrics_1h_age: Duration,
    /// Age of logs, `0` for no bound by age.
    pub logs_age: Duration,
    /// Bytes of logs, `0` for 40 % of the file system.
    pub logs_size: Bytes,
    /// Log streams that are kept for another age.
    #[serde(deserialize_with = "default_for_nothing")]
    pub logs_streams: Vec<StreamRetentionConfig>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        RetentionConfig {
            metrics_age: Duration(0),
            metrics_size: Bytes(0),
            metrics_5m_age: Duration(0),
            metrics_1h_age: Duration(0),
            logs_age: Duration(0),
            logs_size: Bytes(0),
            logs_streams: Vec::new(),
        }
    }
}

/// Bounds on what is received.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Largest request body as sent.
    #[serde(deserialize_with = "zero_is::<BODY_BYTES_MAX, _, _>")]
    pub body_bytes_max: Bytes,
    /// Largest request body once decompressed.
    #[serde(deserialize_with = "zero_is::<DECOMPRESSED_BYTES_MAX, _, _>")]
    pub decompressed_bytes_max: Bytes,
    /// Write requests worked on at once; further ones wait, then are told to come back.
    #[serde(deserialize_with = "zero_is::<WRITES_IN_FLIGHT_MAX, _, _>")]
    pub writes_in_flight_max: usize,
    /// What is kept on disk for endpoints of `remote_write` that are slow or away.
    #[serde(deserialize_with = "zero_is::<REMOTE_WRITE_BYTES_MAX, _, _>")]
    pub remote_write_bytes_max: Bytes,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            body_bytes_max: Bytes(BODY_BYTES_MAX),
            decompressed_bytes_max: Bytes(DECOMPRESSED_BYTES_MAX),
            writes_in_flight_max: WRITES_IN_FLIGHT_MAX as usize,
            remote_write_bytes_max: Bytes(REMOTE_WRITE_BYTES_MAX),
        }
    }
}

/// Bounds on queries.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Longest a query may run.
    #[serde(deserialize_with = "zero_is::<TIMEOUT_MS, _, _>")]
    pub timeout: Duration,
    /// Samples or lines a query may hold at once.
    #[serde(deserialize_with = "zero_is::<SAMPLES_MAX, _, _>")]
    pub samples_max: u64,
    /// Memory a query may use.
    #[serde(deserialize_with = "zero_is::<MEMORY_BYTES_MAX, _, _>")]
    pub memory_bytes_max: Bytes,
    /// Bytes a query may read from storage.
    #[serde(deserialize_with = "zero_is::<READ_BYTES_MAX, _, _>")]
    pub read_bytes_max: Bytes,
    /// Queries that run at once; the number of cores when absent or 0.
    #[serde(deserialize_with = "absent_when_zero")]
    pub concurrency: Option<usize>,
    /// Queries that may wait; with `0` none does.
    pub queue: usize,
    /// A query that takes longer is logged; `0` for none.
    pub slow_log: Duration,
    /// Log lines a query may return.
    #[serde(deserialize_with = "zero_is::<LOG_LINES_MAX, _, _>")]
    pub log_lines_max: usize,
    /// Longest range of a LogQL query; `0` for no bound.
    pub log_range_max: Duration,
}

impl Default for QueryConfig {
    fn default() -> Self {
        QueryConfig {
            timeout: Duration(TIMEOUT_MS),
            samples_max: SAMPLES_MAX,
            memory_bytes_max: Bytes(MEMORY_BYTES_MAX),
            read_bytes_max: Bytes(READ_BYTES_MAX),
            concurrency: None,
            queue: 64,
            slow_log: Duration(5_000),
            log_lines_max: LOG_LINES_MAX as usize,
            log_range_max: Duration(721 * 3_600_000),
        }
    }
}

/// PromQL settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromqlConfig {
    /// Experimental functions, duration expressions, `anchored`/`smoothed`, `fill`.
    pub experimental: bool,
    /// How far back an instant selector looks.
    #[serde(deserialize_with = "zero_is::<LOOKBACK_MS, _, _>")]
    pub lookback: Duration,
}

impl Default for PromqlConfig {
    fn default() -> Self {
        PromqlConfig { experimental: false, lookback: Duration(LOOKBACK_MS) }
    }
}

/// Rules and notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertingConfig {
    /// Rule files, folders of them, and git repositories.
    #[serde(deserialize_with = "default_for_nothing")]
    pub rules: Vec<RuleSource>,
    /// Whether the rules shipped inside the program are evaluated too.
    pub shipped_rules: bool,
    /// Packs of shipped rules that are on or off whatever their metrics say.
    #[serde(deserialize_with = "default_for_nothing")]
    pub packs: PackModes,
    /// Files of silences, or folders of them.
    #[serde(deserialize_with = "default_for_nothing")]
    pub silences: Vec<PathBuf>,
    /// Routes and receivers, in Alertmanager's format.
    pub alertmanager_config: Option<PathBuf>,
    /// How often rules are evaluated whose group does not say.
    #[serde(deserialize_with = "zero_is::<EVALUATION_INTERVAL_MS, _, _>")]
    pub evaluation_interval: Duration,
    /// The address people reach this server by, for links in notifications.
    pub external_url: Option<ExternalUrl>,
}

impl Default for AlertingConfig {
    fn default() -> Self {
        AlertingConfig {
            rules: Vec::new(),
            shipped_rules: true,
            packs: PackModes::default(),
            silences: Vec::new(),
            alertmanager_config: None,
            evaluation_interval: Duration(EVALUATION_INTERVAL_MS),
            external_url: None,
        }
    }
}

/// Auto-scaling.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingConfig {
    /// Policy files, or folders of them.
    #[serde(deserialize_with = "default_for_nothing")]
    pub policies: Vec<PathBuf>,
}

/// Log output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or `target=level` pairs.
    #[serde(deserialize_with = "daemon::logging::deserialize_filter")]
    pub filter: String,
    /// Text or JSON lines.
    pub format: daemon::logging::Format,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig { filter: "info".into(), format: daemon::logging::Format::Text }
    }
}

/// A setting that is a number of something.
trait Amount {
    fn of(number: u64) -> Self;
}

impl Amount for u64 {
    fn of(number: u64) -> Self {
        number
    }
}

impl Amount for usize {
    fn of(number: u64) -> Self {
        usize::try_from(number).unwrap_or(usize::MAX)
    }
}

impl Amount for Bytes {
    fn of(number: u64) -> Self {
        Bytes(number)
    }
}

impl Amount for Duration {
    fn of(number: u64) -> Self {
        Duration(number)
    }
}

/// Reads an amount of which 0 is the default.
fn zero_is<'de, const DEFAULT: u64, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Amount + PartialEq + Deserialize<'de>,
    D: Deserializer<'de>,
{
    let amount = T::deserialize(deserializer)?;
    Ok(if amount == T::of(0) { T::of(DEFAULT) } else { amount })
}

fn absent_when_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    Ok(Option::deserialize(deserializer)?.filter(|number| *number > 0))
}

/// Milliseconds, written `15s`, `1h30m`, `30d`, or `0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub u64);

/// Milliseconds of a duration that a person wrote.
///
/// # Errors
/// When it is none, or has no unit; the message says how to write it.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    model::parse_duration_ms(text).map_err(|error| match text.parse::<u64>() {
        Ok(number) => format!("`{text}` has no unit; write {number}s, {number}m, {number}h or {number}d"),
        Err(_) => format!("{error}; write 15s, 1h30m or 7d"),
    })
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = TextOrNumber::deserialize(deserializer)?.0;
        let ms = parse_duration_ms(&text).map_err(serde::de::Error::custom)?;
        u64::try_from(ms).map(Duration).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&model::duration_to_string(i64::try_from(self.0).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        let text = "retention: {metrics_age: 30d, metrics_size: 10GiB, logs_age: 0, logs_size: 500}\n";
        let config: Config = daemon::config::parse_yaml(text, "test").unwrap();
        assert_eq!(config.retention.metrics_age, Duration(30 * 86_400_000));
        assert_eq!(config.retention.metrics_size, Bytes(10 << 30));
        assert_eq!((config.retention.logs_age, config.retention.logs_size), (Duration(0), Bytes(500)));
        let error = daemon::config::parse_yaml::<Config>("retention: {logs_size: 5 lightyears}\n", "test")
            .unwrap_err();
        assert!(error.to_string().contains("512MiB"), "{error}");
        for (text, expected) in
            [("300", "`300` has no unit; write 300s"), ("5 min", "write 15s, 1h30m or 7d")]
        {
            let text = format!("retention: {{logs_age: {text}}}\n");
            let error = daemon::config::parse_yaml::<Config>(&text, "test").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_section_with_nothing_below_it_is_its_defaults() {
        let defaults = serde_json::to_value(Config::default()).unwrap();
        let sections: Vec<String> = defaults.as_object().unwrap().keys().cloned().collect();
        for section in sections.iter().filter(|section| *section != "plain_http") {
            let config: Config = daemon::config::parse_yaml(&format!("{section}:\n"), "test").unwrap();
            assert_eq!(serde_json::to_value(config).unwrap(), defaults, "{section}");
        }
        for text in ["data_dir: ~\n", "alerting:\n  rules:\n  # - rules/\n", "scaling: {policies: }\n"] {
            let config: Config = daemon::config::parse_yaml(text, "test").unwrap();
            assert_eq!(serde_json::to_value(config).unwrap(), defaults, "{text}");
        }
    }

    #[test]
    fn zero_is_the_default_where_it_says_nothing_else() {
        // In these it has a meaning of its own.
        let others = ["queue", "slow_log", "log_range_max"];
        let defaults = serde_json::to_value(Config::default()).unwrap();
        for section in ["limits", "query", "promql", "alerting"] {
            let settings = defaults[section].as_object().unwrap();
            let is_amount = |name: &str| {
                let amounts = ["timeout", "concurrency", "lookback", "evaluation_interval"];
                name.ends_with("_max") || amounts.contains(&name)
            };
            for name in settings.keys().filter(|name| is_amount(name) && !others.contains(&name.as_str())) {
                let text = format!("{section}: {{{name}: 0}}\n");
                let config: Config = daemon::config::parse_yaml(&text, "test").unwrap();
                assert_eq!(serde_json::to_value(config).unwrap(), defaults, "{text}");
            }
        }
        let config: Config = daemon::config::parse_yaml("promql: {lookback: 0s}\n", "test").unwrap();
        assert_eq!(config.promql.lookback, Duration(300_000));
        let config: Config =
            daemon::config::parse_yaml("query: {timeout: 7s, concurrency: 3}\n", "test").unwrap();
        assert_eq!((config.query.timeout, config.query.concurrency), (Duration(7_000), Some(3)));
    }

    #[test]
    fn mistakes_are_found_with_their_place() {
        let error =
            daemon::config::parse_yaml::<Config>("auth:\n  token: []\n", "b.yaml").unwrap_err().to_string();
        assert!(error.starts_with("b.yaml:2:3:") && error.contains("did you mean `tokens`?"), "{error}");
    }

    #[test]
    fn the_documented_file_is_the_defaults() {
        let page = include_str!("../../docs/guides/configuration.md");
        let (_, rest) = page.split_once("```yaml\n").unwrap();
        let (sample, _) = rest.split_once("```").unwrap();
        let documented: Config = daemon::config::parse_yaml(sample, "configuration.md").unwrap();
        assert_eq!(
            serde_json::to_value(documented).unwrap(),
            serde_json::to_value(Config::default()).unwrap()
        );
    }
}
