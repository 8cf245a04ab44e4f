//! Snapshots: folders that a store can be opened from, made of links to the parts as they are.
//!
//! What was acknowledged before the call is in it. Parts never change but for their lists of
//! deletions, which are replaced and not written over, so a link is a copy that costs no room until
//! the part is merged away. Prepared under a name that ends in `.tmp` and renamed when it is durable.

use crate::{
    part::Part,
    store_impl::{Tsdb, lock},
    tiers::{Place, RESOLUTIONS, TIERS},
};
use disk::{Dir, TMP_SUFFIX};
use std::io;
use store::StoreError;

/// Folder of all snapshots.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// Removes what a crash left of a snapshot being made.
pub(crate) fn clean_up(store: &Dir) -> io::Result<()> {
    if !store.list()?.iter().any(|name| name == SNAPSHOTS) {
        return Ok(());
    }
    let snapshots = store.sub(SNAPSHOTS)?;
    for name in snapshots.list()?.iter().filter(|name| name.ends_with(TMP_SUFFIX)) {
        snapshots.remove_all(name)?;
    }
    Ok(())
}

impl Tsdb {
    /// Makes the snapshot `name`.
    pub(crate) fn make_snapshot(&self, name: &str) -> Result<(), StoreError> {
        // Held to the end: meanwhile no part and no segment of the log goes.
        let mut maintenance = lock(&self.maintenance);
        self.seal(&mut maintenance)?;
        let snapshots = self.dir.sub(SNAPSHOTS)?;
        if snapshots.list()?.iter().any(|existing| existing == name) {
            return Err(StoreError::Invalid(format!("snapshot `{name}` is there already")));
        }
        let tmp = format!("{name}{TMP_SUFFIX}");
        let made = self.fill_snapshot(&snapshots.sub(&tmp)?);
        if let Err(error) = made.and_then(|()| snapshots.publish(&tmp, name)) {
            // The first error is the one to tell; what is left is removed at the next start.
            drop(snapshots.remove_all(&tmp));
            return Err(error.into());
        }
        Ok(())
    }

    fn fill_snapshot(&self, into: &Dir) -> io::Result<()> {
        let view = self.view();
        link_parts(&self.parts_dir, &view.parts, &into.sub("parts")?)?;
        for place in Place::tiers() {
            let (Some(dirs), Place::Tier(tier, aggregate)) = (&self.tier_dirs, place) else { continue };
            let list = view.tiers.of(tier, aggregate);
            if !list.is_empty() {
                let target = into.sub(TIERS)?.sub(RESOLUTIONS[tier].0)?.sub(aggregate.as_str())?;
                link_parts(dirs.of(tier, aggregate), list, &target)?;
            }
        }
        // Appends go on: the last record may be half there, as after a crash.
        let (log, target) = (self.dir.sub("wal")?, into.sub("wal")?);
        for name in log.list()? {
            let mut file = target.create(&name)?;
            file.write_all(&log.read(&name)?)?;
            file.sync()?;
        }
        target.sync_dir()?;
        into.sync_dir()
    }
}

fn link_parts(from: &Dir, parts: &[Part], to: &Dir) -> io::Result<()> {
    for part in parts {
        let name = crate::part::name_of(part.id());
        let (source, target) = (from.sub(&name)?, to.sub(&name)?);
        for file in source.list()?.iter().filter(|file| !file.ends_with(TMP_SUFFIX)) {
            source.link(file, &target, file)?;
        }
        target.sync_dir()?;
    }
    to.sync_dir()
}
