//! Rules as Kubernetes holds them: manifests of the kind `PrometheusRule`, one or several in a file,
//! or a list of them. What stands beside them (other kinds, metadata) is passed over.
//!
//! A manifest is a file of its own to whoever evaluates it, so two of them may have groups of the
//! same name: their groups belong to `FILE#NAMESPACE/NAME`.

use super::{
    load::{LoadedRules, Reader},
    schema::GroupYaml,
};
use crate::{
    problem::{Place, Problem, parse_yaml_file},
    querier::Querier,
};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeSet;

const KIND: &str = "PrometheusRule";

/// Any manifest, or a list.
#[derive(Debug, Deserialize)]
struct AnyYaml {
    kind: Option<Spanned<String>>,
    #[serde(default)]
    items: Vec<AnyYaml>,
}

#[derive(Debug, Deserialize)]
struct ListYaml {
    items: Vec<RuleManifestYaml>,
}

#[derive(Debug, Deserialize)]
struct RuleManifestYaml {
    #[serde(default)]
    metadata: MetadataYaml,
    spec: Option<SpecYaml>,
}

#[derive(Debug, Default, Deserialize)]
struct MetadataYaml {
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SpecYaml {
    groups: Option<Vec<Spanned<GroupYaml>>>,
}

/// Whether a file holds manifests rather than rules as Prometheus reads them.
pub fn is_manifest(text: &str) -> bool {
    let keys = daemon::config::top_level_keys(text);
    let has = |wanted: &str| keys.iter().any(|key| key == wanted);
    has("kind") && has("apiVersion")
}

/// Reads one file's manifests into `loaded`, or adds to `problems`.
pub(super) fn parse(
    file: &str,
    text: &str,
    querier: &dyn Querier,
    loaded: &mut LoadedRules,
    problems: &mut Vec<Problem>,
) {
    for (first_line, document) in daemon::config::documents(text) {
        let mut found = Vec::new();
        match rule_manifests(file, document) {
            Ok(Read::Rules(manifests)) => {
                for manifest in manifests {
                    let name = format!("{file}#{}", manifest.metadata.path());
                    let mut reader = Reader::of_manifest(file, &name, querier, loaded, &mut found);
                    let mut names = BTreeSet::new();
                    let groups = manifest.spec.and_then(|spec| spec.groups);
                    groups.into_iter().flatten().for_each(|group| reader.group(group, &mut names));
                }
            }
            Ok(Read::Other(place, kind)) => {
                let message = format!("a manifest of the kind `{kind}` holds no rules and is passed over");
                loaded.warnings.push(at(first_line, place.problem(file, message)));
            }
            Ok(Read::Nothing) => {}
            Err(problems) => found.extend(problems),
        }
        problems.extend(found.into_iter().map(|problem| at(first_line, problem)));
    }
}

enum Read {
    Rules(Vec<RuleManifestYaml>),
    Other(Place, String),
    Nothing,
}

fn rule_manifests(file: &str, document: &str) -> Result<Read, Vec<Problem>> {
    // Looked at twice: only rules are held to a shape.
    let any: AnyYaml = parse_yaml_file(document, file)?;
    let Some(kind) = any.kind else {
        let nothing =
            document.lines().all(|line| line.trim().is_empty() || line.starts_with(['#', '-', '%']));
        let missing = || Place::default().problem(file, "a manifest among others has no `kind`");
        return if nothing { Ok(Read::Nothing) } else { Err(vec![missing()]) };
    };
    let place = Place::of(&kind);
    if kind.value == KIND {
        return Ok(Read::Rules(vec![parse_yaml_file(document, file)?]));
    }
    let is_rule = |item: &AnyYaml| item.kind.as_ref().is_some_and(|kind| kind.value == KIND);
    let is_list = kind.value.ends_with("List") && any.items.iter().any(is_rule);
    if !is_list {
        return Ok(Read::Other(place, kind.value));
    }
    if !any.items.iter().all(is_rule) {
        let message = format!("a list with other kinds than `{KIND}` is not read");
        return Err(vec![place.problem(file, message)]);
    }
    let list: ListYaml = parse_yaml_file(document, file)?;
    Ok(Read::Rules(list.items))
}

impl MetadataYaml {
    fn path(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        self.namespace.as_ref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
    }
}

fn at(first_line: usize, problem: Problem) -> Problem {
    let line = if problem.line == 0 { first_line } else { first_line + problem.line };
    Problem { line, ..problem }
}
