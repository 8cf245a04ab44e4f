//! What only the writer knows: which series there are, by a hash of their labels, how far each one
//! has got, and which batches were taken.
//!
//! There is one writer at a time. Splitting it by series would let appends run in parallel, but they
//! would still have to agree on the order of the log; one thread takes several million samples a
//! second, more than the rest of a server can decode.

use crate::{
    head::NewSample,
    registry::{Registry, RegistryState},
    slabs::Slabs,
    wal::BatchEncoder,
};
use hashbrown::HashTable;
use model::{LabelsRef, Value};
use std::{collections::HashMap, sync::Arc};
use store::BatchLedger;

/// The series has no number in this epoch of the log yet.
pub(crate) const UNDEFINED: u32 = u32::MAX;
/// A generation in which at least one of this many series had no sample is followed by one that
/// knows only those that had.
const ENDED_RATIO: usize = 4;

/// One series as the writer sees it; its number is that of the registry.
#[derive(Clone, Copy)]
pub(crate) struct WriterSeries {
    hash: u64,
    /// Newest sample in the head, with those of the batch in hand.
    pub(crate) newest_ms: i64,
    /// Samples up to here may be in the sealing head or in parts.
    pub(crate) floor_ms: i64,
    /// Number in the log.
    pub(crate) wal_series: u32,
    /// The last batch that had samples of it.
    pub(crate) batch: u32,
}

/// Labels of series that the batch in hand brings: they become the registry's once it is logged.
#[derive(Default)]
pub(crate) struct FreshSeries {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl FreshSeries {
    pub(crate) fn iter(&self) -> impl Iterator<Item = LabelsRef<'_>> {
        (0..self.ends.len()).map(|place| self.labels(place))
    }

    fn labels(&self, place: usize) -> LabelsRef<'_> {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        LabelsRef::from_trusted_bytes(&self.bytes[start..self.ends[place]])
    }

    fn push(&mut self, labels: LabelsRef<'_>) {
        self.bytes.extend_from_slice(labels.as_bytes());
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        // One large batch must not hold its room for ever.
        if self.bytes.capacity() > 1 << 20 {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Writer {
    /// The newest head's.
    pub(crate) registry: Arc<Registry>,
    table: HashTable<u32>,
    /// Those of the registry, then those of the batch in hand.
    pub(crate) series: Slabs<WriterSeries>,
    pub(crate) fresh: FreshSeries,
    pub(crate) ledger: BatchLedger,
    pub(crate) epoch: u64,
    pub(crate) next_wal_series: u32,
    pub(crate) encoder: BatchEncoder,
    /// Samples of the batch in hand that were accepted.
    pub(crate) pending: Vec<NewSample>,
    /// Where in `pending` the sample of a series and time is. Filled when first asked, since
    /// senders in order never ask.
    places: HashMap<(u32, i64), usize>,
    /// Series that the batch in hand defines in the log.
    defined: Vec<u32>,
    /// Number of the batch in hand, never 0.
    pub(crate) batch: u32,
    /// Number in the log of the first series that the batch in hand defines.
    pub(crate) first_defined: u32,
}

impl Writer {
    pub(crate) fn begin_batch(&mut self) {
        self.pending.clear();
        // Dropped rather than cleared: one large batch must not hold its room for ever.
        self.places = HashMap::new();
        self.defined.clear();
        self.fresh.clear();
        self.encoder.clear();
        self.batch = self.batch.wrapping_add(1).max(1);
        self.first_defined = self.next_wal_series;
    }

    /// Forgets the batch in hand; `newest_ms` tells the newest sample of a series in the head.
    pub(crate) fn abandon_batch(&mut self, newest_ms: impl Fn(u32) -> i64) {
        for &series in &self.defined {
            self.series[series].wal_series = UNDEFINED;
        }
        self.next_wal_series = self.first_defined;
        let known = (self.series.len() - self.fresh.ends.len()) as u32;
        for number in known..self.series.len() as u32 {
            if let Ok(entry) = self.table.find_entry(self.series[number].hash, |&found| found == number) {
                entry.remove();
            }
        }
        self.series.truncate(known as usize);
        for sample in self.pending.iter().filter(|sample| sample.series < known) {
            self.series[sample.series].newest_ms = newest_ms(sample.series);
        }
        self.pending.clear();
        self.fresh.clear();
    }

    /// Starts a generation, in a new epoch of the log, and returns its registry.
    pub(crate) fn begin_generation(&mut self) -> Arc<Registry> {
        let is_over = |series: &&WriterSeries| series.newest_ms == i64::MIN;
        let ended = self.series.iter().filter(is_over).count();
        if ended > self.series.len() / ENDED_RATIO {
            self.forget_ended();
        }
        for series in self.series.iter_mut() {
            series.floor_ms = series.floor_ms.max(series.newest_ms);
            series.newest_ms = i64::MIN;
            series.wal_series = UNDEFINED;
        }
        self.epoch += 1;
        self.next_wal_series = 0;
        self.registry.clone()
    }

    /// Begins a registry of the series that had samples in this generation.
    fn forget_ended(&mut self) {
        let (mut registry, mut kept) = (RegistryState::default(), Slabs::default());
        let before = self.registry.read();
        let (mut table, mut labels) = (HashTable::new(), Vec::new());
        for (number, series) in (0..).zip(self.series.iter()) {
            if series.newest_ms == i64::MIN {
                continue;
            }
            before.put_labels(number, &mut labels);
            registry.add(LabelsRef::from_trusted_bytes(&labels));
            kept.push(*series);
            let hash_of = |&number: &u32| kept[number].hash;
            table.insert_unique(series.hash, kept.len() as u32 - 1, hash_of);
        }
        drop(before);
        self.registry = Arc::new(Registry::new(registry));
        (self.series, self.table) = (kept, table);
    }

    /// The series with these labels, if it is known. `guess` is looked at first: senders repeat their
    /// order.
    #[inline]
    pub(crate) fn find(
        &self,
        registry: &RegistryState,
        labels: LabelsRef<'_>,
        hash: u64,
        guess: u32,
    ) -> Option<u32> {
        let known = registry.len();
        let is_it = |number: u32| {
            self.series[number].hash == hash
                && match (number as usize).checked_sub(known) {
                    None => registry.is_labels(number, labels),
                    Some(fresh) => self.fresh.labels(fresh).as_bytes() == labels.as_bytes(),
                }
        };
        if (guess as usize) < self.series.len() && is_it(guess) {
            return Some(guess);
        }
        self.table.find(hash, |&number| is_it(number)).copied()
    }

    /// Adds a series that is not known. Its samples up to `floor_ms` may be sealed.
    pub(crate) fn add(&mut self, labels: LabelsRef<'_>, hash: u64, floor_ms: i64) -> u32 {
        let number = self.series.len() as u32;
        let (newest_ms, wal_series) = (i64::MIN, UNDEFINED);
        self.series.push(WriterSeries { hash, newest_ms, floor_ms, wal_series, batch: 0 });
        self.fresh.push(labels);
        let series = &self.series;
        self.table.insert_unique(hash, number, |&number| series[number].hash);
        number
    }

    /// Hands the series of the batch in hand to the registry.
    pub(crate) fn register_fresh(&mut self) {
        if self.fresh.ends.is_empty() {
            return;
        }
        let mut registry = self.registry.write();
        self.fresh.iter().for_each(|labels| registry.add(labels));
    }

    /// The sample of this series and time in the batch in hand. Costs the same however many
    /// samples the batch has, so that a batch sent newest first is taken as fast as any.
    pub(crate) fn pending_value(&mut self, series: u32, timestamp_ms: i64) -> Option<&Value> {
        for place in self.places.len()..self.pending.len() {
            let NewSample { series, timestamp_ms, .. } = self.pending[place];
            self.places.insert((series, timestamp_ms), place);
        }
        let place = *self.places.get(&(series, timestamp_ms))?;
        self.pending.get(place).map(|sample| &sample.value)
    }

    /// Takes an accepted sample into the batch in hand. `labels` are those of its series.
    pub(crate) fn accept(&mut self, labels: LabelsRef<'_>, sample: NewSample) {
        let series = &mut self.series[sample.series];
        if series.wal_series == UNDEFINED {
            series.wal_series = self.next_wal_series;
            self.next_wal_series += 1;
            self.defined.push(sample.series);
            self.encoder.define(labels);
        }
        series.newest_ms = series.newest_ms.max(sample.timestamp_ms);
        series.batch = self.batch;
        let number = u64::from(series.wal_series);
        self.encoder.sample(number, sample.timestamp_ms, sample.start_ms, &sample.value);
        self.pending.push(sample);
    }
}
