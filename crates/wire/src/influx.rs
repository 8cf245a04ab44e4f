//! InfluxDB line protocol, as Telegraf sends it, into metric samples.
//!
//! ```text
//! measurement[,tag=value…] field=value[,field=value…] [timestamp]
//! ```
//! Every numeric field becomes one sample of the metric `measurement_field`; a field named `value`
//! becomes `measurement`, since "value" says nothing. Tags become labels. Bytes that a metric or
//! label name cannot hold without quoting become `_`. Integers and booleans (1 and 0) become
//! floats; strings are no metric: they are skipped and counted.
//!
//! A line that does not parse is skipped as a whole, counted, and named in the report.

mod line;
#[cfg(test)]
mod tests;

use crate::{DecodeReport, Refusal, WireError, expansion::Expansion, label_set::LabelSet};
use line::{FieldValue, Line};
use model::{METRIC_NAME, MetricBatch};

/// Unreadable lines that the report names one by one.
const NAMED_LINES_MAX: usize = 5;
/// What a sample takes in a batch beside its labels.
const SAMPLE_BYTES: usize = 64;

/// The unit of timestamps, the `precision` parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// The default.
    Nanoseconds,
    /// A thousandth of a millisecond.
    Microseconds,
    /// What samples are kept in.
    Milliseconds,
    /// Whole seconds.
    Seconds,
    /// Version 1 only.
    Minutes,
    /// Version 1 only.
    Hours,
}

impl Precision {
    /// From the parameter of both versions of the API; empty means nanoseconds.
    pub fn from_param(text: &str) -> Option<Self> {
        Some(match text {
            "" | "ns" | "n" => Precision::Nanoseconds,
            "us" | "u" | "µ" => Precision::Microseconds,
            "ms" => Precision::Milliseconds,
            "s" => Precision::Seconds,
            "m" => Precision::Minutes,
            "h" => Precision::Hours,
            _ => return None,
        })
    }

    /// Milliseconds, rounded down; `None` when they do not fit.
    fn to_ms(self, timestamp: i64) -> Option<i64> {
        match self {
            Precision::Nanoseconds => Some(timestamp.div_euclid(1_000_000)),
            Precision::Microseconds => Some(timestamp.div_euclid(1_000)),
            Precision::Milliseconds => Some(timestamp),
            Precision::Seconds => timestamp.checked_mul(1_000),
            Precision::Minutes => timestamp.checked_mul(60_000),
            Precision::Hours => timestamp.checked_mul(3_600_000),
        }
    }
}

/// Decodes `body` into `batch`, which it clears first. Lines without a timestamp get `now_ms`.
///
/// # Errors
/// When the samples with all their labels are more than memory allows for one request; the batch is
/// then empty.
pub fn decode(
    body: &[u8],
    precision: Precision,
    now_ms: i64,
    batch: &mut MetricBatch,
) -> Result<DecodeReport, WireError> {
    batch.clear();
    let mut decoder = Decoder::new(batch, precision, now_ms);
    let (mut rest, mut number) = (body, 1);
    while !rest.is_empty() {
        let end = line::end(rest);
        let text = rest[..end].trim_ascii();
        let is_skipped = text.first().is_none_or(|first| *first == b'#');
        if !is_skipped && let Err(error) = decoder.line(text, number) {
            batch.clear();
            return Err(error);
        }
        number += rest[..end].iter().filter(|byte| **byte == b'\n').count() + 1;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(decoder.finish())
}

struct Decoder<'a> {
    batch: &'a mut MetricBatch,
    precision: Precision,
    now_ms: i64,
    labels: LabelSet,
    report: DecodeReport,
    expansion: Expansion,
    unreadable: u64,
    /// The first of them, with what is wrong.
    unreadable_named: Vec<String>,
}

impl<'a> Decoder<'a> {
    fn new(batch: &'a mut MetricBatch, precision: Precision, now_ms: i64) -> Self {
        Decoder {
            batch,
            precision,
            now_ms,
            labels: LabelSet::default(),
            report: DecodeReport::default(),
            expansion: Expansion::default(),
            unreadable: 0,
            unreadable_named: Vec::new(),
        }
    }

    fn line(&mut self, text: &[u8], number: usize) -> Result<(), WireError> {
        match self.read(text) {
            Ok((line, timestamp_ms)) => self.append(&line, timestamp_ms, number),
            Err(problem) => {
                self.unreadable += 1;
                if self.unreadable_named.len() < NAMED_LINES_MAX {
                    self.unreadable_named.push(format!("line {number}: {problem}"));
                }
                Ok(())
            }
        }
    }

    fn read<'t>(&self, text: &'t [u8]) -> Result<(Line<'t>, i64), String> {
        let line = Line::parse(text)?;
        let timestamp_ms = match line.timestamp {
            None => self.now_ms,
            Some(timestamp) => self
                .precision
                .to_ms(timestamp)
                .ok_or_else(|| format!("timestamp `{timestamp}` is out of range"))?,
        };
        Ok((line, timestamp_ms))
    }

    fn append(&mut self, line: &Line<'_>, timestamp_ms: i64, number: usize) -> Result<(), WireError> {
        for (field, value) in &line.fields {
            let FieldValue::Number(value) = *value else {
                let example = || format!("line {number}: field `{}`", String::from_utf8_lossy(field));
                self.report.reject(Refusal::StringField, 1, example);
                continue;
            };
            self.labels.begin();
            self.labels.push(METRIC_NAME.as_bytes(), &metric_name(&line.measurement, field));
            for (name, value) in &line.tags {
                self.labels.push(&plain_name(name, false), value);
            }
            self.expansion.charge(self.labels.byte_count() + SAMPLE_BYTES)?;
            match self.labels.finish(self.batch) {
                Ok(()) => {
                    self.batch.sample(timestamp_ms, 0, value);
                    self.report.samples += 1;
                }
                Err(error) => self.labels.reject(&error, 1, &mut self.report),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> DecodeReport {
        if self.unreadable > 0 {
            let named = self.unreadable_named.join("; ");
            self.report.reject(Refusal::UnreadableLine, self.unreadable, || named);
        }
        self.report
    }
}

fn metric_name(measurement: &[u8], field: &[u8]) -> Vec<u8> {
    match field {
        b"value" => plain_name(measurement, true),
        _ => plain_name(&[measurement, b"_", field].concat(), true),
    }
}

/// The name with `_` for every byte that needs quoting in queries; colons are for metrics alone.
fn plain_name(name: &[u8], is_metric: bool) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len() + 1);
    if name.first().is_some_and(u8::is_ascii_digit) {
        plain.push(b'_');
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || is_metric && byte == b':';
    plain.extend(name.iter().map(|byte| if is_plain(*byte) { *byte } else { b'_' }));
    plain
}
