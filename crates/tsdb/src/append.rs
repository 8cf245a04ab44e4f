//! Appending a batch: check, log, apply.
//!
//! Checking changes only the writer's notes, which can be taken back; the log decides whether the
//! batch is stored; applying cannot fail. So a batch is stored as a whole or, when the log has no
//! room, not at all.

use crate::{
    head::NewSample,
    part::PartError,
    store_impl::{Tsdb, View, lock, log_error},
    wal::BARRIER_RECORD,
    writer::Writer,
};
use model::{BatchId, Exemplar, Labels, LabelsRef, MetricBatch, SeriesView, Value};
use std::collections::HashMap;
use store::{Commit, Receipt, RejectReason, Rejection, StoreError, reject};

/// Collects what one append stores and refuses.
struct Append<'a> {
    tsdb: &'a Tsdb,
    view: &'a View,
    writer: &'a mut Writer,
    now_ms: i64,
    sealed_ms: i64,
    guess: usize,
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
        let seal_at = self.seal_at_bytes(writer.table.series.len());
        if view.head.sample_bytes() > seal_at.saturating_add(self.options.head_bytes_slack) {
            return Err(StoreError::Busy("samples arrive faster than they can be sealed".to_owned()));
        }
        writer.begin_batch();
        let mut append = Append {
            tsdb: self,
            view: &view,
            writer: &mut writer,
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
        let new_series =
            writer.table.series[writer.series_before..].iter().map(|series| series.labels.clone());
        view.head.apply(new_series, &writer.pending, now_ms);
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
            Ok(series) => self.judge(series, timestamp_ms, &value)?.map(|verdict| (series, verdict)),
            Err(reason) => Err(reason),
        };
        match verdict {
            Ok((_, Verdict::Repeat)) => {
                self.stored += 1;
                self.repeats += 1;
            }
            Ok((series, Verdict::New)) => {
                self.stored += 1;
                self.writer.accept(NewSample { series, timestamp_ms, start_ms, value });
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
        let count = self.writer.table.series.len();
        let found = match self.writer.table.find(labels, hash, self.guess) {
            Some(found) => found,
            None if labels.is_empty() || LabelsRef::from_bytes(labels.as_bytes()).is_none() => {
                return Err(RejectReason::InvalidLabels);
            }
            None if count >= self.tsdb.options.series_max => return Err(RejectReason::TooManySeries),
            None => self.writer.resolve(labels, hash, self.guess, self.sealed_ms),
        };
        self.guess = found as usize + 1;
        *series = Some(found);
        Ok(found)
    }

    /// Whether the sample may be stored: a newer time always, an older one when nothing else has it.
    #[inline]
    fn judge(
        &mut self,
        series: u32,
        timestamp_ms: i64,
        value: &Value,
    ) -> Result<Result<Verdict, RejectReason>, StoreError> {
        let known = &self.writer.table.series[series as usize];
        if timestamp_ms > known.newest_ms && timestamp_ms > known.floor_ms {
            return Ok(Ok(Verdict::New));
        }
        Ok(match self.stored_value(series, timestamp_ms)? {
            None => Ok(Verdict::New),
            Some(stored) if stored.same_bits(value) => Ok(Verdict::Repeat),
            Some(_) => Err(RejectReason::DuplicateTimestamp),
        })
    }

    /// What is stored for this series and time, in the batch in hand, the heads, or the parts.
    fn stored_value(&mut self, series: u32, timestamp_ms: i64) -> Result<Option<Value>, StoreError> {
        let known = &self.writer.table.series[series as usize];
        if timestamp_ms <= known.newest_ms {
            if known.batch == self.writer.batch
                && let Some(value) = self.writer.pending_value(series, timestamp_ms)
            {
                return Ok(Some(value.clone()));
            }
            let head = self.view.head.read();
            let in_head = (series as usize) < head.len();
            if in_head && let Some(value) = head.value_at(series, timestamp_ms) {
                return Ok(Some(value));
            }
        }
        let known = &self.writer.table.series[series as usize];
        if timestamp_ms > known.floor_ms {
            return Ok(None);
        }
        let labels = known.labels.clone();
        self.sealed_value(series, &labels, timestamp_ms)
    }

    /// Looks into what is sealed, and learns how far this series has been sealed.
    fn sealed_value(
        &mut self,
        series: u32,
        labels: &Labels,
        timestamp_ms: i64,
    ) -> Result<Option<Value>, StoreError> {
        let mut floor_ms = i64::MIN;
        if let Some(sealing) = &self.view.sealing {
            let head = sealing.read();
            if let Some(found) = head.find(labels) {
                floor_ms = head.newest_ms(found);
                if let Some(value) = head.value_at(found, timestamp_ms) {
                    return Ok(Some(value));
                }
            }
        }
        for part in self.view.parts.iter() {
            let range = part.time_range();
            if range.end < timestamp_ms {
                floor_ms = floor_ms.max(range.end);
                continue;
            }
            let looked_up = part.find(labels).and_then(|found| match found {
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
        self.writer.table.series[series as usize].floor_ms = floor_ms;
        Ok(None)
    }

    fn exemplar(&mut self, labels: LabelsRef<'_>, exemplar: &Exemplar) {
        if let Err(reason) = self.tsdb.options.limits.check_ms(exemplar.timestamp_ms, self.now_ms) {
            let example = || format!("exemplar of {labels} at {}", exemplar.timestamp_ms);
            return reject(&mut self.rejected, reason, 1, example);
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
