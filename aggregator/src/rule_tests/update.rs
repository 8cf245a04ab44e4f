//! Writes what came out into a test file in place of what was expected: the text around it, with
//! its comments and its style, stays.
//!
//! A case is found by its place and its key by its text, in block style (`exp_alerts:` on a line of
//! its own) and in flow style (`{…, exp_alerts: […]}`).

use super::{Failure, Fix, render};
use std::ops::Range;

/// The text with every fix of `failures` applied, and how many there were.
pub(crate) fn updated(text: &str, failures: &[Failure]) -> (String, usize) {
    let mut edits: Vec<(Range<usize>, String)> = failures
        .iter()
        .filter_map(|failure| {
            let start = offset(text, failure.line, failure.column)?;
            edit(text, start, failure.fix.as_ref()?)
        })
        .collect();
    edits.sort_by_key(|(range, _)| range.start);
    // Cases that share a place, such as an alias used twice, are written once.
    edits.dedup_by(|later, kept| later.0.start < kept.0.end || later.0 == kept.0);
    let mut result = text.to_owned();
    for (range, replacement) in edits.iter().rev() {
        result.replace_range(range.clone(), replacement);
    }
    (result, edits.len())
}

/// The byte at a place that counts lines and characters from 1.
fn offset(text: &str, line: u64, column: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let within = text.get(begin..)?.char_indices().nth(column).map(|(at, _)| at)?;
    Some(begin + within)
}

fn edit(text: &str, start: usize, fix: &Fix) -> Option<(Range<usize>, String)> {
    if text[start..].starts_with('{') { edit_flow(text, start, fix) } else { edit_block(text, start, fix) }
}

/// Where the parts of a flow mapping end, outside of quotes, comments and inner brackets.
fn flow_parts(text: &str, start: usize) -> Option<(Vec<Range<usize>>, usize)> {
    let mut parts = Vec::new();
    let (mut depth, mut part) = (0usize, start + 1);
    let mut quote: Option<char> = None;
    let mut previous = ' ';
    let mut is_comment = false;
    for (at, c) in text[start..].char_indices().map(|(at, c)| (start + at, c)) {
        match (quote, c) {
            _ if is_comment => is_comment = c != '\n',
            (Some('"'), _) if previous == '\\' => {
                previous = ' ';
                continue;
            }
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if " ,:[{\n\t".contains(previous) => quote = Some(c),
            (None, '#') if previous.is_whitespace() => is_comment = true,
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    parts.push(part..at);
                    return Some((parts, at));
                }
            }
            (None, ',') if depth == 1 => {
                parts.push(part..at);
                part = at + 1;
            }
            _ => {}
        }
        previous = c;
    }
    None
}

fn edit_flow(text: &str, start: usize, fix: &Fix) -> Option<(Range<usize>, String)> {
    let (parts, end) = flow_parts(text, start)?;
    let value = render::flow(&fix.value);
    for part in &parts {
        let Some((key, old)) = text[part.clone()].split_once(':') else { continue };
        if key.trim() == fix.key {
            let at = part.end - old.len();
            return Some((at..part.end, format!(" {value}")));
        }
    }
    let comma = if text[start + 1..end].trim().is_empty() { "" } else { ", " };
    Some((end..end, format!("{comma}{}: {value}", fix.key)))
}

fn edit_block(text: &str, start: usize, fix: &Fix) -> Option<(Range<usize>, String)> {
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let indent = text[line_start..start].chars().count();
    let lines = block_lines(text, start, indent);
    let pad = " ".repeat(indent);
    let value = block(&fix.value, &pad);
    let at_key = lines.iter().position(|line| {
        let content = key_content(text, line, start, indent);
        content.is_some_and(|content| content.split_once(':').is_some_and(|(key, _)| key.trim() == fix.key))
    });
    match at_key {
        Some(first) => {
            let content = key_content(text, &lines[first], start, indent)?;
            let begin = lines[first].end - content.len() + content.find(':')? + 1;
            let belongs = |line: &&Range<usize>| belongs_to_value(&text[(*line).clone()], indent);
            let value_lines = lines[first + 1..].iter().take_while(belongs).collect::<Vec<_>>();
            let last = value_lines.iter().rposition(|line| !is_blank(&text[(*line).clone()]));
            let end = last.map_or(lines[first].end, |last| value_lines[last].end);
            Some((begin..trimmed(text, begin, end), value))
        }
        None => {
            let last = lines.iter().rev().find(|line| !is_blank(&text[(*line).clone()]))?;
            let at = trimmed(text, start, last.end);
            Some((at..at, format!("\n{pad}{}:{value}", fix.key)))
        }
    }
}

/// The lines of the block mapping that starts at `start`.
fn block_lines(text: &str, start: usize, indent: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let is_first = at == start;
        if !is_first && !is_blank(line) && indent_of(line) < indent {
            break;
        }
        lines.push(at..at + line.len());
        at += line.len();
    }
    lines
}

/// What stands in a line at the mapping's own indentation.
fn key_content<'a>(text: &'a str, line: &Range<usize>, start: usize, indent: usize) -> Option<&'a str> {
    let content = &text[line.clone()];
    if line.start == start {
        return Some(content);
    }
    (indent_of(content) == indent && !is_blank(content)).then(|| content.trim_start_matches(' '))
}

/// Whether a line belongs to the value of the key above it: deeper, or an item of its list.
fn belongs_to_value(line: &str, indent: usize) -> bool {
    is_blank(line)
        || indent_of(line) > indent
        || indent_of(line) == indent && (line.trim_start().starts_with("- ") || line.trim() == "-")
}

/// Empty, or only a comment.
fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// `end` without the white space before it.
fn trimmed(text: &str, start: usize, end: usize) -> usize {
    start + text[start..end].trim_end().len()
}

/// The value after `key:`.
fn block(value: &render::Yaml, pad: &str) -> String {
    match value {
        render::Yaml::List(items) if !items.is_empty() => {
            items.iter().map(|item| format!("\n{pad}- {}", render::flow(item))).collect()
        }
        other => format!(" {}", render::flow(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use render::Yaml;

    fn fix(key: &'static str, items: &[&str]) -> Fix {
        Fix { key, value: Yaml::List(items.iter().map(|item| Yaml::Text((*item).to_owned())).collect()) }
    }

    fn check(text: &str, place: (u64, u64), fix: Fix, expected: &str) {
        let failure = Failure { line: place.0, column: place.1, message: String::new(), fix: Some(fix) };
        let (updated, count) = updated(text, &[failure]);
        assert_eq!((updated.as_str(), count), (expected, 1));
    }

    #[test]
    fn flow_values_are_replaced_or_added() {
        let text = "cases:\n- {eval_time: 1m, exp_alerts: [{exp_labels: {a: 'x, }'}}], other: 1}  # why\n";
        let expected = "cases:\n- {eval_time: 1m, exp_alerts: [new], other: 1}  # why\n";
        check(text, (2, 3), fix("exp_alerts", &["new"]), expected);
        let expected = "cases:\n- {eval_time: 1m, exp_alerts: [{exp_labels: {a: 'x, }'}}], other: 1, exp_pending: [p]}  # why\n";
        check(text, (2, 3), fix("exp_pending", &["p"]), expected);
    }

    #[test]
    fn block_values_are_replaced_or_added() {
        let text = "cases:\n  - eval_time: 1m  # kept\n    exp_alerts:\n    # goes\n    - exp_labels: {a: b}\n      more: c\n\n    # stays\n    alertname: A\n\n  - eval_time: 2m\n    alertname: B\n# end\n";
        let expected = "cases:\n  - eval_time: 1m  # kept\n    exp_alerts:\n    - x\n    - z\n\n    # stays\n    alertname: A\n\n  - eval_time: 2m\n    alertname: B\n# end\n";
        check(text, (2, 5), fix("exp_alerts", &["x", "z"]), expected);
        let expected = text.replace("alertname: B\n", "alertname: B\n    exp_alerts:\n    - x\n");
        check(text, (11, 5), fix("exp_alerts", &["x"]), &expected);
        check("- exp_alerts: [a, b]\n  x: 1\n", (1, 3), fix("exp_alerts", &[]), "- exp_alerts: []\n  x: 1\n");
        check("- x: 1", (1, 3), fix("exp_alerts", &["z"]), "- x: 1\n  exp_alerts:\n  - z");
    }
}
