//! From policy files to policies: all of them good, or every problem with its place.

use super::{
    Amount, Check, CheckKind, Direction, Fallback, Guard, Limit, Mode, Per, Policy, Receiver, Schedule,
    Select, Step, Target,
    schema::{
        CheckYaml, DirectionYaml, FileYaml, GuardYaml, LimitYaml, PolicyYaml, ReceiverYaml, ScheduleYaml,
        StepYaml, Text,
    },
};
use crate::{
    cron::{Cron, DURATION_MS_MAX},
    readings::Readings,
};
use daemon::config::ConfigError;
use daemon::{Secret, http::LinkLocal};
use jiff::tz::TimeZone;
use serde_saphyr::Spanned;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

const FILE_BYTES_MAX: u64 = 4 << 20;
const INTERVAL_MS: i64 = 15_000;
const MAX_AGE_MS: i64 = 90_000;
const TOLERANCE: f64 = 0.1;
const SCALE_IN_STABILIZATION_MS: i64 = 300_000;

/// One problem of one file; line and column count from 1, 0 when not known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Problem {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// All problems of a set of files; never empty.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);

/// What a set of files says.
#[derive(Clone, Debug, Default)]
pub struct LoadedPolicies {
    /// In order of file and place.
    pub policies: Vec<Policy>,
    /// By name.
    pub receivers: BTreeMap<String, Receiver>,
}

/// Reads every file among `paths`; a folder stands for its `*.yml` and `*.yaml` files.
///
/// # Errors
/// Every problem of every file; nothing is loaded then.
pub fn load_policies(paths: &[PathBuf], readings: &dyn Readings) -> Result<LoadedPolicies, Problems> {
    load_all(paths, &[], readings)
}

/// As [`load_policies`], with files that come with the program, given by name and text.
pub(crate) fn load_all(
    paths: &[PathBuf],
    built_in: &[(String, String)],
    readings: &dyn Readings,
) -> Result<LoadedPolicies, Problems> {
    let mut loaded = LoadedPolicies::default();
    let mut problems = Vec::new();
    for path in paths {
        let files = match files_of(path) {
            Ok(files) => files,
            Err(error) => {
                problems.push(unreadable(path, &error));
                continue;
            }
        };
        for file in files {
            match read(&file) {
                Ok(text) => Reader::new(&file, readings, &mut loaded, &mut problems).file(&text),
                Err(error) => problems.push(unreadable(&file, &error)),
            }
        }
    }
    for (name, text) in built_in {
        Reader::new(Path::new(name), readings, &mut loaded, &mut problems).file(text);
    }
    check_receivers(&loaded, &mut problems);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let message = format!("failed to read: {error}");
    Problem { file: path.display().to_string(), line: 0, column: 0, message }
}

fn files_of(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"));
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

/// A policy that only writes down what it would do needs no receiver.
fn check_receivers(loaded: &LoadedPolicies, problems: &mut Vec<Problem>) {
    for policy in loaded.policies.iter().filter(|policy| policy.mode != Mode::DryRun) {
        if !loaded.receivers.contains_key(&policy.target.receiver) {
            problems.push(Problem {
                file: policy.file.clone(),
                line: 0,
                column: 0,
                message: format!(
                    "policy `{}`: receiver `{}` is not defined",
                    policy.name, policy.target.receiver
                ),
            });
        }
    }
}

struct Reader<'a> {
    name: String,
    folder: PathBuf,
    readings: &'a dyn Readings,
    loaded: &'a mut LoadedPolicies,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn new(
        file: &Path,
        readings: &'a dyn Readings,
        loaded: &'a mut LoadedPolicies,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        Reader { name: file.display().to_string(), folder, readings, loaded, problems }
    }

    fn report<T>(&mut self, at: &Spanned<T>, message: impl Into<String>) {
        self.problems.push(Problem {
            file: self.name.clone(),
            line: at.referenced.line() as usize,
            column: at.referenced.column() as usize,
            message: message.into(),
        });
    }

    fn file(mut self, text: &str) {
        let parsed: FileYaml = match daemon::config::parse_yaml_with_all_mistakes(text, &self.name) {
            Ok(parsed) => parsed,
            Err(mistakes) => {
                let problems = mistakes.into_iter().map(|mistake| problem_of(mistake, &self.name));
                return self.problems.extend(problems);
            }
        };
        if let Some(version) = parsed.version.as_ref().filter(|version| version.value != 1) {
            self.report(version, format!("version is {}, this program reads version 1", version.value));
        }
        for receiver in &parsed.receivers {
            self.receiver(receiver);
        }
        for policy in &parsed.policies {
            let before = self.problems.len();
            let built = self.policy(policy);
            if self.problems.len() == before {
                self.loaded.policies.push(built);
            }
        }
    }

    fn receiver(&mut self, written: &Spanned<ReceiverYaml>) {
        let yaml = &written.value;
        let url = match reqwest::Url::parse(&yaml.url.value) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            _ => return self.report(&yaml.url, format!("`{}` is not an HTTP URL", yaml.url.value)),
        };
        let link_local = if yaml.allow_link_local { LinkLocal::Allowed } else { LinkLocal::Refused };
        if link_local == LinkLocal::Refused
            && let Err(refused) = daemon::http::check_target(&url)
        {
            return self.report(&yaml.url, refused.to_string());
        }
        let path = yaml.secret_file.as_ref().map(|file| self.folder.join(file));
        match Secret::resolve("secret", yaml.secret.as_ref(), path.as_deref()) {
            Ok(secret) => {
                let receiver = Receiver { name: yaml.name.clone(), url, secret, link_local };
                if self.loaded.receivers.insert(yaml.name.clone(), receiver).is_some() {
                    self.report(written, format!("receiver `{}` is defined twice", yaml.name));
                }
            }
            Err(error) => self.report(written, error.to_string()),
        }
    }

    fn policy(&mut self, written: &Spanned<PolicyYaml>) -> Policy {
        let yaml = &written.value;
        let uid = yaml.uid.clone().unwrap_or_else(|| yaml.name.clone());
        if yaml.name.is_empty()
            || uid.is_empty()
            || !uid.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        {
            self.report(written, "a policy needs a name, and a uid of letters, digits, `-`, `_` and `.`");
        }
        if self.loaded.policies.iter().any(|policy| policy.uid == uid) {
            self.report(written, format!("uid `{uid}` is used twice"));
        }
        if yaml.max.value < yaml.min.max(1) {
            self.report(&yaml.max, "`max` must be at least 1 and at least `min`");
        }
        if yaml.checks.is_empty() {
            self.report(written, "a policy needs at least one check");
        }
        let mut names = BTreeSet::new();
        for check in &yaml.checks {
            if !names.insert(&check.value.name) {
                self.report(check, format!("check `{}` is defined twice", check.value.name));
            }
        }
        self.expression(&yaml.target.current);
        Policy {
            name: yaml.name.clone(),
            uid,
            file: self.name.clone(),
            mode: yaml.mode.as_ref().map_or(Mode::Enforce, |mode| self.mode(mode)),
            target: Target {
                receiver: yaml.target.receiver.value.clone(),
                kind: yaml.target.kind.clone().unwrap_or_else(|| "generic".to_owned()),
                id: yaml.target.id.clone(),
                current: yaml.target.current.value.clone(),
            },
            min: yaml.min,
            max: yaml.max.value,
            interval_ms: self.duration(yaml.interval.as_ref(), INTERVAL_MS).max(1000),
            checks: yaml.checks.iter().map(|check| self.check(check)).collect(),
            scale_out: self.direction(yaml.scale_out.as_ref(), 0, Select::Max),
            scale_in: self.direction(yaml.scale_in.as_ref(), SCALE_IN_STABILIZATION_MS, Select::Min),
            schedules: yaml.schedules.iter().filter_map(|schedule| self.schedule(schedule)).collect(),
            fallback: yaml.fallback.as_ref().map(|fallback| {
                if let Some(never) = fallback.never_scale_in.as_ref().filter(|never| !never.value) {
                    self.report(never, "a lack of data never shrinks anything; leave `never_scale_in` out");
                }
                Fallback { after_ms: self.duration(Some(&fallback.after), 0), replicas: fallback.replicas }
            }),
            guards: yaml.guards.iter().map(|guard| self.guard(guard)).collect(),
            annotations: yaml.annotations.clone(),
        }
    }

    fn mode(&mut self, text: &Text) -> Mode {
        match text.value.as_str() {
            "enforce" => Mode::Enforce,
            "dry_run" => Mode::DryRun,
            "paused" => Mode::Paused,
            "paused_in" => Mode::PausedIn,
            "paused_out" => Mode::PausedOut,
            other => {
                let known = "`enforce`, `dry_run`, `paused`, `paused_in`, `paused_out`";
                self.report(text, format!("mode is `{other}`, must be one of {known}"));
                Mode::Paused
            }
        }
    }

    fn guard(&mut self, guard: &GuardYaml) -> Guard {
        let effect = self.mode(&guard.effect);
        if matches!(effect, Mode::Enforce | Mode::DryRun) {
            self.report(&guard.effect, "a guard can only pause: `paused`, `paused_in` or `paused_out`");
        }
        Guard { alert: guard.alert.clone(), effect }
    }

    fn duration(&mut self, text: Option<&Text>, default_ms: i64) -> i64 {
        let Some(text) = text else { return default_ms };
        model::parse_duration_ms(&text.value).unwrap_or_else(|error| {
            self.report(text, error);
            default_ms
        })
    }

    fn expression(&mut self, expr: &Text) {
        if let Err((line, column, message)) = self.readings.check(&expr.value) {
            self.report(expr, format!("could not parse expression: {line}:{column}: {message}"));
        }
    }

    fn check(&mut self, written: &Spanned<CheckYaml>) -> Check {
        let yaml = &written.value;
        self.expression(&yaml.query);
        let kind = match yaml.r#type.value.as_str() {
            "target" => self.target_check(written),
            "step" => CheckKind::Step(yaml.steps.iter().map(|step| self.step(step)).collect()),
            other => {
                self.report(&yaml.r#type, format!("type is `{other}`, must be `target` or `step`"));
                CheckKind::Step(Vec::new())
            }
        };
        let fail_on_no_data = match yaml.on_no_data.as_ref().map(|text| (text.value.as_str(), text)) {
            None | Some(("hold", _)) => false,
            Some(("fail", _)) => true,
            Some((other, at)) => {
                let advice = "no data is not zero; where it is, say so in the query: `… or vector(0)`";
                self.report(at, format!("on_no_data is `{other}`, must be `hold` or `fail` ({advice})"));
                false
            }
        };
        Check {
            name: yaml.name.clone(),
            query: yaml.query.value.clone(),
            kind,
            max_age_ms: self.duration(yaml.max_age.as_ref(), MAX_AGE_MS),
            fail_on_no_data,
        }
    }

    fn target_check(&mut self, written: &Spanned<CheckYaml>) -> CheckKind {
        let yaml = &written.value;
        let target = yaml.target.unwrap_or_default();
        if !(target.is_finite() && target > 0.0) {
            self.report(written, "a target check needs a `target` above 0");
        }
        let tolerance = yaml.tolerance.unwrap_or(TOLERANCE);
        if !(0.0..1.0).contains(&tolerance) {
            self.report(written, "`tolerance` must be from 0 to less than 1");
        }
        let per = match yaml.per.as_ref().map(|per| (per.value.as_str(), per)) {
            None | Some(("total", _)) => Per::Total,
            Some(("replica", _)) => Per::Replica,
            Some((other, at)) => {
                self.report(at, format!("per is `{other}`, must be `total` or `replica`"));
                Per::Total
            }
        };
        CheckKind::Target { per, target, tolerance, activation: yaml.activation.unwrap_or(0.0) }
    }

    fn step(&mut self, written: &Spanned<StepYaml>) -> Step {
        let yaml = &written.value;
        if yaml.to.is_some_and(|to| to <= yaml.from) {
            self.report(written, "a step's `to` must be above its `from`");
        }
        let text = yaml.add.value.trim();
        let percent = text.strip_suffix('%').map(str::parse::<f64>);
        let add = match (percent, text.parse::<i64>()) {
            (Some(Ok(percent)), _) if percent.is_finite() => Amount::Percent(percent),
            (None, Ok(count)) => Amount::Count(count),
            _ => {
                self.report(&yaml.add, format!("`{text}` is not a number of replicas or a percentage"));
                Amount::Count(0)
            }
        };
        Step { from: yaml.from, to: yaml.to, add }
    }

    fn direction(
        &mut self,
        yaml: Option<&DirectionYaml>,
        stabilization_ms: i64,
        select: Select,
    ) -> Direction {
        let Some(yaml) = yaml else {
            return Direction { stabilization_ms, cooldown_ms: 0, limits: Vec::new(), select };
        };
        Direction {
            stabilization_ms: self.duration(yaml.stabilization.as_ref(), stabilization_ms),
            cooldown_ms: self.duration(yaml.cooldown.as_ref(), 0),
            limits: yaml.limits.iter().map(|limit| self.limit(limit)).collect(),
            select: match yaml.select.as_ref().map(|text| (text.value.as_str(), text)) {
                None => select,
                Some(("max", _)) => Select::Max,
                Some(("min", _)) => Select::Min,
                Some(("disabled", _)) => Select::Disabled,
                Some((other, at)) => {
                    self.report(at, format!("select is `{other}`, must be `max`, `min` or `disabled`"));
                    select
                }
            },
        }
    }

    fn limit(&mut self, written: &Spanned<LimitYaml>) -> Limit {
        let yaml = &written.value;
        let amount = match (yaml.count, yaml.percent) {
            (Some(count), None) if count > 0 => Amount::Count(count.into()),
            (None, Some(percent)) if percent > 0.0 && percent.is_finite() => Amount::Percent(percent),
            _ => {
                self.report(written, "a limit needs one of `count` and `percent`, above 0");
                Amount::Count(1)
            }
        };
        let period_ms = self.duration(Some(&yaml.period), 60_000);
        if period_ms == 0 {
            self.report(&yaml.period, "`period` cannot be zero");
        }
        Limit { amount, period_ms }
    }

    fn schedule(&mut self, written: &Spanned<ScheduleYaml>) -> Option<Schedule> {
        let yaml = &written.value;
        let cron = Cron::parse(&yaml.cron.value).map_err(|error| self.report(&yaml.cron, error)).ok();
        let zone = match &yaml.tz {
            None => Some(TimeZone::UTC),
            Some(name) => TimeZone::get(&name.value)
                .map_err(|_| self.report(name, format!("time zone `{}` is not known", name.value)))
                .ok(),
        };
        let duration_ms = self.duration(Some(&yaml.duration), 0);
        if !(1..=DURATION_MS_MAX).contains(&duration_ms) {
            self.report(&yaml.duration, "`duration` must be above 0 and at most 31 days");
        }
        Some(Schedule {
            name: yaml.name.clone(),
            cron: cron?,
            duration_ms,
            zone: zone?,
            min: yaml.min,
            max: yaml.max,
        })
    }
}

fn problem_of(mistake: ConfigError, file: &str) -> Problem {
    match mistake {
        ConfigError::Invalid { path, line, column, message } => Problem { file: path, line, column, message },
        other => Problem { file: file.to_owned(), line: 0, column: 0, message: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
