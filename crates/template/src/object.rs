//! Things with fields and methods that the host lends to a template.

use crate::Value;

/// A struct or lazily read map, seen from a template.
///
/// Fields are read only when a template names them, so handing over a large object costs nothing.
pub trait Object: Send + Sync {
    /// The type's name in error messages, such as `template.Data`.
    fn type_name(&self) -> &str;

    /// The value of a field; `None` when there is no such field, which is an error for the
    /// template unless [`Object::is_map`] says that any key may be asked for.
    fn field(&self, name: &str) -> Option<Value>;

    /// Calls a method; `None` when there is no such method.
    fn method(&self, _name: &str, _args: &[Value]) -> Option<Result<Value, String>> {
        None
    }

    /// Whether this behaves as a map of strings: any key may be asked for, a missing one is "".
    fn is_map(&self) -> bool {
        false
    }

    /// The items, where this behaves as a list that has fields or methods besides, such as
    /// `.Alerts` and `.Alerts.Firing`.
    fn items(&self) -> Option<Vec<Value>> {
        None
    }

    /// Keys and values in ascending order of key, for printing and for `range`.
    fn entries(&self) -> Vec<(String, Value)> {
        Vec::new()
    }

    /// The text of `{{ . }}`.
    fn print(&self) -> String {
        let pairs: Vec<_> =
            self.entries().into_iter().map(|(key, value)| format!("{key}:{}", value.print())).collect();
        format!("map[{}]", pairs.join(" "))
    }
}
