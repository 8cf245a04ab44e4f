//! Times as log senders write them.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

/// Nanoseconds since the epoch of an RFC 3339 time (UTC when it names no offset) or of a number of
/// seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    parse_number(text).or_else(|| parse_date(text))
}

fn parse_date(text: &str) -> Option<i64> {
    let timestamp = match text.parse::<Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
    };
    i64::try_from(timestamp.as_nanosecond()).ok()
}

/// Digits, with a fraction perhaps. Up to eleven digits are seconds (until the year 5138), up to
/// fourteen milliseconds, up to seventeen microseconds, more are nanoseconds.
fn parse_number(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let decimals = match whole.len() {
        ..=11 => 9usize,
        12..=14 => 6,
        15..=17 => 3,
        _ => 0,
    };
    let fraction = &fraction[..fraction.len().min(decimals)];
    let mut value: i128 = format!("{whole}{fraction}").parse().ok()?;
    value *= 10i128.pow((decimals - fraction.len()) as u32);
    i64::try_from(if unsigned.len() < text.len() { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_numbers() {
        let at = 1_780_000_000_000_000_000;
        for (text, expected) in [
            ("1780000000", Some(at)),
            ("1780000000.5", Some(at + 500_000_000)),
            ("1780000000.1234567899", Some(at + 123_456_789)),
            ("1780000000000", Some(at)),
            ("1780000000000.25", Some(at + 250_000)),
            ("1780000000000000", Some(at)),
            ("1780000000000000001", Some(at + 1)),
            ("-1", Some(-1_000_000_000)),
            ("2026-05-28T20:26:40Z", Some(at)),
            ("2026-05-28T22:26:40.000000001+02:00", Some(at + 1)),
            ("2026-05-28T22:26:40+0200", Some(at)),
            ("2026-05-28 20:26:40.5", Some(at + 500_000_000)),
            ("yesterday", None),
            ("", None),
            ("1e9", None),
            ("99999999999999999999999", None),
            ("9999-12-31T23:59:59Z", None),
        ] {
            assert_eq!(parse_time(text), expected, "{text}");
        }
    }
}
