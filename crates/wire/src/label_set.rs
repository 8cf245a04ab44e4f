//! Collects one set of labels straight in the batch's layout.

use crate::{DecodeReport, Refusal};
use model::{LABEL_BYTES_MAX, LABELS_MAX, LabelError, LabelsRef, METRIC_NAME, MetricBatch};
use std::ops::Range;

/// The labels of the series, stream or entry being decoded, as `length, name, length, value` in order of arrival.
///
/// When they arrived sorted, unique and non-empty, as senders should send them, these bytes are
/// canonical and are appended to the batch in one copy. Otherwise [`LabelSet::finish`] feeds them
/// to the batch pair by pair, which sorts, checks and names what is wrong.
#[derive(Debug, Default)]
pub(crate) struct LabelSet {
    bytes: Vec<u8>,
    previous_name: Range<usize>,
    /// First byte of the previous name, 0 when there is none.
    previous_first: u8,
    count: usize,
    canonical: bool,
    has_metric_name: bool,
}

impl LabelSet {
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.previous_name = 0..0;
        self.previous_first = 0;
        self.count = 0;
        self.canonical = true;
        self.has_metric_name = false;
    }

    #[inline]
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        if value.is_empty() && !name.is_empty() {
            return;
        }
        // Too many already: only the count goes on, not the memory.
        if self.count > LABELS_MAX {
            self.count += 1;
            return;
        }
        self.canonical &=
            self.follows(name) && name.len() <= LABEL_BYTES_MAX && value.len() <= LABEL_BYTES_MAX;
        self.take_note(name);
        let start = put(&mut self.bytes, name);
        self.previous_name = start..self.bytes.len();
        put(&mut self.bytes, value);
    }

    /// Adds a label whose name and value, neither empty, still have their length in front, in one
    /// byte each: that is how they go into `bytes`, so they are copied as they are.
    #[inline]
    pub(crate) fn push_with_lengths(&mut self, name: &[u8], value: &[u8]) {
        if self.count > LABELS_MAX {
            self.count += 1;
            return;
        }
        self.canonical &= self.follows(&name[1..]);
        self.take_note(&name[1..]);
        let start = self.bytes.len() + 1;
        self.bytes.extend_from_slice(name);
        self.previous_name = start..self.bytes.len();
        self.bytes.extend_from_slice(value);
    }

    /// Whether `name` comes after the previous name, which is "" at first: an empty name never does.
    /// Mostly the first byte decides.
    #[inline]
    fn follows(&self, name: &[u8]) -> bool {
        name.first().is_some_and(|first| *first > self.previous_first)
            || self.bytes[self.previous_name.clone()] < *name
    }

    #[inline]
    fn take_note(&mut self, name: &[u8]) {
        self.previous_first = name.first().copied().unwrap_or(0);
        self.has_metric_name |= name == METRIC_NAME.as_bytes();
        self.count += 1;
    }

    /// The labels, when they are canonical.
    pub(crate) fn as_canonical(&self) -> Option<LabelsRef<'_>> {
        let plausible = self.canonical && self.count <= LABELS_MAX;
        // Lengths of 128 and more are not ASCII either: such sets pay for the full check.
        let sound = plausible && (self.bytes.is_ascii() || LabelsRef::from_bytes(&self.bytes).is_some());
        sound.then(|| LabelsRef::from_trusted_bytes(&self.bytes))
    }

    /// Number of labels, repeats included.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds a label where it belongs in the order, so that a canonical set stays canonical.
    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8]) {
        let mut rest = self.bytes.as_slice();
        let mut at = 0;
        while let (true, Some(existing), Some(_)) = (self.canonical, take(&mut rest), take(&mut rest)) {
            if existing >= name {
                break;
            }
            at = self.bytes.len() - rest.len();
        }
        if !self.canonical || at == self.bytes.len() {
            return self.push(name, value);
        }
        let mut field = Vec::with_capacity(name.len() + value.len() + 4);
        put(&mut field, name);
        put(&mut field, value);
        let width = field.len();
        self.bytes.splice(at..at, field);
        self.previous_name = self.previous_name.start + width..self.previous_name.end + width;
        self.count += 1;
    }

    /// Bytes that these labels take in a batch.
    pub(crate) fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Starts a series with these labels in `batch`.
    pub(crate) fn finish(&self, batch: &mut MetricBatch) -> Result<(), LabelError> {
        if self.has_metric_name
            && let Some(labels) = self.as_canonical()
        {
            batch.begin_with(labels);
            return Ok(());
        }
        batch.begin();
        for (name, value) in self.pairs() {
            batch.label(name, value);
        }
        batch.end_labels()
    }

    /// Names and values in order of arrival.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || Some((take(&mut rest)?, take(&mut rest)?)))
    }

    /// The labels as far as they can be shown, for messages.
    pub(crate) fn describe(&self) -> String {
        let mut out = String::from("{");
        for (i, (name, value)) in self.pairs().take(16).enumerate() {
            let separator = if i > 0 { ", " } else { "" };
            let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            out.push_str(&format!("{separator}{name}={value:?}"));
        }
        out.push('}');
        out
    }

    /// Counts the series as refused because of its labels.
    pub(crate) fn reject(&self, error: &LabelError, samples: u64, report: &mut DecodeReport) {
        report.reject(Refusal::from(error), samples, || format!("{error} in {}", self.describe()));
    }
}

/// Appends a length-prefixed field and returns where its content starts.
#[inline]
fn put(out: &mut Vec<u8>, field: &[u8]) -> usize {
    crate::protobuf::put_varint(out, field.len() as u64);
    let start = out.len();
    out.extend_from_slice(field);
    start
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut reader = crate::protobuf::Reader::new(rest);
    let length = reader.varint().ok()? as usize;
    let (field, tail) = reader.bytes().split_at_checked(length)?;
    *rest = tail;
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserting_keeps_the_order() {
        for (present, expected) in [
            (&[][..], r#"{m="1"}"#),
            (&["a"], r#"{a="x", m="1"}"#),
            (&["z"], r#"{m="1", z="x"}"#),
            (&["a", "z"], r#"{a="x", m="1", z="x"}"#),
        ] {
            let mut set = LabelSet::default();
            set.begin();
            for name in present {
                set.push(name.as_bytes(), b"x");
            }
            set.insert(b"m", b"1");
            assert_eq!(set.as_canonical().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn unsorted_repeated_and_empty_names_are_not_canonical() {
        for names in [&["b", "a"][..], &["a", "a"], &[""]] {
            let mut set = LabelSet::default();
            set.begin();
            for name in names {
                set.push(name.as_bytes(), b"x");
            }
            assert!(set.as_canonical().is_none(), "{names:?}");
        }
    }
}
