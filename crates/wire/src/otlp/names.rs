//! OpenTelemetry's names as Prometheus' names: the rules of Prometheus' strategy
//! `UnderscoreEscapingWithSuffixes`, its default.

/// Appends `key` as a label name: characters other than ASCII letters, digits and `_` become `_`,
/// a name that starts with a digit gets `key_` in front, one that starts with a single `_` gets
/// `key`.
pub(super) fn label_name(key: &[u8], out: &mut Vec<u8>) {
    match key {
        [first, ..] if first.is_ascii_digit() => out.extend_from_slice(b"key_"),
        [b'_', second, ..] if *second != b'_' => out.extend_from_slice(b"key"),
        [b'_'] => out.extend_from_slice(b"key"),
        _ => {}
    }
    escape_into(key, out);
}

/// Appends `key` with every character that LogQL and PromQL cannot write unquoted as `_`.
pub(super) fn escape_into(key: &[u8], out: &mut Vec<u8>) {
    if key.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        out.extend_from_slice(key);
        return;
    }
    // One `_` for each character, not for each byte.
    let characters = key.iter().filter(|b| !matches!(b, 0x80..=0xbf));
    out.extend(characters.map(|b| if b.is_ascii_alphanumeric() { *b } else { b'_' }));
}

/// What the suffixes of a metric's name depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameKind {
    /// Gets `_total`.
    MonotonicSum,
    /// Gets `_ratio` when its unit is `1`.
    Gauge,
    Other,
}

/// The name of a metric family: its words joined by `_`, then the unit, then the suffix of its
/// kind, each unless it is there already. `None` when nothing is left of it.
pub(super) fn metric_name(name: &str, unit: &str, kind: NameKind) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let mut words: Vec<&str> = name.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let (main, per) = unit_words(unit);
    let has = |words: &[&str], word: &str| word.is_empty() || words.contains(&word);
    if !has(&words, &main) {
        words.push(&main);
    }
    if !has(&words, &per) {
        words.push(&per);
    }
    let suffix = match kind {
        NameKind::MonotonicSum => Some("total"),
        NameKind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    };
    if let Some(suffix) = suffix {
        words.retain(|word| *word != suffix);
        words.push(suffix);
    }
    let joined = words.join("_");
    match joined.as_bytes().first() {
        None => None,
        Some(first) if first.is_ascii_digit() => Some(format!("_{joined}")),
        Some(_) => Some(joined),
    }
}

/// The unit as one word, for metadata: `By/s` is `bytes_per_second`.
pub(super) fn unit_name(unit: &str) -> String {
    let (main, per) = unit_words(unit);
    let separator = if main.is_empty() || per.is_empty() { "" } else { "_" };
    format!("{main}{separator}{per}")
}

/// Main unit and `per_…`, each "" when there is none. Annotations in braces are no units.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = clean(translate(main, &UNITS));
    let per = clean(translate(per, &PER_UNITS));
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    (main, per)
}

fn translate<'a>(unit: &'a str, table: &[(&str, &'a str)]) -> &'a str {
    let unit = unit.trim();
    if unit.contains(['{', '}']) {
        return "";
    }
    table.iter().find(|(ucum, _)| *ucum == unit).map_or(unit, |(_, word)| word)
}

/// Characters that no metric name has become single underscores, none at the ends.
fn clean(unit: &str) -> String {
    let words = unit.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_")
}

/// UCUM's units (<https://ucum.org/ucum>) in Prometheus' words.
const UNITS: [(&str, &str); 27] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names() {
        for (name, unit, kind, expected) in [
            ("system.io", "By", NameKind::MonotonicSum, "system_io_bytes_total"),
            ("http.server.request.duration", "s", NameKind::Other, "http_server_request_duration_seconds"),
            ("system.memory.utilization", "1", NameKind::Gauge, "system_memory_utilization_ratio"),
            ("requests", "1", NameKind::MonotonicSum, "requests_total"),
            ("requests_total", "", NameKind::MonotonicSum, "requests_total"),
            ("total.requests", "{request}", NameKind::MonotonicSum, "requests_total"),
            ("network.throughput", "By/s", NameKind::Gauge, "network_throughput_bytes_per_second"),
            ("network.bytes", "By", NameKind::Gauge, "network_bytes"),
            ("broken  unit", "a-b", NameKind::Gauge, "broken_unit_a_b"),
            ("1st", "", NameKind::Gauge, "_1st"),
            ("a__b", "", NameKind::Gauge, "a_b"),
            ("active.requests", "{request}/s", NameKind::Gauge, "active_requests_per_second"),
            ("node_load1", "", NameKind::Gauge, "node_load1"),
        ] {
            assert_eq!(metric_name(name, unit, kind).as_deref(), Some(expected), "{name} {unit}");
        }
        assert_eq!(metric_name("...", "", NameKind::Other), None);
        assert_eq!(unit_name("By/s"), "bytes_per_second");
        assert_eq!(unit_name("{thing}"), "");
    }

    #[test]
    fn label_names() {
        for (key, expected) in [
            ("http.status_code", "http_status_code"),
            ("1st", "key_1st"),
            ("_private", "key_private"),
            ("__reserved__", "__reserved__"),
            ("ключ-x", "_____x"),
        ] {
            let mut out = Vec::new();
            label_name(key.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
