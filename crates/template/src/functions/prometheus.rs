//! The functions of Prometheus' rule templates.

use super::{Functions, text};
use crate::{Map, Value, format::sprintf, go_time};
use model::Labels;
use std::net::IpAddr;

pub(super) fn functions(mut set: Functions) -> Functions {
    add_numbers(&mut set);
    add_text(&mut set);
    add_query(&mut set);
    set.add_variadic("args", 0, usize::MAX, |call| {
        let named = call.args.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone()));
        Ok(Value::from(Map::of_values(named)))
    });
    set.add("tmpl", 2, |call| Ok(Value::Html(call.run_template(call.str(0)?, &call.args[1])?.into())));
    set.add("safeHtml", 1, |call| Ok(Value::Html(call.str(0)?.into())));
    for name in ["externalURL", "pathPrefix"] {
        set.add(name, 0, |_| Ok(Value::from("")));
    }
    set
}

/// A sample as `query` returns it: `.Labels` and `.Value`.
pub fn sample(labels: &Labels, value: f64) -> Value {
    Value::from(Map::of_values([("Labels", Value::labels(labels)), ("Value", Value::Float(value))]))
}

// --- numbers

fn add_number(set: &mut Functions, name: &str, convert: fn(f64) -> String) {
    set.add(name, 1, move |call| Ok(Value::from(convert(to_float(&call.args[0])?))));
}

fn add_numbers(set: &mut Functions) {
    add_number(set, "humanize", humanize);
    add_number(set, "humanize1024", humanize_1024);
    add_number(set, "humanizeDuration", humanize_duration);
    add_number(set, "humanizePercentage", |value| general(value * 100.0) + "%");
    set.add("humanizeTimestamp", 1, |call| {
        let value = to_float(&call.args[0])?;
        if !value.is_finite() {
            return Ok(Value::from(general(value)));
        }
        Ok(Value::from(go_time::time_to_string(&time_of_seconds(value)?)))
    });
    set.add("toTime", 1, |call| Ok(Value::from(time_of_seconds(to_float(&call.args[0])?)?)));
    set.add("toDuration", 1, |call| {
        let nanoseconds = to_float(&call.args[0])? * 1e9;
        if nanoseconds.is_nan() || nanoseconds.abs() > i64::MAX as f64 {
            return Err("value is out of range for a duration".to_owned());
        }
        Ok(Value::Duration(nanoseconds as i64))
    });
    set.add("parseDuration", 1, |call| {
        let text = call.str(0)?;
        let (sign, magnitude) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
        Ok(Value::Float(sign * model::parse_duration_ms(magnitude)? as f64 / 1000.0))
    });
    set.add("now", 0, |call| Ok(Value::Float(call.now().timestamp().as_millisecond() as f64 / 1000.0)));
}

/// A number of any kind, or text that is one.
fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        Value::Int(value) => Ok(*value as f64),
        Value::Duration(nanoseconds) => Ok(*nanoseconds as f64 / 1e9),
        Value::String(text) => {
            let failed =
                |why: &str| format!("strconv.ParseFloat: parsing {}: {why}", crate::format::quote(text));
            match model::parse_float(text) {
                None => Err(failed("invalid syntax")),
                // Digits that come to infinity are too many.
                Some(value) if value.is_infinite() && text.contains(|c: char| c.is_ascii_digit()) => {
                    Err(failed("value out of range"))
                }
                Some(value) => Ok(value),
            }
        }
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn time_of_seconds(value: f64) -> Result<jiff::ZonedDateTime, String> {
    let nanoseconds = value * 1e9;
    if nanoseconds.is_nan() || nanoseconds.abs() > i64::MAX as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            general(value)
        ));
    }
    // Prometheus counts in milliseconds.
    let milliseconds = (nanoseconds as i64).div_euclid(1_000_000);
    Ok(go_time::utc(i128::from(milliseconds) * 1_000_000))
}

/// `%.4g`
fn general(value: f64) -> String {
    sprintf("%.4g", &[Value::Float(value)])
}

/// Scales towards `1..limit` by the prefixes.
fn scaled(value: f64, factor: f64, prefixes: &[&str], shrink: bool) -> (f64, String) {
    let (mut value, mut prefix) = (value, "");
    for candidate in prefixes {
        let fits = if shrink { value.abs() < factor } else { value.abs() >= 1.0 };
        if fits {
            break;
        }
        prefix = candidate;
        value = if shrink { value / factor } else { value * factor };
    }
    (value, prefix.to_owned())
}

const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value);
    }
    let (value, prefix) = if value.abs() >= 1.0 {
        scaled(value, 1000.0, &["k", "M", "G", "T", "P", "E", "Z", "Y"], true)
    } else {
        scaled(value, 1000.0, &SMALL, false)
    };
    general(value) + &prefix
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value);
    }
    let (value, prefix) = scaled(value, 1024.0, &["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"], true);
    general(value) + &prefix
}

/// Seconds as `1d 2h 3m 4s`.
pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return general(value);
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled(value, 1000.0, &SMALL, false);
        return format!("{}{prefix}s", general(value));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", general(value.abs())),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

// --- text

fn add_text(set: &mut Functions) {
    text::add_text(set, "title", text::title);
    text::add_text(set, "toUpper", text::to_upper);
    text::add_text(set, "toLower", text::to_lower);
    text::add_text(set, "stripPort", strip_port);
    text::add_text(set, "stripDomain", strip_domain);
    text::add_text(set, "urlQueryEscape", text::escape_query);
    text::add_text(set, "graphLink", |expression| link(expression, 0));
    text::add_text(set, "tableLink", |expression| link(expression, 1));
    text::add_regex_replace(set, "reReplaceAll", false, 2, 1);
    set.add("match", 2, |call| {
        let text = call.str(1)?;
        text::with_regex(call.str(0)?, |regex| Value::Bool(regex.is_match(text)))
    });
}

fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", text::escape_query(expression))
}

/// Host and port of `host:port` or `[v6]:port`.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').map(|host| (host, port)),
        None if host.contains([':', '[', ']']) => None,
        None => Some((host, port)),
    }
}

fn strip_port(text: &str) -> String {
    split_host_port(text).map_or(text, |(host, _)| host).to_owned()
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_host_port(text).unwrap_or((text, ""));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    if port.is_empty() { short.to_owned() } else { format!("{short}:{port}") }
}

// --- query results

fn add_query(set: &mut Functions) {
    set.add("query", 1, |_| Ok(Value::list([])));
    set.add("first", 1, |call| match &call.args[0] {
        Value::List(samples) => {
            samples.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
        }
        other => Err(format!("first() called on {}", other.type_name())),
    });
    set.add("label", 2, |call| Ok(label(&call.args[1], call.str(0)?)));
    set.add("value", 1, |call| Ok(member(&call.args[0], "Value")));
    set.add("strvalue", 1, |call| Ok(label(&call.args[0], "__value__")));
    set.add("sortByLabel", 2, |call| {
        let Value::List(samples) = &call.args[1] else {
            return Err(format!("sortByLabel() called on {}", call.args[1].type_name()));
        };
        let name = call.str(0)?;
        let mut sorted = samples.as_ref().clone();
        sorted.sort_by_cached_key(|sample| label(sample, name).print());
        Ok(Value::list(sorted))
    });
}

fn member(sample: &Value, name: &str) -> Value {
    match sample {
        Value::Map(map) => map.entries.get(name).cloned().unwrap_or(Value::Nil),
        _ => Value::Nil,
    }
}

fn label(sample: &Value, name: &str) -> Value {
    match member(sample, "Labels") {
        Value::Map(labels) => labels.entries.get(name).cloned().unwrap_or_else(|| Value::from("")),
        _ => Value::from(""),
    }
}
