//! `bellwether check`

mod lookalike;
mod named_files;

use super::output::{print, tell};
use crate::{
    config::{Config, PromqlConfig, QueryConfig},
    empty_folders::empty_folders,
    evaluate::Evaluator,
    readings::PolicyReadings,
    receive, rules_git, wiring,
};
use anyhow::Context;
use daemon::config::{Misspelt, misspelt_variables};
use lookalike::{Lookalike, lookalike};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 8;

/// Check configuration, rules, routes and scaling policies.
///
/// Says problems as file:line:column (0:0 where one has no place) and ends with status 1 when there
/// is one; what a file means is only looked at once its form is right. What a file is, is told from what it holds:
/// `groups:` and `slos:` are rules, and so are manifests of Kubernetes; `route:` is an Alertmanager
/// configuration, `silences:` are silences, `policies:` are scaling policies, `tests:` are unit tests
/// of rules, of which only the form is checked, and anything else is the aggregator's own
/// configuration, which is checked with the certificates, secrets, rules, routes, silences and
/// policies that it names.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Files, or folders of *.yml and *.yaml files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Allow experimental PromQL functions and syntax
    #[arg(long)]
    promql_experimental: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let promql = PromqlConfig { experimental: args.promql_experimental, ..PromqlConfig::default() };
    let evaluator = evaluator(promql);
    let mut out = std::io::stdout().lock();
    let mut problems = 0;
    for path in &args.paths {
        let files = files(std::slice::from_ref(path))?;
        if files.is_empty() {
            problems += 1;
            tell(format_args!("{}:0:0: no *.yml and no *.yaml file in this folder", path.display()));
        }
        for file in files {
            match check(&file, &evaluator) {
                Ok(good) => {
                    good.warnings.iter().for_each(|warning| tell(format_args!("warning: {warning}")));
                    print(&mut out, format_args!("{}: {}", file.display(), good.what))?;
                }
                Err(found) => {
                    problems += found.len();
                    found.into_iter().for_each(tell);
                }
            }
        }
    }
    if problems > 0 {
        tell(count(problems, "problem"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Expressions are only parsed: the stores stay empty.
fn evaluator(promql: PromqlConfig) -> Arc<Evaluator> {
    let (metrics, logs) = (Arc::new(store::MemMetricStore::new()), Arc::new(store::MemLogStore::new()));
    Arc::new(Evaluator::new(metrics, logs, &QueryConfig::default(), &promql))
}

/// The named files, and the YAML files in named folders.
pub(super) fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            collect(path, DEPTH_MAX, &mut files)?;
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rules,
    RuleTests,
    Routes,
    Policies,
    Silences,
    Config,
}

fn kind(text: &str) -> Kind {
    let keys = daemon::config::top_level_keys(text);
    // Policies may stand below `receivers`, which routes have too.
    if keys.iter().any(|key| key == "policies") {
        return Kind::Policies;
    }
    if alerting::rules::is_manifest(text) {
        return Kind::Rules;
    }
    let kind = keys.iter().find_map(|key| match key.as_str() {
        "groups" | "slos" => Some(Kind::Rules),
        "silences" => Some(Kind::Silences),
        "tests" | "rule_files" => Some(Kind::RuleTests),
        "route" | "receivers" | "inhibit_rules" => Some(Kind::Routes),
        _ => None,
    });
    kind.unwrap_or(Kind::Config)
}

/// A file without problems.
#[derive(Debug, Default)]
struct Good {
    what: String,
    /// What is odd about it, or about a file that it names.
    warnings: Vec<String>,
}

impl From<String> for Good {
    fn from(what: String) -> Self {
        Good { what, warnings: Vec::new() }
    }
}

/// What a good file is, or every problem of a bad one.
fn check(path: &Path, evaluator: &Arc<Evaluator>) -> Result<Good, Vec<String>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![format!("{}:0:0: failed to read: {error}", path.display())])?;
    if let Some(Lookalike { key, message }) = lookalike(&daemon::config::top_level_keys(&text)) {
        let (line, column) = daemon::config::place_of(&text, &[&key]).unwrap_or((1, 1));
        return Err(vec![format!("{}:{line}:{column}: {message}", path.display())]);
    }
    match kind(&text) {
        Kind::Rules => {
            let settings =
                alerting::Settings { rules: vec![path.to_owned()], ..alerting::Settings::default() };
            let loaded =
                alerting::read_rules(&settings, evaluator.as_ref()).map_err(|problems| each(&problems.0))?;
            let rules: usize = loaded.groups.iter().map(|group| group.rules.len()).sum();
            let what = format!("{} in {}", count(rules, "rule"), count(loaded.groups.len(), "group"));
            Ok(Good { what, warnings: each(&loaded.warnings) })
        }
        Kind::RuleTests => match crate::rule_tests::check(&text) {
            Ok(tests) => Ok(format!("{}; `bellwether test` runs them", count(tests, "unit test")).into()),
            Err(failures) => {
                let told = failures.iter().map(|failure| {
                    let (line, column) = (failure.line, failure.column);
                    format!("{}:{line}:{column}: {}", path.display(), failure.message)
                });
                Err(told.collect())
            }
        },
        Kind::Routes => {
            let config = alerting::config::Config::load(path).map_err(|problems| each(&problems.0))?;
            Ok(format!("routes to {}", count(config.receivers.len(), "receiver")).into())
        }
        Kind::Silences => {
            let now_ms = daemon::clock::now_ms();
            let loaded = alerting::silence::load_silences(&[path.to_owned()], now_ms)
                .map_err(|problems| each(&problems.0))?;
            let what = count(loaded.silences.len(), "silence");
            Ok(Good { what, warnings: each(&loaded.warnings) })
        }
        Kind::Policies => {
            let readings = PolicyReadings::new(evaluator.clone(), None);
            let loaded = scaling::load_policies(&[path.to_owned()], &readings)
                .map_err(|problems| each(&problems.0))?;
            Ok(match loaded.policies.len() {
                1 => "1 scaling policy".to_owned().into(),
                several => format!("{several} scaling policies").into(),
            })
        }
        Kind::Config => check_config(path, &text, evaluator),
    }
}

/// The aggregator's own configuration, with what it names.
fn check_config(path: &Path, text: &str, evaluator: &Arc<Evaluator>) -> Result<Good, Vec<String>> {
    let mut good = Good::from("configuration".to_owned());
    let misspelt = misspelt_variables::<Config>()
        .into_iter()
        .map(|Misspelt { name, right }| format!("`{name}` in the environment is not read; write `{right}`"));
    good.warnings.extend(misspelt);
    let name = path.display().to_string();
    let config = daemon::config::parse_yaml_with_all_mistakes::<Config>(text, &name)
        .map_err(|mistakes| each(&mistakes))?;
    let place = |setting: &[&str]| daemon::config::place_of(text, setting).unwrap_or((0, 0));
    let refused = refused_by_a_start(&config).into_iter().map(|(setting, problem)| {
        let keys: Vec<&str> = setting.split('.').collect();
        let (line, column) = place(&keys);
        format!("{name}:{line}:{column}: {problem}")
    });
    let mut problems: Vec<_> = refused.collect();
    problems.extend(check_named_files(&config, evaluator, &mut good.warnings));
    good.warnings.extend(empty_folders(&config));
    // Paths count from where the server is started, and those of routes from their file.
    let missing = missing_files(text, &name, Path::new(""), &problems);
    problems.extend(missing);
    if let Some(path) = &config.alerting.alertmanager_config
        && let Ok(routes) = std::fs::read_to_string(path)
    {
        let folder = path.parent().unwrap_or(Path::new(""));
        let missing = missing_files(&routes, &path.display().to_string(), folder, &problems);
        problems.extend(missing);
    }
    if problems.is_empty() { Ok(good) } else { Err(problems) }
}

/// What is well-formed and yet keeps a server with this configuration from starting, each with the
/// setting that it is about.
fn refused_by_a_start(config: &Config) -> Vec<(String, String)> {
    let mut outcomes: Vec<(String, anyhow::Result<()>)> = Vec::new();
    for (index, stream) in config.retention.logs_streams.iter().enumerate() {
        outcomes.push((format!("retention.logs_streams.{index}"), stream.rule().map(drop)));
    }
    let tokens = crate::auth::tokens(&config.auth.tokens);
    let about = if tokens.is_err() { "auth.tokens" } else { "listen" };
    outcomes.push((about.to_owned(), wiring::guard(config).map(drop)));
    let tls = config.tls.as_ref().map_or(Ok(()), |tls| tls.load().map(drop).context("failed to set up TLS"));
    outcomes.push(("tls".to_owned(), tls));
    let rules = rules_git::split(&config.alerting.rules).map(drop).map_err(anyhow::Error::from);
    outcomes.push(("alerting.rules".to_owned(), rules));
    if let Some(clickhouse) = &config.storage.clickhouse {
        outcomes.push(("storage.clickhouse".to_owned(), clickhouse.options().map(drop)));
    }
    outcomes.push(("syslog".to_owned(), receive::syslog::check(&config.syslog)));
    let refused = outcomes.into_iter().filter_map(|(setting, outcome)| Some((setting, outcome.err()?)));
    let mut problems: Vec<_> = refused.map(|(setting, error)| (setting, format!("{error:#}"))).collect();
    let endpoints = crate::egress::problems(&config.remote_write).into_iter();
    problems.extend(endpoints.map(|(index, problem)| (format!("remote_write.{index}"), problem)));
    problems
}

/// The problems of the files that a configuration names.
fn check_named_files(config: &Config, evaluator: &Arc<Evaluator>, warnings: &mut Vec<String>) -> Vec<String> {
    let mut problems = Vec::new();
    let rules = rules_git::split(&config.alerting.rules).map(|(paths, _)| paths).unwrap_or_default();
    let settings = alerting::Settings { rules, ..alerting::Settings::default() };
    match alerting::read_rules(&settings, evaluator.as_ref()) {
        Ok(loaded) => warnings.extend(each(&loaded.warnings)),
        Err(found) => problems.push(each(&found.0)),
    }
    let routes = config.alerting.alertmanager_config.as_deref().map(alerting::config::Config::load);
    problems.extend(routes.and_then(Result::err).map(|found| each(&found.0)));
    let silences = alerting::silence::load_silences(&config.alerting.silences, daemon::clock::now_ms());
    match silences {
        Ok(loaded) => warnings.extend(each(&loaded.warnings)),
        Err(found) => problems.push(each(&found.0)),
    }
    let readings = PolicyReadings::new(evaluator.clone(), None);
    let policies = scaling::load_policies(&config.scaling.policies, &readings);
    problems.extend(policies.err().map(|found| each(&found.0)));
    problems.into_iter().flatten().collect()
}

/// Files with secrets that cannot be read, but for those of which something has been `told`.
fn missing_files(text: &str, name: &str, folder: &Path, told: &[String]) -> Vec<String> {
    let missing = named_files::unreadable(text, folder).into_iter().map(|(keys, problem)| {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let (line, column) = daemon::config::place_of(text, &keys).unwrap_or((0, 0));
        format!("{name}:{line}:{column}: {problem}")
    });
    let is_new = |problem: &String| {
        let path = problem.split('`').nth(1).unwrap_or_default();
        !told.iter().any(|told| told.contains(&format!("`{path}`")))
    };
    missing.filter(is_new).collect()
}

fn each<P: std::fmt::Display>(problems: &[P]) -> Vec<String> {
    problems.iter().map(P::to_string).collect()
}

pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_in_silences_and_manifests_have_a_place() {
        let folder = tempfile::tempdir().unwrap();
        let evaluator = evaluator(PromqlConfig::default());
        let check = |text: &str| {
            let path = folder.path().join("x.yml");
            std::fs::write(&path, text).unwrap();
            check(&path, &evaluator).map(|good| good.what).map_err(|problems| problems.join("\n"))
        };
        let silence = "silences:\n- name: night\n  matchers: ['alertname=\"DiskSlow\"']\n  owner: dba\n  \
                       reason: backups\n  expires: 2999-01-01T00:00:00Z\n";
        assert_eq!(check(silence).unwrap(), "1 silence");
        let wrong = check(&silence.replace("  reason: backups\n", "")).unwrap_err();
        assert!(wrong.contains("x.yml:5:") && wrong.contains("reason"), "{wrong}");
        let manifest = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata: {name: x}\nspec:\n  \
                        groups:\n  - name: g\n    rules:\n    - {record: a, expr: 'sum(up'}\n";
        let wrong = check(manifest).unwrap_err();
        assert!(wrong.contains("x.yml:8:"), "{wrong}");
        assert_eq!(check(&manifest.replace("(up", "(up)")).unwrap(), "1 rule in 1 group");
    }

    #[test]
    fn missing_data_is_told_of_comparisons_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yml");
        let evaluator = evaluator(PromqlConfig::default());
        for (expr, no_data, is_taken) in [
            ("up", "alert", false),
            ("absent(up)", "keep_state", false),
            ("sum(", "alert", false),
            ("up", "ok", true),
            ("up == 0", "alert", true),
            ("rate(x[5m]) > 1 and on() y", "keep_state", true),
        ] {
            let text =
                format!("groups: [{{name: g, rules: [{{alert: A, expr: '{expr}', no_data: {no_data}}}]}}]\n");
            std::fs::write(&path, text).unwrap();
            let checked = check(&path, &evaluator);
            assert_eq!(checked.is_ok(), is_taken, "{expr}: {checked:?}");
            let problems = checked.err().unwrap_or_default();
            assert!(problems.len() <= 1, "{problems:?}");
            let is_told = problems.iter().any(|problem| problem.contains("no_data needs a comparison"));
            assert_eq!(is_told, !is_taken && expr != "sum(", "{problems:?}");
        }
    }

    #[test]
    fn mistakes_of_form_in_rule_tests_are_all_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yml");
        std::fs::write(&path, "rule_files: [x]\ntests:\n- name: a\n  intervall: 1m\n  inputs: []\n").unwrap();
        let found = check(&path, &evaluator(PromqlConfig::default())).unwrap_err();
        let is_at = |line: &str| found.iter().any(|problem| problem.contains(&format!("x.yml:{line}:")));
        assert!(found.len() == 2 && is_at("4") && is_at("5"), "{found:?}");
    }

    /// Told of the file of rules itself, and of a configuration that names it.
    #[test]
    fn warnings_of_rules_are_told_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [rules, config] = ["rules.yml", "bellwether.yaml"].map(|name| folder.path().join(name));
        std::fs::write(
            &rules,
            "groups: [{name: g, rules: [{record: a, expr: up}, {record: a, expr: up == 1}]}]\n",
        )
        .unwrap();
        std::fs::write(&config, format!("alerting: {{rules: [{}]}}\n", rules.display())).unwrap();
        let evaluator = evaluator(PromqlConfig::default());
        let [of_rules, of_config] = [&rules, &config].map(|path| check(path, &evaluator).unwrap().warnings);
        assert!(of_rules.len() == 1 && of_rules[0].contains("rules.yml:"), "{of_rules:?}");
        assert_eq!(of_config, of_rules);
        std::fs::remove_file(&rules).unwrap();
        std::fs::create_dir(&rules).unwrap();
        let warnings = check(&config, &evaluator).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains("no *.yml"), "{warnings:?}");
    }

    #[test]
    fn files_are_told_apart_by_what_they_hold() {
        for (text, expected) in [
            ("groups:\n- name: a\n", Kind::Rules),
            ("# comment\nroute:\n  receiver: a\n", Kind::Routes),
            ("global: {}\nreceivers: []\n", Kind::Routes),
            ("version: 1\npolicies: []\n", Kind::Policies),
            ("receivers: []\npolicies: []\n", Kind::Policies),
            ("\"groups\":\n- name: a\n", Kind::Rules),
            ("{\"route\": {\"receiver\": \"a\"}, \"receivers\": []}", Kind::Routes),
            ("rule_files: [a]\ntests: []\n", Kind::RuleTests),
            ("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n", Kind::Rules),
            ("silences:\n- name: x\n", Kind::Silences),
            ("listen: 127.0.0.1:1\n", Kind::Config),
            ("", Kind::Config),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn a_configuration_is_checked_with_what_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.yml");
        std::fs::write(&rules, "groups: [{name: a, rules: [{alert: A, expr: up == }]}]\n").unwrap();
        let place = rules.display();
        let all = format!(
            "listen: 0.0.0.0:9390\n\
             tls: {{cert_file: /nonexistent/cert, key_file: /nonexistent/key}}\n\
             retention: {{logs_streams: [{{selector: 'up', age: 1d}}]}}\n\
             alerting: {{rules: [{place}], alertmanager_config: /nonexistent/routes.yml}}\n\
             scaling: {{policies: [/nonexistent/policies]}}\n"
        );
        let config = folder.path().join("bellwether.yaml");
        std::fs::write(&config, all).unwrap();
        let found = check(&config, &evaluator(PromqlConfig::default())).unwrap_err();
        for expected in [
            "bellwether.yaml:1:9: listening on 0.0.0.0:9390 needs bearer tokens",
            "/nonexistent/cert",
            "logs_streams",
            "rules.yml:1:",
            "/nonexistent/routes.yml",
            "/nonexistent/policies",
        ] {
            assert!(found.iter().any(|problem| problem.contains(expected)), "{expected}: {found:#?}");
        }
        std::fs::write(
            folder.path().join("routes.yml"),
            "receivers: [{name: a, webhook_configs: [{url_file: hook}]}]\nroute: {receiver: a}\n",
        )
        .unwrap();
        let secrets = format!(
            "storage: {{clickhouse: {{url: 'http://x:1', password_file: /gone/1}}}}\n\
             remote_write: [{{url: 'http://x:1/w', basic_auth: {{username: a, password_file: /gone/2}}}}]\n\
             syslog: {{tls: {{listen: ':6514', cert_file: /gone/3, key_file: /gone/3}}, allow_from: [10.0.0.0/8]}}\n\
             alerting: {{alertmanager_config: {}/routes.yml}}\n",
            folder.path().display()
        );
        std::fs::write(&config, secrets).unwrap();
        let found = check(&config, &evaluator(PromqlConfig::default())).unwrap_err();
        for (line, path) in [
            ("bellwether.yaml:1:", "/gone/1"),
            ("bellwether.yaml:2:", "/gone/2"),
            ("bellwether.yaml:3:", "/gone/3"),
            ("routes.yml:1:", "`hook`"),
        ] {
            let told: Vec<_> = found.iter().filter(|it| it.contains(line) && it.contains(path)).collect();
            assert_eq!(told.len(), 1, "{path}: {found:#?}");
        }
        std::fs::write(&config, "auth: {tokens: [{name: a, role: agent, sha256: zz}]}\n").unwrap();
        let found = check(&config, &evaluator(PromqlConfig::default())).unwrap_err();
        assert!(found[0].contains("64 hexadecimal digits"), "{found:?}");
        assert!(found[0].contains("bellwether.yaml:1:"), "{found:?}");
        for (text, expected) in [
            (
                "storage: {clickhouse: {url: '127.0.0.1:8123'}}\n",
                "`127.0.0.1:8123` is not a URL of ClickHouse's",
            ),
            (
                "remote_write: [{url: 'https://x:1/w', tls_config: {ca_file: /dev/null}}]\n",
                "`/dev/null` holds no certificate in PEM form",
            ),
        ] {
            std::fs::write(&config, text).unwrap();
            let found = check(&config, &evaluator(PromqlConfig::default())).unwrap_err();
            assert!(found[0].contains("bellwether.yaml:1:") && found[0].contains(expected), "{found:?}");
        }
        std::fs::write(&config, "alerting: {external_url: 'monitor.example.org:9390'}\n").unwrap();
        let found = check(&config, &evaluator(PromqlConfig::default())).unwrap_err();
        assert!(found[0].contains("bellwether.yaml:1:") && found[0].contains("https://"), "{found:?}");
    }
}
