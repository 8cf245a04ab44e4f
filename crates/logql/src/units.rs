//! Durations and byte sizes as queries and log values write them.

/// Reads a duration of a query: Prometheus' units (`1d`, `2w`), else Go's (`1.5h`); nanoseconds.
pub(crate) fn parse_query_duration(text: &str) -> Result<i64, String> {
    match model::parse_duration_ms(text) {
        Ok(milliseconds) => {
            milliseconds.checked_mul(1_000_000).ok_or_else(|| "duration out of range".to_owned())
        }
        Err(message) => match template::parse_duration(text) {
            Ok(nanoseconds) if nanoseconds >= 0 => Ok(nanoseconds),
            _ => Err(message),
        },
    }
}

/// Nanoseconds as Loki prints ranges: Prometheus' form where it is exact.
pub(crate) fn range_to_string(nanoseconds: i64) -> String {
    if nanoseconds % 1_000_000 == 0 {
        model::duration_to_string(nanoseconds / 1_000_000)
    } else {
        template::duration_to_string(nanoseconds)
    }
}

/// Reads `1.5 MiB`, `10kb`, `512B`: decimal and binary units in any case.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim_start_matches(' ');
    let digits = text.bytes().take_while(|b| b.is_ascii_digit() || matches!(b, b'.' | b',')).count();
    let plain = text[..digits].replace(',', "");
    let number: f64 =
        plain.parse().map_err(|_| format!("strconv.ParseFloat: parsing {plain:?}: invalid syntax"))?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let factor = unit_factor(&unit).ok_or_else(|| format!("unhandled size name: {unit}"))?;
    let bytes = number * factor;
    if bytes >= u64::MAX as f64 {
        return Err(format!("too large: {text}"));
    }
    Ok(bytes as u64)
}

/// Reads a number as Go's `ParseFloat`: no number beyond the range of floats, `_` between digits,
/// hexadecimal only with an exponent (which no log line has).
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    if let Some(value) = plain_number(text) {
        return Ok(value);
    }
    let invalid = |reason: &str| format!("strconv.ParseFloat: parsing {text:?}: {reason}");
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let starts_like_a_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts_like_a_number {
        let named = ["inf", "infinity", "nan"].iter().any(|name| unsigned.eq_ignore_ascii_case(name));
        return text.parse().ok().filter(|_| named).ok_or_else(|| invalid("invalid syntax"));
    }
    let separates_digits = |at: usize| {
        let bytes = unsigned.as_bytes();
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    };
    if !unsigned.match_indices('_').all(|(at, _)| separates_digits(at)) {
        return Err(invalid("invalid syntax"));
    }
    let parsed = if text.contains('_') { text.replace('_', "").parse() } else { text.parse() };
    let value: f64 = parsed.map_err(|_| invalid("invalid syntax"))?;
    if value.is_infinite() {
        return Err(invalid("value out of range"));
    }
    Ok(value)
}

/// Most digits that a float holds exactly, whatever they are.
const EXACT_DIGITS_MAX: usize = 15;
/// Powers of ten that a float holds exactly.
const POWERS: [f64; EXACT_DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The value of few digits with at most one point, which most numbers are: one exact float divided by
/// another is rounded once, as it should be.
fn plain_number(text: &str) -> Option<f64> {
    if text.len() > EXACT_DIGITS_MAX + 1 {
        return None;
    }
    let (mut number, mut digits, mut point) = (0u64, 0, None);
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => {
                number = number * 10 + u64::from(byte - b'0');
                digits += 1;
            }
            b'.' if point.is_none() => point = Some(digits),
            _ => return None,
        }
    }
    let behind = digits - point.unwrap_or(digits);
    (1..=EXACT_DIGITS_MAX).contains(&digits).then(|| number as f64 / POWERS[behind])
}

fn unit_factor(unit: &str) -> Option<f64> {
    let prefix = unit.strip_suffix('b').unwrap_or(unit);
    let (letter, base) = match prefix.strip_suffix('i') {
        Some(letter) => (letter, 1024f64),
        None => (prefix, 1000f64),
    };
    let power = match letter {
        "" if base == 1000.0 => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => return None,
    };
    Some(base.powi(power))
}

/// Bytes as `1.0kB`, `512B`: the form that the printer uses.
pub(crate) fn bytes_to_string(bytes: u64) -> String {
    if bytes < 10 {
        return format!("{bytes}B");
    }
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let power = ((bytes as f64).ln() / 1000f64.ln()).floor() as usize;
    let scaled = (bytes as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let unit = units.get(power).copied().unwrap_or("EB");
    if scaled < 10.0 && power > 0 { format!("{scaled:.1}{unit}") } else { format!("{scaled:.0}{unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_or_gos() {
        for (text, expected) in
            [("5m", 300_000_000_000), ("1d", 86_400_000_000_000), ("1.5h", 5_400_000_000_000)]
        {
            assert_eq!(parse_query_duration(text), Ok(expected));
        }
        assert!(parse_query_duration("-5m").is_err() && parse_query_duration("5").is_err());
        assert_eq!(range_to_string(5_400_000_000_000), "1h30m");
    }

    #[test]
    fn numbers_are_gos() {
        for (text, expected) in
            [("7", Some(7.0)), ("1_000", Some(1000.0)), ("+Inf", Some(f64::INFINITY)), ("1e-2", Some(0.01))]
        {
            assert_eq!(parse_number(text).ok(), expected, "{text}");
        }
        for bad in ["0x1f", "1e309", " 4", "5s", "12,5", "", "1__0", "infx", ".", "1.2.3"] {
            assert!(parse_number(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn plain_numbers_are_rounded_as_all_are(text in "[0-9]{0,17}(\\.[0-9]{0,17})?") {
            if let Some(value) = plain_number(&text) {
                proptest::prop_assert_eq!(Ok(value), text.parse::<f64>());
            }
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary() {
        for (text, expected) in
            [("1KB", 1000), ("1KiB", 1024), ("1.5 MiB", 1_572_864), ("512B", 512), ("7", 7)]
        {
            assert_eq!(parse_bytes(text), Ok(expected));
        }
        assert!(parse_bytes("abc").is_err() && parse_bytes("5x").is_err());
        assert_eq!((bytes_to_string(1000), bytes_to_string(512)), ("1.0kB".to_owned(), "512B".to_owned()));
    }
}
