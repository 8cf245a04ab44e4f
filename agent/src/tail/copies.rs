//! Copies that `copytruncate` makes: the content of `app.log` goes to `app.log.1`, then `app.log` is
//! truncated and written on.
//!
//! The copy is another file with the same lines. Where its name matches a pattern it must not be
//! read from its beginning; and what had not been read of the original is in the copy only. So a
//! copy is passed over while its original is whole, and takes the original's place, offsets and
//! all, once that is truncated. A file is a copy when it is in the same folder, its name is the
//! original's with a suffix, and its content agrees where the original's was hashed.

use super::{
    file::TailedFile,
    identity::{FileId, Prefix, marker_at},
};
use std::{
    fs::{self, File, Metadata},
    io,
    path::{Path, PathBuf},
};

/// Entries of a folder that are looked at.
const ENTRIES_MAX: usize = 10_000;

/// A copy that was found.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) path: PathBuf,
    pub(super) file: File,
    id: FileId,
}

impl Copy {
    pub(super) fn id(&self) -> FileId {
        self.id
    }
}

/// Whether the file at `path` holds what `original` holds, as far as it goes.
pub(super) fn is_copy_so_far(path: &Path, metadata: &Metadata, original: &TailedFile) -> bool {
    if !is_named_after(path, &original.path) {
        return false;
    }
    // The original may have been truncated a moment ago, before anybody noticed.
    let held = File::open(path).and_then(|copy| original.is_continued_by(&copy));
    held.unwrap_or(false) || agree(path, metadata.len(), &original.path).unwrap_or(false)
}

/// Both begin alike, and have the same bytes where the shorter one ends.
fn agree(copy: &Path, size: u64, original: &Path) -> io::Result<bool> {
    let (copy, original) = (File::open(copy)?, File::open(original)?);
    let shared = size.min(original.metadata()?.len());
    if shared == 0 {
        return Ok(false);
    }
    let is_alike = Prefix::read(&copy, shared)?.matches(&original)?;
    Ok(is_alike && marker_at(&copy, shared)? == marker_at(&original, shared)?)
}

/// Where the content of a file that was truncated is now.
pub(super) fn find(original: &TailedFile) -> Option<Copy> {
    let entries = fs::read_dir(original.path.parent()?).ok()?;
    let paths = entries.flatten().take(ENTRIES_MAX).map(|entry| entry.path());
    paths.filter(|path| is_named_after(path, &original.path)).find_map(|path| {
        let file = File::open(&path).ok()?;
        let id = FileId::of(&file.metadata().ok()?);
        original.is_continued_by(&file).ok()?.then_some(Copy { path, file, id })
    })
}

/// `app.log.1` and `app.log-20260101` are named after `app.log`.
fn is_named_after(path: &Path, original: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(copy), Some(original_name)) = (name(path), name(original)) else { return false };
    let suffix = copy.strip_prefix(&original_name);
    path.parent() == original.parent() && suffix.is_some_and(|suffix| suffix.starts_with(['.', '-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn copies_are_told_from_files_that_merely_look_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.log"), "one\ntwo\n").unwrap();
        let metadata = |name: &str| fs::metadata(path(name)).unwrap();
        let original = TailedFile::open(1, 0, &path("a.log"), &metadata("a.log"), 8, Instant::now()).unwrap();
        for (name, text, so_far, found) in [
            ("a.log.1", "one\ntwo\n", true, true),
            ("a.log.1", "one\n", true, false),
            ("a.log-2", "one\ntwo\nthree\n", true, true),
            ("a.log.1", "one\nTWO\n", false, false),
            ("a.log.1", "", false, false),
            ("b.log.1", "one\ntwo\n", false, false),
            ("a.logs", "one\ntwo\n", false, false),
        ] {
            fs::write(path(name), text).unwrap();
            assert_eq!(is_copy_so_far(&path(name), &metadata(name), &original), so_far, "{name} {text:?}");
            assert_eq!(find(&original).map(|copy| copy.path), found.then(|| path(name)), "{name} {text:?}");
            fs::remove_file(path(name)).unwrap();
        }
    }
}
