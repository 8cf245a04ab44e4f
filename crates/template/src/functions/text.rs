//! Text functions that several registries share.

use super::Functions;
use crate::{Value, format};
use model::go_regex;
use std::{cell::RefCell, collections::HashMap};

/// Compiled expressions a thread remembers; templates use a handful.
const CACHED_REGEXES_MAX: usize = 64;

/// Runs `use_regex` with the compiled expression. Compilation is costly and templates name the
/// same expression for every line, so each thread keeps the last few.
pub(super) fn with_regex<T>(pattern: &str, use_regex: impl FnOnce(&regex::Regex) -> T) -> Result<T, String> {
    thread_local! {
        static COMPILED: RefCell<HashMap<String, regex::Regex>> = RefCell::new(HashMap::new());
    }
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(use_regex(regex));
        }
        let regex = go_regex::compile(pattern)?;
        if compiled.len() >= CACHED_REGEXES_MAX {
            compiled.clear();
        }
        let result = use_regex(&regex);
        compiled.insert(pattern.to_owned(), regex);
        Ok(result)
    })
}

/// `function(text) -> text`
pub(super) fn add_text(set: &mut Functions, name: &str, convert: fn(&str) -> String) {
    set.add(name, 1, move |call| Ok(Value::from(convert(call.str(0)?))));
}

/// `reReplaceAll pattern replacement text`
pub(super) fn add_regex_replace(
    set: &mut Functions,
    name: &str,
    literal: bool,
    text_at: usize,
    replacement_at: usize,
) {
    set.add(name, 3, move |call| {
        let (text, replacement) = (call.str(text_at)?, call.str(replacement_at)?);
        let replaced = with_regex(call.str(0)?, |regex| {
            if literal {
                regex.replace_all(text, regex::NoExpand(replacement)).into_owned()
            } else {
                regex.replace_all(text, replacement).into_owned()
            }
        })?;
        Ok(Value::from(replaced))
    });
}

/// The first letter of every word in upper case; the rest stays (Go's `strings.Title`).
pub(super) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        let letter = c.is_alphanumeric() || c == '_' || (c == '\'' && in_word);
        if letter && !in_word {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        in_word = letter;
    }
    out
}

/// As [`title`], with the other letters in lower case.
pub(super) fn title_lowering(text: &str) -> String {
    title(&text.to_lowercase())
}

/// As Go's `strings.ToLower`, which maps letter by letter.
pub(super) fn to_lower(text: &str) -> String {
    text.chars().filter_map(|c| c.to_lowercase().next()).collect()
}

/// As Go's `strings.ToUpper`, which maps letter by letter.
pub(super) fn to_upper(text: &str) -> String {
    let upper = |c: char| {
        let mut mapped = c.to_uppercase();
        match (mapped.next(), mapped.next()) {
            (Some(single), None) => single,
            _ => c,
        }
    };
    text.chars().map(upper).collect()
}

/// As Go's `url.QueryEscape`.
pub(super) fn escape_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// As Go's `url.QueryUnescape`.
pub(super) fn unescape_query(text: &str) -> Result<String, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
                let decoded = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let Some(decoded) = decoded else {
                    let shown = String::from_utf8_lossy(&rest[..rest.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape {}", format::quote(&format!("%{shown}"))));
                };
                out.push(decoded);
                rest = &rest[2..];
            }
            other => out.push(other),
        }
    }
    Ok(format::text_of_bytes(&out))
}

/// As Go's `template.JSEscapeString`.
pub(super) fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            other => out.push(other),
        }
    }
    out
}
