//! How values of `model` stand in JSON records of the journal.

/// A label set as an object.
pub(crate) mod labels {
    use model::Labels;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        labels.iter().collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Labels::from_pairs)
    }
}

/// A sample's value as text, because JSON has no NaN. A histogram is kept by its sum: the next
/// evaluation brings the whole value back.
pub(crate) mod value {
    use model::{Value, format_float, parse_float};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        let float = match value {
            Value::Float(float) => *float,
            Value::Histogram(histogram) => histogram.sum,
        };
        serializer.serialize_str(&format_float(float))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_float(&text)
            .map(Value::Float)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a number")))
    }
}
