//! The `regexp` parser: named groups become labels.

use super::{
    go_on,
    labels::{Hints, RowLabels},
};
use model::go_regex;
use regex::Regex;

pub(super) struct Extractor {
    regex: Regex,
    /// Index and name of each named group.
    groups: Vec<(usize, String)>,
}

impl Extractor {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let regex = go_regex::compile(text)?;
        if let Some(name) = go_regex::repeated_name(text) {
            return Err(format!("duplicate extracted label name '{name}'"));
        }
        let groups: Vec<_> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(index, name)| name.map(|name| (index, name.to_owned())))
            .collect();
        if groups.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        if let Some((_, bad)) = groups.iter().find(|(_, name)| !model::is_legacy_label_name(name)) {
            return Err(format!("invalid extracted label name '{bad}'"));
        }
        Ok(Extractor { regex, groups })
    }

    pub(super) fn extract(&self, line: &str, labels: &mut RowLabels, hints: &Hints) {
        if hints.needs_none() {
            return;
        }
        let Some(captures) = self.regex.captures(line) else {
            return;
        };
        for (index, name) in &self.groups {
            labels.extract(name, captures.get(*index).map_or("", |group| group.as_str()), hints);
            if go_on(labels, hints).is_break() {
                return;
            }
        }
    }
}
