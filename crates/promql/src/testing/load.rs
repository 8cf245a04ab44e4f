//! Fills a store with the series of a script.

use crate::{
    description::{Item, SeriesLine},
    histogram,
};
use disk::{Dir, Faults};
use model::{
    CUSTOM_BUCKETS_SCHEMA, Histogram, Labels, METRIC_NAME, MetricBatch, Samples, Value, parse_float,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{AgeLimits, MemMetricStore, MetricStore};
use tsdb::{Tsdb, TsdbOptions};

/// The samples loaded since the last `clear`; a later value of the same time wins.
#[derive(Default)]
pub(super) struct Loaded {
    samples: BTreeMap<Labels, BTreeMap<i64, (i64, Value)>>,
}

impl Loaded {
    pub(super) fn clear(&mut self) {
        self.samples.clear();
    }

    /// Adds the lines of one `load`.
    pub(super) fn load(
        &mut self,
        step_ms: i64,
        lines: &[SeriesLine],
        with_histograms: bool,
    ) -> Result<(), String> {
        let mut starts: Option<&SeriesLine> = None;
        let mut latest: BTreeMap<&Labels, (&SeriesLine, Option<&SeriesLine>)> = BTreeMap::new();
        for line in lines {
            if line.starts.is_some() {
                starts = Some(line);
                continue;
            }
            if starts.is_some_and(|starts| starts.labels != line.labels) {
                return Err("start timestamps of another series".to_owned());
            }
            latest.insert(&line.labels, (line, starts.take()));
        }
        for (labels, (line, starts)) in &latest {
            self.add(labels, step_ms, &line.values, starts.and_then(|line| line.starts.as_deref()))?;
        }
        if with_histograms {
            self.add_histograms(step_ms, latest.values().map(|(line, _)| *line));
        }
        Ok(())
    }

    fn add(
        &mut self,
        labels: &Labels,
        step_ms: i64,
        values: &[Option<Item>],
        starts: Option<&[Option<i64>]>,
    ) -> Result<(), String> {
        if starts.is_some_and(|starts| starts.len() != values.len()) {
            return Err("not as many start timestamps as values".to_owned());
        }
        let samples = self.samples.entry(labels.clone()).or_default();
        for (index, item) in values.iter().enumerate() {
            let Some(item) = item else { continue };
            let timestamp_ms = step_ms * index as i64;
            let start = starts.and_then(|starts| starts[index]).map_or(0, |offset| timestamp_ms + offset);
            samples.insert(timestamp_ms, (start, item.value.clone()));
        }
        Ok(())
    }

    /// Makes histograms with custom buckets of `x_bucket`, `x_count` and `x_sum`.
    fn add_histograms<'a>(&mut self, step_ms: i64, lines: impl Iterator<Item = &'a SeriesLine>) {
        let mut parts: BTreeMap<(Labels, usize), Parts> = BTreeMap::new();
        for line in lines {
            let name = line.labels.metric_name();
            let Some((base, role)) = name.rsplit_once('_') else { continue };
            let labels = line.labels.without(&["le"]).to_builder().set(METRIC_NAME, base).build();
            for (index, item) in line.values.iter().enumerate() {
                let Some(Item { value: Value::Float(value), .. }) = item else { continue };
                let bound = parse_float(line.labels.value("le")).filter(|bound| !bound.is_nan());
                let entry = parts.entry((labels.clone(), index)).or_default();
                match (role, bound) {
                    ("bucket", Some(bound)) => entry.buckets.push((bound, *value)),
                    ("count", None) => entry.count = Some(*value),
                    ("sum", None) => entry.sum = Some(*value),
                    _ => {}
                }
            }
        }
        for ((labels, index), parts) in parts {
            let Some(histogram) = parts.into_histogram() else { continue };
            let samples = self.samples.entry(labels).or_default();
            samples.insert(step_ms * index as i64, (0, Value::Histogram(Arc::new(histogram))));
        }
    }

    /// A store with everything loaded.
    pub(super) fn store(&self, backend: Backend) -> Result<Box<dyn MetricStore>, String> {
        match backend {
            Backend::Memory => {
                let store = MemMetricStore::new();
                put(&store, &self.batch(|_| true))?;
                Ok(Box::new(store))
            }
            Backend::Disk => {
                let options = TsdbOptions { limits: AgeLimits::NONE, ..TsdbOptions::default() };
                let dir = Dir::simulated(1, Faults::default());
                let store = Tsdb::open(dir, options, 0).map_err(|error| error.to_string())?;
                put(&store, &self.batch(|number| number % 3 == 1))?;
                store.flush().map_err(|error| error.to_string())?;
                put(&store, &self.batch(|number| number % 3 != 1))?;
                Ok(Box::new(store))
            }
        }
    }

    /// The samples of every series whose numbers are wanted.
    fn batch(&self, is_wanted: impl Fn(usize) -> bool) -> MetricBatch {
        let mut batch = MetricBatch::default();
        for (labels, samples) in &self.samples {
            batch.begin_with(labels.as_ref());
            let samples = with_hints(samples);
            let wanted = samples.iter().enumerate().filter(|(number, _)| is_wanted(*number));
            for (_, (timestamp_ms, (start_ms, value))) in wanted {
                match value {
                    Value::Float(value) => batch.sample(*timestamp_ms, *start_ms, *value),
                    Value::Histogram(histogram) => {
                        batch.histogram(*timestamp_ms, *start_ms, histogram.as_ref().clone());
                    }
                }
            }
        }
        batch
    }
}

/// Where a script's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    /// In the reference in memory.
    Memory,
    /// In the engine on disk: every third sample of a series in a part, the others in the head, so that
    /// each series has to be put together.
    Disk,
}

fn put(store: &dyn MetricStore, batch: &MetricBatch) -> Result<(), String> {
    let receipt = store.append(batch, None, 0).map_err(|error| error.to_string())?;
    match receipt.rejected.first() {
        None => Ok(()),
        Some(rejection) => Err(format!("the store refused samples: {rejection:?}")),
    }
}

/// The samples as a store that looks for counter resets on arrival keeps them.
fn with_hints(samples: &BTreeMap<i64, (i64, Value)>) -> BTreeMap<i64, (i64, Value)> {
    let mut column = Samples::default();
    for (timestamp_ms, (start_ms, value)) in samples {
        column.push(*timestamp_ms, *start_ms, value);
    }
    crate::eval::resolve_hints(&mut column);
    (0..column.len()).map(|i| (column.timestamps_ms[i], (column.start_ms(i), column.value(i)))).collect()
}

#[derive(Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: Option<f64>,
}

impl Parts {
    fn into_histogram(mut self) -> Option<Histogram> {
        if self.buckets.is_empty() && self.count.is_none() {
            return None;
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        // Of equal bounds in different writings the last counts.
        self.buckets.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = later.1;
            }
            same
        });
        let highest = self.buckets.last().map_or(0.0, |(_, count)| *count);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut before = 0.0;
        let mut counts = Vec::new();
        for (index, (_, cumulative)) in self.buckets.iter().enumerate() {
            counts.push((index as i32, cumulative - before));
            before = *cumulative;
        }
        let custom_values = self.buckets.iter().map(|(bound, _)| *bound).filter(|b| b.is_finite()).collect();
        Some(Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum.unwrap_or(0.0),
            positive: histogram::dense(&counts),
            custom_values,
            ..Histogram::default()
        })
    }
}
