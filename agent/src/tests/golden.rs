//! Names, types and labels against lists of node_exporter's families, where those lists are at
//! hand: files of `family <tab> type <tab> label,label <tab> series`, in `references` of the shared
//! folder (`$BELLWETHER_SHARED`, or `../shared` from the repository's root).

use crate::{AgentConfig, agent, collect::Runner};
use model::{METRIC_NAME, MetricKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const LISTS: [&str; 2] = ["node_exporter_families.txt", "node_exporter_1.12.1_e2e_families.txt"];

type Family = (String, BTreeSet<String>);

fn expected(text: &str, families: &mut BTreeMap<String, Vec<Family>>) {
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, kind, labels, ..] = fields[..] else { continue };
        let labels = labels.split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
        families.entry(name.to_owned()).or_default().push((kind.to_owned(), labels));
    }
}

/// Families of ours that a list cannot have: newer than both lists, or present only in a kernel
/// that the lists' hosts do not run.
const NOT_LISTED: [&str; 1] = ["node_filesystem_mount_info"];

#[tokio::test]
async fn families_are_node_exporters() {
    let shared = std::env::var_os("BELLWETHER_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let mut families = BTreeMap::new();
    for name in LISTS {
        let Ok(text) = std::fs::read_to_string(shared.join("references").join(name)) else {
            eprintln!("SKIPPED: {name} is not in {}", shared.display());
            return;
        };
        expected(&text, &mut families);
    }
    let config = AgentConfig::default();
    let mut setup = agent::setup(&config);
    setup.base_labels.clear();
    let batch = Runner::new(setup).collect(1_700_000_000_000, Default::default()).await;
    let mut found: BTreeMap<String, (MetricKind, BTreeSet<String>)> = BTreeMap::new();
    for series in batch.series() {
        let labels = series.labels();
        let name = labels.get(METRIC_NAME).unwrap().to_owned();
        let kind = series.metadata().unwrap().1.kind;
        let names = labels.iter().map(|(name, _)| name.to_owned()).filter(|name| name != METRIC_NAME);
        found.entry(name).or_insert((kind, BTreeSet::new())).1.extend(names);
    }
    let mut problems = Vec::new();
    for (name, (kind, labels)) in found.iter().filter(|(name, _)| name.starts_with("node_")) {
        let Some(known) = families.get(name) else {
            // Fields of meminfo follow the running kernel.
            if !NOT_LISTED.contains(&name.as_str()) && !name.starts_with("node_memory_") {
                problems.push(format!("{name} is not known"));
            }
            continue;
        };
        let kind = if *kind == MetricKind::Unknown { "untyped" } else { kind.as_str() };
        if !known.iter().any(|(expected, _)| expected == kind) {
            problems.push(format!("{name} is {kind}, not {known:?}"));
        }
        // An empty label is an absent label.
        if !known.iter().any(|(_, expected)| labels.is_subset(expected)) {
            problems.push(format!("{name} has {labels:?}, not {known:?}"));
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
    assert!(found.len() > 150, "only {} families", found.len());
}
