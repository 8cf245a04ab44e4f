//! One batch in the journal; the bytes are drawn in `docs/formats/egress.md`.

use model::MetricBatch;
use std::{collections::HashSet, ptr};
use wire::{
    WireError,
    compression::{Encoding, compress, decompress},
    remote_write::{decode_v1, decode_v2, encode_v1, encode_v2},
};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 13;
/// No receiver takes a larger body, so no batch of ours is larger once encoded.
const BODY_BYTES_MAX: usize = 512 << 20;

/// What a record says before its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) samples: u64,
    pub(super) appended_ms: i64,
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("record has version `{0}`, newer than this program")]
    Version(u8),
    #[error("record is too short")]
    Short,
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// The record of a batch.
pub(super) fn encode(batch: &MetricBatch, now_ms: i64) -> Result<Vec<u8>, WireError> {
    let mut body = vec![0; 4];
    encode_v2(batch, &mut body);
    let length = (body.len() - 4) as u32;
    body[..4].copy_from_slice(&length.to_le_bytes());
    encode_v1(&lone_metadata(batch), &mut body);
    let mut packed = Vec::new();
    compress(Encoding::Zstd, &body, &mut packed)?;
    let mut record = Vec::with_capacity(HEAD_BYTES + packed.len());
    record.push(VERSION);
    record.extend_from_slice(&(batch.sample_count() as u32).to_le_bytes());
    record.extend_from_slice(&now_ms.to_le_bytes());
    record.extend_from_slice(&packed);
    Ok(record)
}

/// Descriptions that no series of the batch carries: 2.0 has no place for them.
fn lone_metadata(batch: &MetricBatch) -> MetricBatch {
    let carried: HashSet<*const _> =
        batch.series().filter_map(|series| series.metadata()).map(ptr::from_ref).collect();
    let mut alone = MetricBatch::default();
    for described in batch.metadata().iter().filter(|&described| !carried.contains(&ptr::from_ref(described)))
    {
        alone.describe(&described.0, described.1.clone());
    }
    alone
}

/// Samples of a record, 0 when it is none.
pub(super) fn samples(record: &[u8]) -> u64 {
    head(record).map_or(0, |(head, _)| head.samples)
}

fn head(record: &[u8]) -> Result<(Head, &[u8]), RecordError> {
    let (head, packed) = record.split_at_checked(HEAD_BYTES).ok_or(RecordError::Short)?;
    if head[0] != VERSION {
        return Err(RecordError::Version(head[0]));
    }
    let (mut samples, mut appended_ms) = ([0; 4], [0; 8]);
    samples.copy_from_slice(&head[1..5]);
    appended_ms.copy_from_slice(&head[5..]);
    let samples = u64::from(u32::from_le_bytes(samples));
    Ok((Head { samples, appended_ms: i64::from_le_bytes(appended_ms) }, packed))
}

/// Reads a record's batch into `batch`, replacing what it held.
pub(super) fn decode(record: &[u8], batch: &mut MetricBatch) -> Result<Head, RecordError> {
    let (head, packed) = head(record)?;
    let mut body = Vec::new();
    decompress(Encoding::Zstd, packed, BODY_BYTES_MAX, &mut body)?;
    let (length, rest) = body.split_at_checked(4).ok_or(RecordError::Short)?;
    let length = length.iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let (series, described) = rest.split_at_checked(length).ok_or(RecordError::Short)?;
    decode_v2(series, batch)?;
    if !described.is_empty() {
        let mut alone = MetricBatch::default();
        decode_v1(described, &mut alone)?;
        for (family, metadata) in alone.metadata() {
            batch.describe(family, metadata.clone());
        }
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Exemplar, Labels, Metadata, MetricKind};

    #[test]
    fn a_batch_comes_back_whole() {
        let mut batch = MetricBatch::default();
        let metadata =
            |help: &str| Metadata { kind: MetricKind::Counter, help: help.to_owned(), unit: "".into() };
        batch.describe("alone_total", metadata("nobody's"));
        batch.begin_with(Labels::from_pairs([("__name__", "a_total"), ("x", "1")]).as_ref());
        batch.sample(5, 3, f64::from_bits(model::STALE_NAN_BITS));
        batch.sample(6, 3, -0.0);
        batch.describe_series("a_total", metadata("its own"));
        let labels = Labels::from_pairs([("trace_id", "7")]);
        batch.exemplar(Exemplar { labels, timestamp_ms: 5, value: 1.0 });
        let record = encode(&batch, 99).unwrap();
        assert_eq!(samples(&record), 2);

        let mut decoded = MetricBatch::default();
        assert_eq!(decode(&record, &mut decoded).unwrap(), Head { samples: 2, appended_ms: 99 });
        let series = decoded.series().next().unwrap();
        let bits: Vec<u64> = series.samples().iter().map(|sample| sample.value.to_bits()).collect();
        assert_eq!(bits, [model::STALE_NAN_BITS, (-0.0f64).to_bits()]);
        assert_eq!((series.samples()[0].start_ms, series.exemplars().len()), (3, 1));
        assert_eq!(series.metadata().unwrap().1.help, "its own");
        assert!(decoded.metadata().iter().any(|(family, _)| family == "alone_total"));
    }

    #[test]
    fn broken_records_are_errors() {
        let mut batch = MetricBatch::default();
        for bad in [&b""[..], b"\x02aaaaaaaaaaaaaaaa", b"\x01aaaaaaaaaaaaaaaa"] {
            assert!(decode(bad, &mut batch).is_err());
        }
    }
}
