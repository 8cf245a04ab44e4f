//! Go's `fmt`: the verbs of `printf`, and how values print.
//!
//! Bounds: widths and precisions above [`WIDTH_MAX`] are refused as bad, as Go refuses them above
//! a million.

use crate::Value;

/// Largest width or precision.
const WIDTH_MAX: usize = 10_000;

/// Formats as Go's `fmt.Sprintf`: mistakes show in the text (`%!d(string=x)`), nothing fails.
pub fn sprintf(format: &str, args: &[Value]) -> String {
    let mut printer =
        Printer { args, next: 0, reordered: false, out: String::with_capacity(format.len() + 16) };
    let mut rest = format;
    while let Some(percent) = rest.find('%') {
        printer.out.push_str(&rest[..percent]);
        rest = printer.verb(&rest[percent + 1..]);
    }
    printer.out.push_str(rest);
    printer.extra();
    printer.out
}

/// Values side by side as Go's `fmt.Sprint`: a space between two that are not text.
pub(crate) fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        let both_plain = i > 0 && arg.as_str().is_none() && args[i - 1].as_str().is_none();
        if both_plain {
            out.push(' ');
        }
        out.push_str(&arg.print_nested());
    }
    out
}

/// Values with spaces between and a newline after, as Go's `fmt.Sprintln`.
pub(crate) fn sprintln(args: &[Value]) -> String {
    let texts: Vec<_> = args.iter().map(Value::print_nested).collect();
    texts.join(" ") + "\n"
}

/// Bytes as Go prints them in UTF-8 text: one replacement character for each invalid byte.
pub(crate) fn text_of_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    out
}

#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    args: &'a [Value],
    next: usize,
    /// An explicit `%[n]d` was used, which forgives unused arguments.
    reordered: bool,
    out: String,
}

impl<'a> Printer<'a> {
    /// Formats one verb, given the text behind its `%`; returns what follows the verb.
    fn verb(&mut self, spec: &'a str) -> &'a str {
        let mut flags = Flags::default();
        let mut rest = spec;
        loop {
            match rest.as_bytes().first() {
                Some(b'+') => flags.plus = true,
                Some(b'-') => flags.minus = true,
                Some(b'#') => flags.sharp = true,
                Some(b' ') => flags.space = true,
                Some(b'0') => flags.zero = true,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest = self.argument_index(rest);
        (flags.width, rest) = self.size(rest, "%!(BADWIDTH)", &mut flags.minus);
        if let Some(tail) = rest.strip_prefix('.') {
            rest = self.argument_index(tail);
            let (precision, tail) = self.size(rest, "%!(BADPREC)", &mut false);
            flags.precision = Some(precision.unwrap_or(0));
            rest = tail;
        }
        rest = self.argument_index(rest);
        let mut chars = rest.chars();
        match chars.next() {
            None => self.out.push_str("%!(NOVERB)"),
            Some('%') => self.out.push('%'),
            Some(verb) => match self.args.get(self.next) {
                None => self.out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => {
                    self.next += 1;
                    let text = format_value(value, verb, flags);
                    self.out.push_str(&text);
                }
            },
        }
        chars.as_str()
    }

    /// Reads `[3]`.
    fn argument_index(&mut self, rest: &'a str) -> &'a str {
        let Some((index, tail)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) else {
            return rest;
        };
        self.reordered = true;
        self.next = index.parse::<usize>().ok().and_then(|i| i.checked_sub(1)).unwrap_or(usize::MAX);
        tail
    }

    /// Reads a width or precision: digits or `*`.
    fn size(&mut self, rest: &'a str, bad: &str, minus: &mut bool) -> (Option<usize>, &'a str) {
        if let Some(tail) = rest.strip_prefix('*') {
            let value = match self.args.get(self.next) {
                Some(Value::Int(value)) => Some(*value),
                _ => None,
            };
            self.next = self.next.saturating_add(1);
            *minus |= value.is_some_and(|value| value < 0);
            let size = value.and_then(|value| usize::try_from(value.unsigned_abs()).ok());
            let size = size.filter(|size| *size <= WIDTH_MAX);
            if size.is_none() {
                self.out.push_str(bad);
            }
            return (size, tail);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let size = rest[..digits].parse().ok().filter(|size| *size <= WIDTH_MAX);
        if digits > 0 && size.is_none() {
            self.out.push_str(bad);
        }
        (size, &rest[digits..])
    }

    /// Complains about arguments that no verb used.
    fn extra(&mut self) {
        if self.reordered || self.next >= self.args.len() {
            return;
        }
        let extra: Vec<_> = self.args[self.next..]
            .iter()
            .map(|value| match value {
                Value::Nil => "<nil>".to_owned(),
                value => format!("{}={}", value.type_name(), value.print_nested()),
            })
            .collect();
        self.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
}

fn format_value(value: &Value, verb: char, mut flags: Flags) -> String {
    // `%+v` is about the names of fields, never about the sign.
    flags.plus &= verb != 'v';
    match (value, verb) {
        (Value::String(text), 'v') if flags.sharp => pad(quote(text), flags),
        (Value::Float(value), 'x' | 'X') if value.is_finite() => pad(hex_float(*value, verb == 'X'), flags),
        (_, 'T') => pad(value.type_name().to_owned(), flags),
        (Value::Nil, 'v') => pad("<nil>".to_owned(), flags),
        (Value::Nil, _) => format!("%!{verb}(<nil>)"),
        (Value::Bool(value), 't' | 'v') => pad(value.to_string(), flags),
        (Value::Int(value), _) => {
            format_int(*value, verb, flags).unwrap_or_else(|| bad_verb(verb, value, "int"))
        }
        (Value::Float(value), _) => format_float(*value, verb, flags)
            .unwrap_or_else(|| bad_verb(verb, float_shortest(*value), "float64")),
        (Value::Duration(value), 'd') => format_int(*value, 'd', flags).unwrap_or_default(),
        (Value::String(text) | Value::Html(text), _) => {
            format_str(text, verb, flags).unwrap_or_else(|| bad_verb(verb, text, "string"))
        }
        (Value::List(items), _) if verb != 'v' || flags.width.is_some() => {
            let items: Vec<_> = items.iter().map(|item| format_value(item, verb, flags)).collect();
            format!("[{}]", items.join(" "))
        }
        (Value::Map(map), _) if verb != 'v' => {
            let pairs = map.entries.iter().map(|(key, value)| {
                let key = format_str(key, verb, flags).unwrap_or_else(|| bad_verb(verb, key, "string"));
                format!("{key}:{}", format_value(value, verb, flags))
            });
            format!("map[{}]", pairs.collect::<Vec<_>>().join(" "))
        }
        (Value::Bool(value), _) => bad_verb(verb, value, "bool"),
        (_, 'q') => pad(quote(&value.print_nested()), flags),
        _ => pad(truncate(&value.print_nested(), flags), flags),
    }
}

/// `0x1.cp+01`
fn hex_float(value: f64, upper: bool) -> String {
    const MANTISSA_BITS: u32 = 52;
    let bits = value.to_bits();
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let (mut mantissa, mut exponent) =
        (bits & ((1 << MANTISSA_BITS) - 1), ((bits >> MANTISSA_BITS) & 0x7ff) as i64);
    if exponent == 0 && mantissa != 0 {
        // A denormal is written as if it were not one.
        let shift = mantissa.leading_zeros() - (63 - MANTISSA_BITS);
        mantissa = (mantissa << shift) & ((1 << MANTISSA_BITS) - 1);
        exponent = 1 - i64::from(shift);
    }
    let is_zero = value == 0.0;
    let exponent = if is_zero { 0 } else { exponent - 1023 };
    let digits = format!("{mantissa:013x}");
    let digits = digits.trim_end_matches('0');
    let point = if digits.is_empty() { "" } else { "." };
    let direction = if exponent < 0 { '-' } else { '+' };
    let text =
        format!("{sign}0x{}{point}{digits}p{direction}{:02}", u8::from(!is_zero), exponent.unsigned_abs());
    if upper { text.to_uppercase() } else { text }
}

fn bad_verb(verb: char, value: impl std::fmt::Display, type_name: &str) -> String {
    format!("%!{verb}({type_name}={value})")
}

/// A Go string literal in double quotes.
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            c if c.is_control() && u32::from(c) < 0x80 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn truncate(text: &str, flags: Flags) -> String {
    match flags.precision {
        Some(limit) => text.chars().take(limit).collect(),
        None => text.to_owned(),
    }
}

fn pad(text: String, flags: Flags) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if flags.minus {
        return text + &" ".repeat(missing);
    }
    if !flags.zero {
        return " ".repeat(missing) + &text;
    }
    let sign = usize::from(text.starts_with(['-', '+', ' ']));
    format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
}

fn format_str(text: &str, verb: char, flags: Flags) -> Option<String> {
    let hex = |upper: bool| -> String {
        let limit = flags.precision.unwrap_or(usize::MAX);
        let bytes = text.bytes().take(limit);
        bytes.map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect()
    };
    let formatted = match verb {
        's' | 'v' => truncate(text, flags),
        'q' if flags.sharp && !text.contains('`') => format!("`{text}`"),
        'q' => quote(&truncate(text, flags)),
        'x' => hex(false),
        'X' => hex(true),
        _ => return None,
    };
    Some(pad(formatted, flags))
}

fn format_int(value: i64, verb: char, flags: Flags) -> Option<String> {
    let magnitude = value.unsigned_abs();
    let mut digits = match verb {
        'd' | 'v' => magnitude.to_string(),
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        'c' | 'q' | 'U' => {
            let c = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
            return Some(match verb {
                'c' => pad(c.to_string(), flags),
                'q' => pad(format!("'{c}'"), flags),
                _ => pad(format!("U+{magnitude:04X}"), flags),
            });
        }
        _ => return None,
    };
    if let Some(precision) = flags.precision {
        digits = format!("{}{digits}", "0".repeat(precision.saturating_sub(digits.len())));
    }
    let prefix = match verb {
        'O' => "0o",
        'x' if flags.sharp => "0x",
        'X' if flags.sharp => "0X",
        'o' if flags.sharp => "0",
        'b' if flags.sharp => "0b",
        _ => "",
    };
    // An explicit precision switches zero padding off.
    let flags = Flags { zero: flags.zero && flags.precision.is_none() && !flags.minus, ..flags };
    Some(pad(format!("{}{prefix}{digits}", sign(value < 0, flags)), flags))
}

fn sign(negative: bool, flags: Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        _ => "",
    }
}

fn format_float(value: f64, verb: char, flags: Flags) -> Option<String> {
    if !"eEfFgGv".contains(verb) {
        return None;
    }
    let sign = sign(value.is_sign_negative() && !value.is_nan(), flags);
    let magnitude = value.abs();
    if !magnitude.is_finite() {
        let name = if value.is_nan() { "NaN" } else { "Inf" };
        let sign = if sign.is_empty() && value.is_infinite() { "+" } else { sign };
        return Some(pad(format!("{sign}{name}"), Flags { zero: false, ..flags }));
    }
    let digits = match verb {
        'e' | 'E' => exponent_form(magnitude, Some(flags.precision.unwrap_or(6))),
        'f' | 'F' => format!("{magnitude:.*}", flags.precision.unwrap_or(6)),
        _ => general_form(magnitude, flags.precision),
    };
    let digits = if matches!(verb, 'E' | 'G') { digits.to_uppercase() } else { digits };
    Some(pad(format!("{sign}{digits}"), Flags { zero: flags.zero && !flags.minus, ..flags }))
}

/// `%v` of a float.
pub(crate) fn float_shortest(value: f64) -> String {
    format_float(value, 'v', Flags::default()).unwrap_or_default()
}

/// `d.ddde±dd`; the shortest exact digits without a precision.
fn exponent_form(magnitude: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{magnitude:.precision$e}"),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// `%g`: the exponent form for very small and large numbers, without trailing zeros.
fn general_form(magnitude: f64, precision: Option<usize>) -> String {
    let rounded = match precision {
        Some(precision) => format!("{magnitude:.*e}", precision.max(1) - 1),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mut digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.truncate(digits.trim_end_matches('0').len().max(1));
    let count = digits.len() as i32;
    let threshold = match precision {
        // The shortest form decides as if six digits had been asked for.
        None => 6,
        Some(precision) if precision as i32 > count && count > exponent => count,
        Some(precision) => precision.max(1) as i32,
    };
    if exponent < -4 || exponent >= threshold {
        return exponent_form(magnitude, Some(digits.len() - 1));
    }
    let places = usize::try_from((count - 1 - exponent).max(0)).unwrap_or(0);
    format!("{magnitude:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: &str, args: &[Value], expected: &str) {
        assert_eq!(sprintf(format, args), expected, "{format} {args:?}");
    }

    #[test]
    fn verbs() {
        check(
            "%d|%5d|%-5d|%05d|%+d|%x|%X|%#x",
            &[7, 7, 7, -7, 7, 255, 255, 255].map(Value::Int),
            "7|    7|7    |-0007|+7|ff|FF|0xff",
        );
        check(
            "%f|%.2f|%8.2f|%e|%g",
            &[1.5, 1.005, 2.0, 42.5, 100000.0].map(Value::Float),
            "1.500000|1.00|    2.00|4.250000e+01|100000",
        );
        check(
            "%s|%q|%5s|%-5s|%.2s|%x",
            &["a", "a\"b", "a", "a", "abc", "az"].map(Value::from),
            "a|\"a\\\"b\"|    a|a    |ab|617a",
        );
        check("%t %v %%", &[Value::Bool(true), Value::Nil], "true <nil> %");
        check("%[2]s %[1]s", &[Value::from("a"), Value::from("b")], "b a");
        check("%*d", &[Value::Int(4), Value::Int(2)], "   2");
        check(
            "%v %q",
            &[Value::list([Value::Int(1), Value::Int(2)]), Value::list([Value::from("a")])],
            "[1 2] [\"a\"]",
        );
    }

    #[test]
    fn mistakes_show_in_the_text() {
        check("%d", &[Value::Float(1.5)], "%!d(float64=1.5)");
        check("%d", &[Value::from("x")], "%!d(string=x)");
        check("%s", &[], "%!s(MISSING)");
        check("x", &[Value::Int(1), Value::from("a")], "x%!(EXTRA int=1, string=a)");
        check("%", &[], "%!(NOVERB)");
        check("%z", &[Value::Int(3)], "%!z(int=3)");
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (42.5, "42.5"),
            (100_000.0, "100000"),
            (1_572_864.0, "1.572864e+06"),
            (0.00001, "1e-05"),
            (1e21, "1e+21"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_shortest(value), expected);
        }
        check(
            "%.4g %.4g %.4g %.4g",
            &[12.35, 12345.6, 1000.0, 0.00012].map(Value::Float),
            "12.35 1.235e+04 1000 0.00012",
        );
    }
}
