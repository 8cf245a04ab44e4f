//! Folders that a configuration names and of which nothing is read. That is no mistake, for a folder may
//! be filled later, but whoever meant files that are in it hears nothing otherwise.

use crate::{config::Config, rules_git};
use alerting::rules::rule_files;
use std::path::{Path, PathBuf};

/// One message for each folder of rules, silences or policies in which there is nothing to read. What
/// cannot be read at all is told by whoever reads it.
pub(crate) fn empty_folders(config: &Config) -> Vec<String> {
    let rules = rules_git::split(&config.alerting.rules).map(|(paths, _)| paths).unwrap_or_default();
    let alerting = rules.iter().chain(&config.alerting.silences).filter(|path| holds_nothing(path));
    let scaling = config.scaling.policies.iter().filter(|path| holds_no_policies(path));
    let alerting = alerting.map(|path| message(path, NO_RULE_FILE));
    alerting.chain(scaling.map(|path| message(path, NO_YAML))).collect()
}

const NO_RULE_FILE: &str =
    "nothing to read in this folder: no *.yml and no *.yaml file that is neither hidden nor a test";
const NO_YAML: &str = "no *.yml and no *.yaml file in this folder";

fn message(path: &Path, words: &str) -> String {
    format!("{}:0:0: {words}", path.display())
}

/// Warns of each in the log.
pub(crate) fn warn_of_empty_folders(config: &Config) {
    for warning in empty_folders(config) {
        tracing::warn!(warning, "nothing is read of a folder in the configuration");
    }
}

fn holds_nothing(path: &Path) -> bool {
    let mut problems = Vec::new();
    path.is_dir() && rule_files(&[path.to_owned()], &mut problems).is_empty() && problems.is_empty()
}

/// Of these only the folder itself is looked into.
fn holds_no_policies(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let is_yaml = |path: PathBuf| path.extension().is_some_and(|it| it == "yml" || it == "yaml");
    !entries.flatten().any(|entry| is_yaml(entry.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_yaml_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let [rules, silences, full] = ["rules", "silences", "full"].map(|name| folder.path().join(name));
        for folder in [&rules, &silences, &full] {
            std::fs::create_dir(folder).unwrap();
        }
        let unread =
            ["a.rules", "b.json", ".c.yml", "d.test.yml", "e_test.yaml"].map(|name| rules.join(name));
        for file in unread.into_iter().chain([full.join("a.yaml")]) {
            std::fs::write(file, "").unwrap();
        }
        let gone = folder.path().join("gone");
        let mut config = Config::default();
        config.alerting.rules = [&rules, &full, &gone].map(|path| path.clone().into()).into();
        config.alerting.silences = vec![silences.clone(), full.join("a.yaml")];
        config.scaling.policies = vec![silences.clone(), full];
        let expected = [(&rules, NO_RULE_FILE), (&silences, NO_RULE_FILE), (&silences, NO_YAML)]
            .map(|(path, words)| format!("{}:0:0: {words}", path.display()));
        assert_eq!(empty_folders(&config), expected);
    }
}
