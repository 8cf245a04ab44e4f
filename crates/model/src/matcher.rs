//! Label matchers, as in `{job="api", code!~"2.."}`.

use crate::{
    go_regex::{self, Dot},
    quote::Quoted,
};
use std::fmt;

/// How a [`Matcher`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator's text.
    pub fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// A regular expression that does not compile.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MatcherError(pub String);

/// One condition on one label; an absent label has the value "".
#[derive(Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<regex::Regex>,
}

impl Matcher {
    /// A matcher whose regular expression, if any, has been compiled in Go's dialect.
    ///
    /// # Errors
    /// When `op` is a regular expression that Go would refuse, or one too large to compile.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, MatcherError> {
        Matcher::with_dot(name, op, value, Dot::Any)
    }

    /// As [`Matcher::new`], with a say in what `.` matches.
    ///
    /// # Errors
    /// As [`Matcher::new`].
    pub fn with_dot(
        name: impl Into<String>,
        op: MatchOp,
        value: impl Into<String>,
        dot: Dot,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => {
                Some(go_regex::compile_anchored(&value, dot).map_err(MatcherError)?)
            }
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Matcher { name: name.into(), op, value, regex })
    }

    /// `name="value"`.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Matcher { name: name.into(), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The comparison.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text compared with, or the regular expression as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a label of this value (or "" when absent) is matched.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (_, None) => unreachable!("a regular-expression matcher always has one"),
        }
    }

    /// Whether an absent label is matched.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl std::hash::Hash for Matcher {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (&self.name, self.op, &self.value).hash(state);
    }
}

/// `name="value"` with the value quoted.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (op, value) = (self.op.as_str(), Quoted(&self.value));
        if crate::is_legacy_label_name(&self.name) {
            write!(f, "{}{op}{value}", self.name)
        } else {
            write!(f, "{}{op}{value}", Quoted(&self.name))
        }
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_expressions_are_anchored_and_dots_match_newlines() {
        let matcher = Matcher::new("a", MatchOp::Regex, "b.c|d").unwrap();
        assert!(matcher.matches("bxc") && matcher.matches("b\nc") && matcher.matches("d"));
        assert!(!matcher.matches("bxcd") && !matcher.matches("xd"));
        assert!(Matcher::new("a", MatchOp::NotRegex, "(").is_err());
    }
}
