//! Floats as text, in the forms of Go's `strconv` that the Prometheus API speaks.

/// A sample value as the query API prints it: as [`format_decimal`], but with an
/// exponent outside 1e-6..1e21. The shortest text that reads back as the same float.
pub fn format_float(value: f64) -> String {
    let mut text = String::new();
    push_float(&mut text, value);
    text
}

/// A float without an exponent, however long (Go's `FormatFloat(v, 'f', -1, 64)`).
pub fn format_decimal(value: f64) -> String {
    let has_exponent = value.is_finite() && value != 0.0 && !(1e-6..1e21).contains(&value.abs());
    if has_exponent { value.to_string() } else { format_float(value) }
}

/// Appends what [`format_float`] returns.
pub fn push_float(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == value.trunc() && magnitude < 1e16 && (value != 0.0 || value.is_sign_positive()) {
        push_integer(out, value as i64);
    } else if (1e-5..1e16).contains(&magnitude) {
        // Here the shortest digits have no exponent. Of two that are equally near, this takes the
        // even one as Go does; the standard library would round up.
        out.push_str(zmij::Buffer::new().format_finite(value));
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
        push(out, format_args!("{mantissa}e{sign}{digits:0>2}"));
    } else {
        push(out, format_args!("{value}"));
    }
}

/// Appends a whole number.
pub fn push_integer(out: &mut String, value: i64) {
    out.push_str(itoa::Buffer::new().format(value));
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let written = std::fmt::Write::write_fmt(out, text);
    debug_assert!(written.is_ok());
}

/// Reads a number as Go's `ParseFloat` does: decimal, exponent, hexadecimal integers, `Inf`,
/// `NaN` in any case, signs, and `_` between digits of `0x` numbers.
pub fn parse_float(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = unsigned.to_ascii_lowercase();
    let magnitude = match lower.as_str() {
        "inf" | "infinity" => f64::INFINITY,
        "nan" => f64::NAN,
        _ => match lower.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(&hex.replace('_', ""), 16).ok()? as f64,
            None if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => lower.parse().ok()?,
            None => return None,
        },
    };
    Some(if negative { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_go_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e-7, "1e-07"),
            (1.5e21, "1.5e+21"),
            (1e20, "100000000000000000000"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (1e300, "1e+300"),
            (-3.0, "-3"),
            (123_456_789_012_345.0, "123456789012345"),
            (1e15, "1000000000000000"),
            (9_007_199_254_740_994.0, "9007199254740994"),
            (-9_999_999_999_999_998.0, "-9999999999999998"),
            (1234.5678, "1234.5678"),
            // Two shortest texts are equally near: the even digit wins.
            (104_805_351_545_109.0 + 0.125, "104805351545109.12"),
            (104_805_351_545_109.0 + 0.375, "104805351545109.38"),
            (1_125_899_906_842_624.0 + 0.25, "1125899906842624.2"),
        ] {
            assert_eq!(format_float(value), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_float_prints_shortest_and_reads_back(bits: u64, scaled in -1e9..1e9f64) {
            for value in [f64::from_bits(bits), scaled, scaled / 1e12, (scaled * 1e3).trunc() / 1e3] {
                let text = format_float(value);
                let read = parse_float(&text).unwrap();
                assert!(read.to_bits() == value.to_bits() || value.is_nan(), "{text}");
                if (1e-6..1e21).contains(&value.abs()) {
                    // The standard library rounds the last digit up where two texts are equally near.
                    assert_eq!(text.len(), value.to_string().len(), "{text}");
                }
            }
        }
    }

    #[test]
    fn decimals_have_no_exponent() {
        for (value, expected) in [
            (1e-9, "0.000000001"),
            (-1e21, "-1000000000000000000000"),
            (-0.0, "-0"),
            (1_125_899_906_842_624.0 + 0.25, "1125899906842624.2"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_decimal(value), expected);
        }
    }

    #[test]
    fn numbers_read_as_go_reads_them() {
        for (text, expected) in [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("0x1F", 31.0),
            ("+Inf", f64::INFINITY),
            (".5", 0.5),
            ("1e3", 1000.0),
        ] {
            assert_eq!(parse_float(text), Some(expected), "{text}");
        }
        assert!(parse_float("nan").unwrap().is_nan());
        for bad in ["", "-", "x", "1x", "--1", "infx", "e5"] {
            assert_eq!(parse_float(bad), None, "{bad}");
        }
    }
}
