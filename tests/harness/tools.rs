//! What a test machine may or may not have. A test that cannot run says so.

use crate::repository_root;
use std::path::PathBuf;

/// The folder of shared conformance material: `$BELLWETHER_SHARED`, or `../shared`.
pub fn shared_dir() -> Option<PathBuf> {
    let path = std::env::var_os("BELLWETHER_SHARED")
        .map_or_else(|| repository_root().join("../shared"), PathBuf::from);
    path.is_dir().then_some(path)
}

/// The path of a program, looked for in `PATH`.
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Says that a test is skipped, and why. With `BELLWETHER_REQUIRE_TOOLS` set, as in CI where
/// everything is installed, a skip is a failure.
///
/// # Panics
/// When skips are not allowed.
pub fn skip(why: &str) {
    assert!(std::env::var_os("BELLWETHER_REQUIRE_TOOLS").is_none(), "this machine must not skip, but: {why}");
    eprintln!("SKIPPED: {why}");
}
