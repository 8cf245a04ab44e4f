//! What a folder holds when it is opened: the manifest and the parts it lists.
//!
//! A manifest that is damaged or gone is set aside and made anew from the parts on disk. What it
//! alone knew is found elsewhere: every part says its rank and which parts it replaces, so a merge
//! that a crash has left beside its inputs counts once; deletions are kept in a file of their own;
//! rows of the write-ahead log that a part has already are told by the rows themselves. Only the
//! list of batches taken is lost, and their repeats are told the same way.

use crate::{
    damage::Damage,
    flush::day_of,
    manifest::{DELETIONS_FILE, MANIFEST_FILE, Manifest, ManifestError, read_deletions},
    part::{Part, PartId},
    stream::Registry,
};
use disk::Dir;
use std::{collections::HashSet, io, sync::Arc};
use store::StoreError;

/// Ending of the name of a file or folder that could not be read.
const DAMAGED_SUFFIX: &str = ".damaged";

/// See the module.
pub(crate) struct Recovered {
    pub(crate) manifest: Manifest,
    /// Ascending by day, then rank.
    pub(crate) parts: Vec<Arc<Part>>,
    /// The manifest was made anew: rows of the log may be in parts already.
    pub(crate) is_rebuilt: bool,
}

/// Reads the manifest, or makes it anew, and opens its parts. Parts that cannot be opened are set
/// aside; what no manifest lists is removed.
pub(crate) fn recover(
    dir: &Dir,
    parts_dir: &Dir,
    registry: &Registry,
    damage: &Arc<Damage>,
) -> Result<Recovered, StoreError> {
    let found = parts_dir.list()?;
    let listed = match dir.read(MANIFEST_FILE) {
        Ok(bytes) => match Manifest::decode(&bytes) {
            Ok(manifest) => Some(manifest),
            Err(ManifestError::Newer) => return Err(StoreError::Invalid(ManifestError::Newer.to_string())),
            Err(ManifestError::Damaged(damaged)) => {
                damage.note(format!("`{MANIFEST_FILE}`: {damaged}; made anew from the parts"));
                dir.rename(MANIFEST_FILE, &format!("{MANIFEST_FILE}{DAMAGED_SUFFIX}"))?;
                None
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if found.iter().any(|name| PartId::number_of(name).is_some()) {
                damage.note(format!("`{MANIFEST_FILE}` is missing; made anew from the parts"));
            }
            None
        }
        Err(error) => return Err(error.into()),
    };
    let is_rebuilt = listed.is_none();
    let (mut manifest, parts) = match listed {
        Some(manifest) => open_listed(parts_dir, &found, manifest, registry, damage)?,
        None => rebuild(dir, parts_dir, &found, registry, damage)?,
    };
    manifest.sort();
    let is_kept =
        |name: &str| name.ends_with(DAMAGED_SUFFIX) || manifest.parts.iter().any(|part| part.name() == *name);
    if is_rebuilt {
        // Before anything is removed, so that a crash here finds the same parts again.
        dir.write_atomic(MANIFEST_FILE, &manifest.encode())?;
    }
    for name in parts_dir.list()?.iter().filter(|name| !is_kept(name)) {
        parts_dir.remove_all(name)?;
    }
    parts_dir.sync_dir()?;
    Ok(Recovered { manifest, parts, is_rebuilt })
}

/// Opens the listed parts.
fn open_listed(
    parts_dir: &Dir,
    found: &[String],
    mut manifest: Manifest,
    registry: &Registry,
    damage: &Arc<Damage>,
) -> Result<(Manifest, Vec<Arc<Part>>), StoreError> {
    let mut parts = Vec::new();
    for id in std::mem::take(&mut manifest.parts) {
        let name = id.name();
        if !found.contains(&name) {
            damage.note(format!("`{name}` is missing"));
        } else if let Some(part) = open_or_set_aside(parts_dir, id, registry, damage)? {
            manifest.parts.push(id);
            parts.push(Arc::new(part));
        }
    }
    Ok((manifest, parts))
}

fn open_or_set_aside(
    parts_dir: &Dir,
    id: PartId,
    registry: &Registry,
    damage: &Arc<Damage>,
) -> Result<Option<Part>, StoreError> {
    let name = id.name();
    match Part::open(parts_dir.sub(&name)?, id, registry, damage) {
        Ok(part) => Ok(Some(part)),
        Err(error) => {
            damage.note(format!("`{name}`: {error}"));
            parts_dir.rename(&name, &format!("{name}{DAMAGED_SUFFIX}"))?;
            Ok(None)
        }
    }
}

/// A manifest of all parts there are, but for those that another one replaces.
fn rebuild(
    dir: &Dir,
    parts_dir: &Dir,
    found: &[String],
    registry: &Registry,
    damage: &Arc<Damage>,
) -> Result<(Manifest, Vec<Arc<Part>>), StoreError> {
    let mut parts = Vec::new();
    let mut next_part = 1;
    for number in found.iter().filter_map(|name| PartId::number_of(name)) {
        next_part = next_part.max(number + 1);
        // Rank and day are in the part itself.
        let id = PartId { id: number, rank: number, day: 0 };
        parts.extend(open_or_set_aside(parts_dir, id, registry, damage)?);
    }
    let replaced: HashSet<u64> =
        parts.iter().flat_map(|part: &Part| part.table.replaces.iter().copied()).collect();
    parts.retain(|part| !replaced.contains(&part.id.id));
    for part in &mut parts {
        part.id = PartId { rank: part.table.rank, day: day_of(part.range.start), ..part.id };
    }
    parts.sort_by_key(|part| (part.id.day, part.id.rank));
    let tombstones = match dir.read(DELETIONS_FILE) {
        Ok(bytes) => read_deletions(&bytes).unwrap_or_else(|error| {
            damage.note(format!("`{DELETIONS_FILE}`: {error}; lines deleted lately may show again"));
            Vec::new()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let after_deletions = tombstones.iter().map(|tombstone| tombstone.before_part + 1).max().unwrap_or(1);
    let manifest = Manifest {
        next_part: next_part.max(after_deletions),
        parts: parts.iter().map(|part| part.id).collect(),
        tombstones,
        ..Manifest::default()
    };
    Ok((manifest, parts.into_iter().map(Arc::new).collect()))
}
