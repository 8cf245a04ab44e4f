//! Opening a store: clean up, open the parts, replay the log.

use crate::{
    Tsdb, TsdbOptions,
    extras::Extras,
    head::{Head, NewSample},
    maintain::Maintenance,
    part::{Cache, Part, PartError, id_of, name_of},
    store_impl::{View, log_error},
    wal::{self, Batch, Record, State},
    writer::Writer,
};
use disk::{Dir, Log, LogOptions, TMP_SUFFIX};
use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicI64, AtomicU64},
    },
};
use store::{BatchLedger, StoreError};

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
        let (parts, next_part_id) = open_parts(&parts_dir, &cache, &mut damage)?;
        let wal_before = parts.iter().map(|part| part.meta().origin.wal_before).max().unwrap_or(0);
        let view =
            View { head: Arc::default(), sealing: None, sealing_newest_ms: i64::MIN, parts: parts.into() };
        let mut replay = Replay::new(view.head.clone(), view.sealed_ms(), now_ms);
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
        Ok(Tsdb {
            options,
            parts_dir,
            _lock: lock,
            log,
            writer: Mutex::new(writer),
            view: RwLock::new(Arc::new(view)),
            extras: Mutex::new(extras),
            cache,
            maintenance: Mutex::new(Maintenance::new(next_part_id)),
            appended: AtomicU64::new(0),
            oldest_ms: AtomicI64::new(options.limits.oldest_ms(now_ms)),
            damage: Mutex::new(damage),
        })
    }
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
        let Some(id) = id_of(&name) else { continue };
        next_id = next_id.max(id + 1);
        match Part::open(dir, id, cache.clone()) {
            Ok(part) => parts.push(part),
            Err(error @ PartError::NewerVersion { .. }) => {
                return Err(StoreError::Invalid(error.to_string()));
            }
            Err(PartError::Io(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error.into());
            }
            Err(error) => {
                dir.rename(&name, &format!("{name}.damaged"))?;
                damage.push(error.to_string());
            }
        }
    }
    let replaced: HashSet<u64> =
        parts.iter().flat_map(|part| part.meta().origin.replaces.iter().copied()).collect();
    for part in parts.iter().filter(|part| replaced.contains(&part.id())) {
        let name = name_of(part.id());
        dir.rename(&name, &format!("{name}{TMP_SUFFIX}"))?;
        dir.remove_all(&format!("{name}{TMP_SUFFIX}"))?;
    }
    parts.retain(|part| !replaced.contains(&part.id()));
    parts.sort_unstable_by_key(Part::id);
    dir.sync_dir()?;
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
    fn new(head: Arc<Head>, sealed_ms: i64, now_ms: i64) -> Self {
        Replay {
            head,
            writer: Writer::default(),
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
        match BatchLedger::decode(&state.ledger) {
            Some(ledger) => self.writer.ledger = ledger,
            None => self.undecodable_records += 1,
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
        let known = self.writer.table.series.len();
        self.define(&batch);
        let samples = self.samples(batch.samples);
        let new_series = self.writer.table.series[known..].iter().map(|series| series.labels.clone());
        self.head.apply(new_series, &samples, self.now_ms);
    }

    fn define(&mut self, batch: &Batch) {
        let first = batch.first_new_series as usize;
        self.numbers.resize(self.numbers.len().max(first + batch.new_series.len()), None);
        for (i, labels) in batch.new_series.iter().enumerate() {
            let (labels, guess) = (labels.as_ref(), self.writer.table.series.len());
            let index = self.writer.resolve(labels, labels.stable_hash(), guess, self.sealed_ms);
            self.numbers[first + i] = Some(index);
        }
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
            let known = &mut self.writer.table.series[series as usize];
            let is_newest = timestamp_ms > known.newest_ms;
            if !is_newest {
                let head = self.head.read();
                if (series as usize) < head.len() && head.value_at(series, timestamp_ms).is_some() {
                    continue;
                }
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
