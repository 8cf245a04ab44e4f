//! JSON text written straight into one buffer: answers of megabytes are mostly texts, and most of
//! these need no escapes.

use model::Labels;
use std::fmt::Write;

/// A JSON list.
pub(crate) fn push_list<T>(
    out: &mut String,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut String, T),
) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(']');
}

/// A label set as an object.
pub(crate) fn push_labels(out: &mut String, labels: &Labels) {
    push_object(out, labels.iter());
}

/// Names and texts as an object.
pub(crate) fn push_object<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
    let start = out.len();
    let quotes = push_plain_pairs(out, pairs.clone());
    if needs_escapes(&out[start..], quotes) {
        out.truncate(start);
        push_escaped_pairs(out, pairs);
    }
}

/// The object as it is when nothing in it needs escapes; returns how many quotes it then has.
fn push_plain_pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> usize {
    let mut quotes = 0;
    out.push('{');
    for (name, value) in pairs {
        if quotes > 0 {
            out.push(',');
        }
        out.push('"');
        out.push_str(name);
        out.push_str("\":\"");
        out.push_str(value);
        out.push('"');
        quotes += 4;
    }
    out.push('}');
    quotes
}

fn push_escaped_pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (index, (name, value)) in pairs.enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_json_string(out, name);
        out.push(':');
        push_json_string(out, value);
    }
    out.push('}');
}

/// `["a","b"]`
pub(crate) fn push_json_strings<'a>(out: &mut String, texts: impl Iterator<Item = &'a str> + Clone) {
    let bytes: usize = texts.clone().map(|text| text.len() + "\"\",".len()).sum();
    out.reserve("[]".len() + bytes);
    let start = out.len();
    let mut quotes = 0;
    push_list(out, texts.clone(), |out, text| {
        out.push('"');
        out.push_str(text);
        out.push('"');
        quotes += 2;
    });
    if needs_escapes(&out[start..], quotes) {
        out.truncate(start);
        push_list(out, texts, push_json_string);
    }
}

/// Whether texts that were put between so many quotes as they are should not have been. Hardly any
/// should, which one look at all of them tells sooner than one at each.
fn needs_escapes(written: &str, quotes: usize) -> bool {
    // As many as a byte counts, which takes a fraction of the instructions.
    let runs = written.as_bytes().chunks(usize::from(u8::MAX));
    let special = runs.map(|run| usize::from(run.iter().map(|&byte| u8::from(!is_plain(byte))).sum::<u8>()));
    special.sum::<usize>() > quotes
}

/// Whether a byte stands for itself in a JSON string. Without a branch: most of an answer goes through
/// this.
#[inline]
fn is_plain(byte: u8) -> bool {
    (byte >= 0x20) & (byte != b'"') & (byte != b'\\')
}

/// A JSON string with its quotes.
pub(crate) fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut start = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[start..index]);
        if escape.is_empty() {
            // Writing to a `String` cannot fail.
            let _infallible = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        start = index + 1;
    }
    out.push_str(&text[start..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_where_they_must_be() {
        for (texts, expected) in [
            ([].as_slice(), "[]"),
            (&["a", "", "é"], r#"["a","","é"]"#),
            (&["a", "\"\\\n\u{1}\u{8}"], r#"["a","\"\\\n\u0001\b"]"#),
        ] {
            let mut out = String::new();
            push_json_strings(&mut out, texts.iter().copied());
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn pairs_are_escaped_where_they_must_be() {
        let mut out = "[".to_owned();
        for pairs in [
            [].as_slice(),
            &[("a", "plain"), ("b", "é")],
            &[("a", "\""), ("b", "c")],
            &[("a", "\\"), ("b", "c")],
            &[("a\n", "\u{1}")],
        ] {
            push_object(&mut out, pairs.iter().copied());
        }
        let expected = r#"[{}{"a":"plain","b":"é"}{"a":"\"","b":"c"}{"a":"\\","b":"c"}{"a\n":"\u0001"}"#;
        assert_eq!(out, expected);
    }
}
