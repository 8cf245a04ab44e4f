//! Finds files by patterns.
//!
//! Bounds: [`ENTRIES_MAX`] folder entries a walk, [`DEPTH_MAX`] levels below a `**`. Links to files
//! are followed, links to folders only where the pattern names the level, so no loop can hold a
//! walk. Compressed files and anything but regular files are passed over.

use super::identity::FileId;
use globset::{GlobBuilder, GlobMatcher, GlobSet, GlobSetBuilder};
use std::{
    fs::{self, Metadata},
    path::{Component, Path, PathBuf},
};

const ENTRIES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 16;
/// Rotation compresses; what is inside was read before, or is lost to a line reader.
const COMPRESSED: [&str; 5] = ["gz", "zst", "bz2", "xz", "lz4"];

/// A pattern such as `/var/log/**/*.log`.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    /// The folder (or file) before the first wildcard.
    base: PathBuf,
    /// Levels below `base` that can match.
    depth: usize,
    /// From which level on links to folders are not followed.
    follow: usize,
    matcher: GlobMatcher,
}

impl Pattern {
    /// # Errors
    /// A message readable after "invalid pattern:".
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let glob =
            GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.to_string())?;
        let is_wild = |component: &Component<'_>| {
            component.as_os_str().to_string_lossy().contains(['*', '?', '[', '{'])
        };
        let path = Path::new(text);
        let base: PathBuf = path.components().take_while(|component| !is_wild(component)).collect();
        let rest: Vec<Component<'_>> =
            path.components().skip_while(|component| !is_wild(component)).collect();
        let recursive = rest.iter().position(|component| component.as_os_str() == "**");
        let depth = if recursive.is_some() { DEPTH_MAX } else { rest.len() };
        Ok(Pattern { base, depth, follow: recursive.unwrap_or(rest.len()), matcher: glob.compile_matcher() })
    }
}

/// Patterns as one set.
pub(crate) fn exclusions(texts: &[String]) -> Result<GlobSet, String> {
    let mut builder = GlobSetBuilder::new();
    for text in texts {
        builder
            .add(GlobBuilder::new(text).literal_separator(true).build().map_err(|error| error.to_string())?);
    }
    builder.build().map_err(|error| error.to_string())
}

/// Files that match, by path.
pub(super) fn find(patterns: &[Pattern], exclude: &GlobSet) -> Vec<(PathBuf, Metadata)> {
    let mut walk = Walk { exclude, found: Vec::new(), entries: 0 };
    for pattern in patterns {
        walk.visit(pattern, pattern.base.clone(), 0);
    }
    walk.found.sort_by(|a, b| a.0.cmp(&b.0));
    walk.found.dedup_by(|a, b| a.0 == b.0);
    walk.found
}

struct Walk<'a> {
    exclude: &'a GlobSet,
    found: Vec<(PathBuf, Metadata)>,
    entries: usize,
}

impl Walk<'_> {
    fn visit(&mut self, pattern: &Pattern, path: PathBuf, level: usize) {
        // A file that vanishes between two looks is simply not there.
        let Ok(metadata) = fs::metadata(&path) else { return };
        if metadata.is_dir() {
            let is_link = || fs::symlink_metadata(&path).is_ok_and(|own| own.is_symlink());
            if level < pattern.depth && (level <= pattern.follow || !is_link()) {
                self.enter(pattern, &path, level);
            }
            return;
        }
        let compressed =
            path.extension().is_some_and(|extension| COMPRESSED.iter().any(|known| extension == *known));
        if metadata.is_file()
            && !compressed
            && pattern.matcher.is_match(&path)
            && !self.exclude.is_match(&path)
        {
            self.found.push((path, metadata));
        }
    }

    fn enter(&mut self, pattern: &Pattern, folder: &Path, level: usize) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            self.entries += 1;
            if self.entries > ENTRIES_MAX {
                return;
            }
            let path = entry.path();
            // Most entries of a folder are files that do not match: spare them the look.
            let is_plain_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if is_plain_file && !pattern.matcher.is_match(&path) {
                continue;
            }
            self.visit(pattern, path, level + 1);
        }
    }
}

/// Where the file is now: at `path`, or under another name in the same folder.
pub(super) fn locate(path: &Path, id: FileId) -> Option<PathBuf> {
    let is_it = |path: &Path| fs::metadata(path).is_ok_and(|metadata| FileId::of(&metadata) == id);
    if is_it(path) {
        return Some(path.to_path_buf());
    }
    let entries = fs::read_dir(path.parent()?).ok()?;
    entries.flatten().take(ENTRIES_MAX).map(|entry| entry.path()).find(|path| is_it(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_regular_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for file in ["a.log", "b.txt", "x/c.log", "x/y/d.log", "x/y/e.log.gz", "x/skip.log"] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), "").unwrap();
        }
        fs::create_dir(root.join("dir.log")).unwrap();
        std::os::unix::fs::symlink(root.join("b.txt"), root.join("link.log")).unwrap();
        std::os::unix::fs::symlink(root, root.join("x/y/loop")).unwrap();
        let names = |pattern: &str, exclude: &[String]| -> Vec<String> {
            let pattern = Pattern::new(&format!("{}/{pattern}", root.display())).unwrap();
            let strip = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
            find(&[pattern], &exclusions(exclude).unwrap()).into_iter().map(|(path, _)| strip(path)).collect()
        };
        assert_eq!(names("*.log", &[]), ["a.log", "link.log"]);
        assert_eq!(names("b.txt", &[]), ["b.txt"]);
        assert_eq!(names("*/*.log", &[]), ["x/c.log", "x/skip.log"]);
        assert_eq!(
            names("**/*.log", &["**/skip*".to_owned()]),
            ["a.log", "link.log", "x/c.log", "x/y/d.log"]
        );
        assert_eq!(names("**/*.gz", &[]), [""; 0]);
        assert_eq!(names("nowhere/*.log", &[]), [""; 0]);
        assert!(Pattern::new("/a/[").is_err());
    }

    #[test]
    fn a_renamed_file_is_found_among_its_siblings() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("a.log"), folder.path().join("a.log.1"));
        fs::write(&new, "x").unwrap();
        let id = FileId::of(&fs::metadata(&new).unwrap());
        assert_eq!(locate(&old, id), Some(new.clone()));
        fs::remove_file(&new).unwrap();
        assert_eq!(locate(&old, id), None);
    }
}
