//! What a receiver decodes a request into, and a store appends from: many series or streams in a
//! few flat buffers that are cleared and used again, so that decoding allocates next to nothing.
//!
//! Both batches are built the same way: `begin`, `label` for each pair, `end_labels` (which sorts
//! when needed and checks), then the samples or entries of that series or stream. After a failed
//! `end_labels` the series is gone and the batch stays usable.

use crate::{Histogram, LabelsRef, labels::put};
use std::{ops::Range, sync::Arc};

/// Identity of one batch of one sender, by which a retry is recognised.
///
/// A sender numbers its batches 1, 2, 3… for each `boot`, a number that grows with every start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BatchId {
    /// The sender, stable over restarts.
    pub agent: String,
    /// The sender's start.
    pub boot: u64,
    /// The batch's number within the start.
    pub sequence: u64,
}

/// What a metric measures (OpenMetrics §4.4, Prometheus metadata).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum MetricKind {
    #[default]
    Unknown,
    Counter,
    Gauge,
    Histogram,
    GaugeHistogram,
    Summary,
    Info,
    StateSet,
}

impl MetricKind {
    /// The name in exposition text and in the metadata API.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Unknown => "unknown",
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
            MetricKind::GaugeHistogram => "gaugehistogram",
            MetricKind::Summary => "summary",
            MetricKind::Info => "info",
            MetricKind::StateSet => "stateset",
        }
    }
}

/// A metric family's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// What it measures.
    pub kind: MetricKind,
    /// One sentence for people.
    pub help: String,
    /// Base unit, such as `seconds`, or "".
    pub unit: String,
}

impl Metadata {
    fn clip(&mut self) {
        for text in [&mut self.help, &mut self.unit] {
            if text.len() > LABEL_BYTES_MAX {
                text.truncate(text.floor_char_boundary(LABEL_BYTES_MAX));
                text.shrink_to_fit();
            }
        }
    }
}

/// An example behind a series' value, such as a trace id.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The example's own labels (`trace_id`).
    pub labels: crate::Labels,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The observed value.
    pub value: f64,
}

/// Why a label set was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum LabelError {
    #[error("label without a name")]
    EmptyName,
    #[error("duplicate label name `{0}`")]
    DuplicateName(String),
    #[error("series without a metric name")]
    NoMetricName,
    #[error("label name or value is not valid UTF-8")]
    NotUtf8,
    #[error("label of {bytes} bytes is longer than the {limit} allowed")]
    TooLong { bytes: usize, limit: usize },
    #[error("{count} labels are more than the {limit} allowed")]
    TooMany { count: usize, limit: usize },
    #[error("stream without labels")]
    NoLabels,
}

/// Longest label name or value, help text and unit, in bytes.
pub const LABEL_BYTES_MAX: usize = 64 << 10;
/// Most labels of one set.
pub const LABELS_MAX: usize = 256;

/// A float sample of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRef {
    /// Milliseconds since the epoch; any value is legal.
    pub timestamp_ms: i64,
    /// When the counter began, 0 when unknown.
    pub start_ms: i64,
    /// Any bit pattern.
    pub value: f64,
}

/// Collects one label set at the end of `bytes`.
#[derive(Clone, Debug, Default)]
struct LabelScratch {
    /// Name and value of each pair, as ranges of `text`.
    pairs: Vec<(Range<u32>, Range<u32>)>,
    text: Vec<u8>,
    sorted: bool,
}

impl LabelScratch {
    fn begin(&mut self) {
        self.pairs.clear();
        self.text.clear();
        self.sorted = true;
    }

    fn push(&mut self, name: &[u8], value: &[u8]) {
        // An empty value means that the label is absent.
        if value.is_empty() && !name.is_empty() {
            return;
        }
        let name_start = self.text.len() as u32;
        self.text.extend_from_slice(name);
        let value_start = self.text.len() as u32;
        self.text.extend_from_slice(value);
        let end = self.text.len() as u32;
        if self.sorted
            && let Some((previous, _)) = self.pairs.last()
        {
            self.sorted = self.text[previous.start as usize..previous.end as usize] < *name;
        }
        self.pairs.push((name_start..value_start, value_start..end));
    }

    fn bytes(&self, range: &Range<u32>) -> &[u8] {
        &self.text[range.start as usize..range.end as usize]
    }

    /// Appends the canonical form to `out`, or leaves `out` as it was.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<Range<u32>, LabelError> {
        if self.pairs.len() > LABELS_MAX {
            return Err(LabelError::TooMany { count: self.pairs.len(), limit: LABELS_MAX });
        }
        if !self.sorted {
            let text = &self.text;
            self.pairs.sort_by(|a, b| {
                text[a.0.start as usize..a.0.end as usize].cmp(&text[b.0.start as usize..b.0.end as usize])
            });
            let names: Vec<_> = self.pairs.iter().map(|(name, _)| self.bytes(name)).collect();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(LabelError::DuplicateName(String::from_utf8_lossy(pair[0]).into_owned()));
            }
        }
        if std::str::from_utf8(&self.text).is_err() {
            return Err(LabelError::NotUtf8);
        }
        let start = out.len();
        for (name, value) in &self.pairs {
            let longest = name.len().max(value.len());
            let problem = if name.is_empty() {
                Some(LabelError::EmptyName)
            } else if longest > LABEL_BYTES_MAX {
                Some(LabelError::TooLong { bytes: longest, limit: LABEL_BYTES_MAX })
            } else {
                None
            };
            if let Some(problem) = problem {
                out.truncate(start);
                return Err(problem);
            }
            put(out, self.bytes(name));
            put(out, self.bytes(value));
        }
        // Concatenated names and values may be valid UTF-8 where a single one is not.
        if !self.text.is_ascii() && LabelsRef::from_bytes(&out[start..]).is_none() {
            out.truncate(start);
            return Err(LabelError::NotUtf8);
        }
        Ok(start as u32..out.len() as u32)
    }
}

/// One series of a [`MetricBatch`].
#[derive(Clone, Debug, Default)]
struct BatchSeries {
    labels: Range<u32>,
    samples: Range<u32>,
    histograms: Range<u32>,
    exemplars: Range<u32>,
    /// Index into the batch's metadata.
    metadata: Option<u32>,
}

/// Series with samples, histograms and exemplars, and descriptions of metric families.
#[derive(Clone, Debug, Default)]
pub struct MetricBatch {
    label_bytes: Vec<u8>,
    series: Vec<BatchSeries>,
    samples: Vec<SampleRef>,
    histograms: Vec<(i64, i64, Arc<Histogram>)>,
    exemplars: Vec<Exemplar>,
    metadata: Vec<(String, Metadata)>,
    scratch: LabelScratch,
}

impl MetricBatch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.label_bytes.clear();
        self.series.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
    }

    /// Starts the labels of a series.
    pub fn begin(&mut self) {
        self.scratch.begin();
    }

    /// Adds a label; bytes are checked by [`MetricBatch::end_labels`].
    pub fn label(&mut self, name: &[u8], value: &[u8]) {
        self.scratch.push(name, value);
    }

    /// Ends the labels; samples pushed from now on belong to this series.
    ///
    /// # Errors
    /// When the labels break a rule of the data model. The batch is then as before `begin`.
    pub fn end_labels(&mut self) -> Result<(), LabelError> {
        let labels = self.scratch.finish(&mut self.label_bytes)?;
        let set = LabelsRef::from_trusted_bytes(&self.label_bytes[labels.start as usize..]);
        if set.get(crate::METRIC_NAME).is_none() {
            self.label_bytes.truncate(labels.start as usize);
            return Err(LabelError::NoMetricName);
        }
        self.push_series(labels);
        Ok(())
    }

    /// Starts a series with labels that are canonical already.
    pub fn begin_with(&mut self, labels: LabelsRef<'_>) {
        let start = self.label_bytes.len() as u32;
        self.label_bytes.extend_from_slice(labels.as_bytes());
        self.push_series(start..self.label_bytes.len() as u32);
    }

    fn push_series(&mut self, labels: Range<u32>) {
        let (samples, histograms) = (self.samples.len() as u32, self.histograms.len() as u32);
        let exemplars = self.exemplars.len() as u32;
        self.series.push(BatchSeries {
            labels,
            samples: samples..samples,
            histograms: histograms..histograms,
            exemplars: exemplars..exemplars,
            metadata: None,
        });
    }

    fn current(&mut self) -> &mut BatchSeries {
        self.series.last_mut().expect("a series was begun before its samples")
    }

    /// Adds a float sample to the current series.
    pub fn sample(&mut self, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.samples.push(SampleRef { timestamp_ms, start_ms, value });
        let end = self.samples.len() as u32;
        self.current().samples.end = end;
    }

    /// Adds a histogram to the current series.
    pub fn histogram(&mut self, timestamp_ms: i64, start_ms: i64, histogram: Histogram) {
        self.histograms.push((timestamp_ms, start_ms, Arc::new(histogram)));
        let end = self.histograms.len() as u32;
        self.current().histograms.end = end;
    }

    /// Adds an exemplar to the current series.
    pub fn exemplar(&mut self, exemplar: Exemplar) {
        self.exemplars.push(exemplar);
        let end = self.exemplars.len() as u32;
        self.current().exemplars.end = end;
    }

    /// Describes a metric family. Help and unit are cut to [`LABEL_BYTES_MAX`].
    pub fn describe(&mut self, family: &str, mut metadata: Metadata) {
        metadata.clip();
        self.metadata.push((family.to_owned(), metadata));
    }

    /// Describes the family of the current series and remembers it with the series, as remote
    /// write 2.0 and exposition text do. Otherwise as [`MetricBatch::describe`].
    pub fn describe_series(&mut self, family: &str, mut metadata: Metadata) {
        metadata.clip();
        let known = self.metadata.last().is_some_and(|(name, last)| name == family && *last == metadata);
        if !known {
            self.metadata.push((family.to_owned(), metadata));
        }
        let index = self.metadata.len() as u32 - 1;
        self.current().metadata = Some(index);
    }

    /// Remembers the family that was described last with the current series too, for senders that
    /// write a family's series one after another.
    pub fn same_family(&mut self) {
        self.current().metadata = self.metadata.len().checked_sub(1).map(|index| index as u32);
    }

    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.series.len()
    }

    /// Number of float samples and histograms.
    pub fn sample_count(&self) -> usize {
        self.samples.len() + self.histograms.len()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.metadata.is_empty()
    }

    /// Every series in order of arrival. The same labels may come more than once.
    pub fn series(&self) -> impl ExactSizeIterator<Item = SeriesView<'_>> + '_ {
        self.series.iter().map(move |series| SeriesView { batch: self, series })
    }

    /// Descriptions of metric families.
    pub fn metadata(&self) -> &[(String, Metadata)] {
        &self.metadata
    }
}

/// One series of a batch, read.
#[derive(Clone, Copy)]
pub struct SeriesView<'a> {
    batch: &'a MetricBatch,
    series: &'a BatchSeries,
}

impl<'a> SeriesView<'a> {
    /// The series' labels, `__name__` included.
    pub fn labels(&self) -> LabelsRef<'a> {
        let range = &self.series.labels;
        LabelsRef::from_trusted_bytes(&self.batch.label_bytes[range.start as usize..range.end as usize])
    }

    /// Float samples in order of arrival.
    pub fn samples(&self) -> &'a [SampleRef] {
        &self.batch.samples[self.series.samples.start as usize..self.series.samples.end as usize]
    }

    /// Histograms in order of arrival: (timestamp ms, start ms or 0, histogram).
    pub fn histograms(&self) -> &'a [(i64, i64, Arc<Histogram>)] {
        &self.batch.histograms[self.series.histograms.start as usize..self.series.histograms.end as usize]
    }

    /// Exemplars in order of arrival.
    pub fn exemplars(&self) -> &'a [Exemplar] {
        &self.batch.exemplars[self.series.exemplars.start as usize..self.series.exemplars.end as usize]
    }

    /// The family's name and description, where the sender gave them with the series.
    pub fn metadata(&self) -> Option<&'a (String, Metadata)> {
        self.series.metadata.map(|index| &self.batch.metadata[index as usize])
    }
}

/// One stream of a [`LogBatch`].
#[derive(Clone, Debug, Default)]
struct BatchStream {
    labels: Range<u32>,
    entries: Range<u32>,
}

#[derive(Clone, Debug)]
struct RawEntry {
    timestamp_ns: i64,
    line: Range<u32>,
    metadata: Range<u32>,
}

/// A log line of a batch or of a store, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogEntryRef<'a> {
    /// Nanoseconds since the epoch.
    pub timestamp_ns: i64,
    /// The line, without its newline.
    pub line: &'a str,
    /// Structured metadata.
    pub metadata: LabelsRef<'a>,
}

/// Streams of log lines.
#[derive(Clone, Debug, Default)]
pub struct LogBatch {
    label_bytes: Vec<u8>,
    text: String,
    streams: Vec<BatchStream>,
    entries: Vec<RawEntry>,
    scratch: LabelScratch,
}

impl LogBatch {
    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.label_bytes.clear();
        self.text.clear();
        self.streams.clear();
        self.entries.clear();
    }

    /// Starts a label set: a stream's labels, or the structured metadata of an entry.
    pub fn begin(&mut self) {
        self.scratch.begin();
    }

    /// Adds a label to the set begun.
    pub fn label(&mut self, name: &[u8], value: &[u8]) {
        self.scratch.push(name, value);
    }

    /// Ends a stream's labels; entries pushed from now on belong to it.
    ///
    /// # Errors
    /// When the labels break a rule of the data model. The batch is then as before `begin`.
    pub fn end_stream_labels(&mut self) -> Result<(), LabelError> {
        let labels = self.scratch.finish(&mut self.label_bytes)?;
        if labels.is_empty() {
            return Err(LabelError::NoLabels);
        }
        self.push_stream(labels);
        Ok(())
    }

    /// Starts a stream with labels that are canonical already.
    pub fn begin_with(&mut self, labels: LabelsRef<'_>) {
        let start = self.label_bytes.len() as u32;
        self.label_bytes.extend_from_slice(labels.as_bytes());
        self.push_stream(start..self.label_bytes.len() as u32);
    }

    fn push_stream(&mut self, labels: Range<u32>) {
        let entries = self.entries.len() as u32;
        self.streams.push(BatchStream { labels, entries: entries..entries });
    }

    /// Adds an entry whose structured metadata are the label set collected since
    /// [`LogBatch::begin`].
    ///
    /// # Errors
    /// When the metadata break a rule of the data model; the entry is then left out.
    pub fn entry_with_scratch(&mut self, timestamp_ns: i64, line: &str) -> Result<(), LabelError> {
        let metadata = self.scratch.finish(&mut self.label_bytes)?;
        self.push_entry(timestamp_ns, line, metadata);
        Ok(())
    }

    /// Adds an entry to the current stream.
    pub fn entry(&mut self, timestamp_ns: i64, line: &str, metadata: LabelsRef<'_>) {
        let start = self.label_bytes.len() as u32;
        self.label_bytes.extend_from_slice(metadata.as_bytes());
        self.push_entry(timestamp_ns, line, start..self.label_bytes.len() as u32);
    }

    fn push_entry(&mut self, timestamp_ns: i64, line: &str, metadata: Range<u32>) {
        let start = self.text.len() as u32;
        self.text.push_str(line);
        self.entries.push(RawEntry { timestamp_ns, line: start..self.text.len() as u32, metadata });
        let end = self.entries.len() as u32;
        self.streams.last_mut().expect("a stream was begun before its entries").entries.end = end;
    }

    /// Every stream in order of arrival. The same labels may come more than once.
    pub fn streams(&self) -> impl ExactSizeIterator<Item = StreamView<'_>> + '_ {
        self.streams.iter().map(move |stream| StreamView { batch: self, stream })
    }

    /// Number of entries.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of all lines.
    pub fn line_bytes(&self) -> usize {
        self.text.len()
    }

    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn labels_at(&self, range: &Range<u32>) -> LabelsRef<'_> {
        LabelsRef::from_trusted_bytes(&self.label_bytes[range.start as usize..range.end as usize])
    }
}

/// One stream of a batch, read.
#[derive(Clone, Copy)]
pub struct StreamView<'a> {
    batch: &'a LogBatch,
    stream: &'a BatchStream,
}

impl<'a> StreamView<'a> {
    /// The stream's labels.
    pub fn labels(&self) -> LabelsRef<'a> {
        self.batch.labels_at(&self.stream.labels)
    }

    /// Entries in order of arrival.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = LogEntryRef<'a>> + 'a {
        let batch = self.batch;
        batch.entries[self.stream.entries.start as usize..self.stream.entries.end as usize].iter().map(
            move |entry| LogEntryRef {
                timestamp_ns: entry.timestamp_ns,
                line: &batch.text[entry.line.start as usize..entry.line.end as usize],
                metadata: batch.labels_at(&entry.metadata),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(batch: &mut MetricBatch, pairs: &[(&str, &str)]) -> Result<(), LabelError> {
        batch.begin();
        for (name, value) in pairs {
            batch.label(name.as_bytes(), value.as_bytes());
        }
        batch.end_labels()
    }

    #[test]
    fn labels_are_sorted_and_bad_sets_leave_no_trace() {
        let mut batch = MetricBatch::default();
        metric(&mut batch, &[("job", "x"), ("__name__", "up"), ("empty", "")]).unwrap();
        batch.sample(1, 0, 2.0);
        for (bad, expected) in [
            (&[("job", "x")][..], LabelError::NoMetricName),
            (&[("__name__", "a"), ("", "x")], LabelError::EmptyName),
            (&[("__name__", "a"), ("b", "1"), ("a", "1"), ("b", "2")], LabelError::DuplicateName("b".into())),
        ] {
            assert_eq!(metric(&mut batch, bad), Err(expected));
        }
        batch.begin();
        batch.label(b"__name__", b"\xff");
        assert_eq!(batch.end_labels(), Err(LabelError::NotUtf8));
        metric(&mut batch, &[("__name__", "down")]).unwrap();
        batch.sample(3, 0, 4.0);
        let series: Vec<_> = batch.series().collect();
        assert_eq!(series.len(), 2);
        assert_eq!(series[0].labels().to_string(), r#"{__name__="up", job="x"}"#);
        assert_eq!(series[1].samples(), [SampleRef { timestamp_ms: 3, start_ms: 0, value: 4.0 }]);
    }

    #[test]
    fn a_character_split_over_name_and_value_is_refused() {
        let mut batch = MetricBatch::default();
        batch.begin();
        batch.label(b"__name__", b"up");
        batch.label(b"x\xc3", b"\xa9");
        assert_eq!(batch.end_labels(), Err(LabelError::NotUtf8));
        assert_eq!(batch.series_count(), 0);
    }

    #[test]
    fn log_entries_carry_metadata() {
        let mut batch = LogBatch::default();
        batch.begin();
        batch.label(b"app", b"web");
        batch.end_stream_labels().unwrap();
        batch.begin();
        batch.label(b"trace_id", b"7");
        batch.entry_with_scratch(5, "hello").unwrap();
        batch.entry(6, "world", LabelsRef::from_trusted_bytes(&[]));
        let stream = batch.streams().next().unwrap();
        let entries: Vec<_> = stream.entries().collect();
        assert_eq!((entries[0].line, entries[0].metadata.get("trace_id")), ("hello", Some("7")));
        assert_eq!((entries[1].timestamp_ns, entries[1].line), (6, "world"));
    }
}
