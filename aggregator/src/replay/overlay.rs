//! The store as a replayed rule sees it: everything that is stored, except what these rules wrote
//! when they ran, and beside it what they write now, which nobody else sees.

use model::{BatchId, Labels, METRIC_NAME, Matcher, Metadata, MetricBatch, Samples, TimeRange};
use std::{collections::BTreeSet, sync::Arc};
use store::{
    Aggregate, ExemplarSeries, MemMetricStore, MetricStats, MetricStore, PlainReader, QueryContext, Receipt,
    Selection, SeriesReader, SeriesSet, StoreError, Texts,
};

/// What rules write of their alerts.
const OF_ALERTS: [&str; 2] = ["ALERTS", "ALERTS_FOR_STATE"];

/// See the module.
pub(super) struct Overlay {
    stored: Arc<dyn MetricStore>,
    written: MemMetricStore,
    /// Metrics that the rules record.
    records: BTreeSet<String>,
    /// Alerts that the rules have.
    alerts: BTreeSet<String>,
}

impl Overlay {
    pub(super) fn new(
        stored: Arc<dyn MetricStore>,
        records: BTreeSet<String>,
        alerts: BTreeSet<String>,
    ) -> Self {
        Overlay { stored, written: MemMetricStore::new(), records, alerts }
    }

    /// Whether a stored series is one that the rules write anew.
    fn hides(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        self.records.contains(name)
            || OF_ALERTS.contains(&name) && self.alerts.contains(labels.value(alerting::ALERT_NAME))
    }
}

/// Series of both, in order of labels; a series is in one of them only.
struct Both {
    stored: Box<dyn SeriesSet>,
    written: Box<dyn SeriesSet>,
    /// Whether it is a written one, and its index there.
    order: Vec<(bool, usize)>,
}

impl SeriesSet for Both {
    fn len(&self) -> usize {
        self.order.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        let (is_written, index) = self.order[index];
        if is_written { self.written.labels(index) } else { self.stored.labels(index) }
    }

    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        let (is_written, index) = self.order[index];
        if is_written {
            self.written.read(index, context, into)
        } else {
            self.stored.read(index, context, into)
        }
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(PlainReader(self))
    }
}

impl MetricStore for Overlay {
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError> {
        self.written.append(batch, id, now_ms)
    }

    fn select(
        &self,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        self.select_aggregate(selection, Aggregate::Last, context)
    }

    fn resolution_ms(&self, range: TimeRange, step_ms: i64) -> i64 {
        self.stored.resolution_ms(range, step_ms)
    }

    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        let stored = self.stored.select_aggregate(selection, aggregate, context)?;
        let written = self.written.select_aggregate(selection, aggregate, context)?;
        let shown = (0..stored.len()).filter(|index| !self.hides(stored.labels(*index)));
        let mut order: Vec<_> = shown.map(|index| (false, index)).collect();
        order.extend((0..written.len()).map(|index| (true, index)));
        if !written.is_empty() {
            order.sort_by(|a, b| {
                let labels = |(is_written, index): &(bool, usize)| {
                    if *is_written { written.labels(*index).clone() } else { stored.labels(*index).clone() }
                };
                labels(a).cmp(&labels(b))
            });
        }
        Ok(Box::new(Both { stored, written, order }))
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        let mut all = self.stored.series(selectors, range, limit, context)?;
        all.retain(|labels| !self.hides(labels));
        all.extend(self.written.series(selectors, range, limit, context)?);
        all.sort();
        all.dedup();
        all.truncate(limit);
        Ok(all)
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        let stored = self.stored.label_names(selectors, range, context)?;
        Ok(Arc::new(stored.merged(&*self.written.label_names(selectors, range, context)?)))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        let mut stored = self.stored.label_values(name, selectors, range, context)?;
        if name == METRIC_NAME {
            stored = Arc::new(stored.iter().filter(|value| !self.records.contains(*value)).collect());
        }
        Ok(Arc::new(stored.merged(&*self.written.label_values(name, selectors, range, context)?)))
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.stored.metadata(family)
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError> {
        self.stored.exemplars(selectors, range, context)
    }

    /// Deletes nothing that is stored.
    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError> {
        self.written.delete(selectors, range)
    }

    fn snapshot(&self, name: &str) -> Result<(), StoreError> {
        Err(StoreError::Invalid(format!("a replay makes no snapshot, so none named `{name}`")))
    }

    fn maintain(&self, _now_ms: i64) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> MetricStats {
        self.stored.stats()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disk::{Dir, Faults};
    use std::time::Duration;
    use store::{AgeLimits, Limits};
    use tsdb::{TierAges, Tsdb, TsdbOptions};

    fn batch(series: &[(&[(&str, &str)], f64)]) -> MetricBatch {
        let mut batch = MetricBatch::default();
        for (labels, value) in series {
            batch.begin_with(Labels::from_pairs(labels.iter().copied()).as_ref());
            batch.sample(1000, 0, *value);
        }
        batch
    }

    #[test]
    fn what_the_rules_wrote_before_is_hidden_by_what_they_write_now() {
        let stored = Arc::new(MemMetricStore::new());
        let old = batch(&[
            (&[("__name__", "a:rate")], 1.0),
            (&[("__name__", "b")], 2.0),
            (&[("__name__", "ALERTS"), ("alertname", "A")], 3.0),
            (&[("__name__", "ALERTS"), ("alertname", "Other")], 4.0),
        ]);
        stored.append(&old, None, 0).unwrap();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let overlay = Overlay::new(stored.clone(), names(&["a:rate"]), names(&["A"]));
        overlay.append(&batch(&[(&[("__name__", "a:rate"), ("x", "y")], 5.0)]), None, 0).unwrap();
        let context = QueryContext::new(Limits::default());
        let all = Matcher::new(METRIC_NAME, model::MatchOp::Regex, ".+").unwrap();
        let range = TimeRange::new(0, 2000);
        let selection = Selection { matchers: vec![all.clone()], range, step_ms: 0 };
        let found = overlay.select(&selection, &context).unwrap();
        let mut samples = Samples::default();
        let mut values = Vec::new();
        for index in 0..found.len() {
            found.read(index, &context, &mut samples).unwrap();
            values.push((found.labels(index).metric_name().to_owned(), samples.value(0).as_float()));
        }
        values.sort_by(|a, b| a.1.total_cmp(&b.1));
        let expected =
            [("b", 2.0), ("ALERTS", 4.0), ("a:rate", 5.0)].map(|(name, value)| (name.to_owned(), value));
        assert_eq!(values, expected);
        assert_eq!(stored.series(&[vec![all]], range, 100, &context).unwrap().len(), 4, "nothing is stored");
    }

    #[test]
    fn downsampled_samples_are_read_as_the_store_has_them() {
        const NOW_MS: i64 = 1_728_000_000_000;
        const DAY_MS: i64 = 86_400_000;
        let tiers = TierAges { five_minutes: Some(Duration::MAX), one_hour: None };
        let limits = AgeLimits::with_retention(Duration::from_secs(86_400));
        let options = TsdbOptions { limits, tiers, ..TsdbOptions::default() };
        let store = Tsdb::open(Dir::simulated(1, Faults::default()), options, NOW_MS).unwrap();
        let mut batch = MetricBatch::default();
        batch.begin_with(Labels::from_pairs([("__name__", "m")]).as_ref());
        (0..60).for_each(|i| batch.sample(NOW_MS - DAY_MS / 2 + i * 60_000, 0, i as f64));
        store.append(&batch, None, NOW_MS).unwrap();
        store.flush().unwrap();
        (0..4).for_each(|hour| store.maintain(NOW_MS + 3 * DAY_MS + hour * 3_600_000).unwrap());
        let overlay = Overlay::new(Arc::new(store), BTreeSet::new(), BTreeSet::new());
        assert_eq!(overlay.resolution_ms(TimeRange::ALL, 300_000), 300_000);
        let context = QueryContext::new(Limits::default());
        let matchers = vec![Matcher::equal(METRIC_NAME, "m")];
        let selection = Selection { matchers, range: TimeRange::ALL, step_ms: 300_000 };
        let found = overlay.select_aggregate(&selection, Aggregate::Count, &context).unwrap();
        let mut counts = Samples::default();
        found.read(0, &context, &mut counts).unwrap();
        assert_eq!(counts.values, [5.0; 12]);
    }
}
