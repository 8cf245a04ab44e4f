//! OTLP's JSON turned into protobuf while it is parsed.
//!
//! A table ([`super::schema`]) says for each message which JSON name is which field and how its
//! value is written. Nothing is kept but the output, which is at most about as long as the input.
//! Differences from plain proto3 JSON that OTLP prescribes: trace and span ids are hexadecimal,
//! enums are numbers (names are taken too); 64-bit integers may be strings or numbers.

use crate::{
    WireError,
    protobuf::{
        put_bytes_field, put_double_field, put_fixed32_field, put_fixed64_field, put_message_field,
        put_varint_field, zigzag_encode,
    },
};
use base64::Engine;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// Largest JSON body.
const JSON_BYTES_MAX: usize = 64 << 20;

/// The fields of a message.
pub(super) struct Message {
    pub(super) fields: &'static [JsonField],
}

/// One field of a message.
pub(super) struct JsonField {
    /// lowerCamelCase name.
    pub(super) name: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

/// How a value is written. Lists are written as the value repeated, which readers take in place
/// of the packed form.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    /// `int64`, `uint32`, `uint64`
    Varint,
    /// `sint32`
    Zigzag,
    /// `fixed64`, `sfixed64`
    Fixed64,
    Fixed32,
    Double,
    /// A number, or one of these names; the index is the number.
    Enum(&'static [&'static str]),
    Hex,
    Base64,
    Message(&'static Message),
}

/// The protobuf form of `body`.
pub(super) fn to_protobuf(body: &[u8], message: &'static Message) -> Result<Vec<u8>, WireError> {
    if body.len() > JSON_BYTES_MAX {
        return Err(WireError::TooLarge { what: "JSON body", limit: JSON_BYTES_MAX });
    }
    let mut out = Vec::with_capacity(body.len());
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    Fields { message, out: &mut out }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| WireError::Json(error.to_string()))?;
    Ok(out)
}

/// Writes an object's fields.
struct Fields<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match self.message.fields.iter().find(|field| is_named(field.name, &key)) {
                Some(field) => map.next_value_seed(Value { field, out: self.out })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Whether `key` is `name` in lowerCamelCase or snake_case, both of which readers must take.
fn is_named(name: &str, key: &str) -> bool {
    let key = key.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_lowercase());
    name.bytes().map(|b| b.to_ascii_lowercase()).eq(key)
}

/// Writes one field, or each element of a repeated one.
struct Value<'o> {
    field: &'static JsonField,
    out: &'o mut Vec<u8>,
}

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Value<'_> {
    fn wrong<E: Error>(&self, found: &str) -> E {
        E::custom(format!("{found} does not fit field `{}`", self.field.name))
    }

    fn integer<E: Error>(self, value: i128) -> Result<(), E> {
        let number = self.field.number;
        let fits = |low: i128, high: i128| (low..=high).contains(&value);
        let (any64, any32) = (i128::from(i64::MIN), i128::from(i32::MIN));
        match self.field.kind {
            Kind::Varint | Kind::Enum(_) if fits(any64, u64::MAX.into()) => {
                put_varint_field(self.out, number, value as u64);
            }
            Kind::Zigzag if fits(any32, i32::MAX.into()) => {
                put_varint_field(self.out, number, zigzag_encode(value as i64));
            }
            Kind::Fixed64 if fits(any64, u64::MAX.into()) => {
                put_fixed64_field(self.out, number, value as u64)
            }
            Kind::Fixed32 if fits(0, u32::MAX.into()) => put_fixed32_field(self.out, number, value as u32),
            Kind::Double => put_double_field(self.out, number, value as f64),
            _ => return Err(self.wrong(&format!("integer `{value}`"))),
        }
        Ok(())
    }

    fn text<E: Error>(self, text: &str) -> Result<(), E> {
        let number = self.field.number;
        match self.field.kind {
            Kind::Text => put_bytes_field(self.out, number, text.as_bytes()),
            Kind::Hex => match hex_decode(text) {
                Some(bytes) => put_bytes_field(self.out, number, &bytes),
                None => return Err(self.wrong("text that is not hexadecimal")),
            },
            Kind::Base64 => match base64::engine::general_purpose::STANDARD.decode(text) {
                Ok(bytes) => put_bytes_field(self.out, number, &bytes),
                Err(_) => return Err(self.wrong("text that is not base64")),
            },
            Kind::Double => match text {
                "Infinity" => put_double_field(self.out, number, f64::INFINITY),
                "-Infinity" => put_double_field(self.out, number, f64::NEG_INFINITY),
                "NaN" => put_double_field(self.out, number, f64::NAN),
                other => match other.parse() {
                    Ok(value) => put_double_field(self.out, number, value),
                    Err(_) => return Err(self.wrong(&format!("text `{text}`"))),
                },
            },
            Kind::Enum(names) if names.contains(&text) => {
                let value = names.iter().position(|name| *name == text).unwrap_or_default();
                put_varint_field(self.out, number, value as u64);
            }
            Kind::Bool | Kind::Message(_) => return Err(self.wrong(&format!("text `{text}`"))),
            _ => match text.parse::<i128>() {
                Ok(value) => return self.integer(value),
                Err(_) => return Err(self.wrong(&format!("text `{text}`"))),
            },
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of field `{}`", self.field.name)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match self.field.kind {
            Kind::Bool => put_varint_field(self.out, self.field.number, u64::from(value)),
            _ => return Err(self.wrong(&format!("`{value}`"))),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.integer(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        match self.field.kind {
            Kind::Double => put_double_field(self.out, self.field.number, value),
            // Some writers print whole numbers as 5.0 or 1e3.
            _ if value.fract() == 0.0 && value.abs() < 2f64.powi(53) => return self.integer(value as i128),
            _ => return Err(self.wrong(&format!("number `{value}`"))),
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Value { field: self.field, out: self.out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.field.kind {
            Kind::Message(message) => {
                put_message_field(self.out, self.field.number, |out| Fields { message, out }.visit_map(map))
            }
            _ => Err(self.wrong("an object")),
        }
    }
}

fn hex_decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    let whole = pairs.remainder().is_empty();
    whole.then(|| pairs.map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}
