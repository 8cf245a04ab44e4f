//! Matchers as Alertmanager writes them, in configuration and in `filter` parameters.
//!
//! Two dialects exist. The classic one is lenient (`foo=`, `{foo=bar}}`, values without quotes);
//! the newer one allows any UTF-8 name in quotes and requires balance. Text that the classic
//! dialect reads means what it meant there; everything else is read in the newer dialect.

use model::{MatchOp, Matcher, go_regex::Dot};

/// Reads `{a="b", c=~"d|e"}`, with or without braces.
///
/// # Errors
/// A message readable after "failed to read matchers".
pub fn parse_matchers(text: &str) -> Result<Vec<Matcher>, String> {
    classic::parse_list(text).or_else(|_| quoted::parse_list(text))
}

/// Reads one matcher, such as `a="b"`.
///
/// # Errors
/// As [`parse_matchers`], or when there are none or several.
pub fn parse_matcher(text: &str) -> Result<Matcher, String> {
    if let Ok(matcher) = classic::parse_one(text) {
        return Ok(matcher);
    }
    match <[Matcher; 1]>::try_from(quoted::parse_list(text)?) {
        Ok([matcher]) => Ok(matcher),
        Err(several) => Err(format!("expected one matcher in `{text}`, found {}", several.len())),
    }
}

/// A matcher whose `.` stops at a newline, as everywhere in Alertmanager.
///
/// # Errors
/// When the regular expression does not compile.
pub(crate) fn matcher(name: &str, op: MatchOp, value: &str) -> Result<Matcher, model::MatcherError> {
    Matcher::with_dot(name, op, value, Dot::NotNewline)
}

/// Whether all of `matchers` match `labels`, an absent label being "".
pub fn all_match(matchers: &[Matcher], labels: &model::Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels.value(matcher.name())))
}

/// A matcher as Alertmanager writes it, in keys of groups among others: of a value only what would
/// end it or break the line is escaped.
pub(crate) fn written(name: &str, op: MatchOp, value: &str) -> String {
    let op = op.as_str();
    if name.contains(is_special) {
        return format!("{}{op}{}", model::quote(name), model::quote(value));
    }
    let escaped = value.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"");
    format!("{name}{op}\"{escaped}\"")
}

/// Whether a character must stand in quotes.
fn is_special(c: char) -> bool {
    c.is_whitespace() || "{}!=~,\\\"'`".contains(c)
}

fn build(name: &str, op: &str, value: &str) -> Result<Matcher, String> {
    let op = match op {
        "=" => MatchOp::Equal,
        "!=" => MatchOp::NotEqual,
        "=~" => MatchOp::Regex,
        _ => MatchOp::NotRegex,
    };
    matcher(name, op, value).map_err(|error| error.to_string())
}

/// Splits an operator off the front.
fn take_operator(text: &str) -> Option<(&'static str, &str)> {
    ["=~", "!=", "!~", "="].into_iter().find_map(|op| Some((op, text.strip_prefix(op)?)))
}

mod classic {
    use super::{build, take_operator};
    use model::Matcher;

    pub(super) fn parse_list(text: &str) -> Result<Vec<Matcher>, String> {
        let text = text.strip_prefix('{').unwrap_or(text);
        let text = text.strip_suffix('}').unwrap_or(text);
        split(text).into_iter().map(parse_one).collect()
    }

    /// Splits at commas outside quotes.
    fn split(text: &str) -> Vec<&str> {
        let (mut inside_quotes, mut escaped, mut start) = (false, false, 0);
        let mut tokens = Vec::new();
        for (at, c) in text.char_indices() {
            match c {
                ',' if !inside_quotes => {
                    tokens.push(&text[start..at]);
                    start = at + 1;
                }
                '"' if !escaped => inside_quotes = !inside_quotes,
                _ => {}
            }
            escaped = c == '\\' && !escaped;
        }
        if start < text.len() {
            tokens.push(&text[start..]);
        }
        tokens
    }

    pub(super) fn parse_one(token: &str) -> Result<Matcher, String> {
        let bad = || format!("bad matcher format: `{token}`");
        let rest = token.trim_start();
        let name_end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).ok_or_else(bad)?;
        let (name, rest) = rest.split_at(name_end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad());
        }
        let (op, rest) = take_operator(rest.trim_start()).ok_or_else(bad)?;
        build(name, op, &unescape(rest.trim())?)
    }

    /// Only `\"`, `\n` and `\\` are escapes; a backslash before anything else stands for itself.
    fn unescape(raw: &str) -> Result<String, String> {
        let quoted = raw.strip_prefix('"');
        let body = quoted.unwrap_or(raw);
        let unbalanced = || format!("matcher value contains unescaped double quote: `{raw}`");
        let mut out = String::with_capacity(body.len());
        let mut chars = body.chars().peekable();
        let mut closed = false;
        while let Some(c) = chars.next() {
            match (c, chars.peek().copied()) {
                ('\\', Some('n')) => out.push('\n'),
                ('\\', Some(escaped @ ('"' | '\\'))) => out.push(escaped),
                ('\\', _) => {
                    out.push('\\');
                    continue;
                }
                ('"', None) if quoted.is_some() => {
                    closed = true;
                    continue;
                }
                ('"', _) => return Err(unbalanced()),
                _ => {
                    out.push(c);
                    continue;
                }
            }
            chars.next();
        }
        if quoted.is_some() && !closed { Err(unbalanced()) } else { Ok(out) }
    }
}

mod quoted {
    use super::{build, is_special, take_operator};
    use model::Matcher;

    pub(super) fn parse_list(text: &str) -> Result<Vec<Matcher>, String> {
        let trimmed = text.trim();
        let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
            (Some(_), Some(_)) if trimmed.len() >= 2 => &trimmed[1..trimmed.len() - 1],
            (None, None) => trimmed,
            _ => return Err(format!("braces do not match in `{text}`")),
        };
        let mut rest = inner.trim_start();
        let mut matchers = Vec::new();
        while !rest.is_empty() {
            let (matcher, tail) = parse_one(rest)?;
            matchers.push(matcher);
            let tail = tail.trim_start();
            rest = match tail.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if tail.is_empty() => tail,
                None => return Err(format!("expected `,` or the end before `{tail}`")),
            };
        }
        Ok(matchers)
    }

    fn parse_one(text: &str) -> Result<(Matcher, &str), String> {
        let (name, rest) = word(text)?;
        let rest = rest.trim_start();
        let (op, rest) = take_operator(rest)
            .ok_or_else(|| format!("expected one of `=`, `!=`, `=~`, `!~` before `{rest}`"))?;
        let (value, rest) = word(rest.trim_start())?;
        Ok((build(&name, op, &value)?, rest))
    }

    /// A quoted string, or the longest run of characters that need no quotes.
    fn word(text: &str) -> Result<(String, &str), String> {
        if let Some(body) = text.strip_prefix('"') {
            return string(body);
        }
        match text.find(is_special).unwrap_or(text.len()) {
            0 => Err(format!("expected a name or a value before `{text}`")),
            end => Ok((text[..end].to_owned(), &text[end..])),
        }
    }

    /// The rest of a string in double quotes, with Go's escapes.
    fn string(body: &str) -> Result<(String, &str), String> {
        let unterminated = || format!("missing closing quote in `\"{body}`");
        let mut out = String::new();
        let mut chars = body.chars();
        loop {
            match chars.next().ok_or_else(unterminated)? {
                '"' => return Ok((out, chars.as_str())),
                '\\' => out.push(escape(&mut chars)?),
                other => out.push(other),
            }
        }
    }

    fn escape(chars: &mut std::str::Chars<'_>) -> Result<char, String> {
        let kind = chars.next().unwrap_or(' ');
        let digits = match kind {
            'n' => return Ok('\n'),
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            '"' | '\\' => return Ok(kind),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(format!("invalid escape `\\{kind}`")),
        };
        let hex: String = chars.by_ref().take(digits).collect();
        u32::from_str_radix(&hex, 16)
            .ok()
            .filter(|_| hex.len() == digits)
            .and_then(char::from_u32)
            .ok_or_else(|| format!("invalid escape `\\{kind}{hex}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse_matchers(text) {
            Ok(matchers) => matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(","),
            Err(_) => "error".to_owned(),
        }
    }

    #[test]
    fn both_dialects() {
        for (text, expected) in [
            (r#"{foo="bar"}"#, r#"foo="bar""#),
            (r#"foo=bar,baz!~"q.*""#, r#"foo="bar",baz!~"q.*""#),
            (r#"a = "x y""#, r#"a="x y""#),
            ("{}", ""),
            ("", ""),
            ("foo=", r#"foo="""#),
            ("{foo=bar}}", r#"foo="bar}""#),
            (r"{foo=bar\}", r#"foo="bar\\""#),
            ("tricky=~~~", r#"tricky=~"~~""#),
            (r#"foo="a,b",c="\"q\"""#, r#"foo="a,b",c="\"q\"""#),
            (r#"{"foo bar"="x"}"#, r#""foo bar"="x""#),
            (r#""é"=~"a\u00e9""#, r#""é"=~"aé""#),
            ("foo=bar,", r#"foo="bar""#),
            ("{{{", "error"),
            ("foo", "error"),
            (r#"foo="bar"#, "error"),
            (r#"foo=ba"r"#, "error"),
            (r#"foo=~"(""#, "error"),
            ("0foo!", "error"),
        ] {
            assert_eq!(show(text), expected, "{text}");
        }
    }

    #[test]
    fn matchers_are_written_as_alertmanager_writes_them() {
        for (name, value, expected) in [
            ("a", "b\t❤️\u{7f}", "a=\"b\t❤️\u{7f}\""),
            ("a", "\"\\\n", r#"a="\"\\\n""#),
            ("é", "b", r#"é="b""#),
            ("a b", "\t", r#""a b"="\t""#),
        ] {
            assert_eq!(written(name, MatchOp::Equal, value), expected);
        }
    }

    #[test]
    fn a_dot_stops_at_a_newline() {
        let labels = model::Labels::from_pairs([("a", "x\ny")]);
        assert!(!all_match(&parse_matchers(r#"a=~"x.y""#).unwrap(), &labels));
        assert!(all_match(&parse_matchers(r#"a=~"(?s)x.y",a!~".*""#).unwrap(), &labels));
    }

    #[test]
    fn one_matcher_is_one_matcher() {
        assert_eq!(parse_matcher("a=b").unwrap().to_string(), r#"a="b""#);
        assert!(parse_matcher(r#""a b"=c,d=e"#).is_err());
    }

    #[test]
    fn absent_labels_match_as_empty() {
        let labels = model::Labels::from_pairs([("a", "1")]);
        assert!(all_match(&parse_matchers(r#"a="1",b="",c!="x""#).unwrap(), &labels));
        assert!(!all_match(&parse_matchers(r#"a="1",b!="""#).unwrap(), &labels));
    }
}
