//! What a matcher says about the values it can match, so that an index looks at few of them.

use model::{MatchOp, Matcher, go_regex};
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// More alternatives than this are scanned for instead of looked up one by one.
const ALTERNATIVES_MAX: usize = 100;

/// A superset of the values that a matcher matches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// One of these.
    Exactly(Vec<String>),
    /// Any with this prefix, perhaps empty.
    Prefix(String),
}

/// A superset of the values that `matcher` matches.
pub(crate) fn values_of(matcher: &Matcher) -> Values {
    match matcher.op() {
        MatchOp::Equal => Values::Exactly(vec![matcher.value().to_owned()]),
        MatchOp::Regex => of_regex(matcher.value()).unwrap_or(Values::Prefix(String::new())),
        MatchOp::NotEqual | MatchOp::NotRegex => Values::Prefix(String::new()),
    }
}

fn of_regex(pattern: &str) -> Option<Values> {
    let hir = regex_syntax::parse(&format!("(?s:{})", go_regex::translate(pattern).ok()?)).ok()?;
    let mut extractor = Extractor::new();
    extractor.kind(ExtractKind::Prefix).limit_total(ALTERNATIVES_MAX).limit_class(ALTERNATIVES_MAX);
    let sequence = extractor.extract(&hir);
    let literals = sequence.literals()?;
    // An anchor inside the pattern is dropped by the extractor, which only widens the set.
    if sequence.is_exact() {
        let values = literals.iter().map(|literal| String::from_utf8(literal.as_bytes().to_vec()));
        return values.collect::<Result<_, _>>().ok().map(Values::Exactly);
    }
    let prefix = sequence.longest_common_prefix()?;
    let valid = match std::str::from_utf8(prefix) {
        Ok(text) => text,
        // The literals parted within a character.
        Err(error) => std::str::from_utf8(&prefix[..error.valid_up_to()]).ok()?,
    };
    Some(Values::Prefix(valid.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, expected: Values) {
        let matcher = Matcher::new("a", MatchOp::Regex, pattern).unwrap();
        assert_eq!(values_of(&matcher), expected, "{pattern}");
    }

    #[test]
    fn alternatives_and_prefixes_are_found() {
        let exactly = |values: &[&str]| Values::Exactly(values.iter().map(|&v| v.to_owned()).collect());
        check("api", exactly(&["api"]));
        check("api|web", exactly(&["api", "web"]));
        check("node-[12]", exactly(&["node-1", "node-2"]));
        check("node-.*", Values::Prefix("node-".to_owned()));
        check("node-a.*|node-b.*", Values::Prefix("node-".to_owned()));
        check(".*x", Values::Prefix(String::new()));
        check("(?i)ab.*", Values::Prefix(String::new()));
        check("^a.*$", Values::Prefix("a".to_owned()));
    }
}
