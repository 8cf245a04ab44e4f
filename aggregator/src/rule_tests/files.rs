//! The files that a test file names: relative to its own folder, with `*`, `?` and `[…]`.

use globset::GlobBuilder;
use std::path::{Component, Path, PathBuf};

/// Most files that one pattern may stand for.
const FILES_MAX: usize = 10_000;

/// The files that `pattern` stands for, in order; empty when there are none.
///
/// # Errors
/// When the pattern is malformed or stands for too many.
pub(super) fn find(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = folder.join(pattern);
    if whole.is_file() {
        return Ok(vec![whole]);
    }
    let mut found = vec![PathBuf::new()];
    for component in whole.components() {
        found = match component {
            Component::Normal(name) if is_pattern(&name.to_string_lossy()) => {
                matching(&found, &name.to_string_lossy())?
            }
            other => found.into_iter().map(|path| path.join(other)).collect(),
        };
        if found.len() > FILES_MAX {
            return Err(format!("`{pattern}` stands for more than {FILES_MAX} files"));
        }
    }
    found.retain(|path| path.is_file());
    Ok(found)
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

fn matching(folders: &[PathBuf], pattern: &str) -> Result<Vec<PathBuf>, String> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    let matcher = glob.map_err(|error| error.to_string())?.compile_matcher();
    let mut found = Vec::new();
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        // What cannot be listed holds no files.
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        found.extend(names.filter(|name| matcher.is_match(name)).map(|name| folder.join(name)));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        for name in ["rules/a.yml", "rules/b.yml", "rules/c.txt", "top.yml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        for (pattern, expected) in [
            ("top.yml", &["top.yml"][..]),
            ("rules/*.yml", &["rules/a.yml", "rules/b.yml"]),
            ("*/[bc].*", &["rules/b.yml", "rules/c.txt"]),
            ("ru?es/../top.yml", &["ru?es/../top.yml"]),
            ("*.txt", &[]),
        ] {
            let found = find(folder.path(), pattern).unwrap();
            let expected: Vec<_> = expected.iter().map(|name| folder.path().join(name)).collect();
            if pattern.contains("..") {
                assert_eq!(found.len(), 1, "{found:?}");
            } else {
                assert_eq!(found, expected, "{pattern}");
            }
        }
    }
}
