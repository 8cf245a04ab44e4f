//! Fields, indexes and slices of values, and HTML escaping.

use crate::{MissingKey, Value, go_duration, go_time};
use std::sync::Arc;

/// `receiver.name args…`
pub(crate) fn field(
    receiver: &Value,
    name: &str,
    args: &[Value],
    missing_key: MissingKey,
) -> Result<Value, String> {
    let value = match receiver {
        Value::Object(object) => {
            if let Some(result) = object.method(name, args) {
                return result.map_err(|message| format!("error calling {name}: {message}"));
            }
            match object.field(name) {
                Some(value) => value,
                None if object.is_map() => missing(name, true, missing_key)?,
                None => return Err(no_field(receiver, name)),
            }
        }
        Value::Map(map) => match map.entries.get(name) {
            Some(value) => value.clone(),
            None => missing(name, map.of_strings, missing_key)?,
        },
        Value::Time(time) => {
            return time_method(time, name, args).unwrap_or_else(|| Err(no_field(receiver, name)));
        }
        Value::Duration(nanoseconds) => {
            duration_method(*nanoseconds, name).ok_or_else(|| no_field(receiver, name))?
        }
        Value::Nil => return Err(format!("nil pointer evaluating interface {{}}.{name}")),
        _ => return Err(no_field(receiver, name)),
    };
    if !args.is_empty() {
        return Err(format!("{name} has arguments but cannot be invoked as function"));
    }
    Ok(value)
}

fn no_field(receiver: &Value, name: &str) -> String {
    format!("can't evaluate field {name} in type {}", receiver.type_name())
}

fn missing(name: &str, of_strings: bool, missing_key: MissingKey) -> Result<Value, String> {
    match missing_key {
        MissingKey::Zero if of_strings => Ok(Value::from("")),
        MissingKey::Zero | MissingKey::Default => Ok(Value::Nil),
        MissingKey::Error => Err(format!("map has no entry for key {name:?}")),
    }
}

fn time_method(time: &jiff::ZonedDateTime, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    let timestamp = time.timestamp();
    let value = match (name, args) {
        ("Format", [layout]) => match layout.as_str() {
            Some(layout) => Value::from(go_time::format_time(time, layout)),
            None => return Some(Err("wrong type for value; expected string".to_owned())),
        },
        ("Unix", []) => Value::Int(timestamp.as_second()),
        ("UnixMilli", []) => Value::Int(timestamp.as_millisecond()),
        ("UnixNano", []) => Value::Int(i64::try_from(timestamp.as_nanosecond()).unwrap_or(i64::MAX)),
        ("Year", []) => Value::Int(time.year().into()),
        ("Month", []) => Value::from(go_time::format_time(time, "January")),
        ("Day", []) => Value::Int(time.day().into()),
        ("YearDay", []) => Value::Int(time.day_of_year().into()),
        ("Hour", []) => Value::Int(time.hour().into()),
        ("Minute", []) => Value::Int(time.minute().into()),
        ("Second", []) => Value::Int(time.second().into()),
        ("Nanosecond", []) => Value::Int(time.subsec_nanosecond().into()),
        ("Weekday", []) => Value::from(go_time::format_time(time, "Monday")),
        ("String", []) => Value::from(go_time::time_to_string(time)),
        ("UTC", []) => Value::from(timestamp.to_zoned_datetime(jiff::tz::TimeZone::UTC)),
        ("IsZero", []) => Value::Bool(time.year() == 1 && time.day_of_year() == 1),
        ("Add", [Value::Duration(by) | Value::Int(by)]) => Value::from(
            go_time::utc(timestamp.as_nanosecond() + i128::from(*by))
                .with_time_zone(time.time_zone().clone()),
        ),
        ("Sub", [Value::Time(other)]) => Value::Duration(difference_ns(time, other)),
        ("Before", [Value::Time(other)]) => Value::Bool(timestamp < other.timestamp()),
        ("After", [Value::Time(other)]) => Value::Bool(timestamp > other.timestamp()),
        ("Equal", [Value::Time(other)]) => Value::Bool(timestamp == other.timestamp()),
        _ => return None,
    };
    Some(Ok(value))
}

/// `a - b` in nanoseconds, kept within what a duration holds.
pub(crate) fn difference_ns(a: &jiff::ZonedDateTime, b: &jiff::ZonedDateTime) -> i64 {
    let difference = a.timestamp().as_nanosecond() - b.timestamp().as_nanosecond();
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn duration_method(nanoseconds: i64, name: &str) -> Option<Value> {
    Some(match name {
        "Nanoseconds" => Value::Int(nanoseconds),
        "Microseconds" => Value::Int(nanoseconds / 1_000),
        "Milliseconds" => Value::Int(nanoseconds / 1_000_000),
        "Seconds" => Value::Float(nanoseconds as f64 / 1e9),
        "Minutes" => Value::Float(nanoseconds as f64 / 60e9),
        "Hours" => Value::Float(nanoseconds as f64 / 3600e9),
        "String" => Value::from(go_duration::duration_to_string(nanoseconds)),
        _ => return None,
    })
}

/// `index item key…`
pub(crate) fn index(item: &Value, keys: &[Value]) -> Result<Value, String> {
    let mut value = item.clone();
    for key in keys {
        value = match (&value, key) {
            (Value::Map(map), Value::String(key)) => match map.entries.get(key.as_ref()) {
                Some(value) => value.clone(),
                None => missing(key, map.of_strings, MissingKey::Zero)?,
            },
            (Value::Object(object), Value::String(key)) if object.is_map() => {
                object.field(key).unwrap_or_else(|| Value::from(""))
            }
            (Value::List(items), Value::Int(at)) => items[position(*at, items.len())?].clone(),
            (Value::Object(object), Value::Int(at)) if object.items().is_some() => {
                let items = object.items().unwrap_or_default();
                items[position(*at, items.len())?].clone()
            }
            (Value::String(text), Value::Int(at)) => {
                Value::Int(text.as_bytes()[position(*at, text.len())?].into())
            }
            (Value::Nil, _) => return Err("index of untyped nil".to_owned()),
            (Value::Map(_), other) => {
                return Err(format!("value has type {}; should be string", other.type_name()));
            }
            (Value::List(_) | Value::String(_), other) => {
                return Err(format!("cannot index slice/array with type {}", other.type_name()));
            }
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn position(at: i64, length: usize) -> Result<usize, String> {
    usize::try_from(at).ok().filter(|at| *at < length).ok_or_else(|| format!("index out of range: {at}"))
}

/// `slice item from to`
pub(crate) fn slice(item: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match item {
        Value::String(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |index: usize, missing: usize| match bounds.get(index) {
        None => Ok(missing),
        Some(Value::Int(at)) => usize::try_from(*at)
            .ok()
            .filter(|at| *at <= length)
            .ok_or_else(|| format!("index out of range: {at}")),
        Some(other) => Err(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (from, to) = (bound(0, 0)?, bound(1, length)?);
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match item {
        Value::String(text) => Value::from(crate::format::text_of_bytes(&text.as_bytes()[from..to])),
        Value::List(items) => Value::List(Arc::new(items[from..to].to_vec())),
        _ => Value::Nil,
    })
}

/// `len item`
pub(crate) fn length(item: &Value) -> Result<Value, String> {
    let length = match item {
        Value::String(text) | Value::Html(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Object(object) if object.items().is_some() => object.items().map_or(0, |items| items.len()),
        Value::Object(object) if object.is_map() => object.entries().len(),
        Value::Nil => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(length as i64))
}

/// Text made safe for HTML, as Go's `template.HTMLEscapeString`.
pub(crate) fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\0' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
    out
}
