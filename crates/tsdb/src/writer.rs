//! What only the writer knows: which series there are, by a hash of their labels, how far each one
//! has got, and which batches were taken.
//!
//! There is one writer at a time. Splitting it by series would let appends run in parallel, but they
//! would still have to agree on the order of the log; one thread takes several million samples a
//! second, more than the rest of a server can decode.

use crate::{columns::reserve_one, head::NewSample, wal::BatchEncoder};
use hashbrown::HashTable;
use model::{Labels, LabelsRef, Value};
use std::collections::HashMap;
use store::BatchLedger;

/// The series has no number in this epoch of the log yet.
pub(crate) const UNDEFINED: u32 = u32::MAX;

/// One series as the writer sees it; its index is that of the head.
pub(crate) struct WriterSeries {
    pub(crate) labels: Labels,
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

/// Series by labels.
#[derive(Default)]
pub(crate) struct SeriesTable {
    table: HashTable<u32>,
    pub(crate) series: Vec<WriterSeries>,
}

impl SeriesTable {
    /// The series with these labels. `guess` is looked at first: senders repeat their order.
    pub(crate) fn find(&self, labels: LabelsRef<'_>, hash: u64, guess: usize) -> Option<u32> {
        let is_it = |index: u32| {
            let series = &self.series[index as usize];
            series.hash == hash && series.labels.as_bytes() == labels.as_bytes()
        };
        if guess < self.series.len() && is_it(guess as u32) {
            return Some(guess as u32);
        }
        self.table.find(hash, |&index| is_it(index)).copied()
    }

    pub(crate) fn add(&mut self, labels: Labels, hash: u64, floor_ms: i64) -> u32 {
        let index = self.series.len() as u32;
        reserve_one(&mut self.series);
        self.series.push(WriterSeries {
            labels,
            hash,
            newest_ms: i64::MIN,
            floor_ms,
            wal_series: UNDEFINED,
            batch: 0,
        });
        let series = &self.series;
        self.table.insert_unique(hash, index, |&index| series[index as usize].hash);
        index
    }

    /// Shrinks to what there is: no more series will come.
    fn close(&mut self) {
        self.series.shrink_to_fit();
        let series = &self.series;
        self.table.shrink_to_fit(|&index| series[index as usize].hash);
    }

    /// Forgets the series from `length` on.
    fn truncate(&mut self, length: usize) {
        for (index, series) in self.series.iter().enumerate().skip(length) {
            if let Ok(entry) = self.table.find_entry(series.hash, |&found| found as usize == index) {
                entry.remove();
            }
        }
        self.series.truncate(length);
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) table: SeriesTable,
    /// The table of the generation before: series that come again keep their labels' memory, and
    /// what was sealed of them is known.
    pub(crate) previous: SeriesTable,
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
    pub(crate) defined: Vec<u32>,
    /// Number of the batch in hand, never 0.
    pub(crate) batch: u32,
    /// Series before the batch in hand.
    pub(crate) series_before: usize,
    /// Number in the log of the first series that the batch in hand defines.
    pub(crate) first_defined: u32,
}

impl Writer {
    pub(crate) fn begin_batch(&mut self) {
        self.pending.clear();
        // Dropped rather than cleared: one large batch must not hold its room for ever.
        self.places = HashMap::new();
        self.defined.clear();
        self.encoder.clear();
        self.batch = self.batch.wrapping_add(1).max(1);
        self.series_before = self.table.series.len();
        self.first_defined = self.next_wal_series;
    }

    /// Forgets the batch in hand; `newest_ms` tells the newest sample of a series in the head.
    pub(crate) fn abandon_batch(&mut self, newest_ms: impl Fn(u32) -> i64) {
        for &series in &self.defined {
            self.table.series[series as usize].wal_series = UNDEFINED;
        }
        self.next_wal_series = self.first_defined;
        self.table.truncate(self.series_before);
        for sample in &self.pending {
            if let Some(series) = self.table.series.get_mut(sample.series as usize) {
                series.newest_ms = newest_ms(sample.series);
            }
        }
        self.pending.clear();
    }

    /// Starts a generation: no series, a new epoch of the log.
    pub(crate) fn begin_generation(&mut self) {
        self.previous = std::mem::take(&mut self.table);
        self.previous.close();
        self.epoch += 1;
        self.next_wal_series = 0;
    }

    /// The series with these labels, added when new. `sealed_ms` is the newest sample in any part.
    pub(crate) fn resolve(&mut self, labels: LabelsRef<'_>, hash: u64, guess: usize, sealed_ms: i64) -> u32 {
        if let Some(found) = self.table.find(labels, hash, guess) {
            return found;
        }
        match self.previous.find(labels, hash, guess) {
            Some(found) => {
                let before = &self.previous.series[found as usize];
                let floor_ms = before.newest_ms.max(before.floor_ms);
                self.table.add(before.labels.clone(), hash, floor_ms)
            }
            None => self.table.add(labels.to_owned(), hash, sealed_ms),
        }
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

    /// Takes an accepted sample into the batch in hand.
    pub(crate) fn accept(&mut self, sample: NewSample) {
        let series = &mut self.table.series[sample.series as usize];
        if series.wal_series == UNDEFINED {
            series.wal_series = self.next_wal_series;
            self.next_wal_series += 1;
            self.defined.push(sample.series);
            self.encoder.define(series.labels.as_ref());
        }
        series.newest_ms = series.newest_ms.max(sample.timestamp_ms);
        series.batch = self.batch;
        let number = u64::from(series.wal_series);
        self.encoder.sample(number, sample.timestamp_ms, sample.start_ms, &sample.value);
        self.pending.push(sample);
    }
}
