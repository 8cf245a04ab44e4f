//! What is said about an alert. Unlike labels, annotations may be empty, and empty ones are there.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, sync::Arc};

/// Texts by name, in the order of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations(Arc<[(Box<str>, Box<str>)]>);

impl Annotations {
    /// None.
    pub fn empty() -> Self {
        Annotations::default()
    }

    /// Of pairs in any order; the last of a name counts.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let boxed = |(name, value): (N, V)| (Box::from(name.as_ref()), Box::from(value.as_ref()));
        let by_name: BTreeMap<Box<str>, Box<str>> = pairs.into_iter().map(boxed).collect();
        Annotations(by_name.into_iter().collect())
    }

    /// Names and texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The text of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// The text of a name, or "".
    pub fn value(&self, name: &str) -> &str {
        self.get(name).unwrap_or("")
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An object.
impl Serialize for Annotations {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Annotations::from_pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_annotations_are_kept_in_memory_and_on_disk() {
        let annotations = Annotations::from_pairs([("b", ""), ("a", "1"), ("b", "")]);
        assert_eq!(annotations.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "")]);
        assert_eq!((annotations.get("b"), annotations.get("c")), (Some(""), None));
        let text = serde_json::to_string(&annotations).unwrap();
        assert_eq!(text, r#"{"a":"1","b":""}"#);
        assert_eq!(serde_json::from_str::<Annotations>(&text).unwrap(), annotations);
    }
}
