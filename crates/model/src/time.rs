//! Time ranges and Prometheus durations.

/// A half-open or closed span; the user of a range says which end belongs to it.
///
/// Metrics count in milliseconds, logs in nanoseconds since the Unix epoch; both may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant of the range.
    pub start: i64,
    /// Last instant of the range (closed), or the first beyond it (half-open).
    pub end: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, end: i64::MAX };

    /// A range from `start` to `end`.
    pub fn new(start: i64, end: i64) -> Self {
        TimeRange { start, end }
    }

    /// Whether the closed ranges share an instant.
    pub fn overlaps(&self, other: &TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether the closed range has `instant`.
    pub fn contains(&self, instant: i64) -> bool {
        (self.start..=self.end).contains(&instant)
    }
}

const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Some 292 years: what Prometheus counts in nanoseconds.
const DURATION_MS_MAX: i64 = i64::MAX / 1_000_000;

/// Reads `1h30m`, `10s53ms` or `0`: units y w d h m s ms, each at most once, in this order.
///
/// # Errors
/// A message readable after "failed to read duration".
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let bad = || format!("not a valid duration string: {text:?}");
    if text == "0" {
        return Ok(0);
    }
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let mut rest = text;
    let mut total: i64 = 0;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = UNITS.iter().position(|(name, _)| *name == &rest[..letters]).ok_or_else(bad)?;
        if unit < next_unit {
            return Err(bad());
        }
        next_unit = unit + 1;
        rest = &rest[letters..];
        total = number
            .checked_mul(UNITS[unit].1)
            .and_then(|part| total.checked_add(part))
            .filter(|total| *total <= DURATION_MS_MAX)
            .ok_or_else(|| "duration out of range".to_owned())?;
    }
    Ok(total)
}

/// The shortest Prometheus form: `1h30m`, `0s`; weeks and years only when nothing smaller is left.
pub fn duration_to_string(duration_ms: i64) -> String {
    if duration_ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if duration_ms < 0 {
        out.push('-');
    }
    let mut rest = duration_ms.unsigned_abs();
    for (name, unit) in UNITS {
        let unit = unit as u64;
        let exact_only = matches!(name, "y" | "w");
        if rest < unit || exact_only && !rest.is_multiple_of(unit) {
            continue;
        }
        out.push_str(&format!("{}{name}", rest / unit));
        rest %= unit;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_trip() {
        for (text, ms) in [
            ("1h30m", 5_400_000),
            ("10s53ms", 10_053),
            ("1w", 604_800_000),
            ("1d", 86_400_000),
            ("8d", 691_200_000),
            ("1y", 31_536_000_000),
            ("5m", 300_000),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms));
            assert_eq!(duration_to_string(ms), text);
        }
        assert_eq!(parse_duration_ms("0"), Ok(0));
        assert_eq!(duration_to_string(-60_000), "-1m");
    }

    #[test]
    fn bad_durations_are_refused() {
        for bad in ["", "1", "293y", "m", "1m1h", "1m1m", "1.5h", "-1m", "99999999999y", "1x", "é"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }
}
