//! What commands print. Whoever closes the output early, as `bellwether check … | head` does, has what
//! it wanted: that neither ends a command that has a verdict nor changes it. `eprintln!` panics then.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// One line for people, on standard error.
pub(super) fn tell(line: impl Display) {
    // In one piece, so that lines of several processes do not mix. There is nowhere left to say that
    // it failed, and the status says enough.
    drop(io::stderr().write_all(format!("{line}\n").as_bytes()));
}

/// Prints what is left of the output for as long as somebody reads it.
///
/// # Errors
/// When it cannot be written for another reason, such as a full disk.
pub(super) fn print(out: &mut impl Write, line: impl Display) -> io::Result<()> {
    match writeln!(out, "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn only_a_reader_that_went_away_is_no_failure() {
        assert!(print(&mut Failing(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(print(&mut Failing(ErrorKind::StorageFull), "x").is_err());
    }
}
