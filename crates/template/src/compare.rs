//! `eq`, `ne`, `lt`, `le`, `gt`, `ge`: Go compares basic values of the same kind only.

use crate::Value;
use std::cmp::Ordering;

const INCOMPATIBLE: &str = "incompatible types for comparison";

/// Whether the first value equals any of the others.
pub(crate) fn equals_any(args: &[Value]) -> Result<bool, String> {
    let [first, others @ ..] = args else {
        return Err("missing argument for comparison".to_owned());
    };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if equals(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) fn equals(a: &Value, b: &Value) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(a == b);
    }
    match (a, b) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Time(a), Value::Time(b)) => Ok(a == b),
        (Value::List(_) | Value::Map(_) | Value::Function(_), _) => {
            Err(format!("non-comparable type {}: {}", a.print_nested(), a.type_name()))
        }
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}

/// The order of two values.
pub(crate) fn order(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    if let (Some(a), Some(b)) = (a.as_str(), b.as_str()) {
        return Ok(Some(a.cmp(b)));
    }
    match (a, b) {
        (Value::Int(a) | Value::Duration(a), Value::Int(b) | Value::Duration(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Bool(_) | Value::Nil | Value::List(_) | Value::Map(_) | Value::Object(_), _) => {
            Err("invalid type for comparison".to_owned())
        }
        _ => Err(INCOMPATIBLE.to_owned()),
    }
}
