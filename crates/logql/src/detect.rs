//! What could be extracted from a line: for field lists, not for queries.

use crate::{Entry, pipeline, units};

/// One field of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The label that a parser would write if no other had the name.
    pub name: String,
    /// Whether the stream or its metadata have the name, so that a parser appends `_extracted`.
    pub is_taken: bool,
    /// Its value.
    pub value: String,
    /// `json` or `logfmt`.
    pub parser: &'static str,
    /// The keys that lead to the value in JSON; empty for logfmt.
    pub json_path: Vec<String>,
}

impl Detected {
    /// The label that a parser would write.
    pub fn label(&self) -> String {
        if self.is_taken { format!("{}_extracted", self.name) } else { self.name.clone() }
    }
}

/// Fields of an entry's line, by the first parser that makes sense of it. Of a repeated name the
/// first value counts.
pub fn detect_fields(entry: &Entry) -> Vec<Detected> {
    let mut found: Vec<Detected> = Vec::new();
    let mut add = |name: String, value: String, parser, json_path| {
        let taken = |pairs: &crate::LabelPairs| pairs.iter().any(|(existing, _)| *existing == name);
        let is_taken = taken(&entry.stream) || taken(&entry.metadata);
        let field = Detected { name, is_taken, value, parser, json_path };
        let label = field.label();
        if !field.name.is_empty() && !found.iter().any(|other| other.label() == label) {
            found.push(field);
        }
    };
    if entry.line.trim_start().starts_with('{') {
        for (path, value) in pipeline::json_scalars(&entry.line).unwrap_or_default() {
            add(pipeline::label_of_path(&path), value, "json", path);
        }
    } else {
        for (name, value) in pipeline::logfmt_pairs(&entry.line).unwrap_or_default() {
            add(name, value, "logfmt", Vec::new());
        }
    }
    found
}

/// The kind of a value: `int`, `float`, `boolean`, `duration`, `bytes` or `string`.
pub fn value_kind(value: &str) -> &'static str {
    if value.parse::<i64>().is_ok() {
        "int"
    } else if value.parse::<f64>().is_ok() {
        "float"
    } else if matches!(value, "true" | "false") {
        "boolean"
    } else if template::parse_duration(value).is_ok() {
        "duration"
    } else if units::parse_bytes(value).is_ok() {
        "bytes"
    } else {
        "string"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: &str) -> Entry {
        let stream = vec![("app".to_owned(), "x".to_owned())];
        Entry {
            timestamp_ns: 0,
            line: line.to_owned(),
            stream,
            metadata: Vec::new(),
            parsed: Vec::new(),
            id: 0,
        }
    }

    #[test]
    fn fields_of_json_and_logfmt() {
        let names = |line: &str| -> Vec<String> {
            let show = |field: Detected| {
                format!(
                    "{}{}={} {}",
                    field.name,
                    if field.is_taken { "!" } else { "" },
                    field.value,
                    field.json_path.join(".")
                )
            };
            detect_fields(&entry(line)).into_iter().map(show).collect()
        };
        assert_eq!(names(r#"{"a":{"b":1},"a_b":2,"app":"y"}"#), ["a_b=1 a.b", "app!=y app"]);
        assert_eq!(names("a=1 a=2 app=z words"), ["a=1 ", "app!=z "]);
        assert_eq!(names("app_extracted=1 app=2"), ["app_extracted=1 "]);
        assert_eq!(names("just words"), Vec::<String>::new());
    }

    #[test]
    fn kinds() {
        for (value, kind) in [
            ("1", "int"),
            ("1.5", "float"),
            ("true", "boolean"),
            ("1.5s", "duration"),
            ("2KiB", "bytes"),
            ("x", "string"),
        ] {
            assert_eq!(value_kind(value), kind);
        }
    }
}
