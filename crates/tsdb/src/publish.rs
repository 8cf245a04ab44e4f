//! Publishing parts, and removing those whose time is over.
//!
//! What is published and cannot be shown is taken back: at the next start it would come in beside
//! whatever took its place. A part that cannot be removed yet is a [`Leftover`], which upkeep tries
//! again. Until then one that was shown is named by every part that has its samples, and that part stays
//! on the disk for as long, be it out of view itself. One that nothing names would come back at the next
//! start: it keeps deletions waiting and, if it never was shown, folds and merges too.

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
        if maintenance.leftovers.is_empty() {
            return None;
        }
        let mut first_error = None;
        let mut left = HashSet::new();
        let named = self.named();
        // A part is never before those that it replaces.
        maintenance.leftovers.retain(|leftover| {
            let waits = leftover.after.is_some_and(|after| left.contains(&after))
                || leftover.replaces().iter().any(|id| left.contains(id) && !named.contains(id));
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
        self.remove_those(maintenance, |leftover| leftover.shown.is_none())
    }

    /// Removes all that a start would bring back, before a deletion, which it would not have seen.
    ///
    /// # Errors
    /// When some of it cannot be removed.
    pub(crate) fn remove_unnamed(&self, maintenance: &mut Maintenance) -> Result<(), StoreError> {
        let named = self.named();
        self.remove_those(maintenance, |leftover| !named.contains(&leftover.id))
    }

    fn remove_those(
        &self,
        maintenance: &mut Maintenance,
        is_one: impl Fn(&Leftover) -> bool,
    ) -> Result<(), StoreError> {
        if !maintenance.leftovers.iter().any(&is_one) {
            return Ok(());
        }
        match self.remove_leftovers(maintenance) {
            Some(error) if maintenance.leftovers.iter().any(&is_one) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What parts in view replace: a start removes it, should it find it.
    fn named(&self) -> HashSet<u64> {
        let view = self.view();
        let parts = view.parts.iter().chain(view.tiers.iter());
        parts.flat_map(|part| part.meta().origin.replaces.iter().copied()).collect()
    }
}

impl Leftover {
    fn replaces(&self) -> &[u64] {
        self.shown.as_ref().map_or(&[], |part| &part.meta().origin.replaces)
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
