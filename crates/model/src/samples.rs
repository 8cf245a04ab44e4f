//! Columns of samples, and the rows of an instant vector.

use crate::{Histogram, Labels, Value};
use std::sync::Arc;

/// The samples of one series as columns, in ascending order of time, one per instant.
///
/// Shape: `timestamps_ms`, `values` have equal length n; `histograms` is sparse: `(i, h)` says that
/// sample i is the histogram h, and `values[i]` is then meaningless; `starts_ms` is empty when no
/// start timestamps are known, else has length n with 0 for unknown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// Milliseconds since the epoch, strictly ascending.
    pub timestamps_ms: Vec<i64>,
    /// Float values.
    pub values: Vec<f64>,
    /// Histogram values by index, ascending.
    pub histograms: Vec<(u32, Arc<Histogram>)>,
    /// Start timestamps (when the counter began), or empty.
    pub starts_ms: Vec<i64>,
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        self.timestamps_ms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.timestamps_ms.is_empty()
    }

    /// Empties the columns and keeps their memory.
    pub fn clear(&mut self) {
        self.timestamps_ms.clear();
        self.values.clear();
        self.histograms.clear();
        self.starts_ms.clear();
    }

    /// Appends a sample; the caller keeps time ascending.
    pub fn push(&mut self, timestamp_ms: i64, start_ms: i64, value: &Value) {
        if start_ms != 0 && self.starts_ms.is_empty() {
            self.starts_ms.resize(self.len(), 0);
        }
        let has_starts = start_ms != 0 || !self.starts_ms.is_empty();
        match value {
            Value::Float(value) => self.values.push(*value),
            Value::Histogram(histogram) => {
                self.histograms.push((self.len() as u32, histogram.clone()));
                self.values.push(histogram.sum);
            }
        }
        self.timestamps_ms.push(timestamp_ms);
        if has_starts {
            self.starts_ms.push(start_ms);
        }
    }

    /// As [`Samples::push`] of a float.
    #[inline]
    pub fn push_float(&mut self, timestamp_ms: i64, start_ms: i64, value: f64) {
        if start_ms != 0 || !self.starts_ms.is_empty() {
            return self.push(timestamp_ms, start_ms, &Value::Float(value));
        }
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// The histogram at index `i`, if that sample is one.
    pub fn histogram(&self, i: usize) -> Option<&Arc<Histogram>> {
        let found = self.histograms.binary_search_by_key(&(i as u32), |(index, _)| *index).ok()?;
        Some(&self.histograms[found].1)
    }

    /// Memory that histograms take from index `first` on.
    pub fn histogram_bytes(&self, first: usize) -> usize {
        let place = self.histograms.partition_point(|(index, _)| (*index as usize) < first);
        self.histograms[place..].iter().map(|(_, histogram)| histogram.memory_bytes()).sum()
    }

    /// The value at index `i`.
    pub fn value(&self, i: usize) -> Value {
        match self.histogram(i) {
            Some(histogram) => Value::Histogram(histogram.clone()),
            None => Value::Float(self.values[i]),
        }
    }

    /// Start timestamp at index `i`, 0 when unknown.
    pub fn start_ms(&self, i: usize) -> i64 {
        self.starts_ms.get(i).copied().unwrap_or(0)
    }

    /// Whether sample `i` is a staleness marker.
    pub fn is_stale(&self, i: usize) -> bool {
        match self.histogram(i) {
            Some(histogram) => histogram.is_stale(),
            None => crate::is_stale(self.values[i]),
        }
    }
}

/// One element of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSample {
    /// The element's labels.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The value.
    pub value: Value,
}
