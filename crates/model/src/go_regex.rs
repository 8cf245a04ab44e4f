//! Go's regular expressions (RE2 syntax, Go package `regexp/syntax`) on Rust's `regex`.
//!
//! The dialects agree but for a few points, which [`translate`] settles: Perl classes (`\d \w \s`)
//! and `\b` are ASCII in Go; `\Q…\E` quotes; `\z` and named groups `(?P<n>…)` exist in both.
//! Compiled programs are held to a fixed size so that a pattern costs a bounded amount.

use regex::{Regex, RegexBuilder};

/// Compiled programs above this many bytes are refused.
const PROGRAM_BYTES_MAX: usize = 10 << 20;

/// Compiles a pattern that must match the whole text, with `.` matching newlines, as Prometheus
/// (since 3.0) and Alertmanager match labels.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile_anchored(pattern: &str) -> Result<Regex, String> {
    build(&format!("^(?s:{})$", translate(pattern)), pattern)
}

/// Compiles a pattern that may match anywhere, as line filters and `regexReplaceAll` do.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(&translate(pattern), pattern)
}

fn build(translated: &str, pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(translated).size_limit(PROGRAM_BYTES_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("regular expression `{pattern}` needs more than {limit} bytes when compiled")
        }
        other => {
            let text = other.to_string();
            let reason = text.rsplit("error: ").next().unwrap_or(&text).trim().to_owned();
            format!("error parsing regexp: {reason}: `{pattern}`")
        }
    })
}

/// The same expression in Rust's dialect. Text that is no valid expression stays invalid.
pub fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => out.push_str(if in_class { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
                Some('D') => out.push_str("[^0-9]"),
                Some('W') => out.push_str("[^0-9A-Za-z_]"),
                Some('S') => out.push_str(r"[^\t\n\f\r ]"),
                Some(b @ ('b' | 'B')) if !in_class => {
                    out.push_str(r"(?-u:\");
                    out.push(b);
                    out.push(')');
                }
                Some('Q') if !in_class => {
                    let rest = chars.as_str();
                    let (quoted, tail) = rest.split_once(r"\E").unwrap_or((rest, ""));
                    out.push_str(&regex::escape(quoted));
                    chars = tail.chars();
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                let mut rest = chars.as_str();
                if let Some(tail) = rest.strip_prefix('^') {
                    out.push('^');
                    rest = tail;
                }
                // A bracket right at the start of a class is a literal in Go.
                if let Some(tail) = rest.strip_prefix(']') {
                    out.push_str(r"\]");
                    rest = tail;
                }
                chars = rest.chars();
            }
            '[' => match chars.as_str().strip_prefix(':').and_then(|rest| rest.split_once(":]")) {
                Some((class, tail)) => {
                    out.push_str("[:");
                    out.push_str(class);
                    out.push_str(":]");
                    chars = tail.chars();
                }
                // Rust would open a nested class.
                None => out.push_str(r"\["),
            },
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Set operations of Rust's classes, which Go does not have.
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialect_differences() {
        for (pattern, text, expected) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "१२", false),
            (r"^\w+$", "é", false),
            (r"^[\w.]+$", "a.b", true),
            (r"^[\D]$", "7", false),
            (r"\bfoo\b", "a foo b", true),
            (r"\Qa.b\E", "a.b", true),
            (r"\Qa.b\E", "axb", false),
            (r"^[]a]$", "]", true),
            (r"^[[:alpha:]]$", "x", true),
            (r"^[a&&b]$", "&", true),
            (r"^[a[b]$", "[", true),
            (r"(?i)ERROR", "an error", true),
            (r"a.c", "a\nc", false),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn bad_patterns_name_themselves() {
        assert!(compile("(").unwrap_err().contains("`(`"));
        assert!(compile(r"\w{1000}{1000}").is_err());
    }
}
