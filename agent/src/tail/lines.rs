//! Cuts bytes into lines.

use super::LINE_BYTES_MAX;
use std::borrow::Cow;

/// A line without its end, and what had to be done to it.
#[derive(Debug, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) text: Cow<'a, str>,
    /// The end was cut off because the line is too long.
    pub(super) is_truncated: bool,
    /// Bytes that are not UTF-8 were replaced by U+FFFD.
    pub(super) is_repaired: bool,
}

/// The line in `bytes`, whose newline has been taken off.
pub(super) fn line(bytes: &[u8]) -> Line<'_> {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let is_truncated = bytes.len() > LINE_BYTES_MAX;
    let bytes = if is_truncated { cut(bytes) } else { bytes };
    let text = String::from_utf8_lossy(bytes);
    let is_repaired = matches!(text, Cow::Owned(_));
    Line { text, is_truncated, is_repaired }
}

/// The first bytes of a line that is too long, not cut within a character.
fn cut(bytes: &[u8]) -> &[u8] {
    let mut end = LINE_BYTES_MAX;
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    // A character has at most 4 bytes.
    for _ in 0..3 {
        if is_continuation(bytes[end]) {
            end -= 1;
        }
    }
    &bytes[..end]
}

/// The whole lines at the start of `bytes`: (line without newline, offset after it).
pub(super) fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut start = 0;
    memchr::memchr_iter(b'\n', bytes).map(move |newline| {
        let line = &bytes[start..newline];
        start = newline + 1;
        (line, start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_a_newline() {
        let found: Vec<_> = whole_lines(b"a\n\nb\r\nrest").collect();
        assert_eq!(found, [(&b"a"[..], 2), (b"", 3), (b"b\r", 6)]);
        assert_eq!(line(b"b\r").text, "b");
        assert_eq!(line(b"\xe4\xb8").text, "\u{fffd}");
        assert!(line(b"\xff").is_repaired && !line("é".as_bytes()).is_repaired);
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        let long = "é".repeat(LINE_BYTES_MAX);
        for skip in 0..2 {
            let bytes = &["x".repeat(skip).as_bytes(), long.as_bytes()].concat();
            let line = line(bytes);
            assert!(line.is_truncated && !line.is_repaired);
            assert!((LINE_BYTES_MAX - 3..=LINE_BYTES_MAX).contains(&line.text.len()));
        }
    }
}
