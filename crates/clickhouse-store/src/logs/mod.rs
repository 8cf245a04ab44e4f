//! Logs: streams by day in one table, lines by stream and time in another.

mod counts;
mod delete;
mod job;
mod plan;
mod scan;
mod write;

use crate::{
    arrival::{ArrivalClock, rank},
    client::Client,
    error::Error,
    group::Group,
    retention::Horizon,
    schema::{LOGS, STREAMS},
    series_tables::{Days, Found, KnownIds, SeriesTable},
    sql,
};
use job::Job;
use model::{BatchId, Labels, LogBatch, Matcher, TimeRange};
use scan::RemoteScan;
use std::sync::{Arc, Mutex};
use store::{
    AgeLimits, CountBucket, CountRequest, LineFilter, LogRequest, LogScan, LogStats, LogStore, QueryContext,
    Receipt, StoreError,
};

const DAY_NS: i64 = 86_400_000_000_000;
const MINUTE_NS: i64 = 60_000_000_000;
/// Streams named in one delete.
const IDS_AT_ONCE: usize = 2_000;

const STREAMS_TABLE: SeriesTable = SeriesTable { table: STREAMS, has_metric: false };

/// See the module.
pub struct ClickHouseLogs {
    client: Arc<Client>,
    arrivals: Arc<ArrivalClock>,
    limits: AgeLimits,
    group: Group<Job>,
    known: Mutex<KnownIds>,
    horizon: Horizon,
}

impl ClickHouseLogs {
    pub(crate) fn new(client: Arc<Client>, arrivals: Arc<ArrivalClock>, limits: AgeLimits) -> Self {
        ClickHouseLogs {
            client,
            arrivals,
            limits,
            group: Group::new(),
            known: Mutex::default(),
            horizon: Horizon::new(MINUTE_NS),
        }
    }

    fn find(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Found, Error> {
        let kept = self.horizon.kept(range);
        let days = Days {
            first: kept.start.div_euclid(DAY_NS),
            last: kept.end.saturating_sub(1).div_euclid(DAY_NS),
        };
        STREAMS_TABLE.find(&self.client, selectors, days, context)
    }

    fn read_selection(
        &self,
        streams: &Found,
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, Error> {
        let mut answer = self.client.query(
            &format!(
                "SELECT uniqExact(stream), count(), sum(length) FROM {} FINAL WHERE {} AND {}",
                LOGS.name,
                of_streams(streams),
                sql::within("ts", self.horizon.kept(range))
            ),
            Some(context),
        )?;
        let (streams, entries, bytes) = (answer.u64()?, answer.u64()?, answer.u64()?);
        Ok(LogStats { streams, chunks: streams, entries, bytes, ..LogStats::default() })
    }

    fn read_stats(&self) -> Result<LogStats, Error> {
        let mut answer = self.client.query(
            &format!(
                "SELECT assumeNotNull((SELECT uniq(id) FROM {})), count(), sum(length) FROM {}",
                STREAMS.name, LOGS.name
            ),
            None,
        )?;
        let (streams, entries, bytes) = (answer.u64()?, answer.u64()?, answer.u64()?);
        let (disk_bytes, parts) = crate::schema::sizes(&self.client, &[STREAMS, LOGS])?;
        Ok(LogStats { streams, chunks: parts, entries, bytes, disk_bytes, parts, ..LogStats::default() })
    }
}

impl LogStore for ClickHouseLogs {
    fn append(&self, batch: &LogBatch, id: Option<&BatchId>, now_ns: i64) -> Result<Receipt, StoreError> {
        self.group.submit(Job::new(batch, id, self.limits, &self.arrivals, now_ns), |jobs| self.write(jobs))
    }

    fn scan(&self, request: &LogRequest, context: &QueryContext) -> Result<Box<dyn LogScan>, StoreError> {
        let streams = self.find(std::slice::from_ref(&request.matchers), request.range, context)?;
        let snapshot = rank(self.arrivals.reserve(1));
        let mut units = Vec::new();
        let mut condition = String::new();
        if !streams.is_empty() {
            condition = format!("{} AND rank >= {snapshot}", of_streams(&streams));
            let in_range = format!("{condition} AND {}", sql::within("ts", self.horizon.kept(request.range)));
            units = self.plan(&in_range, request.direction, context)?;
            for hint in &request.metadata_hints {
                let (name, value) = (sql::string(hint.0.as_bytes()), sql::string(hint.1.as_bytes()));
                condition.push_str(&format!(" AND metadata[{name}] = {value}"));
            }
            for filter in request.filters.iter().filter_map(sql::line_filter) {
                condition.push_str(&format!(" AND {filter}"));
            }
        }
        let positions = streams.iter().enumerate().map(|(position, (id, _))| (*id, position)).collect();
        let (client, filters, direction) = (self.client.clone(), request.filters.clone(), request.direction);
        Ok(Box::new(RemoteScan { client, streams, positions, units, condition, filters, direction }))
    }

    fn counts(&self, request: &CountRequest, context: &QueryContext) -> Result<Vec<CountBucket>, StoreError> {
        if request.step_ns <= 0 {
            return Err(StoreError::Invalid(format!(
                "step of {} ns is not longer than zero",
                request.step_ns
            )));
        }
        let streams = self.find(std::slice::from_ref(&request.matchers), request.range, context)?;
        match streams.is_empty() {
            true => Ok(Vec::new()),
            false => Ok(self.count(request, &streams, context)?),
        }
    }

    fn streams(
        &self,
        selectors: &[Vec<Matcher>],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<Vec<Labels>, StoreError> {
        Ok(self.find(selectors, range, context)?.into_iter().map(|(_, labels)| labels).collect())
    }

    fn selection_stats(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        context: &QueryContext,
    ) -> Result<LogStats, StoreError> {
        let streams = self.find(&[matchers.to_vec()], range, context)?;
        match streams.is_empty() {
            true => Ok(LogStats::default()),
            false => Ok(self.read_selection(&streams, range, context)?),
        }
    }

    fn delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        filters: &[LineFilter],
    ) -> Result<(), StoreError> {
        let streams = self.find(&[matchers.to_vec()], range, &QueryContext::default())?;
        match streams.is_empty() {
            true => Ok(()),
            false => self.delete_rows(matchers, range, filters, &streams),
        }
    }

    fn maintain(&self, now_ns: i64, believed_ns: i64) -> Result<(), StoreError> {
        let oldest = self.limits.oldest_ns(believed_ns);
        Ok(self.horizon.advance(&self.client, &[STREAMS, LOGS], oldest, now_ns)?)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn stats(&self) -> LogStats {
        self.read_stats().unwrap_or_else(|error| {
            tracing::warn!(%error, "figures about logs cannot be read");
            LogStats::default()
        })
    }
}

fn of_streams(streams: &[(u128, Labels)]) -> String {
    format!("stream IN {}", sql::ids(streams.iter().map(|(id, _)| *id)))
}
