//! Rules and policies shipped inside the program, laid out in the data folder so that they are
//! read like anybody's files and can be looked at. They are rewritten at every start: to change
//! one, copy it elsewhere and name it with `--rules`.

use anyhow::Context;
use include_dir::{Dir, include_dir};
use std::path::{Path, PathBuf};

static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../rules");

/// Where the shipped files are after [`lay_out`].
#[derive(Clone, Debug)]
pub(crate) struct Shipped {
    /// Folder of rule files.
    pub rules: PathBuf,
    /// Folder of scaling policies.
    pub scaling: PathBuf,
}

/// Writes the shipped files below `data_dir`.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn lay_out(data_dir: &Path) -> anyhow::Result<Shipped> {
    let root = data_dir.join("shipped");
    let shipped = Shipped { rules: root.join("rules"), scaling: root.join("scaling") };
    write_all(RULES.files(), &shipped.rules)?;
    let policies = RULES.get_dir("scaling").map(Dir::files).into_iter().flatten();
    write_all(policies, &shipped.scaling)?;
    Ok(shipped)
}

/// Replaces what `folder` held: a file that is no longer shipped must not stay in force.
fn write_all<'a>(
    files: impl Iterator<Item = &'a include_dir::File<'a>>,
    folder: &Path,
) -> anyhow::Result<()> {
    if folder.try_exists()? {
        std::fs::remove_dir_all(folder)
            .with_context(|| format!("failed to replace `{}`", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("failed to create `{}`", folder.display()))?;
    let is_yaml =
        |file: &&include_dir::File<'_>| file.path().extension().is_some_and(|e| e == "yml" || e == "yaml");
    for file in files.filter(is_yaml) {
        let Some(name) = file.path().file_name() else { continue };
        let path = folder.join(name);
        std::fs::write(&path, file.contents())
            .with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}
