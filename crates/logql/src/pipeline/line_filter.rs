//! Conditions on the line.

use super::{ip, pattern};
use crate::ast::{LineFilter, LineOp, Needle};
use memchr::memmem::Finder;
use model::go_regex;
use regex::bytes::{Regex, RegexBuilder};

/// Compiled programs above this many bytes are refused.
const PROGRAM_BYTES_MAX: usize = 10 << 20;

/// A compiled line filter.
pub(super) struct Compiled {
    negative: bool,
    tests: Vec<Test>,
}

enum Test {
    Contains(Box<Finder<'static>>),
    Regex(Regex),
    Pattern(pattern::Filter),
    Ip(ip::IpMatcher),
}

impl Compiled {
    pub(super) fn new(filter: &LineFilter) -> Result<Self, String> {
        let tests =
            filter.needles.iter().map(|needle| compile(filter.op, needle)).collect::<Result<_, _>>()?;
        Ok(Compiled { negative: filter.op.is_negative(), tests })
    }

    pub(super) fn passes(&self, line: &str) -> bool {
        let matches = self.tests.iter().any(|test| match test {
            Test::Contains(finder) => finder.find(line.as_bytes()).is_some(),
            Test::Regex(regex) => regex.is_match(line.as_bytes()),
            Test::Pattern(filter) => filter.matches(line),
            Test::Ip(matcher) => matcher.is_in_text(line),
        });
        matches != self.negative
    }
}

fn compile(op: LineOp, needle: &Needle) -> Result<Test, String> {
    if needle.ip {
        return ip::IpMatcher::parse(&needle.text).map(Test::Ip);
    }
    match op {
        LineOp::Contains | LineOp::ContainsNot => {
            Ok(Test::Contains(Box::new(Finder::new(needle.text.as_bytes()).into_owned())))
        }
        LineOp::Matches | LineOp::MatchesNot => Ok(Test::Regex(compile_regex(&needle.text)?.1)),
        LineOp::Pattern | LineOp::PatternNot => pattern::Filter::new(&needle.text).map(Test::Pattern),
    }
}

/// The expression in Rust's dialect, and its program.
fn compile_regex(pattern: &str) -> Result<(String, Regex), String> {
    // The check in Go's dialect gives the message.
    go_regex::compile(pattern)?;
    build_regex(go_regex::translate(pattern)?)
}

fn build_regex(translated: String) -> Result<(String, Regex), String> {
    let regex = RegexBuilder::new(&translated)
        .size_limit(PROGRAM_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string())?;
    Ok((translated, regex))
}

/// What a store can decide of a filter on the raw line, and whether that is all of it.
pub(super) fn for_store(filter: &LineFilter) -> Result<(bool, Option<store::LineFilter>), String> {
    if filter.needles.iter().any(|needle| needle.ip) {
        return Ok((false, None));
    }
    let bytes = || filter.needles.iter().map(|needle| needle.text.clone().into_bytes()).collect();
    let alternatives = || {
        if let [needle] = filter.needles.as_slice() {
            return compile_regex(&needle.text);
        }
        // The check of each gives its message.
        for needle in &filter.needles {
            go_regex::compile(&needle.text)?;
        }
        let patterns = filter.needles.iter().map(|needle| needle.text.as_str());
        build_regex(go_regex::translate_any(patterns)?)
    };
    let pushed = match filter.op {
        LineOp::Contains if filter.needles.iter().any(|needle| needle.text.is_empty()) => {
            return Ok((true, None));
        }
        LineOp::Contains => store::LineFilter::ContainsAny(bytes()),
        LineOp::ContainsNot => store::LineFilter::ContainsNone(bytes()),
        LineOp::Matches => {
            let (pattern, regex) = alternatives()?;
            store::LineFilter::Matches { pattern, regex }
        }
        LineOp::MatchesNot => {
            let (pattern, regex) = alternatives()?;
            store::LineFilter::MatchesNot { pattern, regex }
        }
        LineOp::Pattern => return Ok((false, pattern_literals(filter)?)),
        LineOp::PatternNot => return Ok((false, None)),
    };
    Ok((true, Some(pushed)))
}

/// A necessary condition of a pattern filter: the longest literal of each alternative.
fn pattern_literals(filter: &LineFilter) -> Result<Option<store::LineFilter>, String> {
    let mut literals = Vec::new();
    for needle in &filter.needles {
        match pattern::Filter::new(&needle.text)?.longest_literal() {
            Some(literal) => literals.push(literal.as_bytes().to_vec()),
            None => return Ok(None),
        }
    }
    Ok(Some(store::LineFilter::ContainsAny(literals)))
}
