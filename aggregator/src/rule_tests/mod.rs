//! Unit tests of rules: promtool's format and verdicts, and cases of our own for pending alerts,
//! notifications, log lines and scaling.
//!
//! A test feeds its inputs into stores in memory and lets the evaluator, the dispatcher and the
//! scaling decision that a server runs work on them, by a clock of its own. As with promtool, all
//! groups are evaluated every `evaluation_interval`, whatever their own says; a case sees the last
//! evaluation at or before its `eval_time`; a query sees inputs up to the last evaluation.

mod cases;
mod compare;
mod files;
mod inputs;
mod render;
mod schema;
mod update;
mod world;

pub(crate) use update::updated;

use crate::{
    config::{PromqlConfig, QueryConfig},
    evaluate::Evaluator,
    readings::PolicyReadings,
};
use alerting::{config::Config, rules::GroupDefinition};
use model::Labels;
use schema::{FileYaml, List, TestYaml};
use serde_saphyr::{Location, Spanned};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Largest test file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Between evaluations, when the file does not say.
const DEFAULT_INTERVAL_MS: i64 = 60_000;

/// How tests are run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Only tests whose name matches.
    pub(crate) only: Option<regex::Regex>,
    /// PromQL settings.
    pub(crate) promql: PromqlConfig,
}

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Tests that were run.
    pub(crate) tests: usize,
    /// Cases of those tests that were compared.
    pub(crate) cases: usize,
    /// What is wrong.
    pub(crate) failures: Vec<Failure>,
    /// What is remarkable.
    pub(crate) warnings: Vec<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Line, from 1; 0 when the place is not known.
    pub(crate) line: u64,
    /// Column, from 1.
    pub(crate) column: u64,
    /// What is wrong; more than one line where expected and found are shown.
    pub(crate) message: String,
    /// What would make it right.
    fix: Option<Fix>,
}

/// The value that a key of a case should have.
#[derive(Clone, Debug)]
struct Fix {
    key: &'static str,
    value: render::Yaml,
}

impl Failure {
    fn at(place: Location, message: impl Into<String>) -> Self {
        Failure { line: place.line(), column: place.column(), message: message.into(), fix: None }
    }

    fn of_file(message: impl Into<String>) -> Self {
        Failure { line: 0, column: 0, message: message.into(), fix: None }
    }
}

/// Reads a test file's text.
///
/// # Errors
/// When the file cannot be read or is too large.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::of_file(format!("failed to read: {error}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > FILE_BYTES_MAX {
        return Err(Failure::of_file(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn parse(text: &str) -> Result<FileYaml, Vec<Failure>> {
    let failure = |mistake| match mistake {
        daemon::config::ConfigError::Invalid { line, column, message, .. } => {
            Failure { line: line as u64, column: column as u64, message, fix: None }
        }
        other => Failure::of_file(other.to_string()),
    };
    let parsed = daemon::config::parse_yaml_with_all_mistakes(text, "");
    parsed.map_err(|mistakes| mistakes.into_iter().map(failure).collect())
}

/// How many tests a file has, when it can be read.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check(text: &str) -> Result<usize, Vec<Failure>> {
    parse(text).map(|file| file.tests.iter().flatten().count())
}

/// Runs the tests of the file at `path`, whose text is given.
pub(crate) fn run(path: &Path, text: &str, options: &Options) -> Report {
    let mut report = Report::default();
    let suite_of = |file: FileYaml| {
        let suite = Suite::new(path, &file, options, &mut report);
        suite.map(|suite| (file, suite)).map_err(|failure| vec![failure])
    };
    match parse(text).and_then(suite_of) {
        Err(failures) => report.failures.extend(failures),
        Ok((file, mut suite)) => {
            for test in file.tests.iter().flatten() {
                let name = test.value.name.as_deref().unwrap_or_default();
                if options.only.as_ref().is_none_or(|only| only.is_match(name)) {
                    report.tests += 1;
                    suite.run(test, &mut report);
                }
            }
        }
    }
    report
}

/// A file's settings, and what its tests share.
struct Suite<'a> {
    options: &'a Options,
    rule_files: Vec<PathBuf>,
    policy_files: Vec<PathBuf>,
    routes_file: Option<PathBuf>,
    step_ms: i64,
    order: BTreeMap<String, usize>,
    fuzzy: bool,
    /// Read at the first test; a file without tests may name what does not exist.
    loaded: Option<Result<Loaded, Failure>>,
}

#[derive(Clone)]
struct Loaded {
    groups: Vec<Arc<GroupDefinition>>,
    policies: Vec<scaling::Policy>,
    routes: Option<Arc<Config>>,
}

impl<'a> Suite<'a> {
    fn new(path: &Path, file: &FileYaml, options: &'a Options, report: &mut Report) -> Result<Self, Failure> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut order = BTreeMap::new();
        for (index, name) in file.group_eval_order.iter().flatten().enumerate() {
            if order.insert(name.value.clone(), index).is_some() {
                let message = format!("group name repeated in evaluation order: `{}`", name.value);
                return Err(Failure::at(name.referenced, message));
            }
        }
        let step_ms = match &file.evaluation_interval {
            None => DEFAULT_INTERVAL_MS,
            Some(text) => match duration(text)? {
                0 => DEFAULT_INTERVAL_MS,
                ms => ms,
            },
        };
        Ok(Suite {
            options,
            rule_files: find_all(folder, &file.rule_files, report)?,
            policy_files: find_all(folder, &file.policy_files, report)?,
            routes_file: file.alertmanager_config.as_ref().map(|name| folder.join(&name.value)),
            step_ms,
            order,
            fuzzy: file.fuzzy_compare,
            loaded: None,
        })
    }

    fn load(&self) -> Result<Loaded, Failure> {
        let (metrics, logs) = (Arc::new(store::MemMetricStore::new()), Arc::new(store::MemLogStore::new()));
        let evaluator =
            Arc::new(Evaluator::new(metrics, logs, &QueryConfig::default(), &self.options.promql));
        let failed = |problems: String| Failure::of_file(problems);
        let rules = alerting::rules::load_rules(&self.rule_files, evaluator.as_ref())
            .map_err(|problems| failed(problems.to_string()))?;
        let mut groups: Vec<_> = rules.groups.into_iter().map(Arc::new).collect();
        // Groups that the order does not name count as first, as with promtool.
        groups.sort_by_key(|group| self.order.get(&group.name).copied().unwrap_or(0));
        let readings = PolicyReadings::new(evaluator, None);
        let policies = if self.policy_files.is_empty() {
            Vec::new()
        } else {
            let loaded = scaling::load_policies(&self.policy_files, &readings);
            loaded.map_err(|problems| failed(problems.to_string()))?.policies
        };
        let routes = self.routes_file.as_deref().map(Config::load).transpose();
        let routes = routes.map_err(|problems| failed(problems.to_string()))?.map(Arc::new);
        Ok(Loaded { groups, policies, routes })
    }

    fn run(&mut self, test: &Spanned<TestYaml>, report: &mut Report) {
        if self.loaded.is_none() {
            self.loaded = Some(self.load());
            if let Some(Err(failure)) = &self.loaded {
                report.failures.push(failure.clone());
            }
        }
        let Some(Ok(loaded)) = self.loaded.clone() else { return };
        let mut failures = Vec::new();
        match cases::Run::new(self, &loaded, test) {
            Err(failure) => failures.push(failure),
            Ok(mut run) => {
                report.cases += run.cases();
                run.run(&mut failures);
            }
        }
        let name = test.value.name.as_deref().filter(|name| !name.is_empty());
        for mut failure in failures {
            if let Some(name) = name {
                failure.message = format!("test `{name}`: {}", failure.message);
            }
            report.failures.push(failure);
        }
    }
}

fn find_all(folder: &Path, patterns: &List<String>, report: &mut Report) -> Result<Vec<PathBuf>, Failure> {
    let mut all = Vec::new();
    for pattern in patterns.iter().flatten() {
        let found = files::find(folder, &pattern.value);
        let found = found.map_err(|error| Failure::at(pattern.referenced, error))?;
        if found.is_empty() {
            report.warnings.push(format!("no file matches `{}`", pattern.value));
        }
        all.extend(found);
    }
    Ok(all)
}

fn duration(text: &Spanned<String>) -> Result<i64, Failure> {
    model::parse_duration_ms(&text.value).map_err(|error| Failure::at(text.referenced, error))
}

fn labels(texts: &schema::Texts) -> Labels {
    Labels::from_pairs(compare::pairs(texts))
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod golden;
