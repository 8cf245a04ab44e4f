//! Rules and policies shipped inside the program. To change one, copy it from the repository, name
//! the copy with `--rules`, and switch the shipped one off.

use include_dir::{Dir, File, include_dir};

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../rules");

/// Rule files: their names without `.yml`, and their texts.
pub(crate) fn rules() -> Vec<(&'static str, &'static str)> {
    let stem = |file: &'static File<'static>| {
        Some((file.path().to_str()?.strip_suffix(".yml")?, file.contents_utf8()?))
    };
    let mut rules: Vec<_> = FOLDER.files().filter_map(stem).collect();
    rules.sort_unstable();
    rules
}

/// Scaling policies: a name that says where they come from, and the text.
pub(crate) fn scaling() -> Vec<(String, String)> {
    let files = FOLDER.get_dir("scaling").map(Dir::files).into_iter().flatten();
    let mut policies: Vec<_> = files
        .filter(|file| file.path().extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|file| {
            Some((format!("shipped:{}", file.path().display()), file.contents_utf8()?.to_owned()))
        })
        .collect();
    policies.sort();
    policies
}
