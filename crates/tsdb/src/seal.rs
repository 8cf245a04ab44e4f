//! Sealing: the head becomes parts, one for each day of samples, and its log segments go.
//!
//! Steps, each safe to be cut short by a crash: the log begins a segment with what outlives the
//! generation; a fresh head takes appends; the old one is written day by day; the last part says
//! that segments before the new one are in parts, so replay skips them from then on; they are
//! removed. Until that last part is there replay finds all of the old generation in the log again,
//! and days that were published already are then stored twice, which reads and merges settle.

use crate::{
    codec::Effort,
    head::{Head, HeadState},
    maintain::Maintenance,
    part::{OrderKey, Origin, Part, PartWriter},
    store_impl::{Tsdb, lock, log_error},
    wal::{State, encode_state},
};
use model::{Exemplar, Labels, Samples, TimeRange};
use std::{collections::BTreeSet, sync::Arc};
use store::{Commit, StoreError};

/// Length of a part's window. A day is long enough to compress well and short enough to drop.
const WINDOW_MS: i64 = 86_400_000;

/// The window that holds an instant.
pub(crate) fn window_of(timestamp_ms: i64) -> i64 {
    timestamp_ms.div_euclid(WINDOW_MS)
}

/// First and last instant of a window, cut at the ends of time.
pub(crate) fn range_of(window: i64) -> TimeRange {
    let start = window.saturating_mul(WINDOW_MS);
    let end = (window + 1).checked_mul(WINDOW_MS).map_or(i64::MAX, |next| next - 1);
    TimeRange::new(start, end)
}

impl Tsdb {
    /// Writes all samples in memory to parts.
    pub(crate) fn seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        // A seal that failed is finished before another one begins.
        self.finish_seal(maintenance)?;
        self.begin_seal(maintenance)?;
        self.finish_seal(maintenance)
    }

    fn begin_seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let mut writer = lock(&self.writer);
        let head = self.view().head.clone();
        if head.sample_bytes() == 0 {
            return Ok(());
        }
        let segment = self.log.rotate().map_err(log_error)?;
        let record = self.state_record(writer.epoch + 1, writer.ledger.encode());
        let (_commit, handle) = Commit::pending();
        self.log.append(&[&record], move |done| handle.complete(done)).map_err(log_error)?;
        writer.begin_generation();
        maintenance.wal_before = segment;
        maintenance.sealed_windows.clear();
        let newest_ms = head.read().time_range().map_or(i64::MIN, |range| range.end);
        self.change_view(|view| {
            view.head = Arc::new(Head::default());
            view.sealing = Some(head);
            view.sealing_newest_ms = newest_ms;
        });
        Ok(())
    }

    fn state_record(&self, epoch: u64, ledger: Vec<u8>) -> Vec<u8> {
        let extras = lock(&self.extras);
        let of_series = |(series, exemplars): (&Labels, &[Exemplar])| {
            exemplars.iter().map(|exemplar| (series.clone(), exemplar.clone())).collect::<Vec<_>>()
        };
        encode_state(&State {
            epoch,
            ledger,
            metadata: extras.metadata(None),
            exemplars: extras.exemplars().flat_map(of_series).collect(),
        })
    }

    fn finish_seal(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let Some(sealing) = self.view().sealing.clone() else { return Ok(()) };
        // What outlives the generation must be durable before its segments may be skipped.
        self.log.sync().map_err(log_error)?;
        let head = sealing.read();
        let mut windows: Vec<i64> = windows_of(&head).into_iter().collect();
        windows.retain(|window| !maintenance.sealed_windows.contains(window));
        let order = sorted_series(&head);
        for (i, window) in windows.iter().enumerate() {
            let is_last = i + 1 == windows.len();
            let wal_before = if is_last { maintenance.wal_before } else { 0 };
            let part = self.seal_window(&head, &order, *window, wal_before, maintenance)?;
            maintenance.sealed_windows.push(*window);
            self.change_view(|view| view.parts = view.parts.iter().cloned().chain([part]).collect());
        }
        drop(head);
        self.change_view(|view| {
            view.sealing = None;
            view.sealing_newest_ms = i64::MIN;
        });
        self.log.remove_before(maintenance.wal_before).map_err(log_error)
    }

    fn seal_window(
        &self,
        head: &HeadState,
        order: &[u32],
        window: i64,
        wal_before: u64,
        maintenance: &mut Maintenance,
    ) -> Result<Part, StoreError> {
        let range = range_of(window);
        let mut part = PartWriter::new(&self.parts_dir, maintenance.take_id(), Effort::Quick)?;
        let mut samples = Samples::default();
        for &series in order {
            if head.bounds(series).is_some_and(|bounds| bounds.overlaps(&range)) {
                samples.clear();
                head.samples(series, range, &mut samples);
                part.add(head.labels(series).as_ref(), &samples)?;
            }
        }
        let id = part.publish(Origin { wal_before, ..Origin::default() })?;
        Ok(Part::open(&self.parts_dir, id, self.cache.clone())?)
    }
}

/// Windows in which the head has samples.
fn windows_of(head: &HeadState) -> BTreeSet<i64> {
    let mut windows = BTreeSet::new();
    let mut samples = Samples::default();
    for series in 0..head.len() as u32 {
        let Some(bounds) = head.bounds(series) else { continue };
        let (first, last) = (window_of(bounds.start), window_of(bounds.end));
        windows.extend([first, last]);
        if last.saturating_sub(first) > 1 {
            samples.clear();
            head.samples(series, bounds, &mut samples);
            windows.extend(samples.timestamps_ms.iter().map(|&at| window_of(at)));
        }
    }
    windows
}

/// Series of the head in the order of parts.
fn sorted_series(head: &HeadState) -> Vec<u32> {
    let key = |series: u32| OrderKey::new(head.labels(series).as_ref());
    let mut order: Vec<(OrderKey<'_>, u32)> =
        (0..head.len() as u32).map(|series| (key(series), series)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, series)| series).collect()
}
