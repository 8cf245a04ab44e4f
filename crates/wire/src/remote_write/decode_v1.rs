//! Remote write 1.0.
//!
//! ```text
//! WriteRequest   { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
//! TimeSeries     { repeated Label labels = 1; repeated Sample samples = 2;
//!                  repeated Exemplar exemplars = 3; repeated Histogram histograms = 4; }
//! Label          { string name = 1; string value = 2; }
//! Sample         { double value = 1; int64 timestamp = 2; }
//! Exemplar       { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
//! MetricMetadata { enum type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
//! ```

use super::{counts::Counts, histogram::decode_histogram};
use crate::{
    DecodeReport, Refusal, WireError,
    expansion::Expansion,
    label_set::LabelSet,
    protobuf::{Field, Reader},
};
use model::{Exemplar, Labels, Metadata, MetricBatch, MetricKind};

/// Replaces `batch` with the request in `body`.
///
/// # Errors
/// When `body` is not a `prometheus.WriteRequest`; the batch is then empty.
pub fn decode_v1(body: &[u8], batch: &mut MetricBatch) -> Result<DecodeReport, WireError> {
    batch.clear();
    let mut decoder = Decoder {
        batch,
        labels: LabelSet::default(),
        expansion: Expansion::default(),
        report: DecodeReport::default(),
    };
    match decoder.request(Reader::new(body)) {
        Ok(()) => Ok(decoder.report),
        Err(error) => {
            batch.clear();
            Err(error)
        }
    }
}

struct Decoder<'b> {
    batch: &'b mut MetricBatch,
    labels: LabelSet,
    expansion: Expansion,
    report: DecodeReport,
}

impl Decoder<'_> {
    fn request(&mut self, mut request: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = request.next()? {
            match number {
                1 => self.series(field.message(&request)?)?,
                3 => self.metadata(field.message(&request)?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Walks the series twice, labels first: the order of fields is the sender's choice.
    fn series(&mut self, series: Reader<'_>) -> Result<(), WireError> {
        self.labels.begin();
        let mut counts = Counts::default();
        let mut reader = series;
        while let Some(content) = reader.take_short(LABEL_KEY) {
            match plain_label(content) {
                Some((name, value)) => self.labels.push_with_lengths(name, value),
                None => self.label(reader.behind(content))?,
            }
        }
        let mut after_labels = None;
        let mut before = reader;
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => self.label(field.message(&reader)?)?,
                2 => counts.samples += 1,
                3 => counts.exemplars += 1,
                4 => counts.histograms += 1,
                _ => {}
            }
            if number != 1 {
                after_labels.get_or_insert(before);
            }
            before = reader;
        }
        let Some(rest) = after_labels else {
            return Ok(());
        };
        self.expansion.charge(self.labels.byte_count() + counts.bytes())?;
        if let Err(error) = self.labels.finish(self.batch) {
            self.labels.reject(&error, counts.values(), &mut self.report);
            return Ok(());
        }
        self.samples(rest)
    }

    fn label(&mut self, message: Reader<'_>) -> Result<(), WireError> {
        let (name, value) = label(message)?;
        self.labels.push(name, value);
        Ok(())
    }

    fn samples(&mut self, mut series: Reader<'_>) -> Result<(), WireError> {
        while let Some((number, field)) = series.next()? {
            match number {
                2 => {
                    let (value, timestamp_ms) = sample(field.message(&series)?)?;
                    self.batch.sample(timestamp_ms, 0, value);
                    self.report.samples += 1;
                }
                3 => self.exemplar(field, &series)?,
                4 => self.histogram(field, &series)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn histogram(&mut self, field: Field<'_>, series: &Reader<'_>) -> Result<(), WireError> {
        let decoded = decode_histogram(field.message(series)?)?;
        match decoded.histogram {
            Ok(histogram) => {
                self.batch.histogram(decoded.timestamp_ms, decoded.start_ms, histogram);
                self.report.histograms += 1;
            }
            Err(problem) => {
                let labels = &self.labels;
                let example = || format!("{problem} in {}", labels.describe());
                self.report.reject(Refusal::InvalidHistogram, 1, example);
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, field: Field<'_>, series: &Reader<'_>) -> Result<(), WireError> {
        let mut reader = field.message(series)?;
        let (mut pairs, mut broken) = (Vec::new(), false);
        let (mut value, mut timestamp_ms) = (0.0, 0);
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => {
                    let (name, value) = label(field.message(&reader)?)?;
                    match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                        (Ok(name), Ok(value)) if !name.is_empty() && pairs.len() < model::LABELS_MAX => {
                            pairs.push((name, value));
                        }
                        _ => broken = true,
                    }
                }
                2 => value = field.double(&reader)?,
                3 => timestamp_ms = field.int64(&reader)?,
                _ => {}
            }
        }
        if broken {
            let labels = &self.labels;
            self.report.reject(Refusal::InvalidExemplar, 1, || format!("exemplar of {}", labels.describe()));
            return Ok(());
        }
        self.batch.exemplar(Exemplar { labels: Labels::from_pairs(pairs), timestamp_ms, value });
        self.report.exemplars += 1;
        Ok(())
    }

    fn metadata(&mut self, mut reader: Reader<'_>) -> Result<(), WireError> {
        let (mut family, mut kind) = (String::new(), 0);
        let (mut help, mut unit) = (String::new(), String::new());
        while let Some((number, field)) = reader.next()? {
            match number {
                1 => kind = field.varint(&reader)?,
                2 => family = lossy(field.bytes(&reader)?),
                4 => help = lossy(field.bytes(&reader)?),
                5 => unit = lossy(field.bytes(&reader)?),
                _ => {}
            }
        }
        if !family.is_empty() {
            self.batch.describe(&family, Metadata { kind: metric_kind(kind), help, unit });
        }
        Ok(())
    }
}

/// A description is for people: broken bytes in it are shown as U+FFFD rather than refused.
pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The two versions number the kinds alike.
pub(super) fn metric_kind(number: u64) -> MetricKind {
    match number {
        1 => MetricKind::Counter,
        2 => MetricKind::Gauge,
        3 => MetricKind::Histogram,
        4 => MetricKind::GaugeHistogram,
        5 => MetricKind::Summary,
        6 => MetricKind::Info,
        7 => MetricKind::StateSet,
        _ => MetricKind::Unknown,
    }
}

/// Key of `TimeSeries.labels`: field 1, delimited.
const LABEL_KEY: u8 = 0x0a;

/// Name and value of a label as nearly all senders write it: the name, then the value, neither
/// empty, both shorter than 128 bytes. Each still has its length in front.
#[inline]
fn plain_label(label: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, name @ ..] = label else {
        return None;
    };
    let name_length = usize::from(*name.first()?);
    let (name, value) = name.split_at_checked(name_length + 1)?;
    let [0x12, value @ ..] = value else {
        return None;
    };
    let value_length = usize::from(*value.first()?);
    let is_short = |length: usize| (1..0x80).contains(&length);
    let is_plain = is_short(name_length) && is_short(value_length) && value.len() == value_length + 1;
    is_plain.then_some((name, value))
}

fn label<'a>(mut reader: Reader<'a>) -> Result<(&'a [u8], &'a [u8]), WireError> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => name = field.bytes(&reader)?,
            2 => value = field.bytes(&reader)?,
            _ => {}
        }
    }
    Ok((name, value))
}

#[inline]
fn sample(mut reader: Reader<'_>) -> Result<(f64, i64), WireError> {
    let (mut value, mut timestamp_ms) = (0.0, 0);
    while let Some((number, field)) = reader.next()? {
        match number {
            1 => value = field.double(&reader)?,
            2 => timestamp_ms = field.int64(&reader)?,
            _ => {}
        }
    }
    Ok((value, timestamp_ms))
}
