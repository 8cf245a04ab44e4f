//! What is stored beside samples: descriptions of metric families and exemplars.
//!
//! Bounds: [`FAMILIES_MAX`] families and [`DESCRIPTION_BYTES_MAX`], where the longest description gives
//! way to shorter ones; [`EXEMPLARS_MAX`] exemplars and [`EXEMPLAR_BYTES_MAX`], where the oldest
//! arrivals give way and none is larger than [`ONE_EXEMPLAR_BYTES_MAX`]. Each generation of the head writes all of it to the log again.

use model::{Exemplar, LABEL_BYTES_MAX, Labels, LabelsRef, Metadata};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

/// Most families described.
const FAMILIES_MAX: usize = 100_000;
/// Most bytes of names, help and units.
const DESCRIPTION_BYTES_MAX: usize = 32 << 20;
/// Most exemplars kept.
const EXEMPLARS_MAX: usize = 50_000;
/// Most bytes of their labels and those of their series.
const EXEMPLAR_BYTES_MAX: usize = 32 << 20;
/// Most of one exemplar: it is to leave room for others, here and in a record of the log.
pub(crate) const ONE_EXEMPLAR_BYTES_MAX: usize = 256 << 10;

/// See the module.
#[derive(Default)]
pub(crate) struct Extras {
    metadata: BTreeMap<Arc<str>, Metadata>,
    /// The families by [`length_of`] their descriptions.
    by_length: BTreeSet<(usize, Arc<str>)>,
    description_bytes: usize,
    exemplars: HashMap<Labels, Vec<Exemplar>>,
    /// The series of every exemplar in order of arrival.
    arrivals: VecDeque<Labels>,
    exemplar_bytes: usize,
    dropped_descriptions: u64,
    dropped_exemplars: u64,
}

impl Extras {
    /// Whether a description says something new that would be kept.
    pub(crate) fn is_news(&self, family: &str, metadata: &Metadata) -> bool {
        self.metadata.get(family) != Some(metadata) && self.has_room(family, metadata)
    }

    pub(crate) fn describe(&mut self, family: &str, metadata: &Metadata) {
        if self.metadata.get(family) == Some(metadata) {
            return;
        }
        if !self.has_room(family, metadata) {
            self.dropped_descriptions += 1;
            return;
        }
        self.forget(family);
        let length = length_of(family, metadata);
        while self.description_bytes + length > DESCRIPTION_BYTES_MAX
            && let Some((_, longest)) = self.by_length.last().cloned()
        {
            self.forget(&longest);
            self.dropped_descriptions += 1;
        }
        let family: Arc<str> = family.into();
        self.description_bytes += length;
        self.by_length.insert((length, family.clone()));
        self.metadata.insert(family, metadata.clone());
    }

    /// Whether the description fits in, or a longer one can make room for it: so those that are sent
    /// again and again do not drive out each other.
    fn has_room(&self, family: &str, metadata: &Metadata) -> bool {
        let known = self.metadata.get(family);
        if family.len() > LABEL_BYTES_MAX || known.is_none() && self.metadata.len() >= FAMILIES_MAX {
            return false;
        }
        let length = length_of(family, metadata);
        let others = self.description_bytes - known.map_or(0, |known| length_of(family, known));
        let longest = self.by_length.last().map_or(0, |(length, _)| *length);
        others + length <= DESCRIPTION_BYTES_MAX || longest > length
    }

    fn forget(&mut self, family: &str) {
        if let Some((family, metadata)) = self.metadata.remove_entry(family) {
            let length = length_of(&family, &metadata);
            self.description_bytes -= length;
            self.by_length.remove(&(length, family));
        }
    }

    pub(crate) fn has_exemplar(&self, series: &Labels, exemplar: &Exemplar) -> bool {
        let Some(known) = self.exemplars.get(series) else { return false };
        let first = known.partition_point(|e| e.timestamp_ms < exemplar.timestamp_ms);
        let mut same_time = known[first..].iter().take_while(|e| e.timestamp_ms == exemplar.timestamp_ms);
        same_time.any(|e| e == exemplar)
    }

    /// Adds an exemplar unless it is known.
    pub(crate) fn add_exemplar(&mut self, series: &Labels, exemplar: &Exemplar) {
        if self.has_exemplar(series, exemplar) {
            return;
        }
        let bytes = bytes_of(series.as_ref(), exemplar);
        if bytes > ONE_EXEMPLAR_BYTES_MAX {
            self.dropped_exemplars += 1;
            return;
        }
        while self.arrivals.len() >= EXEMPLARS_MAX || self.exemplar_bytes + bytes > EXEMPLAR_BYTES_MAX {
            let Some(oldest) = self.arrivals.pop_front() else { break };
            self.drop_first(&oldest);
            self.dropped_exemplars += 1;
        }
        let known = self.exemplars.entry(series.clone()).or_default();
        let position = known.partition_point(|e| e.timestamp_ms <= exemplar.timestamp_ms);
        known.insert(position, exemplar.clone());
        self.arrivals.push_back(series.clone());
        self.exemplar_bytes += bytes;
    }

    fn drop_first(&mut self, series: &Labels) {
        let Some(known) = self.exemplars.get_mut(series) else { return };
        self.exemplar_bytes -= bytes_of(series.as_ref(), &known.remove(0));
        if known.is_empty() {
            self.exemplars.remove(series);
        }
    }

    /// Drops exemplars older than `oldest_ms`.
    pub(crate) fn forget_before(&mut self, oldest_ms: i64) {
        if oldest_ms == i64::MIN {
            return;
        }
        let mut dropped: HashMap<Labels, usize> = HashMap::new();
        let bytes = &mut self.exemplar_bytes;
        self.exemplars.retain(|series, known| {
            let before = known.len();
            known.retain(|exemplar| {
                let is_kept = exemplar.timestamp_ms >= oldest_ms;
                if !is_kept {
                    *bytes -= bytes_of(series.as_ref(), exemplar);
                }
                is_kept
            });
            if known.len() < before {
                dropped.insert(series.clone(), before - known.len());
            }
            !known.is_empty()
        });
        if dropped.is_empty() {
            return;
        }
        self.arrivals.retain(|series| match dropped.get_mut(series) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
    }

    /// All descriptions in order of family, or that of one.
    pub(crate) fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        let own = |(family, metadata): (&Arc<str>, &Metadata)| (family.as_ref().to_owned(), metadata.clone());
        match family {
            Some(family) => self.metadata.get_key_value(family).into_iter().map(own).collect(),
            None => self.metadata.iter().map(own).collect(),
        }
    }

    /// All descriptions in order of family.
    pub(crate) fn descriptions(&self) -> impl Iterator<Item = (&str, &Metadata)> {
        self.metadata.iter().map(|(family, metadata)| (family.as_ref(), metadata))
    }

    /// How many descriptions and exemplars found no room, or had to make some.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        (self.dropped_descriptions, self.dropped_exemplars)
    }

    /// Series with exemplars.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = (&Labels, &[Exemplar])> {
        self.exemplars.iter().map(|(series, exemplars)| (series, exemplars.as_slice()))
    }
}

/// Bytes of a description.
fn length_of(family: &str, metadata: &Metadata) -> usize {
    family.len() + metadata.help.len() + metadata.unit.len()
}

/// Bytes of an exemplar with its series, as the log has them.
pub(crate) fn bytes_of(series: LabelsRef<'_>, exemplar: &Exemplar) -> usize {
    series.as_bytes().len() + exemplar.labels.as_bytes().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(bytes: usize) -> Metadata {
        Metadata { help: "h".repeat(bytes), ..Metadata::default() }
    }

    #[test]
    fn the_longest_description_gives_way_to_shorter_ones_only() {
        let mut extras = Extras::default();
        let long = help(LABEL_BYTES_MAX);
        for i in 0..DESCRIPTION_BYTES_MAX / LABEL_BYTES_MAX + 10 {
            extras.describe(&format!("long_{i:04}"), &long);
        }
        let kept = extras.metadata.len();
        assert!(extras.description_bytes <= DESCRIPTION_BYTES_MAX && kept > 500);
        assert!(!extras.is_news("another", &help(LABEL_BYTES_MAX + 100)), "the longest of all");
        let (refused, _) = extras.dropped();
        assert_eq!(kept as u64 + refused, 522);
        for i in 0..100 {
            let short = (format!("short_{i}"), help(1_000));
            assert!(extras.is_news(&short.0, &short.1));
            extras.describe(&short.0, &short.1);
            assert!(!extras.is_news(&short.0, &short.1));
        }
        assert!(extras.description_bytes <= DESCRIPTION_BYTES_MAX);
        assert!(extras.metadata.keys().filter(|family| family.starts_with("short")).count() == 100);
        let gone = kept + 100 - extras.metadata.len();
        assert_eq!(extras.dropped().0, refused + gone as u64);
        extras.describe("short_0", &help(10));
        extras.describe("short_0", &help(20));
        let sum = extras.descriptions().map(|(family, metadata)| length_of(family, metadata)).sum::<usize>();
        assert_eq!((extras.description_bytes, extras.by_length.len()), (sum, extras.metadata.len()));
    }

    #[test]
    fn the_oldest_exemplars_give_way_to_the_bound_on_bytes() {
        let mut extras = Extras::default();
        let series = |i: i64| Labels::from_pairs([("i", i.to_string()), ("wide", "x".repeat(50_000))]);
        let exemplar = |at: i64| Exemplar { labels: Labels::default(), timestamp_ms: at, value: 1.0 };
        for i in 0..2_000 {
            extras.add_exemplar(&series(i / 2), &exemplar(i));
        }
        let held = || extras.exemplars().flat_map(|(series, all)| all.iter().map(move |e| (series, e)));
        let bytes: usize = held().map(|(series, exemplar)| bytes_of(series.as_ref(), exemplar)).sum();
        assert_eq!(extras.exemplar_bytes, bytes);
        assert!(bytes <= EXEMPLAR_BYTES_MAX && bytes > EXEMPLAR_BYTES_MAX - 60_000);
        assert_eq!(held().count() as u64 + extras.dropped().1, 2_000);
        assert!(!extras.has_exemplar(&series(0), &exemplar(0)));
        assert!(extras.has_exemplar(&series(999), &exemplar(1_999)));
        extras.forget_before(1_990);
        assert_eq!(
            extras.exemplar_bytes,
            (1_990..2_000).map(|i| bytes_of(series(i / 2).as_ref(), &exemplar(i))).sum()
        );
        extras.forget_before(i64::MAX);
        assert_eq!(extras.exemplar_bytes, 0);
    }
}
