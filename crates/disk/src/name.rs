//! Which names a folder accepts.

use std::io;

/// Longest name, the limit of the usual file systems.
const NAME_BYTES_MAX: usize = 255;

/// Refuses everything but one plain path component, so that a name can never leave its folder.
pub(crate) fn check(name: &str) -> io::Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    let dots_only = name.bytes().all(|b| b == b'.');
    if plain && !dots_only && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{name}` is not a plain file name")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_plain_components_pass() {
        for good in ["a", "00001.wal", "part-1_2.tmp", ".hidden", "..x"] {
            assert!(super::check(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "/a", "a\\b", "a b", "é", "a\0", &"x".repeat(256)] {
            assert!(super::check(bad).is_err(), "{bad}");
        }
    }
}
