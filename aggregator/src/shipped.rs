//! Rules and policies shipped inside the program. To change one, copy it from the repository, name
//! the copy with `--rules`, and switch the shipped ones off.

use include_dir::{Dir, File, include_dir};

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../rules");

/// Rule files: a name that says where they come from, and the text.
pub(crate) fn rules() -> Vec<(String, String)> {
    texts(FOLDER.files(), "yml")
}

/// Scaling policies, likewise.
pub(crate) fn scaling() -> Vec<(String, String)> {
    texts(FOLDER.get_dir("scaling").map(Dir::files).into_iter().flatten(), "yaml")
}

fn texts<'a>(files: impl Iterator<Item = &'a File<'a>>, extension: &str) -> Vec<(String, String)> {
    let mut texts: Vec<_> = files
        .filter(|file| file.path().extension().is_some_and(|found| found == extension))
        .filter_map(|file| {
            Some((format!("shipped:{}", file.path().display()), file.contents_utf8()?.to_owned()))
        })
        .collect();
    texts.sort();
    texts
}
