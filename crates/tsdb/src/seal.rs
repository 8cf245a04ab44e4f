//! Sealing: the head becomes parts, one for each day of samples, and its log segments go.
//!
//! Steps, each safe to be cut short by a crash: the log begins a segment with what outlives the
//! generation; a fresh head takes appends; the old one is written day by day; the last part says
//! that segments before the new one are in parts, so replay skips them from then on; they are
//! removed. Until that last part is there replay finds all of the old generation in the log again,
//! and days that were published already are then stored twice, which reads and merges settle.

use crate::{
    codec::Effort,
    head::{Head, Tails},
    maintain::Maintenance,
    part::{Origin, Part, PartWriter},
    retain::is_full,
    store_impl::{Tsdb, lock, log_error},
    tiers::Place,
    wal::StateEncoder,
    windows::{day_of, ranges_of},
};
use model::{LabelsRef, Samples, TimeRange};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering::Relaxed},
};
use store::{Commit, StoreError};

impl Tsdb {
    /// Writes all samples in memory to parts.
    pub(crate) fn seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        // A seal that failed is finished before another one begins.
        let sealed = self
            .finish_seal(maintenance)
            .and_then(|()| self.begin_seal(maintenance))
            .and_then(|()| self.finish_seal(maintenance));
        maintenance.seal_waits_for_room = sealed.as_ref().is_err_and(is_full);
        sealed
    }

    fn begin_seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let head = self.view().head.clone();
        if head.sample_bytes() == 0 {
            return Ok(());
        }
        let segment = self.log.rotate().map_err(log_error)?;
        let records = self.state_records(writer.epoch + 1, &writer.ledger.encode());
        let parts: Vec<[&[u8]; 1]> = records.iter().map(|record| [record.as_slice()]).collect();
        let records: Vec<&[&[u8]]> = parts.iter().map(|parts| parts.as_slice()).collect();
        let (_commit, handle) = Commit::pending();
        // All or none: appends go on in the old epoch when there is no room.
        self.log.append_together(&records, move |done| handle.complete(done)).map_err(log_error)?;
        let registry = writer.begin_generation();
        maintenance.wal_before = segment;
        maintenance.sealed_windows.clear();
        let newest_ms = head.time_range().map_or(i64::MIN, |range| range.end);
        self.change_view(|view| {
            view.head = Arc::new(Head::new(registry));
            view.sealing = Some(head);
            view.sealing_newest_ms = newest_ms;
        });
        Ok(())
    }

    fn state_records(&self, epoch: u64, ledger: &[u8]) -> Vec<Vec<u8>> {
        let mut state = StateEncoder::new(epoch);
        let extras = lock(&self.extras);
        for (family, metadata) in extras.descriptions() {
            state.description(family, metadata);
        }
        for (series, exemplars) in extras.exemplars() {
            exemplars.iter().for_each(|exemplar| state.exemplar(series, exemplar));
        }
        drop(extras);
        // Last, since releases that wrote one record take the ledger of the last one they find.
        state.ledger(ledger);
        state.finish()
    }

    fn finish_seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let Some(sealing) = self.view().sealing.clone() else { return Ok(()) };
        // What outlives the generation must be durable before its segments may be skipped.
        self.log.sync().map_err(log_error)?;
        let tails = sealing.read();
        let mut windows = ranges_of(&days_of(&tails));
        windows.retain(|window| !maintenance.sealed_windows.contains(window));
        let mut order = sealing.registry().in_order();
        order.retain(|&series| tails.bounds(series).is_some());
        for (i, window) in windows.iter().enumerate() {
            let is_last = i + 1 == windows.len();
            let wal_before = if is_last { maintenance.wal_before } else { 0 };
            let sealed = self.seal_window(&sealing, &order, *window, wal_before, maintenance)?;
            maintenance.sealed_windows.push(*window);
            self.change_view(|view| {
                let sealed = sealed.into_iter().map(|(_, part)| part);
                view.parts = view.parts.iter().cloned().chain(sealed).collect();
            });
        }
        drop(tails);
        self.change_view(|view| {
            view.sealing = None;
            view.sealing_newest_ms = i64::MIN;
        });
        self.done.seals.fetch_add(1, Relaxed);
        self.log.remove_before(maintenance.wal_before).map_err(log_error)
    }

    fn seal_window(
        &self,
        head: &Head,
        order: &[u32],
        range: TimeRange,
        wal_before: u64,
        maintenance: &mut Maintenance,
    ) -> Result<Vec<(Place, Part)>, StoreError> {
        let mut part = PartWriter::new(&self.parts_dir, maintenance.take_id(), Effort::Quick)?;
        let (mut samples, mut labels) = (Samples::default(), Vec::new());
        let tails = head.read();
        for &series in order {
            if tails.bounds(series).is_some_and(|bounds| bounds.overlaps(&range)) {
                samples.clear();
                tails.samples(series, range, &mut samples);
                // Not held for longer: the writer adds series meanwhile.
                head.registry().read().put_labels(series, &mut labels);
                part.add(LabelsRef::from_trusted_bytes(&labels), &samples)?;
            }
        }
        drop(tails);
        let origin = Origin { wal_before, ..Origin::default() };
        self.publish_all(maintenance, [(Place::Raw, part, origin)])
    }
}

/// Days in which the head has samples.
fn days_of(tails: &Tails) -> BTreeSet<i64> {
    let mut days = BTreeSet::new();
    let mut samples = Samples::default();
    for series in 0..tails.len() {
        let Some(bounds) = tails.bounds(series) else { continue };
        let (first, last) = (day_of(bounds.start), day_of(bounds.end));
        days.extend([first, last]);
        if last.saturating_sub(first) > 1 {
            samples.clear();
            tails.samples(series, bounds, &mut samples);
            days.extend(samples.timestamps_ms.iter().map(|&at| day_of(at)));
        }
    }
    days
}
