//! Removal of terminal colours and other ANSI escape sequences.

use regex::Regex;
use std::sync::LazyLock;

/// Control sequences (ECMA-48), and operating-system commands up to their BEL.
const SEQUENCE: &str = "[\u{1b}\u{9b}][\\[\\]()#;?]*(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\u{7}|(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~])";

/// Copies the line without its escape sequences.
pub(super) fn decolorize(line: &str, out: &mut String) {
    static COMPILED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(SEQUENCE).expect("the constant expression compiles"));
    out.push_str(&COMPILED.replace_all(line, ""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        for (line, expected) in [
            ("\x1b[31mred\x1b[0m text", "red text"),
            ("\x1b[1;38;5;208mx\x1b[m", "x"),
            ("plain", "plain"),
            ("\x1b]0;title\x07osc", "osc"),
            ("no\x1bescape", "no\x1bescape"),
        ] {
            let mut out = String::new();
            decolorize(line, &mut out);
            assert_eq!(out, expected);
        }
    }
}
