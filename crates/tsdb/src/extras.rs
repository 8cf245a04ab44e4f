//! What is stored beside samples: descriptions of metric families and exemplars.
//!
//! Bounds: [`FAMILIES_MAX`] families, [`EXEMPLARS_MAX`] exemplars; the oldest arrivals give way.

use model::{Exemplar, Labels, Metadata};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Most families described.
const FAMILIES_MAX: usize = 100_000;
/// Most exemplars kept.
const EXEMPLARS_MAX: usize = 50_000;

/// See the module.
#[derive(Default)]
pub(crate) struct Extras {
    metadata: BTreeMap<String, Metadata>,
    exemplars: HashMap<Labels, Vec<Exemplar>>,
    /// The series of every exemplar in order of arrival.
    arrivals: VecDeque<Labels>,
}

impl Extras {
    /// Whether a description says something new.
    pub(crate) fn is_news(&self, family: &str, metadata: &Metadata) -> bool {
        match self.metadata.get(family) {
            Some(known) => known != metadata,
            None => self.metadata.len() < FAMILIES_MAX,
        }
    }

    pub(crate) fn describe(&mut self, family: &str, metadata: &Metadata) {
        if self.is_news(family, metadata) {
            self.metadata.insert(family.to_owned(), metadata.clone());
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
        if self.arrivals.len() >= EXEMPLARS_MAX
            && let Some(oldest) = self.arrivals.pop_front()
        {
            self.drop_first(&oldest);
        }
        let known = self.exemplars.entry(series.clone()).or_default();
        let position = known.partition_point(|e| e.timestamp_ms <= exemplar.timestamp_ms);
        known.insert(position, exemplar.clone());
        self.arrivals.push_back(series.clone());
    }

    fn drop_first(&mut self, series: &Labels) {
        if let Some(known) = self.exemplars.get_mut(series) {
            if known.len() > 1 {
                known.remove(0);
            } else {
                self.exemplars.remove(series);
            }
        }
    }

    /// Drops exemplars older than `oldest_ms`.
    pub(crate) fn forget_before(&mut self, oldest_ms: i64) {
        if oldest_ms == i64::MIN {
            return;
        }
        let mut dropped: HashMap<Labels, usize> = HashMap::new();
        self.exemplars.retain(|series, known| {
            let before = known.len();
            known.retain(|exemplar| exemplar.timestamp_ms >= oldest_ms);
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
        match family {
            Some(family) => self.metadata.get_key_value(family).into_iter().map(own).collect(),
            None => self.metadata.iter().map(own).collect(),
        }
    }

    /// Series with exemplars.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = (&Labels, &[Exemplar])> {
        self.exemplars.iter().map(|(series, exemplars)| (series, exemplars.as_slice()))
    }
}

fn own((family, metadata): (&String, &Metadata)) -> (String, Metadata) {
    (family.clone(), metadata.clone())
}
