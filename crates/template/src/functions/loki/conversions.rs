//! Encodings, units of measure, JSON, and defaults.

use crate::{
    Map, Value,
    format::text_of_bytes,
    functions::{Functions, text},
    go_duration,
};
use base64::{
    DecodeError, Engine,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

/// Padding may be there or not.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn add(set: &mut Functions) {
    text::add_text(set, "b64enc", |text| STANDARD.encode(text));
    text::add_text(set, "b64dec", b64dec);
    text::add_text(set, "urlencode", text::escape_query);
    set.add("urldecode", 1, |call| text::unescape_query(call.str(0)?).map(Value::from));
    set.add("bytes", 1, |call| parse_bytes(call.str(0)?).map(|bytes| Value::Float(bytes as f64)));
    for name in ["duration", "duration_seconds"] {
        set.add(name, 1, |call| Ok(Value::Float(go_duration::parse_duration(call.str(0)?)? as f64 / 1e9)));
    }
    set.add("fromJson", 1, |call| {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(call.str(0)?);
        Ok(parsed.map_or(Value::Nil, from_json))
    });
    set.add_variadic("default", 1, 2, |call| {
        let given = call.value(1);
        Ok(if given.is_true() { given } else { call.value(0) })
    });
}

/// A mistake is the text, as in sprig.
fn b64dec(text: &str) -> String {
    match LENIENT.decode(text) {
        Ok(bytes) => text_of_bytes(&bytes),
        Err(error) => {
            let position = match error {
                DecodeError::InvalidByte(position, _)
                | DecodeError::InvalidLastSymbol { offset: position, .. } => position,
                DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
            };
            format!("illegal base64 data at input byte {position}")
        }
    }
}

/// serde_json bounds the depth of what it reads, so this recursion is bounded too.
fn from_json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::from(text),
        Json::Array(items) => Value::list(items.into_iter().map(from_json)),
        Json::Object(pairs) => Value::from(Map::of_values(pairs.into_iter().map(|(k, v)| (k, from_json(v))))),
    }
}

/// `1.5 MiB`, `10kb`: decimal and binary units in any case.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')).count();
    let invalid =
        || format!("strconv.ParseFloat: parsing {}: invalid syntax", crate::format::quote(&text[..digits]));
    let number: f64 = text[..digits].replace(',', "").parse().map_err(|_| invalid())?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let factor = unit_factor(&unit).ok_or_else(|| format!("unhandled size name: {unit}"))?;
    let bytes = number * factor as f64;
    if bytes >= u64::MAX as f64 {
        return Err(format!("too large: {text}"));
    }
    Ok(bytes as u64)
}

fn unit_factor(unit: &str) -> Option<u64> {
    let prefix = unit.strip_suffix('b').unwrap_or(unit);
    let (letter, base) = match prefix.strip_suffix('i') {
        Some(letter) => (letter, 1024),
        None => (prefix, 1000),
    };
    let power = match (letter, base) {
        ("", 1000) => 0,
        ("k", _) => 1,
        ("m", _) => 2,
        ("g", _) => 3,
        ("t", _) => 4,
        ("p", _) => 5,
        ("e", _) => 6,
        _ => return None,
    };
    Some(u64::pow(base, power))
}
