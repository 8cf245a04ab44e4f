//! Writes the batches of one group: asks what is stored, decides point by point, inserts.

use super::{
    ClickHouseMetrics, DAY_MS,
    existing::Existing,
    histogram,
    job::{Job, JobSeries, Point},
};
use crate::{
    batches,
    client::Client,
    error::Error,
    row_binary::{put_labels, put_string, put_varint},
    schema::{EXEMPLARS, METADATA, SAMPLES, SERIES},
};
use model::{BatchId, Exemplar, LabelsRef, Metadata, Value};
use std::sync::atomic::Ordering;
use store::{Commit, Receipt, RejectReason, reject};

/// How batches of metrics are recorded.
const SIGNAL: &str = "metrics";
/// Descriptions remembered, so that repeats of them are not written.
const DESCRIBED_MAX: usize = 200_000;

/// Rows to insert, by table.
#[derive(Default)]
struct Rows {
    series: Vec<u8>,
    samples: Vec<u8>,
    samples_count: u64,
    exemplars: Vec<u8>,
    metadata: Vec<u8>,
    described: Vec<(String, Metadata)>,
    scratch: Vec<u8>,
}

impl ClickHouseMetrics {
    /// Stores a group of batches; all are answered for, or none.
    pub(super) fn write(&self, mut jobs: Vec<Job>) -> Result<Vec<Receipt>, Error> {
        let ids: Vec<Option<&BatchId>> = jobs.iter().map(|job| job.id.as_ref()).collect();
        let repeated = batches::repeated(&self.client, SIGNAL, &ids)?;
        let fresh = || jobs.iter().zip(&repeated).filter(|(_, repeated)| !**repeated).map(|(job, _)| job);
        let series: Vec<&JobSeries> = fresh().flat_map(|job| &job.series).collect();
        let mut existing = Existing::load(&self.client, &crate::lock(&self.known), &series)?;
        let fresh_ids: Vec<BatchId> = fresh().filter_map(|job| job.id.clone()).collect();
        let fresh_count = fresh().count();
        let mut rows = Rows::default();
        let receipts = jobs
            .iter_mut()
            .zip(&repeated)
            .map(|(job, repeated)| match repeated {
                true => receipt(0, true, Vec::new()),
                false => self.decide(job, &mut existing, &mut rows),
            })
            .collect();
        let fresh_ids: Vec<&BatchId> = fresh_ids.iter().collect();
        let token = self.client.token(&fresh_ids, fresh_count);
        let written = rows
            .insert(&self.client, &token)
            .and_then(|()| batches::record(&self.client, SIGNAL, &fresh_ids, &token));
        match written {
            Ok(()) => {
                self.remember(existing, rows);
                Ok(receipts)
            }
            Err(error) => {
                let mut known = crate::lock(&self.known);
                existing.known.keys().for_each(|id| known.forget(*id));
                Err(error)
            }
        }
    }

    fn decide(&self, job: &mut Job, existing: &mut Existing, rows: &mut Rows) -> Receipt {
        let mut stored = 0;
        for series in &job.series {
            for point in &series.points {
                let key = (series.id, point.timestamp_ms);
                match existing.values.get(&key) {
                    Some(value) if value.same_bits(&point.value) => stored += 1,
                    Some(_) => reject(&mut job.rejected, RejectReason::DuplicateTimestamp, 1, || {
                        format!("{} at {}", series.labels, point.timestamp_ms)
                    }),
                    None => {
                        existing.values.insert(key, point.value.clone());
                        rows.put_sample(series, point);
                        rows.name(series, point.timestamp_ms, existing);
                        stored += 1;
                    }
                }
            }
            for exemplar in &series.exemplars {
                rows.put_exemplar(series, exemplar);
                rows.name(series, exemplar.timestamp_ms, existing);
            }
        }
        let described = crate::lock(&self.described);
        for (family, metadata) in &job.metadata {
            if described.get(family) != Some(metadata) {
                rows.put_metadata(family, metadata, self.arrivals.reserve(1));
            }
        }
        receipt(stored, false, std::mem::take(&mut job.rejected))
    }

    /// What is stored for certain now.
    fn remember(&self, existing: Existing, rows: Rows) {
        let mut known = crate::lock(&self.known);
        for (id, one) in existing.known {
            known.set(id, one);
        }
        let mut described = crate::lock(&self.described);
        if described.len() > DESCRIBED_MAX {
            described.clear();
        }
        described.extend(rows.described);
        self.appended_samples.fetch_add(rows.samples_count, Ordering::Relaxed);
    }
}

fn receipt(stored: u64, duplicate: bool, rejected: Vec<store::Rejection>) -> Receipt {
    Receipt { stored, duplicate, rejected, commit: Commit::done() }
}

impl Rows {
    /// Sees that the series has a row for the day of `timestamp_ms`.
    fn name(&mut self, series: &JobSeries, timestamp_ms: i64, existing: &mut Existing) {
        let Some(known) = existing.known.get_mut(&series.id) else { return };
        known.newest = known.newest.max(timestamp_ms);
        let day = timestamp_ms.div_euclid(DAY_MS);
        if known.add_day(day) {
            super::SERIES_TABLE.put(&mut self.series, day, series.id, series.labels.as_ref());
        }
    }

    fn put_sample(&mut self, series: &JobSeries, point: &Point) {
        self.scratch.clear();
        let value = match &point.value {
            Value::Float(value) => *value,
            Value::Histogram(histogram) => {
                histogram::encode(histogram, &mut self.scratch);
                histogram.sum
            }
        };
        let out = &mut self.samples;
        put_key(out, series, point.timestamp_ms);
        out.extend(value.to_bits().to_le_bytes());
        out.extend(point.start_ms.to_le_bytes());
        put_string(out, &self.scratch);
        self.samples_count += 1;
    }

    fn put_exemplar(&mut self, series: &JobSeries, exemplar: &Exemplar) {
        let labels: LabelsRef<'_> = exemplar.labels.as_ref();
        let hash = labels.stable_hash() ^ exemplar.value.to_bits().rotate_left(17);
        let out = &mut self.exemplars;
        put_key(out, series, exemplar.timestamp_ms);
        out.extend(hash.to_le_bytes());
        put_labels(out, labels);
        out.extend(exemplar.value.to_bits().to_le_bytes());
    }

    fn put_metadata(&mut self, family: &str, metadata: &Metadata, arrival: u64) {
        let out = &mut self.metadata;
        put_string(out, family.as_bytes());
        put_string(out, metadata.kind.as_str().as_bytes());
        put_string(out, metadata.help.as_bytes());
        put_string(out, metadata.unit.as_bytes());
        out.extend(arrival.to_le_bytes());
        self.described.push((family.to_owned(), metadata.clone()));
    }

    /// Names first: a sample is never without its series.
    fn insert(&mut self, client: &Client, token: &str) -> Result<(), Error> {
        for (table, rows) in [
            (SERIES, &mut self.series),
            (EXEMPLARS, &mut self.exemplars),
            (METADATA, &mut self.metadata),
            (SAMPLES, &mut self.samples),
        ] {
            if !rows.is_empty() {
                client.insert(table.name, table.columns, std::mem::take(rows), token)?;
            }
        }
        Ok(())
    }
}

fn put_key(out: &mut Vec<u8>, series: &JobSeries, timestamp_ms: i64) {
    let metric = series.labels.metric_name();
    put_varint(out, metric.len() as u64);
    out.extend_from_slice(metric.as_bytes());
    out.extend(series.id.to_le_bytes());
    out.extend(timestamp_ms.to_le_bytes());
}
