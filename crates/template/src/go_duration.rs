//! Go's `time.Duration`: `1h30m0s`, written and read.

/// Nanoseconds as Go's `Duration.String`: `1h30m0s`, `1.5ms`, `0s`.
pub fn duration_to_string(nanoseconds: i64) -> String {
    let magnitude = nanoseconds.unsigned_abs();
    let sign = if nanoseconds < 0 { "-" } else { "" };
    if magnitude == 0 {
        return "0s".to_owned();
    }
    for (unit, name, below) in [(1, "ns", 1_000), (1_000, "µs", 1_000_000), (1_000_000, "ms", 1_000_000_000)]
    {
        if magnitude < below {
            return format!("{sign}{}{name}", decimal(magnitude, unit));
        }
    }
    let seconds = decimal(magnitude % 60_000_000_000, 1_000_000_000);
    let minutes = magnitude / 60_000_000_000;
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
        (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// `value / unit` without trailing zeros; `unit` is a power of ten.
fn decimal(value: u64, unit: u64) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let digits = unit.ilog10() as usize;
    let fraction = format!("{rest:0digits$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// Reads `1h30m`, `-1.5ms`, `2µs` as Go's `time.ParseDuration`; nanoseconds.
///
/// # Errors
/// In Go's words.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", crate::format::quote(text));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(invalid)?;
        let unit_length = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_length);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return Err(format!("time: missing unit in duration {}", crate::format::quote(text))),
            other => {
                let (unit, text) = (crate::format::quote(other), crate::format::quote(text));
                return Err(format!("time: unknown unit {unit} in duration {text}"));
            }
        };
        total += scaled(number, scale).ok_or_else(invalid)?;
        if total > i128::from(i64::MAX) {
            return Err(invalid());
        }
        rest = tail;
    }
    let total = i64::try_from(total).map_err(|_| invalid())?;
    Ok(if negative { -total } else { total })
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let number = &text[..length];
    let plausible = number.bytes().any(|byte| byte.is_ascii_digit())
        && number.bytes().filter(|byte| *byte == b'.').count() <= 1;
    plausible.then(|| text.split_at(length))
}

/// The decimal number times `scale`, cut off towards zero.
fn scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Eighteen places decide a nanosecond of an hour; more cannot be told apart.
    let kept = &fraction[..fraction.len().min(18)];
    let part: i128 = if kept.is_empty() { 0 } else { kept.parse().ok()? };
    whole.checked_mul(scale)?.checked_add(part * scale / 10i128.pow(kept.len() as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, nanoseconds, printed) in [
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5ms", 1_500_000, "1.5ms"),
            ("-2µs", -2_000, "-2µs"),
            ("0", 0, "0s"),
            ("61s", 61_000_000_000, "1m1s"),
            (".5s", 500_000_000, "500ms"),
        ] {
            assert_eq!(parse_duration(text), Ok(nanoseconds), "{text}");
            assert_eq!(duration_to_string(nanoseconds), printed);
        }
        for bad in ["", "1", "1x", "s", "1.2.3s", "1d", "99999999h", "."] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
