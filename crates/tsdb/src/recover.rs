//! Opening a store: clean up, open the parts, replay the log.

use crate::{
    Tsdb, TsdbOptions,
    extras::Extras,
    head::{Head, NewSample},
    maintain::Maintenance,
    part::{Cache, Part, PartError, free_damaged_name, id_kept_in, id_of, name_of},
    snapshot,
    store_impl::{Done, View, log_error},
    tiers::{Place, RESOLUTIONS, TIERS, TierDirs, TierParts},
    wal::{self, Batch, Record, State},
    writer::Writer,
};
use disk::{Dir, Log, LogOptions, TMP_SUFFIX};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64},
    },
};
use store::{RetentionClock, StoreError};

const PARTS: &str = "parts";
const WAL: &str = "wal";
/// Most series of one epoch, a guard against forged numbers.
const WAL_SERIES_MAX: u64 = 1 << 31;

impl Tsdb {
    /// Opens the store in `dir`, created when missing. `now_ms` judges which samples are too old.
    ///
    /// # Errors
    /// When another process has it, when it was written by a newer release, or when the folder
    /// cannot be read or written. Damage is not an error: it is set aside and told by `stats`.
    pub fn open(dir: Dir, options: TsdbOptions, now_ms: i64) -> Result<Tsdb, StoreError> {
        let lock = dir.lock()?;
        let parts_dir = dir.sub(PARTS)?;
        let cache = Arc::new(Cache::default());
        let mut damage = Vec::new();
        snapshot::clean_up(&dir)?;
        let has_tiers = dir.list()?.iter().any(|name| name == TIERS);
        let wants_tiers = options.tiers.is_wanted() || has_tiers;
        let tier_dirs = wants_tiers.then(|| TierDirs::open(&dir)).transpose()?;
        let Opened { parts, tiers, next_id } = open_all(&parts_dir, tier_dirs.as_ref(), &cache, &mut damage)?;
        let wal_before = parts.iter().chain(tiers.iter()).map(|part| part.meta().origin.wal_before);
        let wal_before = wal_before.max().unwrap_or(0);
        let writer = Writer::default();
        let head = Arc::new(Head::new(writer.registry.clone()));
        let view = View { head, sealing: None, sealing_newest_ms: i64::MIN, parts: parts.into(), tiers };
        let mut replay = Replay::new(view.head.clone(), writer, view.sealed_ms(), now_ms);
        let log_options = LogOptions { segment_bytes_max: options.wal_segment_bytes };
        let (log, recovery) = Log::open(dir.sub(WAL)?, log_options, |segment, record| {
            if segment >= wal_before {
                replay.record(record);
            }
        })
        .map_err(log_error)?;
        // A crash may have come between the last part of a seal and the removal of its segments.
        log.remove_before(wal_before).map_err(log_error)?;
        damage.extend(recovery.damage.iter().map(ToString::to_string));
        let (writer, extras) = replay.finish(&mut damage);
        for line in &damage {
            tracing::error!(line, "damaged data was set aside");
        }
        let mut tsdb = Tsdb {
            options,
            dir,
            parts_dir,
            tier_dirs,
            _lock: lock,
            log,
            writer: Mutex::new(writer),
            view: RwLock::new(Arc::new(view)),
            extras: Mutex::new(extras),
            cache,
            maintenance: Mutex::new(Maintenance::new(next_id)),
            appended: AtomicU64::new(0),
            done: Done::default(),
            oldest_ms: AtomicI64::new(i64::MIN),
            tier_oldest_ms: [const { AtomicI64::new(i64::MIN) }; RESOLUTIONS.len()],
            damage: Mutex::new(damage),
        };
        let clock = RetentionClock::starting_at(tsdb.newest_ms());
        tsdb.maintenance.get_mut().unwrap_or_else(PoisonError::into_inner).clock = clock;
        tsdb.show_at(now_ms);
        Ok(tsdb)
    }
}

/// What was found in the folders of parts.
struct Opened {
    parts: Vec<Part>,
    tiers: TierParts,
    next_id: u64,
}

/// Opens all lists of parts and settles what a crash left half done: a part that another one
/// replaces goes, and so does a tier's part whose fold was not completed.
fn open_all(
    raw: &Dir,
    tiers: Option<&TierDirs>,
    cache: &Arc<Cache>,
    damage: &mut Vec<String>,
) -> Result<Opened, StoreError> {
    let mut lists = vec![(Place::Raw, raw, open_parts(raw, cache, damage)?)];
    for place in Place::tiers() {
        if let (Some(dirs), Place::Tier(tier, aggregate)) = (tiers, place) {
            let dir = dirs.of(tier, aggregate);
            lists.push((place, dir, open_parts(dir, cache, damage)?));
        }
    }
    let next_id = lists.iter().map(|(_, _, (_, next_id))| *next_id).max().unwrap_or(1);
    let origins = || lists.iter().flat_map(|(_, _, (parts, _))| parts).map(|part| &part.meta().origin);
    let replaced: HashSet<u64> = origins().flat_map(|origin| origin.replaces.iter().copied()).collect();
    let raw_left: HashSet<u64> =
        lists[0].2.0.iter().map(Part::id).filter(|id| !replaced.contains(id)).collect();
    let is_over = |part: &Part| {
        replaced.contains(&part.id()) || part.meta().origin.folds.iter().any(|id| raw_left.contains(id))
    };
    let mut opened = Opened { parts: Vec::new(), tiers: TierParts::default(), next_id };
    for (place, dir, (parts, _)) in lists {
        let (over, mut parts): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(is_over);
        for part in over {
            let name = name_of(part.id());
            dir.rename(&name, &format!("{name}{TMP_SUFFIX}"))?;
            dir.remove_all(&format!("{name}{TMP_SUFFIX}"))?;
        }
        parts.sort_unstable_by_key(Part::id);
        dir.sync_dir()?;
        match place {
            Place::Raw => opened.parts = parts,
            Place::Tier(tier, aggregate) => *opened.tiers.of_mut(tier, aggregate) = parts.into(),
        }
    }
    Ok(opened)
}

/// Removes leftovers, opens what is whole and sets the rest aside. Also returns the next free id.
fn open_parts(
    dir: &Dir,
    cache: &Arc<Cache>,
    damage: &mut Vec<String>,
) -> Result<(Vec<Part>, u64), StoreError> {
    let mut parts = Vec::new();
    let mut next_id = 1;
    for name in dir.list()? {
        if name.ends_with(TMP_SUFFIX) {
            dir.remove_all(&name)?;
            continue;
        }
        // An id of a part that was set aside is not taken again: no two may have one name.
        next_id = next_id.max(id_kept_in(&name).map_or(1, |id| id + 1));
        let Some(id) = id_of(&name) else { continue };
        match Part::open(dir, id, cache.clone()) {
            Ok(part) => parts.push(part),
            Err(error @ PartError::NewerVersion { .. }) => {
                return Err(StoreError::Invalid(error.to_string()));
            }
            Err(PartError::Io(error)) if !disk::is_lost(&error) => return Err(error.into()),
            Err(error) => {
                dir.rename(&name, &free_damaged_name(dir, id)?)?;
                damage.push(match error {
                    PartError::Io(error) => format!("part `{name}`: {error}"),
                    other => other.to_string(),
                });
            }
        }
    }
    Ok((parts, next_id))
}

/// Applies records to an empty head.
struct Replay {
    head: Arc<Head>,
    writer: Writer,
    extras: Extras,
    sealed_ms: i64,
    now_ms: i64,
    /// Index in the head of each series number of the current epoch.
    numbers: Vec<Option<u32>>,
    undecodable_records: u64,
    orphaned_samples: u64,
}

impl Replay {
    fn new(head: Arc<Head>, writer: Writer, sealed_ms: i64, now_ms: i64) -> Self {
        Replay {
            head,
            writer,
            extras: Extras::default(),
            sealed_ms,
            now_ms,
            numbers: Vec::new(),
            undecodable_records: 0,
            orphaned_samples: 0,
        }
    }

    fn record(&mut self, bytes: &[u8]) {
        match wal::decode(bytes) {
            Ok(Record::Batch(batch)) => self.batch(batch),
            Ok(Record::State(state)) => self.state(state),
            Ok(Record::Barrier) => {}
            Err(_) => self.undecodable_records += 1,
        }
    }

    fn state(&mut self, state: State) {
        self.begin_epoch(state.epoch);
        // Added to what was replayed: it may be said in several records.
        if !self.writer.ledger.merge(&state.ledger) {
            self.undecodable_records += 1;
        }
        for (family, metadata) in &state.metadata {
            self.extras.describe(family, metadata);
        }
        for (series, exemplar) in &state.exemplars {
            self.extras.add_exemplar(series, exemplar);
        }
    }

    fn begin_epoch(&mut self, epoch: u64) {
        if epoch != self.writer.epoch {
            self.writer.epoch = epoch;
            self.numbers.clear();
        }
    }

    fn batch(&mut self, batch: Batch) {
        self.begin_epoch(batch.epoch);
        if let Some(id) = &batch.id {
            self.writer.ledger.record(id);
        }
        for (family, metadata) in &batch.metadata {
            self.extras.describe(family, metadata);
        }
        for (series, exemplar) in &batch.exemplars {
            self.extras.add_exemplar(series, exemplar);
        }
        if batch.first_new_series + batch.new_series.len() as u64 > WAL_SERIES_MAX {
            self.undecodable_records += 1;
            return;
        }
        self.define(&batch);
        let samples = self.samples(batch.samples);
        self.head.apply(&samples, self.now_ms);
    }

    fn define(&mut self, batch: &Batch) {
        let first = batch.first_new_series as usize;
        self.numbers.resize(self.numbers.len().max(first + batch.new_series.len()), None);
        self.writer.begin_batch();
        let registry = self.writer.registry.clone();
        let known = registry.read();
        for (i, labels) in batch.new_series.iter().enumerate() {
            let (labels, guess) = (labels.as_ref(), self.writer.series.len() as u32);
            let hash = labels.stable_hash();
            let found = self.writer.find(&known, labels, hash, guess);
            let number = found.unwrap_or_else(|| self.writer.add(labels, hash, self.sealed_ms));
            self.numbers[first + i] = Some(number);
        }
        drop(known);
        self.writer.register_fresh();
    }

    /// The samples whose series are known. A repeat, which only damage to older records can bring,
    /// is left out.
    fn samples(&mut self, logged: Vec<(u64, i64, i64, model::Value)>) -> Vec<NewSample> {
        let mut samples = Vec::with_capacity(logged.len());
        for (number, timestamp_ms, start_ms, value) in logged {
            let Some(series) = self.numbers.get(number as usize).copied().flatten() else {
                self.orphaned_samples += 1;
                continue;
            };
            let known = &mut self.writer.series[series];
            let is_newest = timestamp_ms > known.newest_ms;
            if !is_newest && self.head.read().value_at(series, timestamp_ms).is_some() {
                continue;
            }
            known.newest_ms = known.newest_ms.max(timestamp_ms);
            samples.push(NewSample { series, timestamp_ms, start_ms, value });
        }
        samples
    }

    /// The writer, in an epoch of its own, and the extras.
    fn finish(mut self, damage: &mut Vec<String>) -> (Writer, Extras) {
        if self.undecodable_records > 0 {
            damage.push(format!("write-ahead log: {} records do not decode", self.undecodable_records));
        }
        if self.orphaned_samples > 0 {
            damage.push(format!(
                "write-ahead log: {} samples of series whose definition was lost",
                self.orphaned_samples
            ));
        }
        self.writer.epoch += 1;
        (self.writer, self.extras)
    }
}
