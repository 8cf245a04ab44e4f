//! What is stored already of the points that are to be written, so that a repeat is told from a
//! conflict. A point newer than all that its series is known to have needs no look; a series that
//! this process has not met yet is asked for its newest sample first.

use super::{histogram, job::JobSeries};
use crate::{
    client::Client,
    error::Error,
    schema::SAMPLES,
    series_tables::{Known, KnownIds},
    sql,
};
use hashbrown::{HashMap, HashSet};
use model::{TimeRange, Value};
use std::sync::Arc;

/// Ids named in one query.
const IDS_AT_ONCE: usize = 20_000;

/// See the module.
#[derive(Default)]
pub(super) struct Existing {
    /// Values by series and time: stored ones that were asked for, and those accepted since.
    pub(super) values: HashMap<(u128, i64), Value>,
    /// Of every series that is to be written.
    pub(super) known: HashMap<u128, Known>,
}

impl Existing {
    pub(super) fn load(client: &Client, cache: &KnownIds, series: &[&JobSeries]) -> Result<Self, Error> {
        let mut existing = Existing::default();
        let mut strangers: Vec<&JobSeries> = Vec::new();
        for &one in series {
            match cache.get(one.id) {
                Some(known) => {
                    existing.known.insert(one.id, known);
                }
                None => strangers.push(one),
            }
        }
        for some in strangers.chunks(IDS_AT_ONCE) {
            existing.ask_newest(client, some)?;
        }
        for some in series.chunks(IDS_AT_ONCE) {
            existing.ask_values(client, some)?;
        }
        Ok(existing)
    }

    fn ask_newest(&mut self, client: &Client, series: &[&JobSeries]) -> Result<(), Error> {
        let times = series.iter().flat_map(|one| one.points.iter().map(|point| point.timestamp_ms));
        let Some(oldest) = times.min() else {
            // Nobody asked, so anything may be stored.
            self.known.extend(series.iter().map(|one| (one.id, Known::new(i64::MAX))));
            return Ok(());
        };
        // What is older than all that comes is of no interest.
        let floor = Known::new(oldest.saturating_sub(1));
        self.known.extend(series.iter().map(|one| (one.id, floor)));
        let mut answer = client.query(
            &format!(
                "SELECT id, max(ts) FROM {} WHERE {} AND ts >= {} GROUP BY id",
                SAMPLES.name,
                of_series(series.iter().copied()),
                sql::int(oldest)
            ),
            None,
        )?;
        while answer.has_row()? {
            let (id, newest) = (answer.u128()?, answer.i64()?);
            if let Some(known) = self.known.get_mut(&id) {
                known.newest = known.newest.max(newest);
            }
        }
        Ok(())
    }

    fn ask_values(&mut self, client: &Client, series: &[&JobSeries]) -> Result<(), Error> {
        let mut wanted: HashSet<(u128, i64)> = HashSet::new();
        let mut asked: Vec<&JobSeries> = Vec::new();
        for &one in series {
            let newest = self.known.get(&one.id).map_or(i64::MAX, |known| known.newest);
            let before = wanted.len();
            let times = one.points.iter().map(|point| point.timestamp_ms);
            wanted.extend(times.filter(|time| *time <= newest).map(|time| (one.id, time)));
            if wanted.len() > before {
                asked.push(one);
            }
        }
        let times = || wanted.iter().map(|(_, time)| *time);
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Ok(()) };
        let mut answer = client.query(
            &format!(
                "SELECT id, ts, value, histogram FROM {} FINAL WHERE {} AND {}",
                SAMPLES.name,
                of_series(asked.iter().copied()),
                sql::between("ts", TimeRange::new(first, last))
            ),
            None,
        )?;
        while answer.has_row()? {
            let key = (answer.u128()?, answer.i64()?);
            let float = answer.f64()?;
            let value = value_of(float, answer.string()?)?;
            if wanted.contains(&key) {
                self.values.insert(key, value);
            }
        }
        Ok(())
    }
}

/// A stored value from its two columns.
pub(super) fn value_of(float: f64, encoded: &[u8]) -> Result<Value, Error> {
    if encoded.is_empty() {
        return Ok(Value::Float(float));
    }
    match histogram::decode(encoded) {
        Some(histogram) => Ok(Value::Histogram(Arc::new(histogram))),
        None => Err(Error::Garbled("a stored histogram cannot be read".to_owned())),
    }
}

/// Rows of these series, by the leading columns of the key.
fn of_series<'a>(series: impl Iterator<Item = &'a JobSeries> + Clone) -> String {
    let metrics: HashSet<&str> = series.clone().map(|one| one.labels.metric_name()).collect();
    format!("metric IN {} AND id IN {}", sql::strings(metrics), sql::ids(series.map(|one| one.id)))
}
