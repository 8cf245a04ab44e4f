//! Power cuts at any operation: what was acknowledged is there, what was refused is not.

use super::{NOW_MS, all, floats, labels, open, small};
use disk::{Dir, Faults};
use model::{BatchId, Labels, Metadata, Samples};
use std::collections::{BTreeMap, BTreeSet};
use store::MetricStore;

/// Times and value bits of one series.
type Column = BTreeMap<i64, u64>;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn series(number: u64) -> Labels {
    labels(&format!("m{}", number % 3), &format!("job-{}", number / 3))
}

fn columns(found: &[(Labels, Samples)]) -> BTreeMap<Labels, Column> {
    let column = |samples: &Samples| {
        samples
            .timestamps_ms
            .iter()
            .copied()
            .zip(samples.values.iter().map(|value| value.to_bits()))
            .collect()
    };
    found.iter().map(|(labels, samples)| (labels.clone(), column(samples))).collect()
}

/// What was tried, and what of it was acknowledged.
#[derive(Default)]
struct History {
    tried: BTreeMap<Labels, Column>,
    acknowledged: BTreeMap<Labels, Column>,
    sequence: u64,
    acknowledged_batches: Vec<u64>,
    /// Families whose descriptions were acknowledged.
    described: BTreeSet<String>,
}

/// Long enough that a few of them take several records.
fn metadata_of(family: &str) -> Metadata {
    Metadata { help: format!("What {family} tells. ").repeat(5), ..Metadata::default() }
}

impl History {
    /// Appends random samples, new times and old, and notes what became of them.
    fn append(&mut self, store: &dyn MetricStore, random: &mut Random) {
        let series = series(random.below(9));
        self.sequence += 1;
        let step = self.sequence as i64;
        let tried = self.tried.entry(series.clone()).or_default();
        let samples: Vec<(i64, f64)> = (0..random.below(30) as i64 + 1)
            .map(|i| {
                (
                    NOW_MS + step * 1_000_000 + i * 15_000 - (random.below(3) as i64) * 86_400_000,
                    i as f64 / 4.0,
                )
            })
            .filter(|(at, _)| !tried.contains_key(at))
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .collect();
        tried.extend(samples.iter().map(|(at, value)| (*at, value.to_bits())));
        let id = BatchId { agent: "a".to_owned(), boot: 1, sequence: self.sequence };
        let mut batch = floats(&series, samples.iter().copied());
        let family = format!("family_{}", random.below(20));
        batch.describe(&family, metadata_of(&family));
        let Ok(receipt) = store.append(&batch, Some(&id), NOW_MS) else { return };
        assert_eq!(receipt.rejected, []);
        if receipt.commit.wait().is_ok() {
            let column = self.acknowledged.entry(series).or_default();
            column.extend(samples.iter().map(|(at, value)| (*at, value.to_bits())));
            self.acknowledged_batches.push(self.sequence);
            self.described.insert(family);
        }
    }

    fn check(&self, store: &dyn MetricStore, place: &str) {
        self.check_samples(store, place);
        for &sequence in self.acknowledged_batches.iter().rev().take(20) {
            let id = BatchId { agent: "a".to_owned(), boot: 1, sequence };
            let again = store.append(&floats(&series(0), [(1, 1.0)]), Some(&id), NOW_MS).unwrap();
            assert!(again.duplicate, "{place}: batch {sequence} is not known any more");
        }
        for family in &self.described {
            let expected = vec![(family.clone(), metadata_of(family))];
            assert_eq!(store.metadata(Some(family)), expected, "{place}");
        }
        assert_eq!(store.stats().damage, Vec::<String>::new(), "{place}");
    }

    fn check_samples(&self, store: &dyn MetricStore, place: &str) {
        let found = columns(&all(store));
        for (series, column) in &self.acknowledged {
            let stored = found.get(series);
            for (at, bits) in column {
                let value = stored.and_then(|stored| stored.get(at));
                assert_eq!(value, Some(bits), "{place}: {series} at {at} was acknowledged");
            }
        }
        for (series, column) in &found {
            for (at, bits) in column {
                assert_eq!(self.tried[series].get(at), Some(bits), "{place}: {series} at {at} was made up");
            }
        }
    }
}

#[test]
fn acknowledged_samples_survive_power_cuts() {
    let mut total = 0;
    for seed in 0..70 {
        let mut random = Random(seed);
        let mut dir = Dir::simulated(seed, Faults::default());
        let mut history = History::default();
        for round in 0..5 {
            let place = format!("seed {seed} round {round}");
            let store = open(&dir, small());
            history.check(&store, &place);
            let halt = random.below(220) + 1;
            dir.set_faults(Faults { halt_at_operation: Some(halt), ..Faults::default() });
            let mut now_ms = NOW_MS;
            for _ in 0..random.below(40) + 5 {
                match random.below(5) {
                    0 => {
                        now_ms += random.below(12_000) as i64;
                        store.maintain(now_ms).ok();
                    }
                    1 if random.below(4) == 0 => {
                        store.flush().ok();
                    }
                    _ => history.append(&store, &mut random),
                }
            }
            history.check_samples(&store, &format!("{place}, still running"));
            dir = dir.crash();
            drop(store);
        }
        total += history.acknowledged_batches.len();
    }
    assert!(total > 1500, "only {total} batches were acknowledged");
}

#[test]
fn a_full_disk_refuses_batches_and_loses_nothing() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let dir = Dir::simulated(seed, Faults { capacity_bytes: Some(30_000), ..Faults::default() });
        let mut history = History::default();
        let store = open(&dir, small());
        for i in 0..400 {
            history.append(&store, &mut random);
            if i % 10 == 0 {
                store.maintain(NOW_MS + i * 1000).ok();
            }
        }
        assert!(history.acknowledged_batches.len() < 400, "the disk was never full");
        history_is_intact(&history, &store);
        drop(store);
        dir.set_faults(Faults::default());
        let store = open(&dir, small());
        history.check(&store, &format!("seed {seed}, with room again"));
    }
}

/// As [`History::check`] without appends, which have no room.
fn history_is_intact(history: &History, store: &dyn MetricStore) {
    let found = columns(&all(store));
    for (series, column) in &history.acknowledged {
        assert_eq!(found.get(series), Some(column), "{series}");
    }
    assert_eq!(found.len(), history.acknowledged.len(), "nothing refused is shown");
}
