//! Metrics: series by day in one table, samples by series and time in another.

mod existing;
mod histogram;
mod job;
mod set;
mod write;

use crate::{
    arrival::ArrivalClock,
    client::Client,
    error::Error,
    group::Group,
    retention::Horizon,
    schema::{EXEMPLARS, METADATA, SAMPLES, SERIES},
    series_tables::{Days, Found, KnownIds, SeriesTable},
    sql,
};
use hashbrown::{HashMap, HashSet};
use job::Job;
use model::{BatchId, Exemplar, Labels, Matcher, Metadata, MetricBatch, MetricKind, TimeRange};
use set::RemoteSeriesSet;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use store::{
    AgeLimits, Aggregate, ExemplarSeries, MetricStats, MetricStore, QueryContext, Receipt, Selection,
    SeriesSet, StoreError, Texts, select_undivided,
};

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;
/// Series named in one query or delete.
const IDS_AT_ONCE: usize = 2_000;

const SERIES_TABLE: SeriesTable = SeriesTable { table: SERIES, has_metric: true };

/// See the module.
pub struct ClickHouseMetrics {
    client: Arc<Client>,
    arrivals: Arc<ArrivalClock>,
    limits: AgeLimits,
    group: Group<Job>,
    known: Mutex<KnownIds>,
    described: Mutex<HashMap<String, Metadata>>,
    appended_samples: AtomicU64,
    horizon: Horizon,
}

impl ClickHouseMetrics {
    pub(crate) fn new(client: Arc<Client>, arrivals: Arc<ArrivalClock>, limits: AgeLimits) -> Self {
        ClickHouseMetrics {
            client,
            arrivals,
            limits,
            group: Group::new(),
            known: Mutex::default(),
            described: Mutex::default(),
            appended_samples: AtomicU64::new(0),
            horizon: Horizon::new(MINUTE_MS),
        }
    }

    fn find(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Found, Error> {
        SERIES_TABLE.find(&self.client, selectors, days(self.horizon.kept(range)), context)
    }

    fn read_exemplars(
        &self,
        series: &[(u128, Labels)],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, Error> {
        let mut answer = self.client.query(
            &format!(
                "SELECT id, ts, labels, value FROM {} FINAL WHERE {} AND {} ORDER BY metric, id, ts",
                EXEMPLARS.name,
                of_series(series),
                sql::between("ts", self.horizon.kept(range))
            ),
            Some(context),
        )?;
        let mut by_id: HashMap<u128, Vec<Exemplar>> = HashMap::new();
        while answer.has_row()? {
            let id = answer.u128()?;
            let (timestamp_ms, labels, value) = (answer.i64()?, answer.labels()?, answer.f64()?);
            by_id.entry(id).or_default().push(Exemplar { labels, timestamp_ms, value });
        }
        let found = series.iter().filter_map(|(id, labels)| {
            by_id.remove(id).map(|exemplars| ExemplarSeries { labels: labels.clone(), exemplars })
        });
        Ok(found.collect())
    }

    fn read_metadata(&self, family: Option<&str>) -> Result<Vec<(String, Metadata)>, Error> {
        let condition =
            family.map_or("1".to_owned(), |name| format!("family = {}", sql::string(name.as_bytes())));
        let table = METADATA.name;
        let mut answer = self.client.query(
            &format!("SELECT family, kind, help, unit FROM {table} FINAL WHERE {condition} ORDER BY family"),
            None,
        )?;
        let mut found = Vec::new();
        while answer.has_row()? {
            let family = answer.text_value()?;
            let kind = kind_of(&answer.text_value()?);
            found.push((family, Metadata { kind, help: answer.text_value()?, unit: answer.text_value()? }));
        }
        Ok(found)
    }

    fn read_stats(&self) -> Result<MetricStats, Error> {
        let mut answer = self.client.query(
            &format!(
                "SELECT assumeNotNull((SELECT uniq(id) FROM {})), count(), min(ts), max(ts) FROM {}",
                SERIES.name, SAMPLES.name
            ),
            None,
        )?;
        let (series, samples) = (answer.u64()?, answer.u64()?);
        let range = TimeRange::new(answer.i64()?, answer.i64()?);
        let (disk_bytes, parts) =
            crate::schema::sizes(&self.client, &[SERIES, SAMPLES, EXEMPLARS, METADATA])?;
        Ok(MetricStats {
            active_series: series,
            appended_samples: self.appended_samples.load(Ordering::Relaxed),
            disk_bytes,
            parts,
            time_range: (samples > 0).then_some(range),
            ..MetricStats::default()
        })
    }
}

impl MetricStore for ClickHouseMetrics {
    fn append(&self, batch: &MetricBatch, id: Option<&BatchId>, now_ms: i64) -> Result<Receipt, StoreError> {
        self.group.submit(Job::new(batch, id, self.limits, now_ms), |jobs| self.write(jobs))
    }

    fn select(
        &self,
        selection: &Selection,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        let series = self.find(std::slice::from_ref(&selection.matchers), selection.range, context)?;
        Ok(Box::new(RemoteSeriesSet::new(self.client.clone(), series, self.horizon.kept(selection.range))))
    }

    fn resolution_ms(&self, _range: TimeRange, _step_ms: i64) -> i64 {
        0
    }

    fn select_aggregate(
        &self,
        selection: &Selection,
        aggregate: Aggregate,
        context: &QueryContext,
    ) -> Result<Box<dyn SeriesSet>, StoreError> {
        select_undivided(self, selection, aggregate, context)
    }

    fn series(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        let found = self.find(selectors, range, context)?;
        Ok(found.into_iter().map(|(_, labels)| labels).take(limit).collect())
    }

    fn label_names(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        let names = SERIES_TABLE.names(&self.client, selectors, days(self.horizon.kept(range)), context)?;
        Ok(Arc::new(names.into_iter().collect()))
    }

    fn label_values(
        &self,
        name: &str,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Arc<Texts>, StoreError> {
        let days = days(self.horizon.kept(range));
        let values = SERIES_TABLE.values(&self.client, name, selectors, days, context)?;
        Ok(Arc::new(values.into_iter().collect()))
    }

    fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.read_metadata(family).unwrap_or_else(|error| {
            tracing::warn!(%error, "descriptions of metrics cannot be read");
            Vec::new()
        })
    }

    fn exemplars(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<ExemplarSeries>, StoreError> {
        let mut found = Vec::new();
        for some in self.find(selectors, range, context)?.chunks(IDS_AT_ONCE) {
            found.extend(self.read_exemplars(some, range, context)?);
        }
        Ok(found)
    }

    fn delete(&self, selectors: &[Vec<Matcher>], range: TimeRange) -> Result<(), StoreError> {
        if selectors.is_empty() {
            return Ok(());
        }
        for some in self.find(selectors, range, &QueryContext::default())?.chunks(IDS_AT_ONCE) {
            let (table, series, times) = (SAMPLES.name, of_series(some), sql::between("ts", range));
            self.client.execute(&format!("DELETE FROM {table} WHERE {series} AND {times}"))?;
        }
        Ok(())
    }

    fn snapshot(&self, name: &str) -> Result<(), StoreError> {
        Err(StoreError::Invalid(format!(
            "ClickHouse makes its own backups and this store no snapshot, so none named `{name}`"
        )))
    }

    fn maintain(&self, now_ms: i64) -> Result<(), StoreError> {
        let oldest = self.limits.oldest_ms(now_ms);
        Ok(self.horizon.advance(&self.client, &[SERIES, SAMPLES, EXEMPLARS], oldest, now_ms)?)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> MetricStats {
        self.read_stats().unwrap_or_else(|error| {
            tracing::warn!(%error, "figures about metrics cannot be read");
            MetricStats::default()
        })
    }
}

fn days(range: TimeRange) -> Days {
    Days { first: range.start.div_euclid(DAY_MS), last: range.end.div_euclid(DAY_MS) }
}

fn of_series(series: &[(u128, Labels)]) -> String {
    let metrics: HashSet<&str> = series.iter().map(|(_, labels)| labels.metric_name()).collect();
    format!("metric IN {} AND id IN {}", sql::strings(metrics), sql::ids(series.iter().map(|(id, _)| *id)))
}

fn kind_of(name: &str) -> MetricKind {
    const KINDS: [MetricKind; 7] = [
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];
    KINDS.into_iter().find(|kind| kind.as_str() == name).unwrap_or_default()
}
