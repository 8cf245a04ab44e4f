//! Floats as Go's `%v` and `%g` print them, which is how messages and histograms name them.

use model::format_float;

/// Powers of ten from which on an exponent is written.
const EXPONENT_MIN: i32 = 6;
/// Below this power of ten one is written too.
const EXPONENT_LOW: i32 = -4;

/// The shortest text that reads back as `value`.
pub(crate) fn go_float(value: f64) -> String {
    if !value.is_finite() {
        return format_float(value);
    }
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(power) if value != 0.0 && !(EXPONENT_LOW..EXPONENT_MIN).contains(&power) => {
            let sign = if power < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", power.unsigned_abs())
        }
        _ => value.to_string(),
    }
}

/// As Go's `%.Ng`: at most so many significant digits.
pub(crate) fn go_float_rounded(value: f64, digits: u8) -> String {
    if !value.is_finite() {
        return format_float(value);
    }
    let text = format!("{value:.*e}", usize::from(digits.saturating_sub(1)));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if value != 0.0 && !(EXPONENT_LOW..i32::from(digits)).contains(&power) {
        let mantissa = if mantissa.contains('.') { mantissa.trim_end_matches('0') } else { mantissa };
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", mantissa.trim_end_matches('.'), power.unsigned_abs());
    }
    text.parse::<f64>().unwrap_or(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_begin_where_they_do_in_go() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (123_456.7, "123456.7"),
            (1e6, "1e+06"),
            (-21_234_567.0, "-2.1234567e+07"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e300, "1e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(go_float(value), expected);
        }
    }

    #[test]
    fn significant_digits_are_rounded() {
        for (value, expected) in [
            (1.0, "1"),
            (12.3, "12"),
            (0.125, "0.12"),
            (10.0, "10"),
            (100.0, "1e+02"),
            (149.9, "1.5e+02"),
            (0.000_012_34, "1.2e-05"),
            (99.9, "1e+02"),
            (0.0, "0"),
        ] {
            assert_eq!(go_float_rounded(value, 2), expected);
        }
    }
}
