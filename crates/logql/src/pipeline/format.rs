//! `line_format` and `label_format`.

use super::{RowState, labels::RowLabels};
use crate::ast::{FormatSource, LabelFormat};
use std::sync::Arc;
use template::{Limits, Object, Options, Template, Value, functions};

/// The `__error__` of a template that fails.
const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// One row as a template sees it: a map of labels, with the line and the time as methods.
struct TemplateRow {
    labels: Vec<(String, String)>,
    line: Arc<str>,
    timestamp_ns: i64,
}

impl TemplateRow {
    fn value_of(row: &RowState<'_>) -> Value {
        let labels = &row.scratch.labels;
        let mut labels: Vec<_> =
            labels.iter().map(|(name, value, _)| (name.to_owned(), value.to_owned())).collect();
        labels.sort_unstable();
        Value::object(TemplateRow { labels, line: Arc::from(row.line()), timestamp_ns: row.timestamp_ns })
    }
}

impl Object for TemplateRow {
    fn type_name(&self) -> &str {
        "map[string]string"
    }

    fn field(&self, name: &str) -> Option<Value> {
        let found = self.labels.iter().find(|(label, _)| label == name)?;
        Some(Value::from(found.1.as_str()))
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        match (name, args) {
            ("__line__", []) => Some(Ok(Value::String(self.line.clone()))),
            ("__timestamp__", []) => {
                let time = jiff::Timestamp::from_nanosecond(self.timestamp_ns.into());
                let zoned = time.map(|time| Value::from(time.to_zoned_datetime(jiff::tz::TimeZone::UTC)));
                Some(zoned.map_err(|error| error.to_string()))
            }
            _ => None,
        }
    }

    fn is_map(&self) -> bool {
        true
    }

    fn entries(&self) -> Vec<(String, Value)> {
        self.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect()
    }
}

fn options(row: &RowState<'_>) -> Options {
    Options {
        // A query has no clock of its own: `now` is the time of the row.
        now_ns: row.timestamp_ns,
        limits: Limits { steps_max: 100_000, ..Limits::default() },
        ..Options::default()
    }
}

/// The template of `line_format`.
pub(super) struct LineTemplate(Template);

impl LineTemplate {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        Template::parse("line", text, &functions::loki())
            .map(LineTemplate)
            .map_err(|error| format!("invalid line template: {error}"))
    }

    pub(super) fn run(&self, row: &mut RowState<'_>) {
        match self.0.execute_with(&TemplateRow::value_of(row), &options(row)) {
            Ok(line) => row.set_line(|_, out| out.push_str(&line)),
            Err(error) => row.scratch.labels.set_error(TEMPLATE_ERROR, &error.to_string()),
        }
    }
}

/// The assignments of `label_format`.
pub(super) struct LabelTemplates(Vec<(String, Source)>);

enum Source {
    Rename(String),
    Template(Template),
}

impl LabelTemplates {
    pub(super) fn new(formats: &[LabelFormat]) -> Result<Self, String> {
        let mut compiled: Vec<(String, Source)> = Vec::with_capacity(formats.len());
        for LabelFormat { label, source } in formats {
            if label == super::labels::ERROR {
                return Err(format!("{label} cannot be formatted"));
            }
            if compiled.iter().any(|(existing, _)| existing == label) {
                return Err(format!(
                    "multiple label name '{label}' not allowed in a single format operation"
                ));
            }
            let source = match source {
                FormatSource::Rename(name) => Source::Rename(name.clone()),
                FormatSource::Template(text) => {
                    let template = Template::parse("label", text, &functions::loki())
                        .map_err(|error| format!("invalid template for label '{label}': {error}"))?;
                    Source::Template(template)
                }
            };
            compiled.push((label.clone(), source));
        }
        Ok(LabelTemplates(compiled))
    }

    pub(super) fn run(&self, row: &mut RowState<'_>) {
        // Every template sees the labels as they were before the stage.
        let mut data = None;
        for (label, source) in &self.0 {
            match source {
                Source::Rename(from) => rename(&mut row.scratch.labels, from, label),
                Source::Template(template) => {
                    let data = data.get_or_insert_with(|| TemplateRow::value_of(row));
                    match template.execute_with(data, &options(row)) {
                        Ok(text) => row.scratch.labels.set(label, &text),
                        Err(error) => row.scratch.labels.set_error(TEMPLATE_ERROR, &error.to_string()),
                    }
                }
            }
        }
    }
}

fn rename(labels: &mut RowLabels, from: &str, to: &str) {
    let Some(value) = labels.get(from).map(str::to_owned) else {
        return;
    };
    labels.set(to, &value);
    // Renamed to itself a label goes, too, as in Loki.
    labels.remove(from);
}

/// Adds the labels that a template reads by name; `None` when it may read all of them.
pub(super) fn labels_read(text: &str, names: &mut Vec<String>) -> Option<()> {
    let mut rest = text;
    while let Some((_, action)) = rest.split_once("{{") {
        let (inner, tail) = action.split_once("}}")?;
        fields_of(inner, names)?;
        rest = tail;
    }
    Some(())
}

/// `.name` wherever it stands in an action, texts left out; `None` for a dot alone.
fn fields_of(action: &str, names: &mut Vec<String>) -> Option<()> {
    let mut before = ' ';
    let mut quote = None;
    for (at, c) in action.char_indices() {
        let begins = before.is_whitespace() || matches!(before, '(' | '-' | '|' | ',' | '=');
        match quote {
            // An escaped quote ends nothing.
            Some(open) => quote = (c != open || before == '\\').then_some(open),
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if c == '.' && begins => {
                let rest = &action[at + 1..];
                let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let name = &rest[..length];
                let is_number = name.starts_with(|c: char| c.is_ascii_digit());
                match (name.is_empty(), is_number) {
                    (true, _) => return None,
                    (false, true) => {}
                    (false, false) => names.push(name.to_owned()),
                }
            }
            None => {}
        }
        before = c;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_templates_read() {
        for (text, expected) in [
            ("no action", Some(vec![])),
            ("{{.a}}-{{ .b_c }}", Some(vec!["a", "b_c"])),
            (r#"{{ if eq .a "x.y" }}{{ .b | upper }}{{ end }}"#, Some(vec!["a", "b"])),
            ("{{ div (int .a) .5 }}", Some(vec!["a"])),
            ("{{ $x.y }}{{ __line__ }}", Some(vec![])),
            ("{{ range $k, $v := . }}{{ $k }}{{ end }}", None),
            ("{{ . }}", None),
        ] {
            let mut names = Vec::new();
            let read = labels_read(text, &mut names);
            let found = read.map(|()| names.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(found, expected, "{text}");
        }
    }
}
