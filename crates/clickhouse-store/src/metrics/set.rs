//! The series of a selection, read from the server in runs of neighbours.
//!
//! One query brings a run of consecutive series; how many follows from how many samples a few of
//! them have, so that a run holds some [`RUN_SAMPLES`]. A run is kept until all of it was read, and
//! its memory is charged to the query for as long.

use super::existing::value_of;
use crate::{client::Client, error::Error, schema::SAMPLES, series_tables::Found, sql};
use hashbrown::{HashMap, HashSet};
use model::{Labels, Samples, TimeRange};
use std::sync::{Arc, Mutex, OnceLock};
use store::{PlainReader, QueryContext, SeriesReader, SeriesSet, StoreError};

/// Samples of one run, about.
const RUN_SAMPLES: u64 = 400_000;
/// Series of one run at most: their ids are part of the query.
const RUN_SERIES_MAX: u64 = 2_000;
/// So few series are one run without asking.
const FEW_SERIES: usize = 8;
/// Series that are counted to find out how long a run should be.
const COUNTED_SERIES: usize = 32;
/// Memory of a sample: time, value and start.
const SAMPLE_BYTES: u64 = 24;

/// Columns that a run has brought; `None` once they were read.
type Run = Arc<Mutex<Option<Vec<Option<Samples>>>>>;

/// See the module.
pub(super) struct RemoteSeriesSet {
    client: Arc<Client>,
    series: Found,
    range: TimeRange,
    run_length: OnceLock<usize>,
    runs: Mutex<HashMap<usize, Run>>,
}

impl RemoteSeriesSet {
    pub(super) fn new(client: Arc<Client>, series: Found, range: TimeRange) -> Self {
        RemoteSeriesSet { client, series, range, run_length: OnceLock::new(), runs: Mutex::default() }
    }

    fn run_length(&self, context: &QueryContext) -> Result<usize, Error> {
        if let Some(length) = self.run_length.get() {
            return Ok(*length);
        }
        let length = match self.series.len() {
            count @ ..=FEW_SERIES => count.max(1),
            _ => self.measured_run_length(context)?,
        };
        Ok(*self.run_length.get_or_init(|| length))
    }

    fn measured_run_length(&self, context: &QueryContext) -> Result<usize, Error> {
        let step = (self.series.len() / COUNTED_SERIES).max(1);
        let counted = || self.series.iter().step_by(step).take(COUNTED_SERIES);
        let mut answer = self.client.query(
            &format!("SELECT count() FROM {} WHERE {}", SAMPLES.name, self.condition(counted())),
            Some(context),
        )?;
        let samples = answer.u64()?;
        let of_one = (samples / counted().count() as u64).max(1);
        Ok((RUN_SAMPLES / of_one).clamp(1, RUN_SERIES_MAX) as usize)
    }

    fn condition<'a>(&self, series: impl Iterator<Item = &'a (u128, Labels)> + Clone) -> String {
        let metrics: HashSet<&str> = series.clone().map(|(_, labels)| labels.metric_name()).collect();
        let ids = sql::ids(series.map(|(id, _)| *id));
        format!("metric IN {} AND id IN {ids} AND {}", sql::strings(metrics), sql::between("ts", self.range))
    }

    fn load(&self, series: &[(u128, Labels)], context: &QueryContext) -> Result<Vec<Option<Samples>>, Error> {
        let positions: HashMap<u128, usize> =
            series.iter().enumerate().map(|(i, (id, _))| (*id, i)).collect();
        let mut columns: Vec<Samples> = vec![Samples::default(); series.len()];
        let mut answer = self.client.query(
            &format!(
                "SELECT id, ts, value, start, histogram FROM {} FINAL WHERE {} ORDER BY metric, id, ts",
                SAMPLES.name,
                self.condition(series.iter())
            ),
            Some(context),
        )?;
        let mut count = 0u64;
        while answer.has_row()? {
            let (id, timestamp_ms, value, start_ms) =
                (answer.u128()?, answer.i64()?, answer.f64()?, answer.i64()?);
            let value = value_of(value, answer.string()?)?;
            let position =
                positions.get(&id).ok_or_else(|| Error::Garbled("a series nobody asked for".to_owned()))?;
            columns[*position].push(timestamp_ms, start_ms, &value);
            count += 1;
        }
        context.charge_read(count, 0)?;
        context.hold_memory(count * SAMPLE_BYTES)?;
        Ok(columns.into_iter().map(Some).collect())
    }
}

impl SeriesSet for RemoteSeriesSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.series[index].1
    }

    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        context.check()?;
        let length = self.run_length(context)?;
        let (number, position) = (index / length, index % length);
        let run = crate::lock(&self.runs).entry(number).or_default().clone();
        let mut columns = crate::lock(&run);
        let is_there = columns.as_ref().is_some_and(|columns| columns[position].is_some());
        if !is_there {
            let series = &self.series[number * length..((number + 1) * length).min(self.series.len())];
            *columns = Some(self.load(series, context)?);
        }
        let loaded = columns.as_mut().expect("the run was loaded just now");
        *into = loaded[position].take().expect("nobody else holds the run");
        context.release_memory(into.len() as u64 * SAMPLE_BYTES);
        if loaded.iter().all(Option::is_none) {
            *columns = None;
            crate::lock(&self.runs).remove(&number);
        }
        Ok(())
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(PlainReader(self))
    }
}
