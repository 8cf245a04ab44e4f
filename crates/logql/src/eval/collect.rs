//! Rows into series: one accumulator for each set of labels.

use super::{Steps, window::Sample};
use crate::{
    EvalError,
    ast::{Conversion, Grouping, RangeOp, Unwrap},
    pipeline::{Pipeline, Scratch, labels},
    units,
};
use hashbrown::HashMap;
use model::{Labels, LabelsRef};
use store::{QueryContext, Row, StreamId};

/// The `__error__` of an unwrapped value that is no number.
const EXTRACTION_ERROR: &str = "SampleExtractionErr";
/// What a series costs besides its points, for the memory budget.
const SERIES_BYTES: u64 = 200;

/// What a row gives.
pub(super) struct Extraction<'a> {
    pub(super) op: RangeOp,
    pub(super) pipeline: &'a Pipeline,
    pub(super) unwrap: Option<&'a Unwrap>,
    /// The label filters behind `unwrap`.
    pub(super) after_unwrap: &'a Pipeline,
    /// Labels of the series; `None` for all.
    pub(super) grouping: Option<&'a Grouping>,
    pub(super) range_ns: i64,
    pub(super) offset_ns: i64,
    pub(super) steps: Steps,
}

/// Points of one series.
pub(super) enum Points {
    /// How many rows and bytes enter the window at each step less those that leave it.
    Changes { rows: Vec<i64>, bytes: Vec<i64> },
    /// The samples themselves, in no order.
    Samples(Vec<Sample>),
}

/// Series under construction; each worker has its own.
pub(super) struct Collector<'a> {
    extraction: &'a Extraction<'a>,
    context: &'a QueryContext,
    by_labels: HashMap<Box<[u8]>, usize>,
    series: Vec<Points>,
    scratch: Scratch,
    key: Vec<u8>,
    /// Stream, metadata and series of the last row, for pipelines that leave labels alone.
    last: Option<(StreamId, Vec<u8>, usize)>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(extraction: &'a Extraction<'a>, context: &'a QueryContext) -> Self {
        Collector {
            extraction,
            context,
            by_labels: HashMap::new(),
            series: Vec::new(),
            scratch: Scratch::default(),
            key: Vec::new(),
            last: None,
        }
    }

    /// Labels and points of every series.
    pub(super) fn finish(self) -> Vec<(Labels, Points)> {
        let mut points: Vec<_> = self.series.into_iter().map(Some).collect();
        self.by_labels
            .into_iter()
            .filter_map(|(key, index)| {
                let labels = LabelsRef::from_trusted_bytes(&key).to_owned();
                points[index].take().map(|points| (labels, points))
            })
            .collect()
    }

    pub(super) fn row(&mut self, row: Row<'_>) -> Result<(), EvalError> {
        let extraction = self.extraction;
        let plain = extraction.pipeline.is_left_to_store() && extraction.unwrap.is_none();
        if plain
            && let Some((stream, metadata, index)) = &self.last
            && *stream == row.stream
            && metadata == row.metadata.as_bytes()
        {
            let index = *index;
            return self.add(index, row.timestamp_ns, row.line.len() as f64);
        }
        self.context.check()?;
        extraction.pipeline.load(&mut self.scratch, row.stream, row.labels, row.metadata);
        if !extraction.pipeline.run(&mut self.scratch, row.timestamp_ns, row.line) {
            return Ok(());
        }
        let value = match extraction.unwrap {
            None => self.scratch.line(row.line).len() as f64,
            Some(unwrap) => match self.unwrapped(unwrap, row.timestamp_ns, row.line) {
                Some(value) => value,
                None => return Ok(()),
            },
        };
        if let Some(kind) = self.scratch.labels.error() {
            return Err(EvalError::Pipeline { kind: kind.to_owned(), series: self.all_labels() });
        }
        let index = self.series_index()?;
        if plain {
            self.last = Some((row.stream, row.metadata.as_bytes().to_vec(), index));
        }
        self.add(index, row.timestamp_ns, value)
    }

    pub(super) fn extraction(&self) -> &'a Extraction<'a> {
        self.extraction
    }

    /// The series of rows with these labels, for a pipeline that reads no line; `None` when a
    /// stage drops them.
    pub(super) fn series_of(
        &mut self,
        stream: StreamId,
        labels: &Labels,
        metadata: LabelsRef<'_>,
        timestamp_ns: i64,
    ) -> Result<Option<usize>, EvalError> {
        let pipeline = self.extraction.pipeline;
        pipeline.load(&mut self.scratch, stream, labels, metadata);
        if !pipeline.run(&mut self.scratch, timestamp_ns, "") {
            return Ok(None);
        }
        if let Some(kind) = self.scratch.labels.error() {
            return Err(EvalError::Pipeline { kind: kind.to_owned(), series: self.all_labels() });
        }
        self.series_index().map(Some)
    }

    /// Adds rows that lie in the same windows to a series that sums changes.
    pub(super) fn add_many(&mut self, index: usize, timestamp_ns: i64, count: u64, line_bytes: u64) {
        let Some((from, to)) = self.extraction.windows(timestamp_ns) else {
            return;
        };
        if let Points::Changes { rows, bytes } = &mut self.series[index] {
            rows[from] += count as i64;
            rows[to + 1] -= count as i64;
            if !bytes.is_empty() {
                bytes[from] += line_bytes as i64;
                bytes[to + 1] -= line_bytes as i64;
            }
        }
    }

    /// The number in the unwrapped label; `None` when the row has none or a filter drops it.
    fn unwrapped(&mut self, unwrap: &Unwrap, timestamp_ns: i64, line: &str) -> Option<f64> {
        let text = self.scratch.labels.get(&unwrap.label).filter(|text| !text.is_empty())?;
        let value = match convert(text, unwrap.conversion) {
            Ok(value) => value,
            Err(details) => {
                self.scratch.labels.set_error(EXTRACTION_ERROR, &details);
                0.0
            }
        };
        self.extraction.after_unwrap.run(&mut self.scratch, timestamp_ns, line).then_some(value)
    }

    fn all_labels(&self) -> String {
        let mut pairs: Vec<_> = self.scratch.labels.iter().map(|(name, value, _)| (name, value)).collect();
        pairs.sort_unstable();
        let texts: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        format!("{{{}}}", texts.join(", "))
    }

    /// The series of the labels in the scratch.
    fn series_index(&mut self) -> Result<usize, EvalError> {
        let unwrapped = self.extraction.unwrap.map(|unwrap| unwrap.label.as_str());
        encode_key(&self.scratch.labels, self.extraction.grouping, unwrapped, &mut self.key);
        if let Some(index) = self.by_labels.get(self.key.as_slice()) {
            return Ok(*index);
        }
        let steps = self.extraction.steps.count;
        let points = if self.extraction.sums_changes() {
            let bytes = if self.extraction.counts_bytes() { vec![0; steps + 1] } else { Vec::new() };
            Points::Changes { rows: vec![0; steps + 1], bytes }
        } else {
            Points::Samples(Vec::new())
        };
        let point_bytes = if self.extraction.sums_changes() { 16 * steps as u64 } else { 0 };
        self.context.hold_memory(SERIES_BYTES + self.key.len() as u64 + point_bytes)?;
        self.series.push(points);
        self.by_labels.insert(self.key.as_slice().into(), self.series.len() - 1);
        Ok(self.series.len() - 1)
    }

    fn add(&mut self, index: usize, timestamp_ns: i64, value: f64) -> Result<(), EvalError> {
        let Some((from, to)) = self.extraction.windows(timestamp_ns) else {
            return Ok(());
        };
        match &mut self.series[index] {
            Points::Changes { rows, bytes } => {
                rows[from] += 1;
                rows[to + 1] -= 1;
                if !bytes.is_empty() {
                    bytes[from] += value as i64;
                    bytes[to + 1] -= value as i64;
                }
            }
            Points::Samples(samples) => {
                if samples.len() == samples.capacity() {
                    let more = samples.capacity().max(16);
                    self.context.hold_samples(more as u64)?;
                    self.context.hold_memory(16 * more as u64)?;
                    samples.reserve_exact(more);
                }
                samples.push((timestamp_ns, value));
            }
        }
        Ok(())
    }
}

impl Extraction<'_> {
    /// Whether entering and leaving rows tell the value, so that no samples need be kept.
    fn sums_changes(&self) -> bool {
        self.unwrap.is_none()
    }

    fn counts_bytes(&self) -> bool {
        matches!(self.op, RangeOp::Bytes | RangeOp::BytesRate)
    }

    /// First and last step whose window holds the instant.
    pub(super) fn windows(&self, timestamp_ns: i64) -> Option<(usize, usize)> {
        let Steps { first_ns, step_ns, count } = self.steps;
        let since_first = timestamp_ns.checked_add(self.offset_ns)?.checked_sub(first_ns)?;
        // The window of step T is (T - range, T].
        let from = since_first.div_euclid(step_ns) + i64::from(since_first.rem_euclid(step_ns) != 0);
        let to = since_first.saturating_add(self.range_ns - 1).div_euclid(step_ns);
        let from = from.max(0);
        let to = to.min(count as i64 - 1);
        (from <= to).then_some((from as usize, to as usize))
    }
}

fn convert(text: &str, conversion: Option<Conversion>) -> Result<f64, String> {
    match conversion {
        None => units::parse_number(text),
        Some(Conversion::Bytes) => units::parse_bytes(text).map(|bytes| bytes as f64),
        Some(Conversion::Duration | Conversion::DurationSeconds) => {
            template::parse_duration(text).map(|nanoseconds| nanoseconds as f64 / 1e9)
        }
    }
}

/// Writes the labels of the series in [`model::Labels`]' layout.
fn encode_key(
    labels: &labels::RowLabels,
    grouping: Option<&Grouping>,
    unwrapped: Option<&str>,
    key: &mut Vec<u8>,
) {
    key.clear();
    let mut pairs: smallvec::SmallVec<[(&str, &str); 24]> = labels
        .iter()
        .filter(|(name, value, _)| {
            let named = grouping.is_some_and(|grouping| grouping.labels.iter().any(|label| label == name));
            let wanted = match grouping {
                Some(grouping) if !grouping.without => named,
                _ => !named && Some(*name) != unwrapped,
            };
            wanted && !value.is_empty()
        })
        .map(|(name, value, _)| (name, value))
        .collect();
    pairs.sort_unstable();
    for (name, value) in pairs {
        put(key, name.as_bytes());
        put(key, value.as_bytes());
    }
}

/// One length-prefixed field (LEB128), as [`model::Labels`] lays them out.
fn put(out: &mut Vec<u8>, field: &[u8]) {
    let mut length = field.len();
    while length >= 0x80 {
        out.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(field);
}
