//! What decoding kept and what it refused.

use model::{LabelError, shorten_example};
use std::fmt;

/// Why a part of a request was refused. `as_str` is the `reason` label of the loss counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// A series without `__name__`.
    NoMetricName,
    /// A label without a name.
    EmptyLabelName,
    /// A label name that comes twice.
    DuplicateLabel,
    /// A name or value that is not UTF-8.
    InvalidUtf8,
    /// A label name or value over [`model::LABEL_BYTES_MAX`].
    LabelTooLong,
    /// More than [`model::LABELS_MAX`] labels.
    TooManyLabels,
    /// A stream without labels.
    NoLabels,
    /// Stream labels in text form that do not parse.
    UnreadableLabels,
    /// An odd number of symbol references, or one beyond the symbol table.
    BadSymbolReference,
    /// A series without samples and histograms.
    NoSamples,
    /// A native histogram that breaks its own invariants.
    InvalidHistogram,
    /// An exemplar whose labels are broken.
    InvalidExemplar,
    /// An OTLP point with delta temporality.
    DeltaTemporality,
    /// A time that 64 bits of nanoseconds cannot hold.
    InvalidTimestamp,
    /// An OTLP metric without data or with a name that translates to nothing.
    InvalidMetric,
    /// A line of line protocol that does not parse.
    UnreadableLine,
    /// A field of line protocol that is text.
    StringField,
    /// A document that is no JSON object, or an action that is not taken.
    UnreadableDocument,
}

impl Refusal {
    /// snake_case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::NoMetricName => "no_metric_name",
            Refusal::EmptyLabelName => "empty_label_name",
            Refusal::DuplicateLabel => "duplicate_label",
            Refusal::InvalidUtf8 => "invalid_utf8",
            Refusal::LabelTooLong => "label_too_long",
            Refusal::TooManyLabels => "too_many_labels",
            Refusal::NoLabels => "no_labels",
            Refusal::UnreadableLabels => "unreadable_labels",
            Refusal::BadSymbolReference => "bad_symbol_reference",
            Refusal::NoSamples => "no_samples",
            Refusal::InvalidHistogram => "invalid_histogram",
            Refusal::InvalidExemplar => "invalid_exemplar",
            Refusal::DeltaTemporality => "delta_temporality",
            Refusal::InvalidTimestamp => "invalid_timestamp",
            Refusal::InvalidMetric => "invalid_metric",
            Refusal::UnreadableLine => "unreadable_line",
            Refusal::StringField => "string_field",
            Refusal::UnreadableDocument => "unreadable_document",
        }
    }
}

impl From<&LabelError> for Refusal {
    fn from(error: &LabelError) -> Self {
        match error {
            LabelError::EmptyName => Refusal::EmptyLabelName,
            LabelError::DuplicateName(_) => Refusal::DuplicateLabel,
            LabelError::NoMetricName => Refusal::NoMetricName,
            LabelError::NotUtf8 => Refusal::InvalidUtf8,
            LabelError::TooLong { .. } => Refusal::LabelTooLong,
            LabelError::TooMany { .. } => Refusal::TooManyLabels,
            LabelError::NoLabels => Refusal::NoLabels,
        }
    }
}

/// Refused parts of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Refusal,
    /// Samples, histograms, exemplars or entries lost by it; at least 1 for each refused part.
    pub count: u64,
    /// The first one, readable in an error message.
    pub example: String,
}

/// What decoding kept and what it refused. One row for each reason, so its size is bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodeReport {
    /// Float samples kept.
    pub samples: u64,
    /// Native histograms kept.
    pub histograms: u64,
    /// Exemplars kept.
    pub exemplars: u64,
    /// Log entries kept.
    pub entries: u64,
    /// Log lines and metadata values kept with their invalid UTF-8 replaced by U+FFFD.
    pub replaced_utf8: u64,
    /// What was refused, by reason.
    pub rejected: Vec<Rejected>,
}

impl DecodeReport {
    /// Counts a refused part that held `count` samples or entries.
    pub(crate) fn reject(&mut self, reason: Refusal, count: u64, example: impl FnOnce() -> String) {
        let count = count.max(1);
        match self.rejected.iter_mut().find(|rejected| rejected.reason == reason) {
            Some(rejected) => rejected.count += count,
            None => {
                let mut example = example();
                shorten_example(&mut example);
                self.rejected.push(Rejected { reason, count, example });
            }
        }
    }

    /// Everything refused.
    pub fn rejected_count(&self) -> u64 {
        self.rejected.iter().map(|rejected| rejected.count).sum()
    }
}

/// The refusals as one line for an error response: `3 x duplicate_label: …; 1 x …`.
impl fmt::Display for DecodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, rejected) in self.rejected.iter().enumerate() {
            let separator = if i > 0 { "; " } else { "" };
            let (count, reason) = (rejected.count, rejected.reason.as_str());
            write!(f, "{separator}{count} x {reason}: {}", rejected.example)?;
        }
        Ok(())
    }
}
