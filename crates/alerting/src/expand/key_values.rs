//! `template.KV`: labels or annotations with the methods that notification templates call.

use crate::Annotations;
use template::{Map, Object, Value};

/// A `map[string]string` with the methods that notification templates call on it.
pub(crate) fn key_values<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::object(KeyValues(Annotations::from_pairs(pairs)))
}

/// Labels or annotations: the latter may be empty.
struct KeyValues(Annotations);

impl KeyValues {
    /// By name, but `alertname` first.
    fn sorted(&self) -> Vec<(&str, &str)> {
        let mut pairs: Vec<_> = self.0.iter().collect();
        pairs.sort_by_key(|(name, _)| *name != crate::alert::ALERT_NAME);
        pairs
    }
}

/// Pairs, with the methods `Names` and `Values`.
struct Pairs(Vec<(String, String)>);

impl Object for KeyValues {
    fn type_name(&self) -> &str {
        "template.KV"
    }

    fn field(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(Value::from)
    }

    fn is_map(&self) -> bool {
        true
    }

    fn entries(&self) -> Vec<(String, Value)> {
        self.0.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let pairs = || Pairs(self.sorted().into_iter().map(owned).collect());
        Some(match (name, args) {
            ("SortedPairs", []) => Ok(Value::object(pairs())),
            ("Names" | "Values", []) => return pairs().method(name, args),
            ("Remove", [Value::List(names)]) => {
                let removed: Vec<_> = names.iter().map(Value::print).collect();
                let stays = |(name, _): &(&str, &str)| !removed.iter().any(|removed| removed == name);
                Ok(key_values(self.0.iter().filter(stays)))
            }
            ("Remove", _) => Err("wrong type for value; expected []string".to_owned()),
            _ => return None,
        })
    }
}

impl Object for Pairs {
    fn type_name(&self) -> &str {
        "template.Pairs"
    }

    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    fn items(&self) -> Option<Vec<Value>> {
        let pair = |(name, value): &(String, String)| {
            Value::from(Map::of_values([
                ("Name", Value::from(name.as_str())),
                ("Value", Value::from(value.as_str())),
            ]))
        };
        Some(self.0.iter().map(pair).collect())
    }

    fn print(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{{{name} {value}}}")).collect();
        format!("[{}]", pairs.join(" "))
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let texts: Vec<&str> = match (name, args) {
            ("Names", []) => self.0.iter().map(|(name, _)| name.as_str()).collect(),
            ("Values", []) => self.0.iter().map(|(_, value)| value.as_str()).collect(),
            _ => return None,
        };
        Some(Ok(Value::list(texts.into_iter().map(Value::from))))
    }
}
