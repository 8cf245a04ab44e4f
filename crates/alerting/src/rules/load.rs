//! From rule files to definitions: all of them good, or every problem with its place.

use super::{
    definition::{DEFAULT_INTERVAL_MS, GroupDefinition, NoData, RuleDefinition, RuleKind},
    manifest::{self, is_manifest},
    schema::{FileYaml, GroupYaml, RuleYaml, TextMap},
};
use crate::{
    expand,
    problem::{Place, Problem, Problems, parse_yaml_file, read_file},
    querier::{Querier, Source},
};
use serde_saphyr::Spanned;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Most rule files of one load; a folder with more is a mistake.
const FILES_MAX: usize = 10_000;

/// What a load found: definitions in order of file and place, and remarks that forbid nothing.
#[derive(Clone, Debug)]
pub struct LoadedRules {
    /// Good groups.
    pub groups: Vec<GroupDefinition>,
    /// Such as one rule written twice.
    pub warnings: Vec<Problem>,
    /// Name and text of each file that was read.
    pub(crate) texts: Vec<(String, String)>,
    /// Between evaluations of groups that do not say.
    default_interval_ms: i64,
    seen: BTreeSet<RuleIdentity>,
}

/// Kind, name and labels.
type RuleIdentity = (bool, String, Vec<(String, String)>);

impl Default for LoadedRules {
    fn default() -> Self {
        Self::with_default_interval(DEFAULT_INTERVAL_MS)
    }
}

impl LoadedRules {
    /// Nothing yet; groups that give no interval will have this one.
    pub fn with_default_interval(default_interval_ms: i64) -> Self {
        LoadedRules {
            groups: Vec::new(),
            warnings: Vec::new(),
            texts: Vec::new(),
            default_interval_ms,
            seen: BTreeSet::new(),
        }
    }
}

/// Reads every file among `paths`; a folder stands for its `*.yml` and `*.yaml` files, searched
/// through. Files that are unit tests (`*.test.yml`, `*.test.yaml`) are left out of folders.
///
/// # Errors
/// Every problem of every file; nothing is loaded then.
pub fn load_rules(paths: &[PathBuf], querier: &dyn Querier) -> Result<LoadedRules, Problems> {
    let mut loaded = LoadedRules::default();
    let mut problems = Vec::new();
    read_files(paths, querier, &mut loaded, &mut problems);
    if problems.is_empty() { Ok(loaded) } else { Err(Problems(problems)) }
}

/// As [`load_rules`], into what was loaded before.
pub(crate) fn read_files(
    paths: &[PathBuf],
    querier: &dyn Querier,
    loaded: &mut LoadedRules,
    problems: &mut Vec<Problem>,
) {
    for path in rule_files(paths, problems) {
        match read_file(&path) {
            Ok(text) => {
                let name = path.display().to_string();
                parse_rules(&name, &text, querier, loaded, problems);
                loaded.texts.push((name, text));
            }
            Err(problem) => problems.push(problem),
        }
    }
}

/// The files that `paths` stand for, in order and without repeats.
pub fn rule_files(paths: &[PathBuf], problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if let Err(error) = collect(path, true, &mut files) {
            problems.push(
                Place::default().problem(&path.display().to_string(), format!("failed to read: {error}")),
            );
        }
    }
    let mut seen = BTreeSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if files.len() >= FILES_MAX {
        return Err(std::io::Error::other(format!("more than {FILES_MAX} files")));
    }
    if !std::fs::metadata(path)?.is_dir() {
        if named || is_rule_file(path) {
            files.push(path.to_owned());
        }
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    entries.iter().filter(|entry| !is_hidden(entry)).try_for_each(|entry| collect(entry, false, files))
}

/// Whether a folder that holds `path` would load it: a rule file, and nothing on the way is hidden.
pub fn is_rule_path(path: &Path) -> bool {
    is_rule_file(path) && !path.iter().any(|part| is_hidden(Path::new(part)))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_rule_file(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml"));
    stem.is_some_and(|stem| !stem.ends_with(".test") && !stem.ends_with("_test"))
}

/// Reads one file's text into `loaded`, or adds to `problems`.
pub fn parse_rules(
    file: &str,
    text: &str,
    querier: &dyn Querier,
    loaded: &mut LoadedRules,
    problems: &mut Vec<Problem>,
) {
    if is_manifest(text) {
        return manifest::parse(file, text, querier, loaded, problems);
    }
    let parsed: FileYaml = match parse_yaml_file(text, file) {
        Ok(parsed) => parsed,
        Err(mistakes) => return problems.extend(mistakes),
    };
    let mut reader = Reader { file, group_file: file, in_manifest: false, querier, loaded, problems };
    let mut names = BTreeSet::new();
    for group in parsed.groups.unwrap_or_default() {
        reader.group(group, &mut names);
    }
    for slo in parsed.slos.unwrap_or_default() {
        reader.slo(slo, &mut names);
    }
}

pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    /// What its groups are said to be of.
    group_file: &'a str,
    in_manifest: bool,
    querier: &'a dyn Querier,
    pub(super) loaded: &'a mut LoadedRules,
    pub(super) problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Of one manifest of a file, which is called `group_file`.
    pub(super) fn of_manifest(
        file: &'a str,
        group_file: &'a str,
        querier: &'a dyn Querier,
        loaded: &'a mut LoadedRules,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Reader { file, group_file, in_manifest: true, querier, loaded, problems }
    }

    pub(super) fn report(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(place.problem(self.file, message));
    }

    pub(super) fn group(&mut self, group: Spanned<GroupYaml>, names: &mut BTreeSet<String>) {
        let place = Place::of(&group);
        let group = group.value;
        let name = group.name.unwrap_or_default();
        if name.is_empty() {
            self.report(place, "group name must not be empty");
        }
        if !names.insert(name.clone()) {
            self.report(place, format!("group name `{name}` is repeated in the file"));
        }
        let prefix = format!("group \"{name}\"");
        if let Some(strategy) = group.partial_response_strategy.filter(|_| !self.in_manifest) {
            // Manifests hold it for Thanos, and it says nothing here.
            let message = format!("{prefix}: `partial_response_strategy` is only known in manifests");
            self.report(Place::of(&strategy), message);
        }
        let interval_ms = self.duration(&prefix, "interval", group.interval.as_ref()).filter(|ms| *ms > 0);
        let query_offset_ms = self.duration(&prefix, "query_offset", group.query_offset.as_ref());
        let source = self.source(&prefix, group.source.as_ref());
        let group_labels = self.texts(&prefix, "label", group.labels.as_ref(), false);
        let rules = group.rules.unwrap_or_default();
        let rules = rules
            .into_iter()
            .enumerate()
            .filter_map(|(index, rule)| self.rule(&prefix, index, rule, source, &group_labels))
            .collect::<Vec<_>>();
        self.loaded.groups.push(GroupDefinition {
            file: self.group_file.to_owned(),
            name,
            interval_ms: interval_ms.unwrap_or(self.loaded.default_interval_ms),
            query_offset_ms: query_offset_ms.unwrap_or(0),
            // Less than nothing is no limit either.
            limit: group.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0),
            source,
            rules,
        });
    }

    pub(super) fn source(&mut self, prefix: &str, text: Option<&Spanned<String>>) -> Source {
        match text.map(|text| (text.value.as_str(), text)) {
            None | Some(("metrics", _)) => Source::Metrics,
            Some(("logs", _)) => Source::Logs,
            Some((other, at)) => {
                let message = format!("{prefix}: source is `{other}`, must be `metrics` or `logs`");
                self.report(Place::of(at), message);
                Source::Metrics
            }
        }
    }

    pub(super) fn duration(
        &mut self,
        prefix: &str,
        field: &str,
        text: Option<&Spanned<String>>,
    ) -> Option<i64> {
        let text = text?;
        model::parse_duration_ms(&text.value)
            .map_err(|error| self.report(Place::of(text), format!("{prefix}: {field}: {error}")))
            .ok()
    }

    fn rule(
        &mut self,
        group: &str,
        index: usize,
        rule: Spanned<RuleYaml>,
        source: Source,
        group_labels: &[(String, String)],
    ) -> Option<RuleDefinition> {
        let place = Place::of(&rule);
        let rule = rule.value;
        let named = rule.record.as_ref().or(rule.alert.as_ref());
        let name = named.map(|name| name.value.clone()).unwrap_or_default();
        let prefix = format!("{group}, rule {}, \"{name}\"", index + 1);
        let before = self.problems.len();
        match (&rule.record, &rule.alert) {
            (Some(_), Some(alert)) => {
                self.report(
                    Place::of(alert),
                    format!("{prefix}: only one of `record` and `alert` must be set"),
                );
            }
            (None, None) => self.report(place, format!("{prefix}: one of `record` or `alert` must be set")),
            _ if name.is_empty() => self.report(place, format!("{prefix}: the name must not be empty")),
            _ => {}
        }
        let expr = self.expression(&prefix, place, rule.expr.as_ref(), source);
        let is_alert = rule.alert.is_some();
        let own_labels = self.texts(&prefix, "label", rule.labels.as_ref(), is_alert);
        let labels: BTreeMap<String, String> = group_labels.iter().cloned().chain(own_labels).collect();
        let kind = if is_alert {
            RuleKind::Alert {
                for_ms: self.duration(&prefix, "for", rule.r#for.as_ref()).unwrap_or(0),
                keep_firing_for_ms: self
                    .duration(&prefix, "keep_firing_for", rule.keep_firing_for.as_ref())
                    .unwrap_or(0),
                no_data: self.no_data(&prefix, rule.no_data.as_ref(), (source, &expr)),
                annotations: self.texts(&prefix, "annotation", rule.annotations.as_ref(), true),
                name,
            }
        } else {
            self.recording_only(&prefix, &rule);
            RuleKind::Record { metric: name }
        };
        if self.problems.len() > before {
            return None;
        }
        let definition = RuleDefinition { expr, labels: labels.into_iter().collect(), kind };
        self.warn_of_duplicate(&prefix, place, &definition);
        Some(definition)
    }

    fn no_data(
        &mut self,
        prefix: &str,
        text: Option<&Spanned<String>>,
        (source, expr): (Source, &str),
    ) -> NoData {
        let Some(text) = text else { return NoData::default() };
        let Some(no_data) = NoData::parse(&text.value) else {
            let message =
                format!("{prefix}: no_data is `{}`, must be `ok`, `keep_state` or `alert`", text.value);
            self.report(Place::of(text), message);
            return NoData::default();
        };
        if source == Source::Logs && no_data != NoData::Ok {
            let message =
                format!("{prefix}: no_data needs metrics; where there are no logs a count is nothing");
            self.report(Place::of(text), message);
        } else if no_data != NoData::Ok && !expr.is_empty() && !self.querier.tells_presence(source, expr) {
            let message = format!(
                "{prefix}: no_data needs a comparison, such as `> 0`: without one what does not fire cannot be told from what is not measured"
            );
            self.report(Place::of(text), message);
        }
        no_data
    }

    /// What a recording rule must not have.
    fn recording_only(&mut self, prefix: &str, rule: &RuleYaml) {
        for (field, given) in
            [("for", &rule.r#for), ("keep_firing_for", &rule.keep_firing_for), ("no_data", &rule.no_data)]
        {
            let is_zero = |text: &Spanned<String>| model::parse_duration_ms(&text.value) == Ok(0);
            if let Some(at) = given.as_ref().filter(|text| !is_zero(text)) {
                self.report(Place::of(at), format!("{prefix}: invalid field `{field}` in recording rule"));
            }
        }
        if let Some(at) = rule.annotations.iter().flat_map(BTreeMap::values).next() {
            self.report(Place::of(at), format!("{prefix}: invalid field `annotations` in recording rule"));
        }
        if let Some(record) = rule.record.as_ref()
            && record.value.contains(['{', '}'])
        {
            let message =
                format!("{prefix}: invalid recording rule name: `{}`; braces are not allowed", record.value);
            self.report(Place::of(record), message);
        }
    }

    pub(super) fn expression(
        &mut self,
        prefix: &str,
        rule: Place,
        expr: Option<&Spanned<String>>,
        source: Source,
    ) -> String {
        let Some(expr) = expr.filter(|expr| !expr.value.trim().is_empty()) else {
            self.report(rule, format!("{prefix}: field `expr` must be set"));
            return String::new();
        };
        if let Err(error) = self.querier.check(source, &expr.value) {
            let message = format!(
                "{prefix}: could not parse expression: {}:{}: {}",
                error.line, error.column, error.message
            );
            self.report(Place::of(expr), message);
        }
        expr.value.clone()
    }

    /// Labels or annotations, with their names and, where they are templates, their texts checked.
    pub(super) fn texts(
        &mut self,
        prefix: &str,
        what: &str,
        texts: Option<&TextMap>,
        templates: bool,
    ) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for (name, text) in texts.into_iter().flatten() {
            let is_metric_name = what == "label" && name == model::METRIC_NAME;
            if name.is_empty() || is_metric_name {
                self.report(Place::of(text), format!("{prefix}: invalid {what} name: `{name}`"));
            } else if templates && let Err(error) = expand::check_rule_template(&text.value.0) {
                self.report(Place::of(text), format!("{prefix}, {what} `{name}`: {error}"));
            }
            pairs.push((name.clone(), text.value.0.clone()));
        }
        pairs
    }

    fn warn_of_duplicate(&mut self, prefix: &str, place: Place, rule: &RuleDefinition) {
        let identity = (rule.is_alert(), rule.name().to_owned(), rule.labels.clone());
        let earlier = !self.loaded.seen.insert(identity);
        if earlier {
            let message = format!("{prefix}: another rule has this name and these labels");
            self.loaded.warnings.push(place.problem(self.file, message));
        }
    }
}

#[cfg(test)]
mod tests;
