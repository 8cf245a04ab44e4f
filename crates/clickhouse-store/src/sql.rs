//! Text of SQL: literals, and matchers and line filters as conditions.

use model::{MatchOp, Matcher, TimeRange};
use regex_syntax::hir::{Hir, HirKind};
use std::fmt::Write as _;
use store::LineFilter;

/// Shortest literal that is worth looking for: the index holds pieces of four bytes.
const LITERAL_BYTES_MIN: usize = 4;

/// A string literal; any bytes.
pub(crate) fn string(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('\'');
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            0x20..=0x7e => out.push(char::from(*byte)),
            _ => write!(out, "\\x{byte:02X}").expect("a string takes any text"),
        }
    }
    out.push('\'');
    out
}

/// A `LIKE` pattern, as a literal, for lines that contain `needle`.
fn like(needle: &[u8]) -> String {
    let mut pattern = vec![b'%'];
    for byte in needle {
        if matches!(byte, b'%' | b'_' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'%');
    string(&pattern)
}

/// A number of 64 bits with its sign, whichever it is.
pub(crate) fn int(value: i64) -> String {
    format!("toInt64('{value}')")
}

/// `column` lies in the range, closed at both ends.
pub(crate) fn between(column: &str, range: TimeRange) -> String {
    format!("{column} >= {} AND {column} <= {}", int(range.start), int(range.end))
}

/// `column` lies in the range, which its end does not belong to.
pub(crate) fn within(column: &str, range: TimeRange) -> String {
    format!("{column} >= {} AND {column} < {}", int(range.start), int(range.end))
}

/// A list of ids, in parentheses. They are written as strings: a number of 128 bits would be read
/// as a float.
pub(crate) fn ids(values: impl IntoIterator<Item = u128>) -> String {
    list(values.into_iter().map(|value| format!("'{value}'")))
}

/// A list of strings, in parentheses.
pub(crate) fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    list(values.into_iter().map(|value| string(value.as_bytes())))
}

fn list(values: impl Iterator<Item = String>) -> String {
    let mut out = String::from("(");
    for (i, value) in values.enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&value);
    }
    out.push(')');
    out
}

/// A condition, and whether it says everything; if not, rows that pass have to be looked at again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) sql: String,
    pub(crate) is_exact: bool,
}

/// Rows that any of `selectors` may match (all rows when there is none). `metric` says whether
/// the table has the metric's name in a column of its own.
pub(crate) fn any_selector(selectors: &[Vec<Matcher>], metric: bool) -> Condition {
    let each: Vec<Condition> = selectors.iter().map(|matchers| all_matchers(matchers, metric)).collect();
    if each.is_empty() {
        return Condition { sql: "1".to_owned(), is_exact: true };
    }
    let sql: Vec<&str> = each.iter().map(|condition| condition.sql.as_str()).collect();
    Condition {
        sql: format!("(({}))", sql.join(") OR (")),
        is_exact: each.iter().all(|condition| condition.is_exact),
    }
}

fn all_matchers(matchers: &[Matcher], metric: bool) -> Condition {
    let mut sql = vec!["1".to_owned()];
    let mut is_exact = true;
    for matcher in matchers {
        match one_matcher(matcher, metric) {
            Some(condition) => sql.push(condition),
            None => is_exact = false,
        }
    }
    Condition { sql: sql.join(" AND "), is_exact }
}

/// `None` when SQL cannot say it the way Go's regular expressions mean it.
fn one_matcher(matcher: &Matcher, metric: bool) -> Option<String> {
    let column = match matcher.name() {
        model::METRIC_NAME if metric => "metric".to_owned(),
        name => format!("labels[{}]", string(name.as_bytes())),
    };
    let value = string(matcher.value().as_bytes());
    let alternatives = || plain_alternatives(matcher.value()).map(strings);
    match matcher.op() {
        MatchOp::Equal => Some(format!("{column} = {value}")),
        MatchOp::NotEqual => Some(format!("{column} != {value}")),
        MatchOp::Regex => Some(format!("{column} IN {}", alternatives()?)),
        MatchOp::NotRegex => Some(format!("{column} NOT IN {}", alternatives()?)),
    }
}

/// The texts that an expression such as `a|b|c` matches, when it has no other operators.
fn plain_alternatives(expression: &str) -> Option<Vec<&str>> {
    let is_plain =
        |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '/' | '|' | ' ' | ',' | '@' | '=');
    expression.chars().all(is_plain).then(|| expression.split('|').collect())
}

/// What a line has to have in order to pass, as far as ClickHouse can tell; `None` when nothing.
/// Whoever reads the rows decides again.
pub(crate) fn line_filter(filter: &LineFilter) -> Option<String> {
    match filter {
        LineFilter::ContainsAny(needles) => {
            let conditions: Option<Vec<String>> = needles.iter().map(|needle| contains(needle)).collect();
            conditions.filter(|all| !all.is_empty()).map(|all| format!("({})", all.join(" OR ")))
        }
        LineFilter::ContainsNone(needles) => {
            let conditions: Vec<String> = needles
                .iter()
                .filter(|needle| !needle.is_empty())
                .map(|needle| format!("position(line, {}) = 0", string(needle)))
                .collect();
            (!conditions.is_empty()).then(|| conditions.join(" AND "))
        }
        LineFilter::Matches { pattern, .. } => {
            let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern).ok()?;
            required_literal(&hir).filter(|literal| literal.len() >= LITERAL_BYTES_MIN).and_then(contains)
        }
        LineFilter::MatchesNot { .. } => None,
    }
}

/// `LIKE` finds bytes by the index; with bytes that are no text it is not asked.
fn contains(needle: &[u8]) -> Option<String> {
    let is_asked = !needle.is_empty() && std::str::from_utf8(needle).is_ok();
    is_asked.then(|| format!("line LIKE {}", like(needle)))
}

/// The longest text that every match of the expression contains.
fn required_literal(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => required_literal(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => required_literal(&repetition.sub),
        HirKind::Concat(parts) => {
            parts.iter().filter_map(required_literal).max_by_key(|literal| literal.len())
        }
        _ => None,
    }
}

/// Exactly the rows that pass, when SQL can say it.
pub(crate) fn exact_line_filter(filter: &LineFilter) -> Option<String> {
    let has = |needle: &Vec<u8>| match needle.is_empty() {
        true => "1".to_owned(),
        false => format!("position(line, {}) > 0", string(needle)),
    };
    match filter {
        LineFilter::ContainsAny(needles) if needles.is_empty() => Some("0".to_owned()),
        LineFilter::ContainsAny(needles) => {
            Some(format!("({})", needles.iter().map(has).collect::<Vec<_>>().join(" OR ")))
        }
        LineFilter::ContainsNone(needles) if needles.is_empty() => Some("1".to_owned()),
        LineFilter::ContainsNone(needles) => {
            Some(format!("NOT ({})", needles.iter().map(has).collect::<Vec<_>>().join(" OR ")))
        }
        LineFilter::Matches { .. } | LineFilter::MatchesNot { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::bytes::Regex;

    #[test]
    fn literals_hold_any_bytes() {
        assert_eq!(string(b"it's \\ \n\xff"), r"'it\'s \\ \x0A\xFF'");
        assert_eq!(like(b"50%_\\"), r"'%50\\%\\_\\\\%'");
        assert_eq!(ids([1, u128::MAX]), "('1','340282366920938463463374607431768211455')");
    }

    #[test]
    fn matchers_become_conditions() {
        for (name, op, value, expected) in [
            ("job", MatchOp::Equal, "api", Some("labels['job'] = 'api'")),
            ("__name__", MatchOp::NotEqual, "up", Some("metric != 'up'")),
            ("job", MatchOp::Regex, "a|b-c|", Some("labels['job'] IN ('a','b-c','')")),
            ("job", MatchOp::NotRegex, "a|b", Some("labels['job'] NOT IN ('a','b')")),
            ("job", MatchOp::Regex, "a.*", None),
            ("job", MatchOp::Regex, "(?i)a", None),
            ("job", MatchOp::Regex, "a+", None),
        ] {
            let matcher = Matcher::new(name, op, value).unwrap();
            assert_eq!(one_matcher(&matcher, true).as_deref(), expected, "{matcher}");
        }
        let inexact = any_selector(&[vec![Matcher::new("a", MatchOp::Regex, "x.").unwrap()]], true);
        assert_eq!(inexact, Condition { sql: "((1))".into(), is_exact: false });
        assert_eq!(any_selector(&[], true), Condition { sql: "1".into(), is_exact: true });
    }

    #[test]
    fn line_filters_become_what_the_index_can_use() {
        let matches = |pattern: &str| LineFilter::Matches {
            pattern: pattern.to_owned(),
            regex: Regex::new(pattern).unwrap(),
        };
        for (filter, expected) in [
            (
                LineFilter::ContainsAny(vec![b"a".to_vec(), b"b".to_vec()]),
                Some("(line LIKE '%a%' OR line LIKE '%b%')"),
            ),
            (LineFilter::ContainsAny(vec![b"a".to_vec(), vec![]]), None),
            (LineFilter::ContainsAny(vec![vec![0xff]]), None),
            (LineFilter::ContainsNone(vec![b"a".to_vec(), vec![]]), Some("position(line, 'a') = 0")),
            (matches("conn.*(refused)+x?"), Some("line LIKE '%refused%'")),
            (matches("(?i)refused"), None),
            (matches("refused|timeout"), None),
            (matches("abc"), None),
        ] {
            assert_eq!(line_filter(&filter).as_deref(), expected, "{filter:?}");
        }
    }
}
