//! Series as the workers of a range aggregation gather them, and how they become rows.
//!
//! There may be tens of thousands of series, so they are told apart by the hash of their labels'
//! bytes, which also says which thread puts a series together: each takes its share from all workers.

use super::{Row, order::sort_by_labels, window::Sample};
use crate::EvalError;
use hashbrown::{DefaultHashBuilder, HashTable};
use model::LabelsRef;
use std::{hash::BuildHasher, ops::Range, thread};

/// Of one series: how many rows and bytes enter the window at each step less those that leave it.
pub(super) struct Changes {
    pub(super) rows: Vec<i64>,
    /// Empty when nobody asks for bytes.
    pub(super) bytes: Vec<i64>,
}

impl Changes {
    /// Nothing yet in any of so many steps.
    pub(super) fn none(steps: usize, with_bytes: bool) -> Changes {
        Changes { rows: vec![0; steps + 1], bytes: if with_bytes { vec![0; steps + 1] } else { Vec::new() } }
    }

    /// Adds rows, and their bytes, to the windows of the `steps`.
    pub(super) fn add(&mut self, steps: Range<usize>, rows: i64, bytes: i64) {
        self.rows[steps.start] += rows;
        self.rows[steps.end] -= rows;
        if !self.bytes.is_empty() {
            self.bytes[steps.start] += bytes;
            self.bytes[steps.end] -= bytes;
        }
    }

    fn add_all(&mut self, more: &Changes) {
        let add = |into: &mut Vec<i64>, more: &[i64]| {
            into.iter_mut().zip(more).for_each(|(into, more)| *into += more);
        };
        add(&mut self.rows, &more.rows);
        add(&mut self.bytes, &more.bytes);
    }
}

/// What is known of one series.
pub(super) enum Points<'a> {
    Changes(&'a Changes),
    /// In no order; never empty.
    Samples(&'a mut [Sample]),
}

/// Canonical bytes of labels, numbered in order of appearance.
#[derive(Default)]
struct Keys {
    text: Vec<u8>,
    entries: Vec<KeyEntry>,
    by_hash: HashTable<u32>,
}

struct KeyEntry {
    hash: u64,
    /// In the text; the key before ends where this one begins.
    end: usize,
}

impl Keys {
    fn get(&self, number: usize) -> &[u8] {
        key(&self.text, &self.entries, number)
    }

    /// The number of a key that has this hash, and whether it is new.
    #[inline]
    fn find_or_add(&mut self, hash: u64, wanted: &[u8]) -> (usize, bool) {
        let (text, entries) = (&self.text, &self.entries);
        let is_it = |&number: &u32| {
            entries[number as usize].hash == hash && key(text, entries, number as usize) == wanted
        };
        if let Some(&number) = self.by_hash.find(hash, is_it) {
            return (number as usize, false);
        }
        let number = self.entries.len();
        self.text.extend_from_slice(wanted);
        self.entries.push(KeyEntry { hash, end: self.text.len() });
        self.by_hash.insert_unique(hash, number as u32, |&number| self.entries[number as usize].hash);
        (number, true)
    }
}

fn key<'a>(text: &'a [u8], entries: &[KeyEntry], number: usize) -> &'a [u8] {
    let start = number.checked_sub(1).map_or(0, |before| entries[before].end);
    &text[start..entries[number].end]
}

/// What one worker gathers. Workers whose series are to be put together share one `hashing`.
pub(super) struct Gathered {
    hashing: DefaultHashBuilder,
    keys: Keys,
    /// Of every series, or empty where samples are kept.
    pub(super) changes: Vec<Changes>,
    /// Samples of all series with their series' number, as they came, in pieces that never move: to be
    /// sorted into their series at the end touches memory far less than to let every series grow.
    samples: Vec<Vec<(u32, Sample)>>,
}

/// Samples of the first piece, and of the largest.
const FIRST_PIECE: usize = 64;
const LARGEST_PIECE: usize = 32 << 10;

impl Gathered {
    pub(super) fn new(hashing: DefaultHashBuilder) -> Gathered {
        Gathered { hashing, keys: Keys::default(), changes: Vec::new(), samples: Vec::new() }
    }

    /// The number of the series with these labels, and whether it is new.
    #[inline]
    pub(super) fn series(&mut self, key: &[u8]) -> (usize, bool) {
        self.keys.find_or_add(self.hashing.hash_one(key), key)
    }

    /// Adds a sample to a series. Says for how many samples memory was taken, if it was.
    #[inline]
    pub(super) fn push(&mut self, series: usize, sample: Sample) -> Option<usize> {
        let sample = (series as u32, sample);
        if let Some(piece) = self.samples.last_mut().filter(|piece| piece.len() < piece.capacity()) {
            piece.push(sample);
            return None;
        }
        let size = self.samples.last().map_or(FIRST_PIECE, |piece| (piece.len() * 2).min(LARGEST_PIECE));
        let mut piece = Vec::with_capacity(size);
        piece.push(sample);
        self.samples.push(piece);
        Some(size)
    }
}

/// Threads that put series together: each goes through the samples of all workers.
const SHARES_MAX: usize = 4;

/// Puts together what workers have gathered, each series once; `values` tells a row's values.
pub(super) fn rows(
    gathered: &[Gathered],
    values: impl Fn(Points<'_>) -> Result<Vec<Option<f64>>, EvalError> + Sync,
) -> Result<Vec<Row>, EvalError> {
    let shares = gathered.len().min(SHARES_MAX);
    if shares <= 1 {
        return Share { gathered, number: 0, shares }.rows(&values);
    }
    let make = |number: usize| Share { gathered, number, shares }.rows(&values);
    thread::scope(|scope| {
        let (make, mut all) = (&make, Vec::new());
        let threads: Vec<_> = (0..shares).map(|number| scope.spawn(move || make(number))).collect();
        for thread in threads {
            all.append(&mut thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

/// The series of one thread: those whose hash says so.
struct Share<'a> {
    gathered: &'a [Gathered],
    number: usize,
    shares: usize,
}

/// Stands for a series of another share.
const ELSEWHERE: u32 = u32::MAX;

impl Share<'_> {
    /// Ascending by labels, so that whoever puts all in order has little to do.
    fn rows(
        &self,
        values: &impl Fn(Points<'_>) -> Result<Vec<Option<f64>>, EvalError>,
    ) -> Result<Vec<Row>, EvalError> {
        let mut keys = Keys::default();
        let numbers: Vec<Vec<u32>> =
            self.gathered.iter().map(|gathered| self.number_series(gathered, &mut keys)).collect();
        let mut rows = Vec::with_capacity(keys.entries.len());
        let mut add = |number: usize, points: Points<'_>| -> Result<(), EvalError> {
            let labels = LabelsRef::from_trusted_bytes(keys.get(number)).to_owned();
            rows.push(Row { labels, values: values(points)? });
            Ok(())
        };
        if self.gathered.iter().any(|gathered| !gathered.changes.is_empty()) {
            for (number, changes) in self.changes(&numbers, keys.entries.len()).iter().enumerate() {
                add(number, Points::Changes(changes))?;
            }
        } else {
            let (mut samples, ends) = self.samples(&numbers, keys.entries.len());
            let mut start = 0;
            for (number, end) in ends.into_iter().enumerate() {
                if end > start {
                    add(number, Points::Samples(&mut samples[start..end]))?;
                }
                start = end;
            }
        }
        sort_by_labels(&mut rows, |row| &row.labels);
        Ok(rows)
    }

    /// For each series of a worker its number here.
    fn number_series(&self, gathered: &Gathered, keys: &mut Keys) -> Vec<u32> {
        let of = |(index, entry): (usize, &KeyEntry)| {
            // Bits that the tables do not go by.
            if (entry.hash >> 32) as usize % self.shares.max(1) != self.number {
                return ELSEWHERE;
            }
            keys.find_or_add(entry.hash, gathered.keys.get(index)).0 as u32
        };
        gathered.keys.entries.iter().enumerate().map(of).collect()
    }

    fn changes(&self, numbers: &[Vec<u32>], series: usize) -> Vec<Changes> {
        let mut all: Vec<Changes> = Vec::with_capacity(series);
        for (gathered, numbers) in self.gathered.iter().zip(numbers) {
            for (changes, &number) in gathered.changes.iter().zip(numbers) {
                match all.get_mut(number as usize) {
                    _ if number == ELSEWHERE => {}
                    Some(into) => into.add_all(changes),
                    // Numbers are given in this order.
                    None => all.push(Changes { rows: changes.rows.clone(), bytes: changes.bytes.clone() }),
                }
            }
        }
        all
    }

    /// Samples series by series, and where those of each end.
    fn samples(&self, numbers: &[Vec<u32>], series: usize) -> (Vec<Sample>, Vec<usize>) {
        let ours = || {
            self.gathered.iter().zip(numbers).flat_map(|(gathered, numbers)| {
                let ours = |&(series, sample): &(u32, Sample)| {
                    let number = numbers[series as usize];
                    (number != ELSEWHERE).then_some((number as usize, sample))
                };
                gathered.samples.iter().flatten().filter_map(ours)
            })
        };
        let mut ends = vec![0; series];
        ours().for_each(|(number, _)| ends[number] += 1);
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        // What was the number of samples is where the next one goes, and in the end where they end.
        let mut samples = vec![(0, 0.0); total];
        for (number, sample) in ours() {
            samples[ends[number]] = sample;
            ends[number] += 1;
        }
        (samples, ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Labels;

    /// The rows of series named by a letter, as `a=1,2` for its samples.
    fn check(workers: &[&[(&str, f64)]], expected: &[(&str, &[f64])]) {
        let hashing = DefaultHashBuilder::default();
        let gather = |samples: &&[(&str, f64)]| {
            let mut gathered = Gathered::new(hashing.clone());
            for (time, (name, value)) in samples.iter().enumerate() {
                let labels = Labels::from_pairs([("series", name)]);
                let (series, _) = gathered.series(labels.as_bytes());
                gathered.push(series, (time as i64, *value));
            }
            gathered
        };
        let gathered: Vec<Gathered> = workers.iter().map(gather).collect();
        let mut found = rows(&gathered, |points| match points {
            Points::Samples(samples) => Ok(samples.iter().map(|(_, value)| Some(*value)).collect()),
            Points::Changes(_) => Ok(Vec::new()),
        })
        .unwrap();
        sort_by_labels(&mut found, |row| &row.labels);
        let expected: Vec<(Labels, Vec<Option<f64>>)> = expected
            .iter()
            .map(|(name, values)| {
                (Labels::from_pairs([("series", name)]), values.iter().copied().map(Some).collect())
            })
            .collect();
        let found: Vec<_> = found.into_iter().map(|row| (row.labels, row.values)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_series_is_put_together_once() {
        check(&[], &[]);
        check(&[&[]], &[]);
        check(&[&[("b", 1.0), ("a", 2.0), ("b", 3.0)]], &[("a", &[2.0]), ("b", &[1.0, 3.0])]);
        check(
            &[&[("b", 1.0), ("a", 2.0), ("b", 3.0)], &[("c", 4.0), ("b", 5.0)], &[]],
            &[("a", &[2.0]), ("b", &[1.0, 3.0, 5.0]), ("c", &[4.0])],
        );
    }

    #[test]
    fn changes_add_up() {
        let hashing = DefaultHashBuilder::default();
        let gather = |names: &[&str]| {
            let mut gathered = Gathered::new(hashing.clone());
            for name in names {
                gathered.series(Labels::from_pairs([("series", name)]).as_bytes());
                gathered.changes.push(Changes { rows: vec![1, -1], bytes: vec![] });
            }
            gathered
        };
        let workers = [gather(&["a", "b", "c", "d"]), gather(&["d", "e", "a"])];
        let mut found = rows(&workers, |points| match points {
            Points::Changes(changes) => Ok(changes.rows.iter().map(|change| Some(*change as f64)).collect()),
            Points::Samples(_) => Ok(Vec::new()),
        })
        .unwrap();
        sort_by_labels(&mut found, |row| &row.labels);
        let firsts: Vec<Option<f64>> = found.iter().map(|row| row.values[0]).collect();
        assert_eq!(firsts, [2.0, 1.0, 1.0, 2.0, 1.0].map(Some));
    }
}
