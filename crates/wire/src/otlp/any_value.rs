//! Attribute values.
//!
//! ```text
//! KeyValue     { string key = 1; AnyValue value = 2; }
//! AnyValue     { oneof { string string_value = 1; bool bool_value = 2; int64 int_value = 3;
//!                double double_value = 4; ArrayValue array_value = 5; KeyValueList kvlist_value = 6;
//!                bytes bytes_value = 7; } }
//! ArrayValue   { repeated AnyValue values = 1; }
//! KeyValueList { repeated KeyValue values = 1; }
//! ```

use super::DEPTH_MAX;
use crate::{WireError, protobuf::Reader};
use base64::Engine;
use model::format_float;

/// A value whose nested values are not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum AnyValue<'a> {
    Empty,
    Text(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Reader<'a>),
    Map(Reader<'a>),
    Bytes(&'a [u8]),
}

impl<'a> AnyValue<'a> {
    pub(super) fn read(mut message: Reader<'a>) -> Result<Self, WireError> {
        let mut value = AnyValue::Empty;
        while let Some((number, field)) = message.next()? {
            value = match number {
                1 => AnyValue::Text(field.bytes(&message)?),
                2 => AnyValue::Bool(field.varint(&message)? != 0),
                3 => AnyValue::Int(field.int64(&message)?),
                4 => AnyValue::Double(field.double(&message)?),
                5 => AnyValue::Array(field.message(&message)?),
                6 => AnyValue::Map(field.message(&message)?),
                7 => AnyValue::Bytes(field.bytes(&message)?),
                _ => value,
            };
        }
        Ok(value)
    }

    /// Replaces `out` with the value as text: strings as they are, numbers and booleans as in
    /// JSON, bytes in base64, lists and maps as JSON.
    pub(super) fn text(&self, out: &mut Vec<u8>) -> Result<(), WireError> {
        out.clear();
        match self {
            AnyValue::Empty => {}
            AnyValue::Text(text) => out.extend_from_slice(text),
            AnyValue::Bytes(bytes) => out.extend_from_slice(base64_text(bytes).as_bytes()),
            other => other.json(out, 0)?,
        }
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>, depth: usize) -> Result<(), WireError> {
        match self {
            AnyValue::Empty => out.extend_from_slice(b"null"),
            AnyValue::Text(text) => json_string(text, out),
            AnyValue::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            AnyValue::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
            AnyValue::Double(value) if value.is_finite() || depth == 0 => {
                out.extend_from_slice(format_float(*value).as_bytes());
            }
            AnyValue::Double(value) => json_string(format_float(*value).as_bytes(), out),
            AnyValue::Bytes(bytes) => json_string(base64_text(bytes).as_bytes(), out),
            AnyValue::Array(list) => {
                check_depth(list, depth)?;
                out.push(b'[');
                let mut rest = *list;
                while let Some((number, field)) = rest.next()? {
                    if number == 1 {
                        separate(out, b'[');
                        AnyValue::read(field.message(&rest)?)?.json(out, depth + 1)?;
                    }
                }
                out.push(b']');
            }
            AnyValue::Map(map) => {
                check_depth(map, depth)?;
                out.push(b'{');
                let mut rest = *map;
                while let Some((key, value)) = next_pair(&mut rest, 1)? {
                    separate(out, b'{');
                    json_string(key, out);
                    out.push(b':');
                    value.json(out, depth + 1)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }
}

fn check_depth(value: &Reader<'_>, depth: usize) -> Result<(), WireError> {
    match depth < DEPTH_MAX {
        true => Ok(()),
        false => Err(value.error("attribute value nested too deep")),
    }
}

/// A comma, unless the list or map was opened right before.
fn separate(out: &mut Vec<u8>, open: u8) {
    if out.last() != Some(&open) {
        out.push(b',');
    }
}

fn json_string(text: &[u8], out: &mut Vec<u8>) {
    let text = serde_json::Value::String(String::from_utf8_lossy(text).into_owned());
    out.extend_from_slice(text.to_string().as_bytes());
}

fn base64_text(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The next `KeyValue` in field `number` of `message`; other fields are skipped.
pub(super) fn next_pair<'a>(
    message: &mut Reader<'a>,
    number: u32,
) -> Result<Option<(&'a [u8], AnyValue<'a>)>, WireError> {
    while let Some((found, field)) = message.next()? {
        if found == number {
            return key_value(field.message(message)?).map(Some);
        }
    }
    Ok(None)
}

pub(super) fn key_value<'a>(mut message: Reader<'a>) -> Result<(&'a [u8], AnyValue<'a>), WireError> {
    let (mut key, mut value) = (&[][..], AnyValue::Empty);
    while let Some((number, field)) = message.next()? {
        match number {
            1 => key = field.bytes(&message)?,
            2 => value = AnyValue::read(field.message(&message)?)?,
            _ => {}
        }
    }
    Ok((key, value))
}
