//! The house rules that a program can check: dependency edges, file and function lengths, words
//! that do not belong.

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};
use tests::repository_root;

/// Which workspace packages each may depend on (ARCHITECTURE.md, "Dependencies point one way").
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("wire", &["model"]),
    ("store", &["model"]),
    ("disk", &["model"]),
    ("tsdb", &["store", "disk", "model"]),
    ("logstore", &["store", "disk", "model"]),
    ("clickhouse-store", &["store", "model"]),
    ("template", &["model"]),
    ("promql", &["store", "model"]),
    ("logql", &["promql", "store", "template", "model"]),
    ("daemon", &[]),
    ("durable", &[]),
    ("alerting", &["template", "model", "daemon", "durable"]),
    ("scaling", &["model", "daemon", "durable"]),
    ("bellwether-agent", &["model", "wire", "disk", "daemon"]),
];

#[test]
fn dependencies_point_one_way() {
    let packages = packages();
    let members: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    let mut problems = Vec::new();
    for package in &packages {
        // The aggregator may use everything; the tests stand outside.
        if matches!(package.name.as_str(), "bellwether" | "tests") {
            continue;
        }
        let Some(edges) = allowed.get(package.name.as_str()) else {
            problems.push(format!("`{}` is not listed", package.name));
            continue;
        };
        for name in package.dependencies.iter().map(String::as_str) {
            if members.contains(name) && !edges.contains(&name) {
                problems.push(format!("`{}` depends on `{name}`", package.name));
            }
        }
    }
    assert!(problems.is_empty(), "edges outside the design:\n{}", problems.join("\n"));
}

/// A package of the workspace, and what it depends on beside its tests.
struct Package {
    name: String,
    dependencies: Vec<String>,
}

/// What `cargo metadata` tells. A crate that reads it would switch on features of crates that the
/// product has as well, and they would be compiled twice.
fn packages() -> Vec<Package> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(repository_root())
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let text = |value: &Value| value["name"].as_str().expect("everything has a name").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let packages = list(&metadata["packages"]).into_iter().map(|package| {
        let all = list(&package["dependencies"]);
        let dependencies = all.iter().filter(|dependency| dependency["kind"].is_null()).map(text).collect();
        Package { name: text(&package), dependencies }
    });
    packages.collect()
}

/// Files longer than this want to be looked at for a second idea.
const FILE_LINES_MAX: usize = 800;
/// Functions longer than this want to be split.
const FUNCTION_LINES_MAX: usize = 90;

#[test]
fn files_and_functions_are_short() {
    let mut problems = Vec::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > FILE_LINES_MAX {
            problems.push(format!("{}: {} lines", show(&path), lines.len()));
        }
        for (name, length) in functions(&lines) {
            if length > FUNCTION_LINES_MAX {
                problems.push(format!("{}: `{name}` has {length} lines", show(&path)));
            }
        }
    }
    assert!(problems.is_empty(), "too long:\n{}", problems.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    // A file of tests belongs to the module that it tests, which says what it is for.
    let undocumented: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs") && !path.iter().any(|part| part == "tests"))
        .filter(|path| {
            let text = std::fs::read_to_string(path).expect("a source file is text");
            !text.lines().find(|line| !line.trim().is_empty()).is_some_and(|first| first.starts_with("//!"))
        })
        .map(|path| show(&path))
        .collect();
    assert!(undocumented.is_empty(), "files without a `//!` line:\n{}", undocumented.join("\n"));
}

#[test]
fn shipped_alerts_have_runbooks() {
    let root = repository_root();
    let mut missing = Vec::new();
    for entry in std::fs::read_dir(root.join("rules")).expect("there are shipped rules").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a rule file is text");
        for name in
            text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("alert: "))
        {
            let runbook = root.join("docs/runbooks").join(format!("{}.md", name.trim().to_lowercase()));
            if !runbook.is_file() {
                missing.push(format!("{name}: docs/runbooks/{}.md", name.trim().to_lowercase()));
            }
        }
    }
    assert!(missing.is_empty(), "alerts without a runbook:\n{}", missing.join("\n"));
}

/// Name and length of each function, found by indentation, as rustfmt leaves it.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let indent = &line[..line.len() - trimmed.len()];
        let is_function = [
            "fn ",
            "pub fn ",
            "pub(crate) fn ",
            "async fn ",
            "pub async fn ",
            "pub(crate) async fn ",
            "pub(super) fn ",
            "const fn ",
            "pub const fn ",
        ]
        .iter()
        .any(|prefix| trimmed.starts_with(prefix));
        if !is_function {
            continue;
        }
        let name = trimmed.split("fn ").nth(1).and_then(|rest| rest.split(['(', '<']).next()).unwrap_or("?");
        let end = format!("{indent}}}");
        let length = lines[start..].iter().take_while(|line| **line != end).count() + 1;
        // A trait's function may have no body, and a short one may be on one line.
        let head_end = lines[start..].iter().find(|line| line.ends_with(['{', '}', ';']));
        let has_body = head_end.is_some_and(|line| line.ends_with('{'));
        found.push((name, if has_body { length } else { 1 }));
    }
    found
}

fn show(path: &Path) -> String {
    path.strip_prefix(repository_root()).unwrap_or(path).display().to_string()
}

fn rust_files() -> Vec<PathBuf> {
    let root = repository_root();
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["agent", "aggregator", "crates", "tests"].iter().map(|name| root.join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
