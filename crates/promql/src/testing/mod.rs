//! Runs scripts in Prometheus' test language (`load`, `eval`, `expect`) against a store in memory.
//!
//! The project's own scripts lie in `testdata/`. Where Prometheus' scripts are at hand, they run too,
//! and the number of evaluations that pass in each file must not fall.

mod command;
mod compare;
mod guise;
mod load;
mod run;
mod series;

use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

/// Passed evaluations of the scripts that are not ours, by file. Only ever raise these.
const RATCHET: &str = include_str!("../../testdata/shared-passes.txt");

#[test]
fn own_scripts_pass() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut evaluations = 0;
    for path in scripts(&folder) {
        let report = run::run(&std::fs::read_to_string(&path).unwrap());
        assert!(report.failures.is_empty(), "{}:\n{}", path.display(), report.failures.join("\n"));
        evaluations += report.passed;
    }
    assert!(evaluations > 0, "no scripts in {}", folder.display());
}

#[test]
fn shared_scripts_pass_as_often_as_before() {
    let root = std::env::var_os("BELLWETHER_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = root.join("conformance/promql");
    let files = scripts(&folder);
    if files.is_empty() {
        println!("skipped: no scripts in {}", folder.display());
        return;
    }
    let wanted: BTreeMap<&str, usize> = RATCHET
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(file, passes)| (file, passes.trim().parse().unwrap()))
        .collect();
    let verbose = std::env::var("PROMQL_SHOW").unwrap_or_default();
    let (mut passed, mut all, mut fell) = (0, 0, String::new());
    for path in &files {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let report = run::run(&std::fs::read_to_string(path).unwrap());
        let total = report.passed + report.failures.len();
        println!("{name} {}/{total}", report.passed);
        if verbose == name || verbose == "all" {
            report.failures.iter().for_each(|failure| println!("{name}: {failure}\n"));
        }
        if report.passed < wanted.get(name.as_str()).copied().unwrap_or(0) {
            writeln!(fell, "{name}: {} passed, {} before", report.passed, wanted[name.as_str()]).unwrap();
        }
        passed += report.passed;
        all += total;
    }
    println!("together {passed}/{all}");
    assert!(fell.is_empty(), "fewer evaluations pass than before:\n{fell}");
}

fn scripts(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    paths
}
