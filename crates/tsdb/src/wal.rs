//! Records of the write-ahead log; drawn in `docs/formats/tsdb.md`.
//!
//! Series are numbered within an *epoch*: each generation of the head, and each start of the
//! process, begins a new one with [`State`] records. A batch that uses a series for the first time
//! in the epoch defines it. Only accepted samples are logged, so replay never judges again.

mod state;

pub(crate) use state::StateEncoder;

use crate::{
    bytes::{Malformed, Reader, put_field, put_varint, put_zigzag},
    codec::histograms,
};
use model::{BatchId, Exemplar, Labels, LabelsRef, Metadata, MetricKind, Value};
use std::sync::Arc;

const BATCH: u8 = 1;
const STATE: u8 = 2;
const BARRIER: u8 = 3;

/// A record whose only use is that its commit waits for all records before it.
pub(crate) const BARRIER_RECORD: &[u8] = &[BARRIER];

/// Low four bits of a sample's control byte: bytes of the value, or this for a histogram.
const LENGTH_MASK: u8 = 0x0f;
const HISTOGRAM: u8 = 0x0f;
/// The time is that of the sample before.
const SAME_TIME: u8 = 1 << 4;
/// The series is the one after that of the sample before.
const NEXT_SERIES: u8 = 1 << 5;
/// A start time follows.
const HAS_START: u8 = 1 << 6;

/// Some of what outlives generations: which batches were taken, descriptions, exemplars.
pub(crate) struct State {
    pub(crate) epoch: u64,
    pub(crate) ledger: Vec<u8>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    pub(crate) exemplars: Vec<(Labels, Exemplar)>,
}

/// A record, read.
pub(crate) enum Record {
    Batch(Batch),
    State(State),
    Barrier,
}

/// One batch, read.
pub(crate) struct Batch {
    pub(crate) epoch: u64,
    pub(crate) id: Option<BatchId>,
    pub(crate) first_new_series: u64,
    pub(crate) new_series: Vec<Labels>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    pub(crate) exemplars: Vec<(Labels, Exemplar)>,
    /// Series number, time, start, value.
    pub(crate) samples: Vec<(u64, i64, i64, Value)>,
}

/// Builds a batch record in reused buffers.
#[derive(Default)]
pub(crate) struct BatchEncoder {
    definitions: Vec<u8>,
    definition_count: u64,
    samples: Vec<u8>,
    sample_count: u64,
    previous_series: u64,
    previous_ms: i64,
    head: Vec<u8>,
}

impl BatchEncoder {
    pub(crate) fn clear(&mut self) {
        self.definitions.clear();
        self.samples.clear();
        (self.definition_count, self.sample_count) = (0, 0);
        (self.previous_series, self.previous_ms) = (0, 0);
    }

    pub(crate) fn define(&mut self, labels: LabelsRef<'_>) {
        put_field(&mut self.definitions, labels.as_bytes());
        self.definition_count += 1;
    }

    pub(crate) fn sample(&mut self, series: u64, timestamp_ms: i64, start_ms: i64, value: &Value) {
        let out = &mut self.samples;
        let control_at = out.len();
        out.push(0);
        let mut control = 0;
        if series == self.previous_series.wrapping_add(1) {
            control |= NEXT_SERIES;
        } else {
            put_varint(out, series);
        }
        if timestamp_ms == self.previous_ms {
            control |= SAME_TIME;
        } else {
            put_zigzag(out, timestamp_ms.wrapping_sub(self.previous_ms));
        }
        if start_ms != 0 {
            control |= HAS_START;
            put_zigzag(out, start_ms);
        }
        match value {
            Value::Float(value) => {
                // The low bytes of short decimals' and integers' bits are zero.
                let bits = value.to_bits().swap_bytes();
                let length = 8 - bits.leading_zeros() / 8;
                control |= length as u8;
                out.extend_from_slice(&bits.to_le_bytes()[..length as usize]);
            }
            Value::Histogram(histogram) => {
                control |= HISTOGRAM;
                histograms::put(out, histogram);
            }
        }
        out[control_at] = control;
        (self.previous_series, self.previous_ms) = (series, timestamp_ms);
        self.sample_count += 1;
    }

    /// The record's parts, in order.
    pub(crate) fn finish(
        &mut self,
        epoch: u64,
        id: Option<&BatchId>,
        first_new_series: u64,
        metadata: &[&(String, Metadata)],
        exemplars: &[(Labels, Exemplar)],
    ) -> [&[u8]; 3] {
        let out = &mut self.head;
        out.clear();
        out.push(BATCH);
        put_varint(out, epoch);
        out.push(u8::from(id.is_some()));
        if let Some(id) = id {
            put_field(out, id.agent.as_bytes());
            put_varint(out, id.boot);
            put_varint(out, id.sequence);
        }
        put_metadata(out, metadata.iter().copied());
        put_exemplars(out, exemplars);
        put_varint(out, first_new_series);
        put_varint(out, self.definition_count);
        put_varint(out, self.sample_count);
        [&self.head, &self.definitions, &self.samples]
    }
}

/// Reads a record.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, Malformed> {
    let mut reader = Reader::new(bytes);
    match reader.byte()? {
        BATCH => decode_batch(&mut reader).map(Record::Batch),
        STATE => Ok(Record::State(State {
            epoch: reader.varint()?,
            ledger: reader.field()?.to_vec(),
            metadata: take_metadata(&mut reader)?,
            exemplars: take_exemplars(&mut reader)?,
        })),
        BARRIER => Ok(Record::Barrier),
        _ => Err(Malformed),
    }
}

fn decode_batch(reader: &mut Reader<'_>) -> Result<Batch, Malformed> {
    let epoch = reader.varint()?;
    let id = match reader.byte()? {
        0 => None,
        _ => Some(BatchId {
            agent: reader.text()?.to_owned(),
            boot: reader.varint()?,
            sequence: reader.varint()?,
        }),
    };
    let metadata = take_metadata(reader)?;
    let exemplars = take_exemplars(reader)?;
    let first_new_series = reader.varint()?;
    let definition_count = reader.count(reader.rest().len())?;
    let sample_count = reader.count(reader.rest().len())?;
    let new_series = (0..definition_count).map(|_| take_labels(reader)).collect::<Result<_, _>>()?;
    let mut samples = Vec::with_capacity(sample_count);
    let (mut series, mut timestamp_ms) = (0u64, 0i64);
    for _ in 0..sample_count {
        let control = reader.byte()?;
        series = if control & NEXT_SERIES != 0 { series.wrapping_add(1) } else { reader.varint()? };
        if control & SAME_TIME == 0 {
            timestamp_ms = timestamp_ms.wrapping_add(reader.zigzag()?);
        }
        let start_ms = if control & HAS_START != 0 { reader.zigzag()? } else { 0 };
        let value = match control & LENGTH_MASK {
            HISTOGRAM => Value::Histogram(Arc::new(histograms::take(reader)?)),
            length => Value::Float(f64::from_bits(reader.short_u64(usize::from(length))?.swap_bytes())),
        };
        samples.push((series, timestamp_ms, start_ms, value));
    }
    Ok(Batch { epoch, id, first_new_series, new_series, metadata, exemplars, samples })
}

fn take_labels(reader: &mut Reader<'_>) -> Result<Labels, Malformed> {
    Labels::from_bytes(reader.field()?).ok_or(Malformed)
}

fn put_metadata<'a>(out: &mut Vec<u8>, metadata: impl ExactSizeIterator<Item = &'a (String, Metadata)>) {
    put_varint(out, metadata.len() as u64);
    for (family, metadata) in metadata {
        put_description(out, family, metadata);
    }
}

fn put_description(out: &mut Vec<u8>, family: &str, metadata: &Metadata) {
    put_field(out, family.as_bytes());
    out.push(kind_number(metadata.kind));
    put_field(out, metadata.help.as_bytes());
    put_field(out, metadata.unit.as_bytes());
}

fn take_metadata(reader: &mut Reader<'_>) -> Result<Vec<(String, Metadata)>, Malformed> {
    let count = reader.count(reader.rest().len())?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let family = reader.text()?.to_owned();
        let kind = kind_of(reader.byte()?)?;
        let (help, unit) = (reader.text()?.to_owned(), reader.text()?.to_owned());
        all.push((family, Metadata { kind, help, unit }));
    }
    Ok(all)
}

fn put_exemplars(out: &mut Vec<u8>, exemplars: &[(Labels, Exemplar)]) {
    put_varint(out, exemplars.len() as u64);
    for (series, exemplar) in exemplars {
        put_exemplar(out, series, exemplar);
    }
}

fn put_exemplar(out: &mut Vec<u8>, series: &Labels, exemplar: &Exemplar) {
    put_field(out, series.as_bytes());
    put_field(out, exemplar.labels.as_bytes());
    put_zigzag(out, exemplar.timestamp_ms);
    out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
}

fn take_exemplars(reader: &mut Reader<'_>) -> Result<Vec<(Labels, Exemplar)>, Malformed> {
    let count = reader.count(reader.rest().len())?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let (series, labels) = (take_labels(reader)?, take_labels(reader)?);
        let timestamp_ms = reader.zigzag()?;
        let value = f64::from_bits(reader.u64()?);
        all.push((series, Exemplar { labels, timestamp_ms, value }));
    }
    Ok(all)
}

const KINDS: [MetricKind; 8] = [
    MetricKind::Unknown,
    MetricKind::Counter,
    MetricKind::Gauge,
    MetricKind::Histogram,
    MetricKind::GaugeHistogram,
    MetricKind::Summary,
    MetricKind::Info,
    MetricKind::StateSet,
];

fn kind_number(kind: MetricKind) -> u8 {
    KINDS.iter().position(|candidate| *candidate == kind).unwrap_or(0) as u8
}

fn kind_of(number: u8) -> Result<MetricKind, Malformed> {
    KINDS.get(usize::from(number)).copied().ok_or(Malformed)
}
