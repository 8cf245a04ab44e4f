//! The functions of Alertmanager's notification templates.

use super::{Functions, access::difference_ns, prometheus::humanize_duration, text};
use crate::{Map, Value, go_time};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;

pub(super) fn functions(mut set: Functions) -> Functions {
    add_text(&mut set);
    add_times(&mut set);
    add_collections(&mut set);
    set
}

fn add_text(set: &mut Functions) {
    text::add_text(set, "toUpper", text::to_upper);
    text::add_text(set, "toLower", text::to_lower);
    text::add_text(set, "title", text::title_lowering);
    text::add_text(set, "trimSpace", |text| text.trim().to_owned());
    text::add_text(set, "base64encode", |text| STANDARD.encode(text));
    text::add_regex_replace(set, "reReplaceAll", false, 2, 1);
    set.add("base64decode", 1, |call| {
        let bytes = STANDARD.decode(call.str(0)?).map_err(|error| error.to_string())?;
        Ok(Value::from(crate::format::text_of_bytes(&bytes)))
    });
    set.add("match", 2, |call| {
        let text = call.str(1)?;
        text::with_regex(call.str(0)?, |regex| Value::Bool(regex.is_match(text)))
    });
    set.add("join", 2, |call| {
        let Value::List(items) = &call.args[1] else {
            return Err(format!("wrong type for value; expected []string; got {}", call.args[1].type_name()));
        };
        let texts: Vec<_> = items.iter().map(Value::print).collect();
        Ok(Value::from(texts.join(call.str(0)?)))
    });
    for name in ["safeHtml", "safeUrl"] {
        set.add(name, 1, |call| Ok(Value::Html(call.str(0)?.into())));
    }
    set.add("urlUnescape", 1, |call| text::unescape_query(call.str(0)?).map(Value::from));
    set.add("toJson", 1, |call| {
        let json = serde_json::to_string(&to_json(&call.args[0])).map_err(|error| error.to_string())?;
        Ok(Value::from(json))
    });
}

fn add_times(set: &mut Functions) {
    set.add("date", 2, |call| Ok(Value::from(go_time::format_time(call.time(1)?, call.str(0)?))));
    set.add("tz", 2, |call| {
        let zone = TimeZone::get(call.str(0)?).map_err(|error| error.to_string())?;
        Ok(Value::from(call.time(1)?.with_time_zone(zone)))
    });
    set.add("since", 1, |call| Ok(Value::Duration(difference_ns(&call.now(), call.time(0)?))));
    set.add("now", 0, |call| Ok(Value::from(call.now())));
    set.add("humanizeDuration", 1, |call| {
        let seconds = match &call.args[0] {
            Value::Duration(nanoseconds) => *nanoseconds as f64 / 1e9,
            Value::Int(seconds) => *seconds as f64,
            Value::Float(seconds) => *seconds,
            Value::String(text) => {
                model::parse_float(text).ok_or_else(|| format!("{text:?} is no number"))?
            }
            other => return Err(format!("can't convert {} to float", other.type_name())),
        };
        Ok(Value::from(humanize_duration(seconds)))
    });
    set.add("toDate", 2, |call| {
        let zero = || go_time::parse_time("2006", "0001", &TimeZone::UTC);
        go_time::parse_time(call.str(0)?, call.str(1)?, &TimeZone::UTC).or_else(|_| zero()).map(Value::from)
    });
    set.add("mustToDate", 2, |call| {
        go_time::parse_time(call.str(0)?, call.str(1)?, &TimeZone::UTC).map(Value::from)
    });
}

fn add_collections(set: &mut Functions) {
    set.add_variadic("stringSlice", 0, usize::MAX, |call| Ok(Value::list(call.args.iter().cloned())));
    set.add_variadic("list", 0, usize::MAX, |call| Ok(Value::list(call.args.iter().cloned())));
    set.add_variadic("append", 1, usize::MAX, |call| match &call.args[0] {
        Value::List(items) => Ok(Value::list(items.iter().chain(&call.args[1..]).cloned())),
        other => Err(format!("wrong type for value; expected []interface {{}}; got {}", other.type_name())),
    });
    set.add_variadic("dict", 0, usize::MAX, |call| {
        if call.args.len() % 2 != 0 {
            return Err("dict expects an even number of arguments".to_owned());
        }
        let mut pairs = Vec::new();
        for pair in call.args.chunks_exact(2) {
            let key = pair[0].as_str().ok_or("dict keys must be strings")?;
            pairs.push((key.to_owned(), pair[1].clone()));
        }
        Ok(Value::from(Map::of_values(pairs)))
    });
}

/// Deepest nesting of a value that is written as JSON.
const JSON_DEPTH_MAX: usize = 32;

fn to_json(value: &Value) -> serde_json::Value {
    nested_json(value, 0)
}

fn nested_json(value: &Value, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    if depth > JSON_DEPTH_MAX {
        return Json::Null;
    }
    match value {
        Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) | Value::Duration(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::String(text) | Value::Html(text) => Json::from(text.as_ref()),
        Value::List(items) => items.iter().map(|item| nested_json(item, depth + 1)).collect(),
        Value::Map(map) => map.entries.iter().map(|(k, v)| (k.clone(), nested_json(v, depth + 1))).collect(),
        Value::Object(object) if object.items().is_some() => {
            object.items().into_iter().flatten().map(|item| nested_json(&item, depth + 1)).collect()
        }
        Value::Object(object) => {
            object.entries().into_iter().map(|(k, v)| (k, nested_json(&v, depth + 1))).collect()
        }
        Value::Time(time) => Json::from(go_time::format_time(time, "2006-01-02T15:04:05.999999999Z07:00")),
    }
}
