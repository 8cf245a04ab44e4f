//! Rows into series: what each row adds to which set of labels.

use super::{
    Steps,
    gathered::{Changes, Gathered},
    window::Sample,
};
use crate::{
    EvalError,
    ast::{Conversion, Grouping, RangeOp, Unwrap},
    pipeline::{JsonPlan, Pipeline, Scratch, labels},
    units,
};
use hashbrown::DefaultHashBuilder;
use model::{Labels, LabelsRef};
use store::{QueryContext, Row, ShapedRow, StreamId};

/// The `__error__` of an unwrapped value that is no number.
const EXTRACTION_ERROR: &str = "SampleExtractionErr";
/// What a series costs besides its points, for the memory budget.
const SERIES_BYTES: u64 = 200;
/// What a sample costs: as it came, and in its series.
const SAMPLE_BYTES: usize = size_of::<(u32, Sample)>() + size_of::<Sample>();

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
    /// By which all workers tell series apart.
    pub(super) hashing: DefaultHashBuilder,
}

/// Series under construction; each worker has its own.
pub(super) struct Collector<'a> {
    extraction: &'a Extraction<'a>,
    context: &'a QueryContext,
    gathered: Gathered,
    /// The labels of every series, ascending, where they are picked by name.
    picked: Option<Vec<&'a str>>,
    scratch: Scratch,
    key: Vec<u8>,
    /// Stream, metadata and series of the last row, for pipelines that leave labels alone.
    last: Option<(StreamId, Vec<u8>, usize)>,
    text: String,
}

/// What is wanted of the rows of a shape where that is a number and labels of a JSON object: names, and
/// which members of the plan they are.
pub(super) struct Direct {
    number: (String, usize),
    /// Ascending by name.
    labels: Vec<(String, usize)>,
    /// Stream and metadata of the last row, and whether they leave the parser these names.
    last: Option<(StreamId, Vec<u8>, bool)>,
}

impl Direct {
    /// Whether neither stream nor metadata have a name that the parser is to write.
    fn has_free_names(&mut self, row: &ShapedRow<'_>) -> bool {
        if let Some((stream, metadata, is_free)) = &self.last
            && *stream == row.stream
            && metadata == row.metadata.as_bytes()
        {
            return *is_free;
        }
        let is_free = |name: &String| row.labels.get(name).is_none() && row.metadata.get(name).is_none();
        let all = self.labels.iter().chain([&self.number]).all(|(name, _)| is_free(name));
        self.last = Some((row.stream, row.metadata.as_bytes().to_vec(), all));
        all
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(extraction: &'a Extraction<'a>, context: &'a QueryContext) -> Self {
        Collector {
            extraction,
            context,
            gathered: Gathered::new(extraction.hashing.clone()),
            picked: picked(extraction.grouping),
            scratch: Scratch::default(),
            key: Vec::new(),
            last: None,
            text: String::new(),
        }
    }

    /// What the rows have given.
    pub(super) fn finish(self) -> Gathered {
        self.gathered
    }

    /// Takes a row of a shape of which nothing is wanted but a number and the labels to group by, past
    /// all labels; `false` when it is not as simple as that.
    pub(super) fn direct(
        &mut self,
        direct: &mut Direct,
        plan: &JsonPlan,
        row: &ShapedRow<'_>,
    ) -> Result<bool, EvalError> {
        self.context.check()?;
        // What is not ASCII a parser might replace.
        if !row.text.is_ascii() || !direct.has_free_names(row) || !plan.fits(row) {
            return Ok(false);
        }
        self.text.clear();
        plan.put(direct.number.1, row, &mut self.text);
        let conversion = self.extraction.unwrap.and_then(|unwrap| unwrap.conversion);
        let Ok(value) = convert(&self.text, conversion) else { return Ok(false) };
        self.key.clear();
        for (name, member) in &direct.labels {
            self.text.clear();
            plan.put(*member, row, &mut self.text);
            if self.text.is_empty() {
                return Ok(false);
            }
            put(&mut self.key, name.as_bytes());
            put(&mut self.key, self.text.as_bytes());
        }
        let index = self.series_of_key()?;
        self.add_sample(index, (row.timestamp_ns, value))?;
        Ok(true)
    }

    /// Takes a row of a shape; `false` when its line is needed.
    pub(super) fn shaped(&mut self, plan: &JsonPlan, row: &ShapedRow<'_>) -> Result<bool, EvalError> {
        self.context.check()?;
        let pipeline = self.extraction.pipeline;
        pipeline.load(&mut self.scratch, row.stream, row.labels, row.metadata);
        match pipeline.run_shaped(plan, row, &mut self.scratch) {
            None => Ok(false),
            Some(false) => Ok(true),
            Some(true) => self.add_loaded(row.timestamp_ns, "").map(|_| true),
        }
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
        let index = self.add_loaded(row.timestamp_ns, row.line)?;
        if let Some(index) = index.filter(|_| plain) {
            self.last = Some((row.stream, row.metadata.as_bytes().to_vec(), index));
        }
        Ok(())
    }

    /// Adds the row in the scratch, which has passed the pipeline; returns its series.
    fn add_loaded(&mut self, timestamp_ns: i64, line: &str) -> Result<Option<usize>, EvalError> {
        let value = match self.extraction.unwrap {
            None => self.scratch.line(line).len() as f64,
            Some(unwrap) => match self.unwrapped(unwrap, timestamp_ns, line) {
                Some(value) => value,
                None => return Ok(None),
            },
        };
        if let Some(kind) = self.scratch.labels.error() {
            return Err(EvalError::Pipeline { kind: kind.to_owned(), series: self.all_labels() });
        }
        let index = self.series_index()?;
        self.add(index, timestamp_ns, value)?;
        Ok(Some(index))
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
        if let Some(changes) = self.gathered.changes.get_mut(index) {
            changes.add(from..to + 1, count as i64, line_bytes as i64);
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
        match &self.picked {
            Some(names) => pick_key(&self.scratch.labels, names, &mut self.key),
            None => encode_key(&self.scratch.labels, self.extraction.grouping, unwrapped, &mut self.key),
        }
        self.series_of_key()
    }

    /// The series of the labels in the key.
    fn series_of_key(&mut self) -> Result<usize, EvalError> {
        let (index, is_new) = self.gathered.series(&self.key);
        if is_new {
            self.add_series()?;
        }
        Ok(index)
    }

    fn add_series(&mut self) -> Result<(), EvalError> {
        let mut point_bytes = 0;
        if self.extraction.sums_changes() {
            let steps = self.extraction.steps.count;
            self.gathered.changes.push(Changes::none(steps, self.extraction.counts_bytes()));
            point_bytes = 16 * steps as u64;
        }
        Ok(self.context.hold_memory(SERIES_BYTES + self.key.len() as u64 + point_bytes)?)
    }

    fn add(&mut self, index: usize, timestamp_ns: i64, value: f64) -> Result<(), EvalError> {
        if !self.extraction.sums_changes() {
            return self.add_sample(index, (timestamp_ns, value));
        }
        self.add_many(index, timestamp_ns, 1, value as u64);
        Ok(())
    }

    fn add_sample(&mut self, index: usize, sample: Sample) -> Result<(), EvalError> {
        if !self.extraction.is_in_a_window(sample.0) {
            return Ok(());
        }
        if let Some(more) = self.gathered.push(index, sample) {
            self.context.hold_samples(more as u64)?;
            self.context.hold_memory((SAMPLE_BYTES * more) as u64)?;
        }
        Ok(())
    }
}

impl Extraction<'_> {
    /// Whether entering and leaving rows tell the value, so that no samples need be kept.
    fn sums_changes(&self) -> bool {
        self.unwrap.is_none()
    }

    /// Whether some step's window holds the instant.
    fn is_in_a_window(&self, timestamp_ns: i64) -> bool {
        let Steps { first_ns, step_ns, count } = self.steps;
        if count > 1 && step_ns > self.range_ns {
            return self.windows(timestamp_ns).is_some();
        }
        // Windows that meet are one.
        let since_first =
            timestamp_ns.checked_add(self.offset_ns).and_then(|time| time.checked_sub(first_ns));
        since_first.is_some_and(|since_first| {
            since_first > -self.range_ns && since_first <= step_ns.saturating_mul(count as i64 - 1)
        })
    }

    /// What is wanted of rows with this plan, where that is simple enough.
    pub(super) fn direct(&self, plan: &JsonPlan) -> Option<Direct> {
        let unwrap =
            self.unwrap.filter(|unwrap| self.pipeline.is_json_alone() && unwrap.filters.is_empty())?;
        // A name with this ending may be another's, which is taken.
        let member = |name: &str| {
            let place = plan.member(name).filter(|_| !name.ends_with(labels::EXTRACTED))?;
            if !plan.is_ascii(place) {
                return None;
            }
            Some((name.to_owned(), place))
        };
        let names = picked(self.grouping)?;
        let labels = names.into_iter().map(member).collect::<Option<_>>()?;
        Some(Direct { number: member(&unwrap.label)?, labels, last: None })
    }

    /// Whether rows may be told of by their shape: the bytes of a line are known only of the line.
    pub(super) fn takes_shapes(&self) -> bool {
        self.pipeline.takes_shapes() && (self.unwrap.is_some() || !self.counts_bytes())
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

/// The names that a grouping picks, ascending; `None` when it picks others, or errors.
fn picked(grouping: Option<&Grouping>) -> Option<Vec<&str>> {
    let grouping = grouping.filter(|grouping| !grouping.without)?;
    let mut names: Vec<&str> = grouping.labels.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    (!names.iter().any(|name| [labels::ERROR, labels::ERROR_DETAILS].contains(name))).then_some(names)
}

/// Writes the labels of the series that have these names, as [`encode_key`] does.
fn pick_key(labels: &labels::RowLabels, names: &[&str], key: &mut Vec<u8>) {
    key.clear();
    for name in names {
        if let Some(value) = labels.get(name).filter(|value| !value.is_empty()) {
            put(key, name.as_bytes());
            put(key, value.as_bytes());
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
