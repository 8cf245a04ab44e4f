//! Folds raw parts into the tiers.

use super::{Place, RESOLUTIONS, downsample::Aggregates};
use crate::{
    codec::Effort,
    maintain::Maintenance,
    part::{Origin, Part, PartWriter, SeriesSink, merge},
    publish::replaced_before,
    store_impl::Tsdb,
};
use model::{LabelsRef, Samples, TimeRange};
use std::{io, sync::atomic::Ordering::Relaxed};
use store::{Aggregate, StoreError};

/// The order of publication: what all queries can use comes last.
const ORDER: [Aggregate; 5] =
    [Aggregate::Min, Aggregate::Max, Aggregate::Sum, Aggregate::Count, Aggregate::Last];

/// A tier being written.
struct Folding {
    tier: usize,
    writers: Vec<(Aggregate, PartWriter)>,
    columns: Aggregates,
}

struct Folder(Vec<Folding>);

impl SeriesSink for Folder {
    fn add(&mut self, labels: LabelsRef<'_>, samples: &Samples) -> io::Result<()> {
        for Folding { tier, writers, columns } in &mut self.0 {
            columns.fold(samples, RESOLUTIONS[*tier].1);
            for (aggregate, writer) in writers {
                writer.add(labels, columns.of(*aggregate))?;
            }
        }
        Ok(())
    }
}

impl Tsdb {
    /// Writes the samples of raw `parts` to the tiers that would still keep them, then drops the
    /// parts. Without tiers it only drops them.
    pub(crate) fn fold(
        &self,
        maintenance: &mut Maintenance,
        parts: &[Part],
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let ids: Vec<u64> = parts.iter().map(Part::id).collect();
        let Some(newest_ms) = parts.iter().map(|part| part.time_range().end).max() else { return Ok(()) };
        self.remove_unshown(maintenance)?;
        let mut folder = self.folder(maintenance, newest_ms, now_ms)?;
        if folder.0.is_empty() {
            self.drop_parts(maintenance, &ids);
            return Ok(());
        }
        for skipped in merge(parts, TimeRange::ALL, &mut folder)? {
            self.note_damage(&skipped.to_string());
        }
        let mut writers: Vec<_> = folder
            .0
            .into_iter()
            .flat_map(|folding| folding.writers.into_iter().map(move |writer| (folding.tier, writer)))
            .filter(|(_, (_, writer))| !writer.is_empty())
            .collect();
        let Some((last_tier, (last_aggregate, last))) = writers.pop() else {
            self.drop_parts(maintenance, &ids);
            return Ok(());
        };
        let wal_before = parts.iter().map(|part| part.meta().origin.wal_before).max().unwrap_or(0);
        let origin = Origin { wal_before, folds: ids.clone(), ..Origin::default() };
        let replaces = ids.iter().copied().chain(replaced_before(maintenance, parts)).collect();
        let parts_of_fold = writers
            .into_iter()
            .map(|(tier, (aggregate, writer))| (Place::Tier(tier, aggregate), writer, origin.clone()))
            .chain([(Place::Tier(last_tier, last_aggregate), last, Origin { replaces, ..origin.clone() })]);
        let published = self.publish_all(maintenance, parts_of_fold)?;
        self.show_folded(&ids, published);
        self.done.folds.fetch_add(1, Relaxed);
        self.remove_parts(maintenance, Place::Raw, parts.iter().cloned());
        Ok(())
    }

    fn folder(
        &self,
        maintenance: &mut Maintenance,
        newest_ms: i64,
        now_ms: i64,
    ) -> Result<Folder, StoreError> {
        let mut folder = Folder(Vec::new());
        let Some(dirs) = &self.tier_dirs else { return Ok(folder) };
        for tier in 0..RESOLUTIONS.len() {
            let oldest_ms = self.options.tiers.oldest_ms(tier, now_ms);
            if oldest_ms.is_none_or(|oldest_ms| newest_ms < oldest_ms) {
                continue;
            }
            let mut writers = Vec::new();
            for aggregate in ORDER {
                let writer = PartWriter::new(dirs.of(tier, aggregate), maintenance.take_id(), Effort::Quick)?;
                writers.push((aggregate, writer));
            }
            folder.0.push(Folding { tier, writers, columns: Aggregates::default() });
        }
        Ok(folder)
    }

    /// Replaces raw parts by those of their fold in one step.
    fn show_folded(&self, ids: &[u64], published: Vec<(Place, Part)>) {
        self.change_view(|view| {
            view.parts = view.parts.iter().filter(|part| !ids.contains(&part.id())).cloned().collect();
            for (place, part) in published {
                let list = view.list_mut(place);
                *list = list.iter().cloned().chain([part]).collect();
            }
        });
    }
}
