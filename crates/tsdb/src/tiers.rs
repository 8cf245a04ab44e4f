//! Downsampled tiers: what is left of samples once raw retention has ended.
//!
//! A day's raw parts are folded into the tiers when they expire, whole, and dropped in the same
//! step: so a sample is shown raw for as long as it is there, then by its buckets, never both. Each
//! tier keeps, for each [`Aggregate`], parts in the format of raw ones, in windows of 32 days or
//! more, with a retention of its own.
//!
//! Crash safety: the parts of one fold name the raw parts that they hold (`folds`), and the last one
//! to be published also replaces them. When the store is opened, parts of a fold that did not get so
//! far are removed, and raw parts of one that did.

mod downsample;
mod fold;
mod plan;

pub(crate) use plan::{PlannedPart, plan, resolution_of};

use crate::part::Part;
use disk::Dir;
use std::{io, sync::Arc, time::Duration};
use store::Aggregate;

/// Folder of all tiers.
pub(crate) const TIERS: &str = "tiers";
/// Tiers by name and resolution in milliseconds, the finest first.
pub(crate) const RESOLUTIONS: [(&str, i64); 2] = [("5m", 300_000), ("1h", 3_600_000)];
/// Tiers may take up to one part in this many of the bound on size.
pub(crate) const SIZE_SHARE: u64 = 4;

/// How long each tier is kept; `None` for one that is not wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierAges {
    /// Buckets of five minutes.
    pub five_minutes: Option<Duration>,
    /// Buckets of an hour.
    pub one_hour: Option<Duration>,
}

impl TierAges {
    /// In the order of [`RESOLUTIONS`].
    pub(crate) fn all(self) -> [Option<Duration>; 2] {
        [self.five_minutes, self.one_hour]
    }

    pub(crate) fn is_wanted(self) -> bool {
        self.all().iter().any(Option::is_some)
    }

    /// The oldest instant that tier `number` keeps; `None` when it is not wanted.
    pub(crate) fn oldest_ms(self, number: usize, now_ms: i64) -> Option<i64> {
        let age_ms = i64::try_from(self.all()[number]?.as_millis()).unwrap_or(i64::MAX);
        Some(now_ms.saturating_sub(age_ms))
    }
}

/// Which list of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Raw,
    Tier(usize, Aggregate),
}

impl Place {
    /// Every list.
    pub(crate) fn all() -> impl Iterator<Item = Place> {
        std::iter::once(Place::Raw).chain(Place::tiers())
    }

    /// Those of the tiers.
    pub(crate) fn tiers() -> impl Iterator<Item = Place> {
        (0..RESOLUTIONS.len()).flat_map(|tier| Aggregate::ALL.map(|aggregate| Place::Tier(tier, aggregate)))
    }
}

/// Parts of all tiers, each list in order of id.
#[derive(Clone, Default)]
pub(crate) struct TierParts([[Arc<[Part]>; Aggregate::ALL.len()]; RESOLUTIONS.len()]);

impl TierParts {
    pub(crate) fn of(&self, tier: usize, aggregate: Aggregate) -> &Arc<[Part]> {
        &self.0[tier][aggregate as usize]
    }

    pub(crate) fn of_mut(&mut self, tier: usize, aggregate: Aggregate) -> &mut Arc<[Part]> {
        &mut self.0[tier][aggregate as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().flatten().flat_map(|parts| parts.iter())
    }
}

/// Folders of the lists, made when tiers are wanted or have been before.
pub(crate) struct TierDirs([[Dir; Aggregate::ALL.len()]; RESOLUTIONS.len()]);

impl TierDirs {
    pub(crate) fn open(store: &Dir) -> io::Result<TierDirs> {
        let tiers = store.sub(TIERS)?;
        let of_tier = |(name, _): (&str, i64)| -> io::Result<[Dir; Aggregate::ALL.len()]> {
            let tier = tiers.sub(name)?;
            let [a, b, c, d, e] = Aggregate::ALL.map(|aggregate| tier.sub(aggregate.as_str()));
            Ok([a?, b?, c?, d?, e?])
        };
        let [fine, coarse] = RESOLUTIONS.map(of_tier);
        Ok(TierDirs([fine?, coarse?]))
    }

    pub(crate) fn of(&self, tier: usize, aggregate: Aggregate) -> &Dir {
        &self.0[tier][aggregate as usize]
    }
}
