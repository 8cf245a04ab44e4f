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
}
