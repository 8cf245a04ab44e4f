//! The dynamic values that templates compute with.

use crate::{Function, Object, format, go_duration, go_time};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// A value. Clones are cheap: everything large is shared.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing: prints as `<no value>` and is false.
    #[default]
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of any Go type.
    Int(i64),
    /// A float of any Go type.
    Float(f64),
    /// Text.
    String(Arc<str>),
    /// Text that is HTML already and is not escaped again.
    Html(Arc<str>),
    /// A slice.
    List(Arc<Vec<Value>>),
    /// A map with string keys.
    Map(Arc<Map>),
    /// An instant with its time zone.
    Time(Arc<jiff::ZonedDateTime>),
    /// Nanoseconds.
    Duration(i64),
    /// Something of the host's.
    Object(Arc<dyn Object>),
    /// Something that `call` can invoke.
    Function(Function),
}

/// A map with string keys, in order of key as `range` visits it.
#[derive(Clone, Default)]
pub struct Map {
    /// The pairs.
    pub entries: BTreeMap<String, Value>,
    /// Whether this is Go's `map[string]string`, where a missing key is "" rather than nothing.
    pub of_strings: bool,
}

impl Map {
    /// A `map[string]string`.
    pub fn of_strings<K: Into<String>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = pairs.into_iter().map(|(key, value)| (key.into(), Value::from(value.as_ref())));
        Map { entries: entries.collect(), of_strings: true }
    }

    /// A `map[string]any`.
    pub fn of_values<K: Into<String>>(pairs: impl IntoIterator<Item = (K, Value)>) -> Self {
        Map {
            entries: pairs.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            of_strings: false,
        }
    }
}

impl Value {
    /// A list.
    pub fn list(items: impl IntoIterator<Item = Value>) -> Self {
        Value::List(Arc::new(items.into_iter().collect()))
    }

    /// The labels as a `map[string]string`.
    pub fn labels(labels: &model::Labels) -> Self {
        Value::from(Map::of_strings(labels.iter()))
    }

    /// An object of the host's.
    pub fn object(object: impl Object + 'static) -> Self {
        Value::Object(Arc::new(object))
    }

    /// What `if` and `with` ask: whether the value is not the zero value of its type.
    pub fn is_true(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::String(text) | Value::Html(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.entries.is_empty(),
            Value::Time(_) | Value::Function(_) => true,
            Value::Object(object) => match object.items() {
                Some(items) => !items.is_empty(),
                None => !object.is_map() || !object.entries().is_empty(),
            },
        }
    }

    /// The text that `{{ . }}` writes.
    pub fn print(&self) -> String {
        match self {
            Value::Nil => "<no value>".to_owned(),
            other => other.print_nested(),
        }
    }

    /// The text within another value, as `%v` writes it.
    pub(crate) fn print_nested(&self) -> String {
        match self {
            Value::Nil => "<nil>".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => format::float_shortest(*value),
            Value::String(text) | Value::Html(text) => text.as_ref().to_owned(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Value::print_nested).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(map) => {
                let pairs: Vec<_> = map
                    .entries
                    .iter()
                    .map(|(key, value)| format!("{key}:{}", value.print_nested()))
                    .collect();
                format!("map[{}]", pairs.join(" "))
            }
            Value::Time(time) => go_time::time_to_string(time),
            Value::Duration(nanoseconds) => go_duration::duration_to_string(*nanoseconds),
            Value::Object(object) => object.print(),
            Value::Function(_) => "function".to_owned(),
        }
    }

    /// The name of the Go type, as error messages give it.
    pub fn type_name(&self) -> &str {
        match self {
            Value::Nil => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::String(_) => "string",
            Value::Html(_) => "template.HTML",
            Value::List(_) => "[]interface {}",
            Value::Map(map) if map.of_strings => "map[string]string",
            Value::Map(_) => "map[string]interface {}",
            Value::Time(_) => "time.Time",
            Value::Duration(_) => "time.Duration",
            Value::Object(object) => object.type_name(),
            Value::Function(_) => "func",
        }
    }

    /// The text, where this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) | Value::Html(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.type_name(), self.print_nested())
    }
}

macro_rules! from {
    ($($source:ty, $name:ident => $value:expr;)*) => {$(
        impl From<$source> for Value {
            fn from($name: $source) -> Self {
                $value
            }
        }
    )*};
}

from! {
    bool, value => Value::Bool(value);
    i64, value => Value::Int(value);
    f64, value => Value::Float(value);
    &str, text => Value::String(Arc::from(text));
    String, text => Value::String(Arc::from(text));
    Map, map => Value::Map(Arc::new(map));
    jiff::ZonedDateTime, time => Value::Time(Arc::new(time));
}
