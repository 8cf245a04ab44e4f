//! What a pushed stream's labels must keep, as Loki holds them by default: names that a selector
//! can write, and no more and no longer ones than an index of streams can bear.

use crate::Refusal;

/// Labels of a stream; `service_name`, which is added at the door, does not count.
const NAMES_MAX: usize = 15;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a value.
const VALUE_BYTES_MAX: usize = 2048;
const SERVICE_NAME: &[u8] = b"service_name";

type Pair<'a> = (&'a [u8], &'a [u8]);

/// Says where a name cannot be written, as Loki's parser of the labels' text says it.
pub(crate) fn unreadable(pairs: &[Pair<'_>]) -> Option<String> {
    let mut before = vec![];
    for (name, value) in pairs {
        let name = String::from_utf8_lossy(name);
        let fits =
            |(i, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (i > 0 && c.is_ascii_digit());
        if let Some((place, bad)) = name.chars().enumerate().find(|at| !fits(*at)) {
            let column = format!("{{{}", before.concat()).chars().count() + place + 1;
            let reason = format!("parse error: unexpected character inside braces: '{bad}'");
            return Some(format!("couldn't parse labels: 1:{column}: {reason}"));
        }
        before.push(format!("{name}={:?}, ", String::from_utf8_lossy(value)));
    }
    None
}

/// Says what there is too much of.
pub(crate) fn excess(pairs: &[Pair<'_>]) -> Option<(Refusal, String)> {
    let stream = || {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let shown: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={:?}", text(name), text(value))).collect();
        format!("stream '{{{}}}'", shown.join(", "))
    };
    let names = pairs.iter().filter(|(name, _)| *name != SERVICE_NAME).count();
    if names > NAMES_MAX {
        let message = format!("entry for {} has {names} label names; limit {NAMES_MAX}", stream());
        return Some((Refusal::TooManyLabels, message));
    }
    for (name, value) in pairs {
        let long = |what: &str, text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            (Refusal::LabelTooLong, format!("{} has label {what} too long: '{text}'", stream()))
        };
        if name.len() > NAME_BYTES_MAX {
            return Some(long("name", name));
        }
        if value.len() > VALUE_BYTES_MAX {
            return Some(long("value", value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_selectors_can_write() {
        for (names, expected) in [
            (&["app", "_x9"][..], None),
            (
                &["a-b"],
                Some("couldn't parse labels: 1:3: parse error: unexpected character inside braces: '-'"),
            ),
            (
                &["a", "b.c"],
                Some("couldn't parse labels: 1:10: parse error: unexpected character inside braces: '.'"),
            ),
            (
                &["9a"],
                Some("couldn't parse labels: 1:2: parse error: unexpected character inside braces: '9'"),
            ),
        ] {
            let pairs: Vec<Pair<'_>> = names.iter().map(|name| (name.as_bytes(), &b"v"[..])).collect();
            assert_eq!(unreadable(&pairs).as_deref(), expected, "{names:?}");
        }
    }

    #[test]
    fn there_may_not_be_too_much_of_labels() {
        let names: Vec<String> = (0..16).map(|n| format!("l{n}")).collect();
        let mut pairs: Vec<Pair<'_>> = names.iter().map(|name| (name.as_bytes(), &b"v"[..])).collect();
        let (reason, message) = excess(&pairs).unwrap();
        assert!(
            reason == Refusal::TooManyLabels && message.ends_with("has 16 label names; limit 15"),
            "{message}"
        );
        pairs[15] = (SERVICE_NAME, b"v");
        assert_eq!(excess(&pairs), None);
        let long = "v".repeat(2049);
        let (reason, message) = excess(&[(b"app", long.as_bytes())]).unwrap();
        assert_eq!(reason, Refusal::LabelTooLong);
        assert!(message.contains("has label value too long: 'vvv"), "{message}");
    }
}
