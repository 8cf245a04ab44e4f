//! What a query wants of samples that were downsampled.

use crate::{MetricStore, PlainReader, QueryContext, Selection, SeriesReader, SeriesSet, StoreError};
use model::{Labels, Samples, Value};

/// One value of all the samples of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// Samples as they were written, one for a bucket at least: what rates, differences and instant
    /// selectors need.
    #[default]
    Last,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Their sum.
    Sum,
    /// How many there were.
    Count,
}

impl Aggregate {
    /// All of them.
    pub const ALL: [Aggregate; 5] =
        [Aggregate::Last, Aggregate::Min, Aggregate::Max, Aggregate::Sum, Aggregate::Count];

    /// Its name, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregate::Last => "last",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Sum => "sum",
            Aggregate::Count => "count",
        }
    }
}

/// [`MetricStore::select_aggregate`] of a store that keeps samples as they were written.
///
/// # Errors
/// As [`MetricStore::select`].
pub fn select_undivided(
    store: &dyn MetricStore,
    selection: &Selection,
    aggregate: Aggregate,
    context: &QueryContext,
) -> Result<Box<dyn SeriesSet>, StoreError> {
    let series = store.select(selection, context)?;
    Ok(if aggregate == Aggregate::Count { Box::new(CountedSeries(series)) } else { series })
}

/// Series in which every sample counts for itself. Staleness markers stay.
struct CountedSeries(Box<dyn SeriesSet>);

impl SeriesSet for CountedSeries {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.0.labels(index)
    }

    fn read(&self, index: usize, context: &QueryContext, into: &mut Samples) -> Result<(), StoreError> {
        self.0.read(index, context, into)?;
        let mut counts = Samples::default();
        for i in 0..into.len() {
            let value = if into.is_stale(i) { into.value(i) } else { Value::Float(1.0) };
            counts.push(into.timestamps_ms[i], 0, &value);
        }
        *into = counts;
        Ok(())
    }

    fn reader(&self) -> Box<dyn SeriesReader + '_> {
        Box::new(PlainReader(self))
    }
}
