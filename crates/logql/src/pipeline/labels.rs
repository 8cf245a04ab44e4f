//! The labels of the row being processed: stream labels, structured metadata, and what stages
//! extract, in one list over one text buffer that every row uses again.
//!
//! A name occurs once. Parsed labels hide metadata, metadata never hides stream labels.

use model::{Labels, LabelsRef};

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    Stream,
    Metadata,
    Parsed,
}

/// The label that tells a stage's failure.
pub(crate) const ERROR: &str = "__error__";
/// The label that tells its reason.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";
/// Appended to an extracted name that the row has already.
pub(crate) const EXTRACTED: &str = "_extracted";

#[derive(Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
    category: Category,
    /// Written by a parser: a later parser leaves it alone.
    extracted: bool,
}

/// Which labels a metric query needs; parsers look for no others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hints {
    /// `None`: all.
    pub(crate) required: Option<Vec<String>>,
}

impl Hints {
    /// No label is needed at all.
    pub(crate) fn needs_none(&self) -> bool {
        self.required.as_ref().is_some_and(Vec::is_empty)
    }

    fn wants(&self, name: &str) -> bool {
        self.required.as_ref().is_none_or(|required| required.iter().any(|wanted| wanted == name))
    }

    /// Whether a label that a parser finds under this name may be needed, under it or, where it is
    /// taken, under that which it gets instead.
    pub(super) fn may_want(&self, name: &str) -> bool {
        let is_it = |wanted: &String| wanted == name || wanted.strip_suffix(EXTRACTED) == Some(name);
        self.required.as_ref().is_none_or(|required| required.iter().any(is_it))
    }
}

#[derive(Default)]
pub(crate) struct RowLabels {
    text: String,
    entries: Vec<Entry>,
    /// How many entries and bytes belong to the stream, which the next row may share.
    stream: Vec<Entry>,
    stream_bytes: usize,
    /// The last row's metadata, with the entries and bytes of stream and metadata together: rows that
    /// follow each other are often alike.
    metadata: Vec<u8>,
    row: Vec<Entry>,
    row_bytes: usize,
    error: Option<&'static str>,
    error_details: String,
    name: String,
}

impl RowLabels {
    /// Starts over with a stream's labels.
    pub(crate) fn load_stream(&mut self, labels: &Labels) {
        self.text.clear();
        self.entries.clear();
        for (name, value) in labels.iter() {
            self.push(Category::Stream, name, value);
        }
        self.stream.clear();
        self.stream.extend_from_slice(&self.entries);
        self.stream_bytes = self.text.len();
        self.metadata.clear();
        self.row.clone_from(&self.stream);
        self.row_bytes = self.stream_bytes;
        self.reset_error();
        self.reset_error_details();
    }

    /// Starts a row of the stream loaded last.
    pub(crate) fn load_row(&mut self, metadata: LabelsRef<'_>) {
        self.reset_error();
        self.reset_error_details();
        self.entries.clear();
        if self.metadata == metadata.as_bytes() {
            self.text.truncate(self.row_bytes);
            self.entries.extend_from_slice(&self.row);
            return;
        }
        self.text.truncate(self.stream_bytes);
        self.entries.extend_from_slice(&self.stream);
        for (name, value) in metadata.iter() {
            if self.position(name).is_some() {
                let renamed = format!("{name}{EXTRACTED}");
                self.push(Category::Metadata, &renamed, value);
            } else {
                self.push(Category::Metadata, name, value);
            }
        }
        self.metadata.clear();
        self.metadata.extend_from_slice(metadata.as_bytes());
        self.row.clone_from(&self.entries);
        self.row_bytes = self.text.len();
    }

    fn keep_text(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, end: self.text.len() as u32 }
    }

    fn push(&mut self, category: Category, name: &str, value: &str) {
        let name = self.keep_text(name);
        let value = self.keep_text(value);
        self.entries.push(Entry { name, value, category, extracted: false });
    }

    fn at(&self, span: Span) -> &str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn is_named(&self, entry: &Entry, name: &str) -> bool {
        // Bytes, because these texts are compared more often than anything else is done.
        self.text.as_bytes()[entry.name.start as usize..entry.name.end as usize] == *name.as_bytes()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| self.is_named(entry, name))
    }

    /// The value of a label, errors included.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        match name {
            // What a line itself calls so is no error of ours.
            ERROR => return self.error,
            ERROR_DETAILS if !self.error_details.is_empty() => return Some(&self.error_details),
            _ => {}
        }
        self.position(name).map(|position| self.at(self.entries[position].value))
    }

    /// Writes a label over whatever has the name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let value = self.keep_text(value);
        match self.position(name) {
            Some(position) => {
                let entry = &mut self.entries[position];
                entry.value = value;
                entry.category = Category::Parsed;
            }
            None => {
                let name = self.keep_text(name);
                self.entries.push(Entry { name, value, category: Category::Parsed, extracted: false });
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if let Some(position) = self.position(name) {
            self.entries.remove(position);
        }
    }

    /// Keeps the labels for which `keeps` holds.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&str, &str) -> bool) {
        let text = &self.text;
        let at = |span: Span| &text[span.start as usize..span.end as usize];
        self.entries.retain(|entry| keeps(at(entry.name), at(entry.value)));
    }

    /// Writes a label unless something has the name.
    pub(crate) fn set_if_absent(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Puts the name under which a parser may write `name` into `self.name`; `None` when nobody
    /// wants it.
    fn extraction_name(&mut self, name: &str, hints: &Hints) -> Option<()> {
        let is_metadata = |entry: &Entry| entry.category == Category::Metadata;
        let taken = self.stream.iter().any(|entry| self.is_named(entry, name))
            || self.entries.iter().any(|entry| is_metadata(entry) && self.is_named(entry, name));
        self.name.clear();
        self.name.push_str(name);
        if taken {
            self.name.push_str(EXTRACTED);
        }
        hints.wants(&self.name).then_some(())
    }

    /// Writes what a parser found, unless a parser has written the name before.
    pub(crate) fn extract(&mut self, name: &str, value: &str, hints: &Hints) {
        if name.is_empty() || !hints.may_want(name) || self.extraction_name(name, hints).is_none() {
            return;
        }
        let repeated = self.position(&self.name).is_some_and(|position| self.entries[position].extracted);
        if !repeated {
            self.write_extracted(value);
        }
    }

    /// Writes what a parser was asked for by name: the last one found stays.
    pub(crate) fn extract_again(&mut self, name: &str, value: &str, hints: &Hints) {
        if self.extraction_name(name, hints).is_some() {
            self.write_extracted(value);
        }
    }

    fn write_extracted(&mut self, value: &str) {
        let name = std::mem::take(&mut self.name);
        if !value.is_ascii() && value.contains(char::REPLACEMENT_CHARACTER) {
            // As Loki does: what was no UTF-8 becomes a space.
            self.set(&name, &value.replace(char::REPLACEMENT_CHARACTER, " "));
        } else {
            self.set(&name, value);
        }
        if let Some(position) = self.position(&name) {
            self.entries[position].extracted = true;
        }
        self.name = name;
    }

    /// Whether parsers have found everything that is needed.
    pub(crate) fn has_all(&self, hints: &Hints) -> bool {
        match &hints.required {
            None => false,
            Some(required) => required
                .iter()
                .all(|name| self.position(name).is_some_and(|position| self.entries[position].extracted)),
        }
    }

    pub(crate) fn set_error(&mut self, kind: &'static str, details: &str) {
        self.error = Some(kind);
        self.error_details.clear();
        self.error_details.push_str(details);
    }

    pub(crate) fn error(&self) -> Option<&'static str> {
        self.error
    }

    /// Forgets the failure; its reason stays, as `drop __error__` leaves it.
    pub(crate) fn reset_error(&mut self) {
        self.error = None;
    }

    pub(crate) fn reset_error_details(&mut self) {
        self.error_details.clear();
    }

    /// Bytes of all names and values.
    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len() + self.error_details.len()
    }

    /// All labels in no order, errors included.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, Category)> {
        let labels =
            self.entries.iter().map(|entry| (self.at(entry.name), self.at(entry.value), entry.category));
        let error = self.error.map(|kind| (ERROR, kind, Category::Parsed));
        let details = (!self.error_details.is_empty()).then_some((
            ERROR_DETAILS,
            self.error_details.as_str(),
            Category::Parsed,
        ));
        labels.chain(error).chain(details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_are_extracted_beside() {
        let mut labels = RowLabels::default();
        let stream = Labels::from_pairs([("app", "x"), ("env", "prod")]);
        let metadata = Labels::from_pairs([("env", "meta"), ("trace", "7")]);
        labels.load_stream(&stream);
        labels.load_row(metadata.as_ref());
        let hints = Hints::default();
        for (name, value) in [("app", "1"), ("trace", "2"), ("new", "3"), ("new", "4")] {
            labels.extract(name, value, &hints);
        }
        for (name, value) in [
            ("app", "x"),
            ("env_extracted", "meta"),
            ("app_extracted", "1"),
            ("trace_extracted", "2"),
            ("new", "3"),
        ] {
            assert_eq!(labels.get(name), Some(value), "{name}");
        }
        labels.set("app", "y");
        assert_eq!(labels.get("app"), Some("y"));
        labels.load_row(metadata.as_ref());
        assert_eq!((labels.get("app"), labels.get("new")), (Some("x"), None));
    }
}
