//! Appending a batch: check, log, apply.
//!
//! Checking changes only the writer's notes, which can be taken back; the log decides whether the
//! batch is stored; applying cannot fail. So a batch is stored as a whole or, when the log has no
//! room, not at all.

use crate::{
    extras::{self, ONE_EXEMPLAR_BYTES_MAX},
    head::NewSample,
    part::PartError,
    registry::RegistryState,
    store_impl::{Tsdb, View, lock, log_error},
    wal::BARRIER_RECORD,
    writer::Writer,
};
use model::{BatchId, Exemplar, Labels, LabelsRef, MetricBatch, SeriesView, Value};
use std::{collections::HashMap, sync::Arc};
use store::{Commit, Receipt, RejectReason, Rejection, StoreError, reject};

/// Collects what one append stores and refuses.
struct Append<'a> {
    tsdb: &'a Tsdb,
    view: &'a View,
    writer: &'a mut Writer,
    registry: &'a RegistryState,
    now_ms: i64,
    sealed_ms: i64,
    guess: u32,
    stored: u64,
    /// Stored samples that were there already.
    repeats: u64,
    rejected: Vec<Rejection>,
    exemplars: Vec<(Labels, Exemplar)>,
    /// Where in `exemplars` those of a series and time are.
    exemplar_places: HashMap<(Labels, i64), Vec<usize>>,
}

impl Tsdb {
    pub(crate) fn append_batch(
        &self,
        batch: &MetricBatch,
        id: Option<&BatchId>,
        now_ms: i64,
    ) -> Result<Receipt, StoreError> {
        let mut writer = lock(&self.writer);
        if id.is_some_and(|id| writer.ledger.contains(id)) {
            let commit = self.log_record(&[BARRIER_RECORD])?;
            return Ok(Receipt { stored: 0, duplicate: true, rejected: Vec::new(), commit });
        }
        let view = self.view();
        let seal_at = self.seal_at_bytes(writer.series.len());
        if view.head.sample_bytes() > seal_at.saturating_add(self.options.head_bytes_slack) {
            return Err(StoreError::Busy("samples arrive faster than they can be sealed".to_owned()));
        }
        writer.begin_batch();
        let registry = view.head.registry().read();
        let mut append = Append {
            tsdb: self,
            view: &view,
            writer: &mut writer,
            registry: &registry,
            now_ms,
            sealed_ms: view.sealed_ms(),
            guess: 0,
            stored: 0,
            repeats: 0,
            rejected: Vec::new(),
            exemplars: Vec::new(),
            exemplar_places: HashMap::new(),
        };
        let checked = batch.series().try_for_each(|series| append.series(series));
        let Append { stored, repeats, rejected, exemplars, .. } = append;
        drop(registry);
        let logged = checked.and_then(|()| self.log_batch(&mut writer, batch, id, &exemplars));
        let commit = match logged {
            Ok(commit) => commit,
            Err(error) => {
                let head = view.head.read();
                writer.abandon_batch(|series| head.newest_ms(series));
                return Err(error);
            }
        };
        self.apply(&mut writer, &view, batch, id, &exemplars, now_ms);
        self.appended.fetch_add(stored - repeats, std::sync::atomic::Ordering::Relaxed);
        Ok(Receipt { stored, duplicate: false, rejected, commit })
    }

    /// Writes the batch in hand to the log.
    fn log_batch(
        &self,
        writer: &mut Writer,
        batch: &MetricBatch,
        id: Option<&BatchId>,
        exemplars: &[(Labels, Exemplar)],
    ) -> Result<Commit, StoreError> {
        let extras = lock(&self.extras);
        let news: Vec<_> =
            batch.metadata().iter().filter(|(family, metadata)| extras.is_news(family, metadata)).collect();
        drop(extras);
        // A repeat of stored samples must not be acknowledged before they are durable, so even a
        // batch that adds nothing waits for the log.
        let is_empty = writer.pending.is_empty() && news.is_empty() && exemplars.is_empty() && id.is_none();
        if is_empty {
            return self.log_record(&[BARRIER_RECORD]);
        }
        let (epoch, first) = (writer.epoch, u64::from(writer.first_defined));
        self.log_record(&writer.encoder.finish(epoch, id, first, &news, exemplars))
    }

    fn log_record(&self, parts: &[&[u8]]) -> Result<Commit, StoreError> {
        let (commit, handle) = Commit::pending();
        self.log.append(parts, move |done| handle.complete(done)).map_err(log_error)?;
        Ok(commit)
    }

    /// Makes a logged batch readable.
    fn apply(
        &self,
        writer: &mut Writer,
        view: &View,
        batch: &MetricBatch,
        id: Option<&BatchId>,
        exemplars: &[(Labels, Exemplar)],
        now_ms: i64,
    ) {
        if let Some(id) = id {
            writer.ledger.record(id);
        }
        writer.register_fresh();
        view.head.apply(&writer.pending, now_ms);
        if batch.metadata().is_empty() && exemplars.is_empty() {
            return;
        }
        let mut extras = lock(&self.extras);
        for (family, metadata) in batch.metadata() {
            extras.describe(family, metadata);
        }
        for (series, exemplar) in exemplars {
            extras.add_exemplar(series, exemplar);
        }
    }
}

/// Whether a sample is new.
enum Verdict {
    New,
    Repeat,
}

impl Append<'_> {
    fn series(&mut self, view: SeriesView<'_>) -> Result<(), StoreError> {
        let labels = view.labels();
        let hash = labels.stable_hash();
        let mut series = None;
        for sample in view.samples() {
            let value = Value::Float(sample.value);
            self.sample(labels, hash, &mut series, (sample.timestamp_ms, sample.start_ms, value))?;
        }
        for (timestamp_ms, start_ms, histogram) in view.histograms() {
            match histogram.validate() {
                Ok(()) => {
                    let value = Value::Histogram(histogram.clone());
                    self.sample(labels, hash, &mut series, (*timestamp_ms, *start_ms, value))?;
                }
                Err(error) => reject(&mut self.rejected, RejectReason::InvalidHistogram, 1, || {
                    format!("{labels} at {timestamp_ms}: {error}")
                }),
            }
        }
        for exemplar in view.exemplars() {
            self.exemplar(labels, exemplar);
        }
        Ok(())
    }

    fn sample(
        &mut self,
        labels: LabelsRef<'_>,
        hash: u64,
        series: &mut Option<u32>,
        (timestamp_ms, start_ms, value): (i64, i64, Value),
    ) -> Result<(), StoreError> {
        let verdict = match self.tsdb.options.limits.check_ms(timestamp_ms, self.now_ms) {
            Ok(()) => self.resolve(labels, hash, series),
            Err(reason) => Err(reason),
        };
        let verdict = match verdict {
            Ok(series) => self.judge(labels, series, timestamp_ms, &value)?.map(|verdict| (series, verdict)),
            Err(reason) => Err(reason),
        };
        match verdict {
            Ok((_, Verdict::Repeat)) => {
                self.stored += 1;
                self.repeats += 1;
            }
            Ok((series, Verdict::New)) => {
                self.stored += 1;
                self.writer.accept(labels, NewSample { series, timestamp_ms, start_ms, value });
            }
            Err(reason) => reject(&mut self.rejected, reason, 1, || format!("{labels} at {timestamp_ms}")),
        }
        Ok(())
    }

    /// The series, found or added at its first acceptable sample.
    #[inline]
    fn resolve(
        &mut self,
        labels: LabelsRef<'_>,
        hash: u64,
        series: &mut Option<u32>,
    ) -> Result<u32, RejectReason> {
        if let Some(series) = *series {
            return Ok(series);
        }
        let is_full =
            || self.writer.series.len() >= self.tsdb.options.series_max || !self.registry.has_room();
        let found = match self.writer.find(self.registry, labels, hash, self.guess) {
            Some(found) => found,
            None if labels.is_empty() || LabelsRef::from_bytes(labels.as_bytes()).is_none() => {
                return Err(RejectReason::InvalidLabels);
            }
            None if is_full() => return Err(RejectReason::TooManySeries),
            None => self.writer.add(labels, hash, self.sealed_ms),
        };
        self.guess = found + 1;
        *series = Some(found);
        Ok(found)
    }

    /// Whether the sample may be stored: a newer time always, an older one when nothing else has it.
    #[inline]
    fn judge(
        &mut self,
        labels: LabelsRef<'_>,
        series: u32,
        timestamp_ms: i64,
        value: &Value,
    ) -> Result<Result<Verdict, RejectReason>, StoreError> {
        let known = &self.writer.series[series];
        if timestamp_ms > known.newest_ms && timestamp_ms > known.floor_ms {
            return Ok(Ok(Verdict::New));
        }
        Ok(match self.stored_value(labels, series, timestamp_ms)? {
            None => Ok(Verdict::New),
            Some(stored) if stored.same_bits(value) => Ok(Verdict::Repeat),
            Some(_) => Err(RejectReason::DuplicateTimestamp),
        })
    }

    /// What is stored for this series and time, in the batch in hand, the heads, or the parts.
    fn stored_value(
        &mut self,
        labels: LabelsRef<'_>,
        series: u32,
        timestamp_ms: i64,
    ) -> Result<Option<Value>, StoreError> {
        let known = &self.writer.series[series];
        if timestamp_ms <= known.newest_ms {
            if known.batch == self.writer.batch
                && let Some(value) = self.writer.pending_value(series, timestamp_ms)
            {
                return Ok(Some(value.clone()));
            }
            if let Some(value) = self.view.head.read().value_at(series, timestamp_ms) {
                return Ok(Some(value));
            }
        }
        let known = &self.writer.series[series];
        if timestamp_ms > known.floor_ms {
            return Ok(None);
        }
        self.sealed_value(labels, series, timestamp_ms)
    }

    /// Looks into what is sealed, and learns how far this series has been sealed.
    fn sealed_value(
        &mut self,
        labels: LabelsRef<'_>,
        series: u32,
        timestamp_ms: i64,
    ) -> Result<Option<Value>, StoreError> {
        let mut floor_ms = i64::MIN;
        if let Some(sealing) = &self.view.sealing {
            let is_same = Arc::ptr_eq(sealing.registry(), self.view.head.registry());
            if let Some(found) = if is_same { Some(series) } else { sealing.find(labels) } {
                let tails = sealing.read();
                floor_ms = tails.newest_ms(found);
                if let Some(value) = tails.value_at(found, timestamp_ms) {
                    return Ok(Some(value));
                }
            }
        }
        let labels = labels.to_owned();
        for part in self.view.parts.iter() {
            let range = part.time_range();
            if range.end < timestamp_ms {
                floor_ms = floor_ms.max(range.end);
                continue;
            }
            let looked_up = part.find(&labels).and_then(|found| match found {
                None => Ok(None),
                Some(ordinal) => {
                    floor_ms = floor_ms.max(part.newest_ms(ordinal)?);
                    part.value_at(ordinal, timestamp_ms)
                }
            });
            match looked_up {
                Ok(Some(value)) => return Ok(Some(value)),
                Ok(None) => {}
                // What cannot be read cannot refuse a sample.
                Err(error @ PartError::Damaged { .. }) => self.tsdb.note_damage(&error.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        self.writer.series[series].floor_ms = floor_ms;
        Ok(None)
    }

    fn exemplar(&mut self, labels: LabelsRef<'_>, exemplar: &Exemplar) {
        if let Err(reason) = self.tsdb.options.limits.check_ms(exemplar.timestamp_ms, self.now_ms) {
            let example = || format!("exemplar of {labels} at {}", exemplar.timestamp_ms);
            return reject(&mut self.rejected, reason, 1, example);
        }
        let bytes = extras::bytes_of(labels, exemplar);
        if bytes > ONE_EXEMPLAR_BYTES_MAX {
            let example = || {
                format!(
                    "an exemplar with {bytes} bytes of labels, those of its series included; the most are {ONE_EXEMPLAR_BYTES_MAX}"
                )
            };
            return reject(&mut self.rejected, RejectReason::InvalidLabels, 1, example);
        }
        let Some(series) = Labels::from_bytes(labels.as_bytes()) else {
            return reject(&mut self.rejected, RejectReason::InvalidLabels, 1, || format!("{labels}"));
        };
        if lock(&self.tsdb.extras).has_exemplar(&series, exemplar) {
            return;
        }
        let same_time = self.exemplar_places.entry((series.clone(), exemplar.timestamp_ms)).or_default();
        if !same_time.iter().any(|&place| self.exemplars[place].1 == *exemplar) {
            same_time.push(self.exemplars.len());
            self.exemplars.push((series, exemplar.clone()));
        }
    }
}
