//! The level of a log line.
//!
//! Sources in this order, as in Loki: a level label of the stream, level metadata of the entry, the
//! OTLP severity number, a level field of a JSON (two levels deep) or logfmt line, and last the
//! first level word near the start of the line. A level label of the stream that holds another word
//! is kept as it is. Otherwise values are `trace`, `debug`, `info`, `warn`,
//! `error`, `critical`, `fatal` and `unknown`.
//!
//! This runs for every line that comes in, so it looks at a bounded part of it and allocates
//! nothing.

use memchr::memchr;

/// Bytes of a line searched for a level field.
const FIELD_SCAN_BYTES: usize = 4096;
/// Bytes of a line searched for a level word; what comes later is prose.
const WORD_SCAN_BYTES: usize = 256;
/// Deepest JSON object whose keys are looked at.
const JSON_DEPTH_MAX: usize = 2;

/// The level that the line itself tells, or `unknown`.
pub fn detect_level(line: &[u8]) -> &'static str {
    let head = &line[..line.len().min(FIELD_SCAN_BYTES)];
    let field = match head.trim_ascii_start().first() {
        Some(b'{') => json_level(head),
        _ => logfmt_level(head),
    };
    field.or_else(|| word_level(head)).unwrap_or("unknown")
}

/// Whether a label, metadata or field of this name holds the level.
pub(crate) fn is_level_name(name: &[u8]) -> bool {
    let known: &[&[u8]] = match name.len() {
        3 => &[b"lvl"],
        5 => &[b"level"],
        8 => &[b"severity"],
        9 => &[b"log.level", b"log_level"],
        12 => &[b"severitytext"],
        13 => &[b"severity_text"],
        _ => &[],
    };
    known.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// The level that the value of a level field means.
pub(crate) fn level_of(value: &[u8]) -> Option<&'static str> {
    level_of_word(value).or_else(|| {
        let others: [(&[u8], &'static str); 6] = [
            (b"panic", "fatal"),
            (b"information", "info"),
            (b"notice", "info"),
            (b"alert", "critical"),
            (b"emerg", "fatal"),
            (b"emergency", "fatal"),
        ];
        others.iter().find(|(word, _)| value.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
    })
}

/// The level that an OTLP severity number means.
pub(crate) fn level_of_severity(number: u64) -> &'static str {
    match number {
        1..=4 => "trace",
        5..=8 => "debug",
        9..=12 => "info",
        13..=16 => "warn",
        17..=20 => "error",
        21..=24 => "fatal",
        _ => "unknown",
    }
}

/// Words that mean a level wherever they stand.
fn level_of_word(word: &[u8]) -> Option<&'static str> {
    let known: &[(&[u8], &'static str)] = match word.len() {
        3 => &[(b"err", "error"), (b"inf", "info"), (b"wrn", "warn"), (b"dbg", "debug"), (b"trc", "trace")],
        4 => &[(b"info", "info"), (b"warn", "warn"), (b"crit", "critical")],
        5 => &[(b"error", "error"), (b"debug", "debug"), (b"fatal", "fatal"), (b"trace", "trace")],
        7 => &[(b"warning", "warn")],
        8 => &[(b"critical", "critical")],
        _ => &[],
    };
    known.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|(_, level)| *level)
}

/// The value of the first level key at depth 1 or 2 of a JSON object, cut off or not.
fn json_level(line: &[u8]) -> Option<&'static str> {
    let (mut depth, mut at, mut expects_key) = (0usize, 0, false);
    while at < line.len() {
        match line[at] {
            b'{' => {
                depth += 1;
                expects_key = true;
            }
            b'[' => {
                depth += 1;
                expects_key = false;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => expects_key = true,
            b':' => expects_key = false,
            b'"' => {
                let (text, after) = json_string(line, at + 1)?;
                if expects_key && depth <= JSON_DEPTH_MAX && is_level_name(text) {
                    let value_at = after + line[after..].iter().position(|b| !matches!(b, b' ' | b':'))?;
                    if line[value_at] == b'"'
                        && let Some(level) = json_string(line, value_at + 1).and_then(|(v, _)| level_of(v))
                    {
                        return Some(level);
                    }
                }
                at = after;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The raw content of a string and the position behind its closing quote.
fn json_string(line: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let mut from = start;
    loop {
        let quote = from + memchr(b'"', &line[from..])?;
        let escapes = line[start..quote].iter().rev().take_while(|b| **b == b'\\').count();
        if escapes.is_multiple_of(2) {
            return Some((&line[start..quote], quote + 1));
        }
        from = quote + 1;
    }
}

/// The value of the first level key of a `key=value` pair.
fn logfmt_level(line: &[u8]) -> Option<&'static str> {
    let mut from = 0;
    while let Some(found) = memchr(b'=', &line[from..]) {
        let equals = from + found;
        let key_at =
            line[from..equals].iter().rposition(|b| !is_key_byte(*b)).map_or(from, |at| from + at + 1);
        if is_level_name(&line[key_at..equals]) {
            let value = &line[equals + 1..];
            let value = value.strip_prefix(b"\"").unwrap_or(value);
            let end = value.iter().position(|b| !b.is_ascii_alphabetic()).unwrap_or(value.len());
            if let Some(level) = level_of(&value[..end]) {
                return Some(level);
            }
        }
        from = equals + 1;
    }
    None
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// What a byte is to words.
const DELIMITER: u8 = 0;
const LETTER: u8 = 1;
/// A letter that a word which means a level begins with.
const INITIAL: u8 = 2;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [DELIMITER; 256];
    let mut byte = 0;
    while byte < 256 {
        let letter = byte as u8;
        if letter.is_ascii_alphanumeric() || letter == b'_' {
            let is_initial = matches!(letter | 0x20, b'c' | b'd' | b'e' | b'f' | b'i' | b't' | b'w');
            table[byte] = if is_initial && letter.is_ascii_alphabetic() { INITIAL } else { LETTER };
        }
        byte += 1;
    }
    table
}

/// The first whole word that means a level. `INF` is a level, but `Inf` and `inf` are numbers.
fn word_level(line: &[u8]) -> Option<&'static str> {
    let head = &line[..line.len().min(WORD_SCAN_BYTES)];
    let mut at = 0;
    while at < head.len() {
        let (start, class) = (at, CLASSES[usize::from(head[at])]);
        at += 1;
        if class == DELIMITER {
            continue;
        }
        while at < head.len() && CLASSES[usize::from(head[at])] != DELIMITER {
            at += 1;
        }
        let word = &head[start..at];
        if class == INITIAL
            && let Some(level) = level_of_word(word)
            && (word == b"INF" || !word.eq_ignore_ascii_case(b"inf"))
        {
            return Some(level);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn levels_are_found_where_lines_keep_them() {
        for (line, expected) in [
            ("", "unknown"),
            ("nothing to see", "unknown"),
            (r#"{"ts":1,"level":"WARN","msg":"an error"}"#, "warn"),
            (r#"{"log":{"Severity" : "Error"},"msg":"info"}"#, "error"),
            (r#"{"a":{"b":{"level":"error"}},"msg":"debug"}"#, "error"),
            (r#"{"msg":"level","x":"say \"level\":\"error\"","lvl":"dbg"}"#, "debug"),
            (r#"{"level":30,"msg":"x"}"#, "unknown"),
            (r#"{"level":"verbose","msg":"info"}"#, "info"),
            (r#"{"values":["level","error"],"level":"info"}"#, "info"),
            ("ts=2026-01-01 caller=x.go:1 level=info msg=\"an error\"", "info"),
            ("time=1 lvl=\"eror\" severity=\"warning\"", "warn"),
            ("log.level=critical x", "critical"),
            ("mylevel=error fine", "error"),
            ("E1120 10:00:00 not a level", "unknown"),
            ("host=a load=\"+Inf\"", "unknown"),
            ("host=a load=-Inf", "unknown"),
            ("[08:15:00 INF] listening", "info"),
            ("lvl=inf up", "info"),
            ("level=panic down", "fatal"),
            ("2026-11-23 10:00:00,123 - INFO  [main] - error count 0", "info"),
            ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child", "error"),
            ("informational terrors", "unknown"),
            ("panic: at the disco", "unknown"),
            ("level=", "unknown"),
            ("{\"level\":\"", "unknown"),
            ("{", "unknown"),
        ] {
            assert_eq!(detect_level(line.as_bytes()), expected, "{line}");
        }
        let late = format!("{} error", "x ".repeat(200));
        assert_eq!(detect_level(late.as_bytes()), "unknown");
    }

    #[test]
    fn severity_numbers() {
        let levels: Vec<_> = [0, 1, 5, 9, 13, 17, 21, 25].map(level_of_severity).to_vec();
        assert_eq!(levels, ["unknown", "trace", "debug", "info", "warn", "error", "fatal", "unknown"]);
    }

    #[test]
    fn every_level_word_is_found_by_its_initial() {
        for word in "err inf wrn dbg trc info warn crit error debug fatal trace warning critical".split(' ') {
            let level = level_of_word(word.as_bytes());
            for word in [word.to_uppercase(), word.to_lowercase()] {
                let expected = if word == "inf" { None } else { level };
                assert_eq!(word_level(format!("a {word}").as_bytes()), expected, "{word}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_line_has_a_level(line in "[{}\":,=\\\\a-z ]{0,60}") {
            let levels = ["trace", "debug", "info", "warn", "error", "critical", "fatal", "unknown"];
            prop_assert!(levels.contains(&detect_level(line.as_bytes())));
        }
    }
}
