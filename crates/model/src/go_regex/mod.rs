//! Go's regular expressions (RE2 syntax, Go package `regexp/syntax`) on Rust's `regex`.
//!
//! The dialects agree but for a few points, which [`translate`] settles: Perl classes (`\d \w \s`)
//! and `\b` are ASCII in Go; `\Q…\E` quotes; a brace that counts nothing is itself; `\z` and named
//! groups `(?P<n>…)` exist in both. What Go alone refuses is refused.
//! Compiled programs are held to a fixed size so that a pattern costs a bounded amount.

use regex::{Captures, Regex, RegexBuilder};

/// Compiled programs above this many bytes are refused.
const PROGRAM_BYTES_MAX: usize = 10 << 20;
/// What an ordinary pattern stays below.
pub const SMALL_PROGRAM_BYTES_MAX: usize = 256 << 10;

/// Compiles a pattern that must match the whole text, with `.` matching newlines, as Prometheus
/// (since 3.0) and Alertmanager match labels.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile_anchored(pattern: &str) -> Result<Regex, String> {
    build(Translator::run(pattern), |text| format!("^(?s:{text})$"))
}

/// Compiles a pattern that may match anywhere, as line filters and `regexReplaceAll` do.
///
/// # Errors
/// The reason, readable after "invalid regular expression".
pub fn compile(pattern: &str) -> Result<Regex, String> {
    build(Translator::run(pattern), |text| text)
}

/// The regular expressions of one request, which together must not take more than a few hundred
/// megabytes: one of a few bytes may take ten.
#[derive(Clone, Copy, Debug, Default)]
pub struct PatternCount(usize);

impl PatternCount {
    /// Regular expressions of one request.
    const MAX: usize = 1000;
    /// So many of them, the first ones, may take more than [`SMALL_PROGRAM_BYTES_MAX`].
    const LARGE_MAX: usize = 16;

    /// Counts one more.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn add(&mut self, pattern: &str) -> Result<(), String> {
        self.0 += 1;
        if self.0 > Self::MAX {
            return Err(format!("more than {} regular expressions", Self::MAX));
        }
        if self.0 > Self::LARGE_MAX && is_large(pattern) {
            let message = "regular expressions, of which this one is large; simplify it";
            return Err(format!("more than {} {message}", Self::LARGE_MAX));
        }
        Ok(())
    }
}

/// Longest text that [`expand`] makes.
pub const EXPANDED_BYTES_MAX: usize = 1 << 20;

/// `replacement` with groups in the place of `$1`, `${name}` and their like; `None` where that could
/// have more than [`EXPANDED_BYTES_MAX`]: replacements of replacements grow without end.
pub fn expand(captures: &Captures<'_>, replacement: &str) -> Option<String> {
    let groups = replacement.bytes().filter(|byte| *byte == b'$').count();
    let longest = captures.get(0).map_or(0, |whole| whole.len());
    let bytes_max = replacement.len().saturating_add(groups.saturating_mul(longest));
    if bytes_max > EXPANDED_BYTES_MAX {
        return None;
    }
    let mut expanded = String::new();
    captures.expand(replacement, &mut expanded);
    Some(expanded)
}

/// Whether the compiled pattern takes more than [`SMALL_PROGRAM_BYTES_MAX`]. Whoever takes many
/// patterns from one caller bounds how many of them may be large.
pub fn is_large(pattern: &str) -> bool {
    let built = RegexBuilder::new(&translate(pattern)).size_limit(SMALL_PROGRAM_BYTES_MAX).build();
    matches!(built, Err(regex::Error::CompiledTooBig(_)))
}

fn build(translator: Translator<'_>, whole: impl FnOnce(String) -> String) -> Result<Regex, String> {
    let Translator { pattern, out, refusal, .. } = translator;
    if let Some(reason) = refusal {
        return Err(format!("error parsing regexp: {reason}"));
    }
    RegexBuilder::new(&whole(out)).size_limit(PROGRAM_BYTES_MAX).build().map_err(|error| match error {
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
    Translator::run(pattern).out
}

/// Largest count of a repetition in Go.
const REPEAT_MAX: u32 = 1000;

/// Walks a pattern piece by piece.
struct Translator<'p> {
    pattern: &'p str,
    rest: &'p str,
    out: String,
    in_class: bool,
    /// Where the repetition began that ends here, and whether its lazy `?` has been taken.
    repeated: Option<(usize, bool)>,
    /// What Go refuses and Rust would take.
    refusal: Option<String>,
}

impl<'p> Translator<'p> {
    fn run(pattern: &'p str) -> Self {
        let out = String::with_capacity(pattern.len() + 8);
        let mut translator =
            Translator { pattern, rest: pattern, out, in_class: false, repeated: None, refusal: None };
        while let Some(c) = translator.next() {
            translator.piece(c);
        }
        translator
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Bytes of the pattern that lie behind.
    fn at(&self) -> usize {
        self.pattern.len() - self.rest.len()
    }

    fn piece(&mut self, c: char) {
        if !self.in_class && matches!(c, '*' | '+' | '?' | '{') && self.repetition(c) {
            return;
        }
        self.repeated = None;
        match c {
            '\\' => self.escape(),
            '[' if !self.in_class => self.open_class(),
            '[' => self.bracket_in_class(),
            ']' if self.in_class => {
                self.in_class = false;
                self.out.push(']');
            }
            // Set operations of Rust's classes, which Go does not have.
            '&' | '~' if self.in_class => {
                self.out.push('\\');
                self.out.push(c);
            }
            // No repetition, so a literal in Go.
            '{' if !self.in_class => self.out.push_str(r"\{"),
            '(' if self.take("?") => self.out.push_str("(?"),
            other => self.out.push(other),
        }
    }

    /// Takes a repetition; `false` when the brace is none.
    fn repetition(&mut self, c: char) -> bool {
        let start = self.at() - 1;
        if c == '{' && !self.take_counts() {
            return false;
        }
        self.out.push_str(&self.pattern[start..self.at()]);
        match self.repeated {
            None => self.repeated = Some((start, false)),
            Some((began, false)) if c == '?' => self.repeated = Some((began, true)),
            Some((began, _)) => {
                let operators = &self.pattern[began..self.at()];
                self.refuse(format!("invalid nested repetition operator: `{operators}`"));
            }
        }
        true
    }

    /// Takes `2}`, `2,}` or `2,5}`.
    fn take_counts(&mut self) -> bool {
        let Some((inner, tail)) = self.rest.split_once('}') else {
            return false;
        };
        let (first, last) = inner.split_once(',').unwrap_or((inner, ""));
        let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_count(first) || !(last.is_empty() || is_count(last)) {
            return false;
        }
        let is_excessive =
            |text: &str| !text.is_empty() && text.parse().map_or(true, |n: u32| n > REPEAT_MAX);
        if is_excessive(first) || is_excessive(last) {
            self.refuse(format!("invalid repeat count: `{{{inner}}}`"));
        }
        self.rest = tail;
        true
    }

    fn refuse(&mut self, message: String) {
        self.refusal.get_or_insert(message);
    }

    fn escape(&mut self) {
        let in_class = self.in_class;
        let Some(c) = self.next() else {
            return self.out.push('\\');
        };
        match c {
            'd' => self.class(if in_class { "0-9" } else { "[0-9]" }),
            'w' => self.class(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
            's' => self.class(if in_class { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
            'D' => self.class("[^0-9]"),
            'W' => self.class("[^0-9A-Za-z_]"),
            'S' => self.class(r"[^\t\n\f\r ]"),
            'b' | 'B' if !in_class => {
                self.out.push_str(r"(?-u:\");
                self.out.push(c);
                self.out.push(')');
            }
            'Q' if !in_class => {
                let (quoted, tail) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.out.push_str(&regex::escape(quoted));
                self.rest = tail;
            }
            'p' | 'P' if self.rest.starts_with("{^") => {
                self.rest = &self.rest[2..];
                self.out.push_str(if c == 'p' { r"\P{" } else { r"\p{" });
            }
            'p' | 'P' | 'x' if self.rest.starts_with('{') => {
                let end = self.rest.find('}').map_or(self.rest.len(), |end| end + 1);
                self.out.push('\\');
                self.out.push(c);
                self.out.push_str(&self.rest[..end]);
                self.rest = &self.rest[end..];
            }
            // Ends of words in Rust, themselves in Go.
            '<' | '>' => self.out.push(c),
            '0'..='7' => self.octal(c),
            other => {
                self.out.push('\\');
                self.out.push(other);
            }
        }
    }

    /// Writes a Perl class. A dash behind it is itself: it cannot begin a range.
    fn class(&mut self, text: &str) {
        self.out.push_str(text);
        if self.in_class && self.rest.starts_with('-') && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            self.out.push_str(r"\-");
        }
    }

    /// `\012` is a character; a single digit would be a reference back, which neither dialect has.
    fn octal(&mut self, first: char) {
        let more = self.rest.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
        if first != '0' && more == 0 {
            self.out.push('\\');
            return self.out.push(first);
        }
        let digits = format!("{first}{}", &self.rest[..more]);
        self.rest = &self.rest[more..];
        let code = u32::from_str_radix(&digits, 8).unwrap_or(0);
        self.out.push_str(&format!(r"\x{{{code:x}}}"));
    }

    fn open_class(&mut self) {
        self.in_class = true;
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        // A bracket right at the start of a class is a literal in Go.
        if self.take("]") {
            self.out.push_str(r"\]");
        }
    }

    fn bracket_in_class(&mut self) {
        match self.rest.strip_prefix(':').and_then(|rest| rest.split_once(":]")) {
            Some((class, tail)) => {
                self.out.push_str(&format!("[:{class}:]"));
                self.rest = tail;
            }
            // Rust would open a nested class.
            None => self.out.push_str(r"\["),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_patterns_may_be_large() {
        let large = "(x{1000}){70}";
        let mut count = PatternCount::default();
        (0..16).for_each(|_| count.add(large).unwrap());
        assert!(count.add(large).unwrap_err().contains("simplify"));
        (17..1000).for_each(|_| count.add("a.*b").unwrap());
        assert!(count.add("a").is_err());
    }

    #[test]
    fn replacements_have_an_end() {
        let regex = compile_anchored("(.*)").unwrap();
        let text = "x".repeat(1000);
        let expanded = |replacement: &str| expand(&regex.captures(&text).unwrap(), replacement);
        assert_eq!(expanded("a-${1}$2").unwrap(), format!("a-{text}"));
        assert!(expanded(&"$1".repeat(1000)).is_some() && expanded(&"$1".repeat(1100)).is_none());
    }

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
            (r#"{"a":\d{1,3}}"#, r#"{"a":12}"#, true),
            (r"a{,5}", "a{,5}", true),
            (r"^a{2}$", "aa", true),
            (r"\<b\>", "a <b> c", true),
            (r"^[\w-.]+$", "a-b.c", true),
            (r"^[\w-]+$", "a-b", true),
            (r"^\101\x42$", "AB", true),
            (r"^\p{^Greek}$", "x", true),
            (r"^\P{^Greek}$", "x", false),
            (r"^\pN$", "4", true),
            (r"^\p{Han}+\x{41}$", "接続A", true),
            (r"^(?U)a+", "aaa", true),
            (r"^(?P<n>a+?)b*?$", "aab", true),
            (r"\Qab\E+$", "abbb", true),
            (r"^.\z", "é", true),
        ] {
            assert_eq!(compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn large_patterns_are_told() {
        assert!(!is_large(r"(?i)(error|warn)[^\n]{0,80}\d+"));
        assert!(is_large(r"\pL{500}") && !is_large("("));
    }

    #[test]
    fn bad_patterns_name_themselves() {
        assert!(compile("(").unwrap_err().contains("`(`"));
        for (pattern, reason) in [
            ("a**", "invalid nested repetition operator: `**`"),
            ("a+?*", "invalid nested repetition operator: `+?*`"),
            ("a{2}{3}", "invalid nested repetition operator: `{2}{3}`"),
            ("a{1001}", "invalid repeat count: `{1001}`"),
            (r"\C", "error parsing regexp"),
            (r"(a)\1", "error parsing regexp"),
            ("(?=a)", "error parsing regexp"),
            ("{2}", "error parsing regexp"),
        ] {
            let error = compile(pattern).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        assert!(compile(r"\w{1000}{1000}").is_err());
    }
}
