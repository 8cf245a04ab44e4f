//! Writes streams and entries into a batch.
//!
//! All protocols call in the same order: `begin_stream`, `label`…, `end_stream`, and for each entry
//! `begin_entry`, `metadata`…, `end_entry`. Entries of a stream that was refused are counted with
//! the stream's reason. Whatever goes into the batch is charged to the request's [`Expansion`].

use super::{
    LogOptions, detect_level,
    level::{is_level_name, level_of, level_of_severity},
    service_name::{SERVICE_NAME, ServiceName, UNKNOWN_SERVICE},
};
use crate::{DecodeReport, Refusal, WireError, expansion::Expansion, label_set::LabelSet, loki::limits};
use model::{LABEL_BYTES_MAX, LABELS_MAX, LabelError, Labels, LogBatch};
use std::borrow::Cow;

/// The structured metadata that holds a line's level.
const DETECTED_LEVEL: &[u8] = b"detected_level";
/// The structured metadata that holds an OTLP severity number.
const SEVERITY_NUMBER: &[u8] = b"severity_number";
/// What an entry takes in a batch besides its bytes.
const ENTRY_BYTES: usize = 32;

/// What is known of an entry's level before its line is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LevelHint {
    None,
    Severity(&'static str),
    Metadata(&'static str),
    /// `detected_level` is there already.
    Present,
}

pub(crate) struct LogWriter<'b> {
    batch: &'b mut LogBatch,
    options: LogOptions,
    labels: LabelSet,
    service: ServiceName,
    /// Level label of the stream, or empty. A word that is no level is kept as it is: whoever set
    /// the label has decided.
    stream_level: Vec<u8>,
    hint: LevelHint,
    /// Why the current stream's entries are refused, with an example.
    refused: Option<(Refusal, String)>,
    /// Why the last entry that was refused was.
    last_refusal: Option<Refusal>,
    expansion: Expansion,
    report: DecodeReport,
}

impl<'b> LogWriter<'b> {
    pub(crate) fn new(batch: &'b mut LogBatch, options: LogOptions) -> Self {
        batch.clear();
        LogWriter {
            batch,
            options,
            labels: LabelSet::default(),
            service: ServiceName::default(),
            stream_level: Vec::new(),
            hint: LevelHint::None,
            refused: None,
            last_refusal: None,
            expansion: Expansion::default(),
            report: DecodeReport::default(),
        }
    }

    pub(crate) fn now_ns(&self) -> i64 {
        self.options.now_ns
    }

    /// The report, or an empty batch and the error.
    pub(crate) fn finish(self, result: Result<(), WireError>) -> Result<DecodeReport, WireError> {
        match result {
            Ok(()) => Ok(self.report),
            Err(error) => {
                self.batch.clear();
                Err(error)
            }
        }
    }

    pub(crate) fn begin_stream(&mut self) {
        self.labels.begin();
        self.service.begin();
        self.stream_level.clear();
        self.refused = None;
    }

    /// Adds a label to the stream begun.
    pub(crate) fn label(&mut self, name: &[u8], value: &[u8]) {
        if self.options.enrich {
            self.service.see(name, value);
            if self.stream_level.is_empty() && is_level_name(name) {
                self.stream_level.extend_from_slice(normal_level(value));
            }
        }
        self.labels.push(name, value);
    }

    /// Refuses the stream: its entries will be counted with this reason.
    pub(crate) fn refuse_stream(&mut self, reason: Refusal, example: String) {
        self.refused = Some((reason, example));
    }

    /// Ends the labels of a stream that may have none to begin with (OTLP).
    pub(crate) fn end_stream_or_unknown(&mut self) -> Result<(), WireError> {
        if self.labels.len() == 0 {
            self.labels.push(SERVICE_NAME.as_bytes(), UNKNOWN_SERVICE.as_bytes());
            return self.start_stream();
        }
        self.end_stream()
    }

    /// Ends the labels of a stream pushed in Loki's way, which must keep Loki's bounds.
    pub(crate) fn end_pushed_stream(&mut self) -> Result<(), WireError> {
        if !self.options.enrich || self.labels.len() == 0 {
            return self.end_stream();
        }
        let unreadable = limits::unreadable(&self.sorted_labels());
        if let Some(example) = unreadable {
            self.refuse_stream(Refusal::UnreadableLabels, example);
            return Ok(());
        }
        if let Some(service) = self.service.missing() {
            self.labels.insert(SERVICE_NAME.as_bytes(), service);
        }
        let excess = limits::excess(&self.sorted_labels());
        if let Some((reason, example)) = excess {
            self.refuse_stream(reason, example);
            return Ok(());
        }
        self.start_stream()
    }

    fn sorted_labels(&self) -> Vec<(&[u8], &[u8])> {
        let mut pairs: Vec<_> = self.labels.pairs().collect();
        pairs.sort_unstable();
        pairs
    }

    /// Ends the stream's labels.
    pub(crate) fn end_stream(&mut self) -> Result<(), WireError> {
        if self.labels.len() == 0 {
            let example = "at least one label pair is required per stream".to_owned();
            self.refuse_stream(Refusal::NoLabels, example);
            return Ok(());
        }
        if self.options.enrich
            && let Some(service) = self.service.missing()
        {
            self.labels.insert(SERVICE_NAME.as_bytes(), service);
        }
        self.start_stream()
    }

    fn start_stream(&mut self) -> Result<(), WireError> {
        self.expansion.charge(self.labels.byte_count() + ENTRY_BYTES)?;
        if let Some(labels) = self.labels.as_canonical() {
            self.batch.begin_with(labels);
            return Ok(());
        }
        self.batch.begin();
        for (name, value) in self.labels.pairs() {
            self.batch.label(name, value);
        }
        if let Err(error) = self.batch.end_stream_labels() {
            let example = format!("{error} in {}", self.labels.describe());
            self.refuse_stream(Refusal::from(&error), example);
        }
        Ok(())
    }

    pub(crate) fn begin_entry(&mut self) {
        self.labels.begin();
        self.hint = LevelHint::None;
    }

    /// Adds structured metadata to the entry begun.
    pub(crate) fn metadata(&mut self, name: &[u8], value: &[u8]) {
        let name = metadata_name(name);
        let (name, mut value) = (name.as_ref(), value);
        if self.options.enrich && self.hint != LevelHint::Present {
            if name == DETECTED_LEVEL {
                self.hint = LevelHint::Present;
                value = normal_level(value);
            } else if name == SEVERITY_NUMBER {
                if let Some(number) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
                    self.severity(number);
                }
            } else if !matches!(self.hint, LevelHint::Metadata(_))
                && is_level_name(name)
                && let Some(level) = level_of(value)
            {
                self.hint = LevelHint::Metadata(level);
            }
        }
        self.labels.push(name, value);
    }

    /// Tells the entry's OTLP severity number.
    pub(crate) fn severity(&mut self, number: u64) {
        if self.hint == LevelHint::None {
            self.hint = LevelHint::Severity(level_of_severity(number));
        }
    }

    /// Ends the entry.
    pub(crate) fn end_entry(&mut self, timestamp_ns: i64, line: &[u8]) -> Result<(), WireError> {
        // Refused entries are charged too: they took the time to copy what they share.
        self.expansion.charge(self.labels.byte_count() + line.len() + ENTRY_BYTES)?;
        if let Some((reason, example)) = &self.refused {
            self.report.reject(*reason, 1, || example.clone());
            self.last_refusal = Some(*reason);
            return Ok(());
        }
        if self.options.enrich && self.hint != LevelHint::Present {
            let level = match self.hint {
                _ if !self.stream_level.is_empty() => &self.stream_level,
                LevelHint::Severity(level) | LevelHint::Metadata(level) => level.as_bytes(),
                LevelHint::None | LevelHint::Present => detect_level(line).as_bytes(),
            };
            self.labels.insert(DETECTED_LEVEL, level);
        }
        // The checked way first: it is several times faster on text, and nearly all lines are.
        let line = match std::str::from_utf8(line) {
            Ok(line) => Cow::Borrowed(line),
            Err(_) => String::from_utf8_lossy(line),
        };
        let mut replaced = matches!(line, Cow::Owned(_));
        let written = match self.labels.as_canonical() {
            Some(metadata) => {
                self.batch.entry(timestamp_ns, &line, metadata);
                Ok(())
            }
            None => self.unordered_metadata().map(|(metadata, lossy)| {
                replaced |= lossy;
                self.batch.entry(timestamp_ns, &line, metadata.as_ref());
            }),
        };
        match written {
            Ok(()) => {
                self.report.entries += 1;
                self.report.replaced_utf8 += u64::from(replaced);
            }
            Err(error) => {
                self.labels.reject(&error, 1, &mut self.report);
                self.last_refusal = Some(Refusal::from(&error));
            }
        }
        Ok(())
    }

    /// Metadata that came unsorted, with repeats (the last one counts) or with broken UTF-8
    /// (replaced, and told by the second result).
    fn unordered_metadata(&self) -> Result<(Labels, bool), LabelError> {
        if self.labels.len() > LABELS_MAX {
            return Err(LabelError::TooMany { count: self.labels.len(), limit: LABELS_MAX });
        }
        let mut lossy = false;
        let mut pairs = Vec::with_capacity(self.labels.len());
        for (name, value) in self.labels.pairs() {
            let bytes = name.len().max(value.len());
            if name.is_empty() {
                return Err(LabelError::EmptyName);
            }
            if bytes > LABEL_BYTES_MAX {
                return Err(LabelError::TooLong { bytes, limit: LABEL_BYTES_MAX });
            }
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            lossy |= matches!(name, Cow::Owned(_)) || matches!(value, Cow::Owned(_));
            pairs.push((name, value));
        }
        Ok((Labels::from_pairs(pairs), lossy))
    }

    /// Counts an entry as refused.
    pub(crate) fn reject_entry(&mut self, reason: Refusal, example: impl FnOnce() -> String) {
        self.report.reject(reason, 1, example);
        self.last_refusal = Some(reason);
    }

    /// Why the last entry was refused that was since this was asked before, if any.
    pub(crate) fn take_refusal(&mut self) -> Option<Refusal> {
        self.last_refusal.take()
    }
}

/// The level that a value means, or the value itself where it means none.
fn normal_level(value: &[u8]) -> &[u8] {
    level_of(value).map_or(value, str::as_bytes)
}

/// A metadata name that queries can name: every other character becomes `_`, and a digit in front
/// gets `key_` before it.
fn metadata_name(name: &[u8]) -> Cow<'_, [u8]> {
    let starts_with_digit = name.first().is_some_and(u8::is_ascii_digit);
    if !starts_with_digit && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_') {
        return Cow::Borrowed(name);
    }
    let text = String::from_utf8_lossy(name);
    let safe = text.chars().map(|c| if c.is_ascii_alphanumeric() { c as u8 } else { b'_' });
    let prefix: &[u8] = if starts_with_digit { b"key_" } else { b"" };
    Cow::Owned(prefix.iter().copied().chain(safe).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_names_can_be_named_in_queries() {
        for (name, expected) in [
            ("trace_id", "trace_id"),
            ("http.status-code", "http_status_code"),
            ("é", "_"),
            ("2xx", "key_2xx"),
            ("", ""),
        ] {
            assert_eq!(metadata_name(name.as_bytes()), expected.as_bytes(), "{name}");
        }
    }

    /// The level written for an entry with one stream label and one pair of metadata.
    fn level_written(label: (&str, &str), metadata: (&str, &str)) -> String {
        let mut batch = LogBatch::default();
        let options = LogOptions { now_ns: 0, enrich: true };
        let mut writer = LogWriter::new(&mut batch, options);
        writer.begin_stream();
        writer.label(label.0.as_bytes(), label.1.as_bytes());
        writer.end_stream().expect("within the limits");
        writer.begin_entry();
        writer.metadata(metadata.0.as_bytes(), metadata.1.as_bytes());
        writer.end_entry(1, b"info").expect("within the limits");
        let level = writer.labels.pairs().find(|(name, _)| *name == DETECTED_LEVEL).expect("a level");
        String::from_utf8_lossy(level.1).into_owned()
    }

    #[test]
    fn levels_come_from_labels_then_metadata_then_the_line() {
        for (label, metadata, expected) in [
            (("app", "a"), ("x", "y"), "info"),
            (("severity", "odd-one"), ("x", "y"), "odd-one"),
            (("severity", "Warning"), ("level", "error"), "warn"),
            (("app", "a"), ("severity_number", "18"), "error"),
            (("app", "a"), ("severity_number", "many"), "info"),
            (("app", "a"), ("detected_level", "Warning"), "warn"),
            (("app", "a"), ("detected_level", "odd"), "odd"),
        ] {
            assert_eq!(level_written(label, metadata), expected, "{label:?} {metadata:?}");
        }
    }
}
