//! Files with secrets and certificates that a configuration names: every setting that ends with
//! `_file`. Some are read at each use only, such as passwords that are rotated, so that a start says
//! nothing of one that is missing.

use serde_json::Value;
use std::{fs::File, io::ErrorKind, path::Path};

/// The settings of this file whose file cannot be read, each with its keys and what is wrong. Paths
/// count from `folder`.
pub(super) fn unreadable(text: &str, folder: &Path) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    // What is no YAML is told elsewhere.
    if let Ok(root) = daemon::config::parse_yaml::<Value>(text, "") {
        walk(&root, &mut Vec::new(), folder, &mut found);
    }
    found
}

/// Settings whose keys are the user's own words.
const FREE: [&str; 4] = ["details", "headers", "labels", "annotations"];

fn walk(value: &Value, keys: &mut Vec<String>, folder: &Path, found: &mut Vec<(Vec<String>, String)>) {
    match value {
        Value::Object(entries) => {
            for (key, below) in entries.iter().filter(|(key, _)| !FREE.contains(&key.as_str())) {
                keys.push(key.clone());
                walk(below, keys, folder, found);
                keys.pop();
            }
        }
        Value::Array(items) => {
            for (index, below) in items.iter().enumerate() {
                keys.push(index.to_string());
                walk(below, keys, folder, found);
                keys.pop();
            }
        }
        Value::String(path) if !path.is_empty() && keys.last().is_some_and(|key| key.ends_with("_file")) => {
            if let Err(error) = open(&folder.join(path)) {
                found.push((keys.clone(), format!("failed to read `{path}`: {error}")));
            }
        }
        _ => {}
    }
}

fn open(path: &Path) -> std::io::Result<()> {
    let is_folder = File::open(path)?.metadata()?.is_dir();
    if is_folder { Err(ErrorKind::IsADirectory.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_files_are_found_wherever_they_are_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("here"), "x").unwrap();
        let text = "a: {password_file: here}\nb:\n- c: {token_file: gone, key_file: .}\n- password_file: 5\n\
                    ca_file: /gone\nfile: gone\ndetails: {log_file: gone}\nd: {password_file: ''}\n";
        let found = unreadable(text, folder.path());
        let keys: Vec<_> = found.iter().map(|(keys, _)| keys.join(".")).collect();
        assert_eq!(keys, ["b.0.c.key_file", "b.0.c.token_file", "ca_file"]);
        assert!(found[1].1.starts_with("failed to read `gone`: "), "{found:?}");
        assert!(unreadable("a: [", folder.path()).is_empty());
    }
}
