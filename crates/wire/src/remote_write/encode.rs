//! Encoding batches as remote write requests.

use super::histogram::encode_histogram;
use crate::protobuf::{put_bytes_field, put_double_field, put_message, put_varint, put_varint_field};
use hashbrown::HashMap;
use model::{LabelsRef, Metadata, MetricBatch, MetricKind, SeriesView};

/// Appends `batch` as a `prometheus.WriteRequest`. Start timestamps are not part of 1.0.
pub fn encode_v1(batch: &MetricBatch, out: &mut Vec<u8>) {
    for series in batch.series() {
        put_message(out, 1, |out| series_v1(out, &series));
    }
    for (family, metadata) in batch.metadata() {
        put_message(out, 3, |out| {
            put_varint_field(out, 1, kind_number(metadata.kind));
            put_bytes_field(out, 2, family.as_bytes());
            put_bytes_field(out, 4, metadata.help.as_bytes());
            put_bytes_field(out, 5, metadata.unit.as_bytes());
        });
    }
}

fn series_v1(out: &mut Vec<u8>, series: &SeriesView<'_>) {
    labels_v1(out, series.labels());
    for sample in series.samples() {
        put_message(out, 2, |out| {
            put_double_field(out, 1, sample.value);
            put_varint_field(out, 2, sample.timestamp_ms as u64);
        });
    }
    for exemplar in series.exemplars() {
        put_message(out, 3, |out| {
            labels_v1(out, exemplar.labels.as_ref());
            put_double_field(out, 2, exemplar.value);
            put_varint_field(out, 3, exemplar.timestamp_ms as u64);
        });
    }
    for (timestamp_ms, _, histogram) in series.histograms() {
        put_message(out, 4, |out| encode_histogram(out, histogram, *timestamp_ms, 0));
    }
}

fn labels_v1(out: &mut Vec<u8>, labels: LabelsRef<'_>) {
    for (name, value) in labels.iter() {
        put_message(out, 1, |out| {
            put_bytes_field(out, 1, name.as_bytes());
            put_bytes_field(out, 2, value.as_bytes());
        });
    }
}

/// The strings of a request, each once, in order of first use; index 0 is "".
struct Symbols<'a> {
    references: HashMap<&'a str, u32>,
    ordered: Vec<&'a str>,
}

impl<'a> Symbols<'a> {
    fn new() -> Self {
        Symbols { references: HashMap::from_iter([("", 0)]), ordered: vec![""] }
    }

    fn reference(&mut self, text: &'a str) -> u32 {
        let next = self.ordered.len() as u32;
        *self.references.entry(text).or_insert_with(|| {
            self.ordered.push(text);
            next
        })
    }
}

/// Appends `batch` as an `io.prometheus.write.v2.Request`. Descriptions of families that no series
/// of the batch carries have no place in 2.0 and are left out.
pub fn encode_v2(batch: &MetricBatch, out: &mut Vec<u8>) {
    let mut symbols = Symbols::new();
    // The symbols stand in front of the series and are known only after them.
    let mut encoded_series = Vec::new();
    for series in batch.series() {
        put_message(&mut encoded_series, 5, |out| series_v2(out, &series, &mut symbols));
    }
    for symbol in &symbols.ordered {
        put_bytes_field(out, 4, symbol.as_bytes());
    }
    out.extend_from_slice(&encoded_series);
}

fn series_v2<'a>(out: &mut Vec<u8>, series: &SeriesView<'a>, symbols: &mut Symbols<'a>) {
    references(out, series.labels(), symbols);
    for sample in series.samples() {
        put_message(out, 2, |out| {
            put_double_field(out, 1, sample.value);
            put_varint_field(out, 2, sample.timestamp_ms as u64);
            if sample.start_ms != 0 {
                put_varint_field(out, 3, sample.start_ms as u64);
            }
        });
    }
    for (timestamp_ms, start_ms, histogram) in series.histograms() {
        put_message(out, 3, |out| encode_histogram(out, histogram, *timestamp_ms, *start_ms));
    }
    for exemplar in series.exemplars() {
        put_message(out, 4, |out| {
            references(out, exemplar.labels.as_ref(), symbols);
            put_double_field(out, 2, exemplar.value);
            put_varint_field(out, 3, exemplar.timestamp_ms as u64);
        });
    }
    if let Some((_, metadata)) = series.metadata() {
        put_message(out, 5, |out| metadata_v2(out, metadata, symbols));
    }
}

fn metadata_v2<'a>(out: &mut Vec<u8>, metadata: &'a Metadata, symbols: &mut Symbols<'a>) {
    put_varint_field(out, 1, kind_number(metadata.kind));
    put_varint_field(out, 3, u64::from(symbols.reference(&metadata.help)));
    put_varint_field(out, 4, u64::from(symbols.reference(&metadata.unit)));
}

fn references<'a>(out: &mut Vec<u8>, labels: LabelsRef<'a>, symbols: &mut Symbols<'a>) {
    put_message(out, 1, |out| {
        for (name, value) in labels.iter() {
            put_varint(out, u64::from(symbols.reference(name)));
            put_varint(out, u64::from(symbols.reference(value)));
        }
    });
}

fn kind_number(kind: MetricKind) -> u64 {
    match kind {
        MetricKind::Unknown => 0,
        MetricKind::Counter => 1,
        MetricKind::Gauge => 2,
        MetricKind::Histogram => 3,
        MetricKind::GaugeHistogram => 4,
        MetricKind::Summary => 5,
        MetricKind::Info => 6,
        MetricKind::StateSet => 7,
    }
}
