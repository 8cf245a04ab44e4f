//! `bellwether test`

use super::{
    check::count,
    output::{print, tell},
};
use crate::{
    config::PromqlConfig,
    rule_tests::{self, Options, Report},
};
use anyhow::{Context, bail};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Run unit tests of rules, routes and scaling policies.
///
/// A test file gives input series and says which alerts fire when, in promtool's format. Beyond it:
/// `exp_pending` in an alert case, `input_logs` and `logql_expr_test` for groups with `source: logs`,
/// `notification_test` for who is told what (with `alertmanager_config`), and `scaling_test` for
/// what a policy decides (with `policy_files`). docs/guides/testing-rules.md shows all of it.
///
/// Every failure is told as file:line:column; the status is 1 when there is one.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    /// Test files, or folders of *.test.yml and *_test.yml files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run only tests whose name matches
    #[arg(long, value_name = "REGEX")]
    run: Option<String>,
    /// Write what came out into the files in place of what was expected
    #[arg(long)]
    update: bool,
    /// Allow experimental PromQL functions and syntax
    #[arg(long)]
    promql_experimental: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let only = args
        .run
        .as_deref()
        .map(regex::Regex::new)
        .transpose()
        .context("--run is not a regular expression")?;
    let promql = PromqlConfig { experimental: args.promql_experimental, ..PromqlConfig::default() };
    let options = Options { only, promql };
    let mut out = std::io::stdout().lock();
    let (mut failures, mut tests) = (0, 0);
    for path in test_files(&args.paths)? {
        let report = if args.update { update(&path, &options, &mut out)? } else { run_file(&path, &options) };
        failures += report.failures.len();
        tests += report.tests;
        show(&path, &report, &mut out)?;
    }
    if failures > 0 {
        tell(count(failures, "failure"));
        return Ok(ExitCode::FAILURE);
    }
    if let Some(wanted) = args.run.as_ref().filter(|_| tests == 0) {
        tell(format_args!("no test has a name that matches `{wanted}`"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn run_file(path: &Path, options: &Options) -> Report {
    match rule_tests::read(path) {
        Ok(text) => rule_tests::run(path, &text, options),
        Err(failure) => Report { failures: vec![failure], ..Report::default() },
    }
}

/// Runs, writes, and runs again what was written.
fn update(path: &Path, options: &Options, out: &mut impl Write) -> anyhow::Result<Report> {
    let Ok(text) = rule_tests::read(path) else { return Ok(run_file(path, options)) };
    let report = rule_tests::run(path, &text, options);
    let (updated, count) = rule_tests::updated(&text, &report.failures);
    if count == 0 {
        return Ok(report);
    }
    write_whole(path, &updated).with_context(|| format!("failed to write `{}`", path.display()))?;
    print(out, format_args!("{}: {count} expectations written", path.display()))?;
    Ok(rule_tests::run(path, &updated, options))
}

/// Replaces a file at once: a half-written test file would be a loss.
#[allow(clippy::disallowed_methods, reason = "a file of the user's, not of a store")]
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let beside = path.with_extension("yml.new");
    std::fs::write(&beside, text)?;
    std::fs::set_permissions(&beside, std::fs::metadata(path)?.permissions())?;
    std::fs::rename(&beside, path)
}

fn show(path: &Path, report: &Report, out: &mut impl Write) -> anyhow::Result<()> {
    let name = path.display();
    for warning in &report.warnings {
        tell(format_args!("{name}: warning: {warning}"));
    }
    if report.failures.is_empty() {
        print(
            out,
            format_args!("{name}: {}, {} passed", count(report.tests, "test"), count(report.cases, "case")),
        )?;
    }
    for failure in &report.failures {
        tell(format_args!("{name}:{}:{}: {}", failure.line, failure.column, failure.message));
    }
    Ok(())
}

/// The named files, and the test files in named folders.
fn test_files(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        files.extend(
            super::check::files(std::slice::from_ref(path))?.into_iter().filter(|file| is_test(file)),
        );
        if files.len() == before {
            bail!("no *.test.yml and no *_test.yml in `{}`", path.display());
        }
    }
    Ok(files)
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    stem.ends_with(".test") || stem.ends_with("_test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_test_has_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.test.yml");
        std::fs::write(&path, "tests: [{name: night}]\n").unwrap();
        for (wanted, expected) in [("nig.t", ExitCode::SUCCESS), ("day", ExitCode::FAILURE)] {
            let args = Args {
                paths: vec![path.clone()],
                run: Some(wanted.to_owned()),
                update: false,
                promql_experimental: false,
            };
            assert_eq!(format!("{:?}", run(&args).unwrap()), format!("{expected:?}"), "{wanted}");
        }
    }
}
