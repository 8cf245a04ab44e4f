//! Every mistake of form of a file, where a reader of YAML stops at the first: the entry that is
//! wrong is taken out and the rest is read again. What is then missing is no mistake of the file:
//! where something was taken out, the setting of the first level is passed over, and so is what the
//! file as a whole lacks then.

use super::{ConfigError, parse_yaml};
use serde::de::{DeserializeOwned, IgnoredAny};
use std::ops::Range;

/// Mistakes told of one file.
const MISTAKES_MAX: usize = 50;

/// Reads as [`parse_yaml`] does, with all mistakes of form that can be told apart.
///
/// # Errors
/// One or more, in the order of the file.
pub fn parse_yaml_with_all_mistakes<T: DeserializeOwned>(
    text: &str,
    name: &str,
) -> Result<T, Vec<ConfigError>> {
    let is_yaml = |text: &str| parse_yaml::<IgnoredAny>(text, name).is_ok();
    let (mut mistakes, mut rest, mut before) = (Vec::new(), text.to_owned(), None);
    loop {
        let next = match parse_yaml::<T>(&rest, name) {
            Ok(parsed) if mistakes.is_empty() => return Ok(parsed),
            Ok(_) => break,
            Err(next) => next,
        };
        if before.is_some() && !is_yaml(&rest) {
            break;
        }
        let (at, is_missing) = (place(&next), is_of_missing(&next));
        let (line, column) = at.unwrap_or_default();
        let section = section(&rest, line);
        let is_taken_out = |told: &ConfigError| place(told).is_some_and(|(line, _)| section.contains(&line));
        let is_our_doing = is_missing && (column <= 1 || mistakes.iter().any(is_taken_out));
        // What stands before was right until an entry was taken out.
        if before.is_some() && at <= before && (!is_our_doing || column <= 1) {
            break;
        }
        if mistakes.is_empty() || !is_our_doing {
            mistakes.push(next);
        }
        if mistakes.len() == MISTAKES_MAX || (before.is_none() && !is_yaml(text)) {
            break;
        }
        before = at.max(before);
        // Nothing can be put where something is missing.
        let less = if is_missing { without_lines(&rest, &section) } else { without_entry(&rest, line) };
        match less.filter(|less| *less != rest) {
            Some(less) => rest = less,
            None => break,
        }
    }
    Err(mistakes)
}

/// The lines of the setting of the first level, or of the entry of a list there, that `line` is in.
fn section(text: &str, line: usize) -> Range<usize> {
    let begins = |line: &str| line.starts_with(|first: char| !first.is_whitespace() && first != '#');
    let (mut from, mut to) = (0, 0);
    for (index, content) in text.lines().enumerate() {
        to = index + 1;
        if begins(content) {
            if to > line {
                return from..to;
            }
            from = to;
        }
    }
    from..to + 1
}

/// `text` with these lines blanked; `None` when there are none.
fn without_lines(text: &str, section: &Range<usize>) -> Option<String> {
    let blanked = |(index, line)| if section.contains(&(index + 1)) { "" } else { line };
    (section.start > 0).then(|| text.lines().enumerate().map(blanked).collect::<Vec<_>>().join("\n"))
}

fn place(error: &ConfigError) -> Option<(usize, usize)> {
    match error {
        ConfigError::Invalid { line, column, .. } => Some((*line, *column)),
        _ => None,
    }
}

fn is_of_missing(error: &ConfigError) -> bool {
    matches!(error, ConfigError::Invalid { message, .. } if message.starts_with("missing field"))
}

/// `text` with the entry blanked that `line` begins, so that all others stay where they are; `None`
/// when no entry begins there, as within braces over several lines.
fn without_entry(text: &str, line: usize) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let first = lines.get(line.checked_sub(1)?)?.clone();
    let mut column = first.len() - first.trim_start().len();
    let mut entry = first.trim_start();
    // Entries of lists that begin on the same line, each within the one before.
    let mut dash = None;
    while let Some(item) = entry.strip_prefix("- ") {
        dash = Some(column);
        column += entry.len() - item.trim_start().len();
        entry = item.trim_start();
    }
    let value = value_of_key(entry);
    let (from, holds_list_beside_it) = match (value, dash) {
        (Some(value), _) => (column, value.is_empty() && dash.is_none()),
        (None, Some(dash)) => (dash, false),
        (None, None) => return None,
    };
    if value.is_none() && !is_closed(entry) {
        return None;
    }
    lines[line - 1].truncate(from);
    for below in &mut lines[line..] {
        let indent = below.len() - below.trim_start().len();
        let is_item_beside = holds_list_beside_it && indent == from && below.trim_start().starts_with('-');
        if !below.trim().is_empty() && indent <= from && !is_item_beside {
            break;
        }
        below.clear();
    }
    Some(lines.join("\n"))
}

/// What stands behind a plain key and its colon.
fn value_of_key(entry: &str) -> Option<&str> {
    let (key, value) = entry.split_once(':')?;
    let is_plain =
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_plain && (value.is_empty() || value.starts_with(char::is_whitespace))).then(|| value.trim())
}

/// Whether what begins with a bracket ends on the same line.
fn is_closed(entry: &str) -> bool {
    let count = |brackets: [char; 2]| entry.matches(brackets).count();
    count(['{', '[']) == count(['}', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Group {
        name: String,
        limit: Option<u32>,
        rules: Option<Vec<Group>>,
    }

    fn places(text: &str) -> Vec<String> {
        let mistakes = parse_yaml_with_all_mistakes::<Group>(text, "f").map(drop).unwrap_err();
        mistakes.iter().map(|mistake| mistake.to_string().split(": ").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn mistakes_in_other_entries_are_told_too() {
        let text = "nam: a\nlimit: x\nrules:\n- name: b\n  limitt: 1\n- limmit: 2\n  name: c\n- {name: d, l: 1}\n- name: [e]\n  limit:\n  - 1\n  rules:\n  - nme: f\n    limit: 1\n";
        let lines: Vec<_> =
            places(text).iter().map(|place| place.split(':').nth(1).unwrap().to_owned()).collect();
        assert_eq!(lines, ["1", "2", "5", "6", "8", "9", "11", "13"]);
    }

    #[test]
    fn what_was_taken_out_is_not_missing() {
        #[derive(Debug, serde::Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Silence {
            expires: String,
            owner: String,
        }
        let mistakes = |text: &str| {
            let read = parse_yaml_with_all_mistakes::<Vec<Silence>>(text, "f");
            read.unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let found = mistakes("- expires: [x]\n  owner: y\n");
        assert!(found.len() == 1 && found[0].starts_with("f:1:"), "{found:?}");
        let found = mistakes("- owner: y\n");
        assert!(found.len() == 1 && found[0].contains("missing field"), "{found:?}");
    }

    #[test]
    fn what_is_missing_hides_nothing_that_comes_after() {
        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        #[allow(dead_code, reason = "only read")]
        struct Settings {
            listen: String,
            tls: Option<Files>,
            other_tls: Option<Files>,
            limit: Option<u32>,
        }
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only read")]
        struct Files {
            cert_file: String,
            key_file: String,
        }
        for (text, expected) in [
            ("lisen: x\ntls: {cert_file: a}\nlimit: x\n", &[1, 2, 3][..]),
            ("tls:\n  cert_file: a\n# x\n\nlimit: x\n", &[2, 5]),
            // That the first lacks its key is told by what is wrong in it.
            ("tls:\n  cert_file: a\n  key_fil: b\nother_tls:\n  cert_file: a\nlimit: x\n", &[3, 5, 6]),
            ("tls: {cert_file: a}\n", &[1]),
        ] {
            let mistakes = parse_yaml_with_all_mistakes::<Settings>(text, "f").unwrap_err();
            let lines: Vec<_> = mistakes.iter().filter_map(place).map(|(line, _)| line).collect();
            assert_eq!(lines, expected, "{text}: {mistakes:?}");
        }
    }

    #[test]
    fn what_a_file_lacks_since_something_was_taken_out_is_not_told() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        #[allow(dead_code, reason = "only read")]
        struct Settings {
            version: u32,
            limit: u32,
        }
        for (text, expected) in [
            ("version: x\nlimit: 1\n", "f:1:"),
            ("limit: 1\nversoin: 1\n", "f:2:"),
            ("limit: 1\n", "missing field"),
        ] {
            let mistakes = parse_yaml_with_all_mistakes::<Settings>(text, "f").unwrap_err();
            assert!(
                mistakes.len() == 1 && mistakes[0].to_string().contains(expected),
                "{text}: {mistakes:?}"
            );
        }
    }

    #[test]
    fn what_is_no_yaml_has_one_mistake() {
        assert_eq!(places("nam: a\nrules: [1\nlimitt: x\n").len(), 1);
        assert_eq!(places("name: a\nrules: {\n  a: 1, b: {\n  c: 2}\n}\n").len(), 1);
    }
}
