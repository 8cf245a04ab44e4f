//! Failures that trying again does not mend.

use std::io::{Error, ErrorKind};

/// Linux: input/output error, bad message (a checksum of the file system), structure needs cleaning.
const UNREADABLE: [i32; 3] = [5, 74, 117];

/// Whether a read has failed because the file is gone, cut off, or on blocks that the disk cannot
/// read. Other failures, as too many open files, say nothing of what is stored.
pub fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof)
        || error.raw_os_error().is_some_and(|code| UNREADABLE.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_not_lost() {
        for code in UNREADABLE {
            assert!(is_lost(&Error::from_raw_os_error(code)), "{code}");
        }
        assert!(is_lost(&std::fs::read("/nowhere/at/all").unwrap_err()));
        // Interrupted, out of memory, permission denied, too many open files.
        for code in [4, 12, 13, 24] {
            assert!(!is_lost(&Error::from_raw_os_error(code)), "{code}");
        }
    }
}
