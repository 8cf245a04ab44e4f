//! Why a collector failed.

use std::{io, path::PathBuf};

/// A failed collection; the other collectors are not touched by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectError {
    /// A kernel file could not be read.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A kernel file does not look as documented.
    #[error("`{}`: unexpected content near `{near}`", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The start of the part that could not be read.
        near: String,
    },
    /// The collector panicked, which is a defect of ours; the rest of the collection stands.
    #[error("collector panicked")]
    Panicked,
}

impl CollectError {
    /// The kernel does not offer what this collector reads: expected on many hosts.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, CollectError::Io { source, .. } if matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::Unsupported
        ))
    }
}
