//! Alertmanager's configuration format: strict, every problem with its place, every secret also
//! by file.
//!
//! Without a file there is a route to one receiver that tells nobody: alerts are then visible on
//! the page and through the API.

mod connection;
mod effective;
mod email;
mod global;
mod http;
mod oauth2;
mod receiver;
mod route;
mod text_fields;
mod tls;
mod webhook;

pub use email::{EmailConfig, SmtpTls};
pub(crate) use global::GlobalYaml;
pub use http::{Authorization, HttpConfig, SecretUrl};
pub(crate) use http::{HttpYaml, check_target, required_secret, secret, target, target_or};
pub use receiver::{Integration, IntegrationConfig, OnMute, Receiver};
pub(crate) use route::matchers as route_matchers;
pub(crate) use text_fields::texts;
pub use webhook::{WebhookConfig, WebhookUrl};

pub use crate::receivers::{
    discord::DiscordConfig, heartbeat::HeartbeatConfig, mattermost::MattermostConfig, msteams::MsteamsConfig,
    msteamsv2::Msteamsv2Config, opsgenie::OpsgenieConfig, pagerduty::PagerdutyConfig,
    pushover::PushoverConfig, rocketchat::RocketchatConfig, slack::SlackConfig, sns::SnsConfig,
    telegram::TelegramConfig, victorops::VictoropsConfig, webex::WebexConfig,
};

use crate::{
    expand::NotificationTemplates,
    inhibit::{InhibitRule, InhibitRuleYaml},
    problem::{Place, Problem, Problems, parse_yaml_file, read_file},
    route::RouteTree,
    time_interval::{TimeInterval, TimeIntervalYaml},
};
use receiver::ReceiverYaml;
use route::RouteYaml;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The name of the receiver that a server without a configuration has.
pub const BUILT_IN_RECEIVER: &str = "recorded-only";

/// Everything the notification half is told by its user.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ends an alert whose sender gave no end and does not renew it.
    pub resolve_timeout_ms: i64,
    /// How long the end of an alert that flaps is held back; 0 for not at all.
    pub hold_flapping_ms: i64,
    /// Which alerts go where, and when.
    pub routes: RouteTree,
    /// By name.
    pub receivers: BTreeMap<String, Arc<Receiver>>,
    /// Their names in the order of the file.
    pub receiver_names: Vec<String>,
    /// Which alerts silence which.
    pub inhibit_rules: Vec<InhibitRule>,
    /// By name.
    pub time_intervals: BTreeMap<String, TimeInterval>,
    /// Named templates for notifications.
    pub templates: NotificationTemplates,
    /// The configuration as it is shown, with secrets hidden.
    pub shown: String,
}

impl Default for Config {
    fn default() -> Self {
        let text =
            format!("route:\n  receiver: {BUILT_IN_RECEIVER}\nreceivers:\n- name: {BUILT_IN_RECEIVER}\n");
        Config::parse("built-in configuration", &text, Path::new("."))
            .expect("the built-in configuration is tested to be good")
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfigYaml {
    #[serde(default)]
    global: Option<Spanned<GlobalYaml>>,
    route: Option<Spanned<RouteYaml>>,
    #[serde(default, deserialize_with = "or_default")]
    receivers: Vec<Spanned<ReceiverYaml>>,
    #[serde(default, deserialize_with = "or_default")]
    inhibit_rules: Vec<Spanned<InhibitRuleYaml>>,
    #[serde(default, deserialize_with = "or_default")]
    time_intervals: Vec<Spanned<TimeIntervalYaml>>,
    /// The older name of the same list.
    #[serde(default, deserialize_with = "or_default")]
    mute_time_intervals: Vec<Spanned<TimeIntervalYaml>>,
    #[serde(default, deserialize_with = "or_default")]
    templates: Vec<Spanned<String>>,
    // What Alertmanager tells of itself: known, and of no account here.
    #[serde(rename = "tracing")]
    _tracing: Option<serde_json::Value>,
    #[serde(rename = "event_recorder")]
    _event_recorder: Option<serde_json::Value>,
}

impl Config {
    /// Reads `path`; relative paths in it count from its folder.
    ///
    /// # Errors
    /// Every problem found, each with its place.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let text = read_file(path).map_err(|problem| Problems(vec![problem]))?;
        Self::parse(&path.display().to_string(), &text, path.parent().unwrap_or(Path::new(".")))
    }

    /// As [`Config::load`], from text; `folder` is where relative paths count from.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Self, Problems> {
        let parsed: ConfigYaml = parse_yaml_file(text, file)
            .map_err(|problems| Problems(problems.into_iter().map(name_the_supported).collect()))?;
        let mut context = Context { file, folder, problems: Vec::new(), texts: Vec::new() };
        if let Some(global) = &parsed.global {
            global.value.check(&mut context, Place::of(global));
        }
        let global = parsed.global.map(|global| global.value).unwrap_or_default();
        let receivers = receivers(&mut context, &global, &parsed.receivers);
        let time_intervals =
            time_intervals(&mut context, &parsed.time_intervals, &parsed.mute_time_intervals);
        let routes = match &parsed.route {
            Some(root) => route::build(&mut context, root, &receivers, &time_intervals),
            None => {
                context.report(Place { line: 1, column: 1 }, "no route provided");
                None
            }
        };
        let built = parsed.inhibit_rules.iter().map(|rule| rule.value.build(file));
        let inhibit_rules = built.filter_map(|rule| context.keep(rule)).collect();
        let templates = templates(&mut context, &parsed.templates);
        context.check_texts(&templates);
        let resolve_timeout_ms = global.resolve_timeout_ms(&mut context);
        let hold_flapping_ms = context.duration("hold_flapping", global.hold_flapping.as_ref(), 0);
        match (routes, context.problems) {
            (Some(routes), problems) if problems.is_empty() => Ok(Config {
                resolve_timeout_ms,
                hold_flapping_ms,
                routes,
                receivers,
                receiver_names: parsed.receivers.iter().map(|it| it.value.name().to_owned()).collect(),
                inhibit_rules,
                time_intervals,
                templates,
                shown: effective::shown(text),
            }),
            (_, problems) => Err(Problems(problems)),
        }
    }
}

/// A list or map whose key stands there with nothing behind it is empty, as in Alertmanager.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What building needs, and the problems so far.
pub(crate) struct Context<'a> {
    pub(crate) file: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) problems: Vec<Problem>,
    /// Templates of receivers, to be checked once the named ones are known.
    texts: Vec<(Place, String)>,
}

impl Context<'_> {
    pub(crate) fn report(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(place.problem(self.file, message));
    }

    /// The good value, or `None` and one problem more.
    pub(crate) fn keep<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem)).ok()
    }

    /// A duration where one is given; `default_ms` when not, or when it is wrong.
    pub(crate) fn duration(&mut self, field: &str, text: Option<&Spanned<String>>, default_ms: i64) -> i64 {
        let Some(text) = text else { return default_ms };
        match model::parse_duration_ms(&text.value) {
            Ok(duration_ms) => duration_ms,
            Err(error) => {
                self.report(Place::of(text), format!("{field}: {error}"));
                default_ms
            }
        }
    }

    /// A template: the given one, or the default.
    pub(crate) fn text(&mut self, given: Option<&Spanned<String>>, default: &str) -> String {
        let Some(given) = given else { return default.to_owned() };
        self.texts.push((Place::of(given), given.value.clone()));
        given.value.clone()
    }

    fn check_texts(&mut self, templates: &NotificationTemplates) {
        for (place, text) in std::mem::take(&mut self.texts) {
            if let Err(error) = templates.check(&text) {
                self.report(place, format!("template: {error}"));
            }
        }
    }

    /// A path counted from the configuration's folder.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }
}

fn receivers(
    context: &mut Context<'_>,
    global: &GlobalYaml,
    written: &[Spanned<ReceiverYaml>],
) -> BTreeMap<String, Arc<Receiver>> {
    let mut receivers = BTreeMap::new();
    for receiver in written {
        let built = receiver.value.build(context, global, Place::of(receiver));
        if receivers.insert(built.name.clone(), Arc::new(built)).is_some() {
            let message = format!("notification config name `{}` is not unique", receiver.value.name());
            context.report(Place::of(receiver), message);
        }
    }
    receivers
}

fn time_intervals(
    context: &mut Context<'_>,
    written: &[Spanned<TimeIntervalYaml>],
    older: &[Spanned<TimeIntervalYaml>],
) -> BTreeMap<String, TimeInterval> {
    let mut intervals = BTreeMap::new();
    for interval in written.iter().chain(older) {
        let place = Place::of(interval.value.name());
        let Some(built) = context.keep(interval.value.build(context.file)) else { continue };
        if built.name.is_empty() {
            context.report(place, "time interval without a name");
        }
        if let Some(twice) = intervals.insert(built.name.clone(), built) {
            context.report(place, format!("time interval `{}` is not unique", twice.name));
        }
    }
    intervals
}

fn templates(context: &mut Context<'_>, patterns: &[Spanned<String>]) -> NotificationTemplates {
    let mut templates = NotificationTemplates::default();
    for pattern in patterns {
        let files = match template_files(&context.path(Path::new(&pattern.value))) {
            Ok(files) => files,
            Err(error) => {
                context.report(Place::of(pattern), format!("failed to read `{}`: {error}", pattern.value));
                continue;
            }
        };
        for path in files {
            let name = path.display().to_string();
            let Some(text) = context.keep(read_file(&path)) else { continue };
            if let Err((line, message)) = templates.add(&name, &text) {
                context.problems.push(Place { line, column: 1 }.problem(&name, message));
            }
        }
    }
    templates
}

/// The files of `folder/pattern`, in order; only the last part may have `*` and `?`. As in
/// Alertmanager, whose sample names such a folder, neither it nor a file need exist.
fn template_files(pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?']) {
        let exists = pattern.try_exists()?;
        if !exists {
            tracing::warn!(file = %pattern.display(), "a file of `templates` does not exist");
        }
        return Ok(exists.then(|| pattern.to_owned()).into_iter().collect());
    }
    let regex = regex::escape(&name).replace(r"\*", ".*").replace(r"\?", ".");
    let regex = regex::Regex::new(&format!("^{regex}$")).map_err(std::io::Error::other)?;
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let mut files = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if regex.is_match(&entry.file_name().to_string_lossy()) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Integrations of Alertmanager that we do not have: nobody has mistyped them.
const OF_ALERTMANAGER: [&str; 6] = [
    "incidentio_configs",
    "jira_configs",
    "jsm_configs",
    "jsmops_configs",
    "signl4_configs",
    "wechat_configs",
];

/// What Alertmanager knows and we do not, and what to do about it.
const UNSUPPORTED: [(&str, &str); 4] = [
    (
        "labels",
        "a route has no labels of its own here; give them in the rule, or tell routes apart by receiver",
    ),
    (
        "payload",
        "a webhook's body is always Alertmanager's JSON here; let what receives it make another of it",
    ),
    ("thread_message", "messages are not put into threads here; leave it out"),
    ("update_message", "a message is not changed once it is sent here; leave it out"),
];

/// An integration or a setting that we do not have is a plain "unknown field" to the reader of YAML.
fn name_the_supported(mut problem: Problem) -> Problem {
    if !problem.message.contains("unknown field") {
        return problem;
    }
    let unknown = problem.message.split('`').nth(1).unwrap_or_default();
    if unknown.ends_with("_configs") {
        let supported = receiver::SUPPORTED.join("`, `");
        let said =
            daemon::config::explain(&format!("unknown field `{unknown}`, expected one of `{supported}`"));
        let suggestion = said.split("; did you mean").nth(1).filter(|_| !OF_ALERTMANAGER.contains(&unknown));
        let advice = match suggestion {
            Some(rest) => format!("did you mean{rest}"),
            None => "reach others through `webhook_configs` and a service that passes it on".to_owned(),
        };
        problem.message = format!(
            "receiver integration `{unknown}` is not supported; supported are `{supported}`; {advice}"
        );
    } else if let Some((name, advice)) = UNSUPPORTED.iter().find(|(name, _)| *name == unknown) {
        problem.message = format!("`{name}` is not supported: {advice}");
    }
    problem
}

#[cfg(test)]
mod tests;
