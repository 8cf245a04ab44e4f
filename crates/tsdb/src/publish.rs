//! Publishing parts, and removing those whose time is over.
//!
//! What is published and cannot be shown is taken back: at the next start it would come in beside
//! whatever took its place. A part that cannot be removed yet is a [`Leftover`], which upkeep tries
//! again. Until then a part that was shown is named by every part that has its samples; one that never
//! was keeps folds, merges and deletions waiting, which it would undo.

use crate::{
    maintain::Maintenance,
    part::{Origin, Part, PartError, PartWriter, free_damaged_name, name_of},
    store_impl::Tsdb,
    tiers::Place,
};
use disk::{Dir, TMP_SUFFIX};
use std::{collections::HashSet, io};
use store::StoreError;

/// A part that is out of view, or never was in it, and has to go from the disk.
pub(crate) struct Leftover {
    place: Place,
    id: u64,
    /// `None` for one that was not shown.
    shown: Option<Part>,
    /// This one must be gone before.
    after: Option<u64>,
}

impl Tsdb {
    /// Publishes parts and opens them: all, or none when one fails. The last one says what the row of
    /// them replaces.
    pub(crate) fn publish_all(
        &self,
        maintenance: &mut Maintenance,
        parts: impl IntoIterator<Item = (Place, PartWriter, Origin)>,
    ) -> Result<Vec<(Place, Part)>, StoreError> {
        let (mut tried, mut opened) = (Vec::new(), Vec::new());
        for (place, writer, origin) in parts {
            tried.push((place, writer.id()));
            match self.publish(writer, origin) {
                Ok(part) => opened.push((place, part)),
                Err(error) => {
                    self.take_back(maintenance, &tried);
                    return Err(error.into());
                }
            }
        }
        Ok(opened)
    }

    fn publish(&self, writer: PartWriter, origin: Origin) -> Result<Part, PartError> {
        let parts = writer.parts().clone();
        let id = writer.publish(origin)?;
        Part::open(&parts, id, self.cache.clone())
    }

    /// Removes parts that were published, perhaps, and not shown. The last one goes first: a start that
    /// finds it takes for granted that the others are there.
    pub(crate) fn take_back(&self, maintenance: &mut Maintenance, tried: &[(Place, u64)]) {
        let mut after = None;
        for &(place, id) in tried.iter().rev() {
            maintenance.leftovers.push(Leftover { place, id, shown: None, after });
            after = Some(id);
        }
        if let Some(error) = self.remove_leftovers(maintenance) {
            tracing::warn!(%error, "a part that could not be shown could not be removed yet either");
        }
    }

    /// Removes parts that are out of view. What cannot be removed is tried again by the next upkeep,
    /// which also tells.
    pub(crate) fn remove_parts(
        &self,
        maintenance: &mut Maintenance,
        place: Place,
        parts: impl IntoIterator<Item = Part>,
    ) {
        let leftover = |part: Part| Leftover { place, id: part.id(), shown: Some(part), after: None };
        maintenance.leftovers.extend(parts.into_iter().map(leftover));
        if let Some(error) = self.remove_leftovers(maintenance) {
            tracing::warn!(%error, "a part whose samples are in another one could not be removed yet");
        }
    }

    /// The first failure; the others are tried all the same.
    pub(crate) fn remove_leftovers(&self, maintenance: &mut Maintenance) -> Option<io::Error> {
        let mut first_error = None;
        let mut left = HashSet::new();
        maintenance.leftovers.retain(|leftover| {
            let waits = leftover.after.is_some_and(|after| left.contains(&after));
            let removed = match self.dir_of(leftover.place) {
                Some(dir) if !waits => remove_part(dir, leftover),
                _ => Ok(()),
            };
            let is_left = waits || removed.is_err();
            if is_left {
                left.insert(leftover.id);
            }
            first_error = first_error.take().or(removed.err());
            is_left
        });
        first_error
    }

    /// Removes what was published and never shown, before something that it would undo at a start.
    ///
    /// # Errors
    /// When some of it cannot be removed.
    pub(crate) fn remove_unshown(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let has_unshown =
            |maintenance: &Maintenance| maintenance.leftovers.iter().any(|leftover| leftover.shown.is_none());
        if !has_unshown(maintenance) {
            return Ok(());
        }
        match self.remove_leftovers(maintenance) {
            Some(error) if has_unshown(maintenance) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// What these parts replaced when they were made and is still on disk.
pub(crate) fn replaced_before(maintenance: &Maintenance, parts: &[Part]) -> Vec<u64> {
    let left: HashSet<u64> = maintenance.leftovers.iter().map(|leftover| leftover.id).collect();
    let replaced = parts.iter().flat_map(|part| &part.meta().origin.replaces);
    replaced.copied().filter(|id| left.contains(id)).collect()
}

/// Renames first, so that a crash never leaves half a part under its own name. What was done before a
/// failure need not be done again.
fn remove_part(dir: &Dir, leftover: &Leftover) -> io::Result<()> {
    let unless_gone = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    let name = name_of(leftover.id);
    if leftover.shown.as_ref().is_some_and(Part::is_damaged) {
        unless_gone(dir.rename(&name, &free_damaged_name(dir, leftover.id)?))?;
        return dir.sync_dir();
    }
    let tmp = format!("{name}{TMP_SUFFIX}");
    unless_gone(dir.rename(&name, &tmp))?;
    dir.sync_dir()?;
    unless_gone(dir.remove_all(&tmp))?;
    dir.sync_dir()
}
