//! Runs scripts in Prometheus' test language (`load`, `eval`, `expect`) against the store in memory and
//! the engine on disk.
//!
//! The project's own scripts lie in `testdata/`. Where Prometheus' scripts are at hand, they run too,
//! and the number of evaluations that pass in each file must not fall.

mod command;
mod compare;
mod guise;
mod load;
mod run;
mod tiers;

use load::Backend;
use std::{collections::BTreeMap, fmt::Write as _, path::PathBuf};

/// Passed evaluations of the scripts that are not ours, by mode and file. Only ever raise these. The
/// scripts are written for the experimental mode; by default some names go earlier.
const RATCHET: &str = include_str!("../../testdata/shared-passes.txt");

const BACKENDS: [Backend; 2] = [Backend::Memory, Backend::Disk];

#[test]
fn own_scripts_pass() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut evaluations = 0;
    for path in scripts(&folder) {
        let text = std::fs::read_to_string(&path).unwrap();
        for backend in BACKENDS {
            for experimental in [true, false] {
                let report = run::run(&text, experimental, backend);
                let failures = report.failures.join("\n");
                assert!(failures.is_empty(), "{} in {backend:?}:\n{failures}", path.display());
                evaluations += report.passed;
            }
        }
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
    let wanted: BTreeMap<(&str, &str), usize> = RATCHET.lines().filter_map(ratchet_line).collect();
    let verbose = std::env::var("PROMQL_SHOW").unwrap_or_default();
    let (mut passed, mut all, mut fell) = (0, 0, String::new());
    let modes = [("experimental", true), ("default", false)];
    let runs = modes.into_iter().flat_map(|mode| BACKENDS.map(|backend| (mode, backend)));
    for ((mode, experimental), backend) in runs {
        for path in &files {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let report = run::run(&std::fs::read_to_string(path).unwrap(), experimental, backend);
            let total = report.passed + report.failures.len();
            println!("{mode} {backend:?} {name} {}/{total}", report.passed);
            if verbose == name || verbose == mode {
                report.failures.iter().for_each(|failure| println!("{mode} {backend:?} {name}: {failure}\n"));
            }
            let before = wanted.get(&(mode, name.as_str())).copied().unwrap_or(0);
            if report.passed < before {
                writeln!(fell, "{mode} {backend:?} {name}: {} passed, {before} before", report.passed)
                    .unwrap();
            }
            passed += report.passed;
            all += total;
        }
    }
    println!("together {passed}/{all}");
    assert!(fell.is_empty(), "fewer evaluations pass than before:\n{fell}");
}

/// Names that go at the very end can still be seen, by functions and groupings outside.
#[test]
fn names_of_comparisons_go_late_in_the_experimental_mode() {
    let script = |evaluations: &str| {
        format!("load 1m\n\ta{{i=\"1\"}} 1 2\n\ta{{i=\"2\"}} 3 4\n\tb{{i=\"1\"}} 1 2\n{evaluations}")
    };
    let late = script(
        r#"
eval instant at 1m label_replace(a == bool ignoring () a, "n", "$1", "__name__", "(.*)")
	{i="1", n="a"} 1
	{i="2", n="a"} 1

eval instant at 1m label_replace(a == bool on (i) group_left () a, "n", "$1", "__name__", "(.*)")
	{i="1", n="a"} 1
	{i="2", n="a"} 1

eval instant at 1m a == bool ignoring () a
	{i="1"} 1
	{i="2"} 1

eval instant at 1m label_replace(a + on (i) group_left () a, "n", "$1", "__name__", "(.*)")
	{i="1"} 4
	{i="2"} 8

eval instant at 1m count_values by (__name__) ("v", -a)
	a{v="-2"} 1
	a{v="-4"} 1
"#,
    );
    let at_once = script(
        r#"
eval instant at 1m label_replace(a == bool ignoring () a, "n", "$1", "__name__", "(.*)")
	{i="1"} 1
	{i="2"} 1

eval instant at 1m count_values by (__name__) ("v", -a)
	{v="-2"} 1
	{v="-4"} 1
"#,
    );
    for (script, experimental, evaluations) in [(late, true, 5), (at_once, false, 2)] {
        let report = run::run(&script, experimental, Backend::Memory);
        assert_eq!((report.passed, report.failures), (evaluations, vec![]));
    }
}

/// `mode file passes`
fn ratchet_line(line: &str) -> Option<((&str, &str), usize)> {
    let mut words = line.split_whitespace();
    Some(((words.next()?, words.next()?), words.next()?.parse().ok()?))
}

#[test]
fn the_deepest_queries_fit_the_stack_of_a_pool_thread() {
    let store = store::MemMetricStore::new();
    let (chain, nested) = (vec!["a"; 290].join(" or "), format!("{}a{}", "-(".repeat(48), ")".repeat(48)));
    for query in [chain, nested] {
        let expr = crate::parse(&query, &crate::ParseOptions::default()).unwrap();
        let when = command::When::Range { start_ms: 0, end_ms: 60_000, step_ms: 15_000 };
        assert!(run::evaluate(&expr, when, &store, false).is_ok());
    }
}

fn scripts(folder: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    paths
}
