//! Range aggregations: rows stream from the store's units into series, several units at once.

use super::{
    Evaluation, Row, Steps,
    collect::{Collector, Extraction},
    counted::counted,
    gathered::{self, Changes, Gathered, Points},
    grouped::Counting,
    shaped,
    window::{self, Sample},
};
use crate::{
    EvalError, ParseError,
    ast::{Grouping, RangeAggregation, RangeOp, Stage},
    pipeline::{self, Pipeline, labels::ERROR, labels::ERROR_DETAILS, labels::Hints},
};
use hashbrown::DefaultHashBuilder;
use model::{Labels, MatchOp, TimeRange};
use std::{
    num::NonZero,
    ops::ControlFlow,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use store::{Direction, LogRequest, LogScan};

/// Rows below which a second thread costs more than it saves.
const ROWS_PER_WORKER: u64 = 50_000;

impl Evaluation<'_> {
    /// `outer` is the grouping of a sum around this, where only its labels matter.
    pub(super) fn range(
        &self,
        range: &RangeAggregation,
        outer: Option<&Grouping>,
    ) -> Result<Vec<Row>, EvalError> {
        let grouping = range.grouping.as_ref().or(outer);
        if let Some(series) = counted(range, grouping, self.steps, self.store, self.context)? {
            self.hold_values(series.len(), size_of::<Option<f64>>())?;
            let row = |(labels, changes)| Row { labels, values: summed(range, &changes, self.steps) };
            return Ok(series.into_iter().map(row).collect());
        }
        let hints = hints(range, grouping);
        let invalid = |error: ParseError| EvalError::Invalid(error.to_string());
        let pipeline = Pipeline::compile_with(&range.log.stages, hints, true).map_err(invalid)?;
        let filters = range.unwrap.iter().flat_map(|unwrap| &unwrap.filters);
        let filters: Vec<_> = filters.map(|filter| Stage::LabelFilter(filter.clone())).collect();
        let after_unwrap = Pipeline::compile(&filters).map_err(invalid)?;
        let extraction = Extraction {
            op: range.op,
            pipeline: &pipeline,
            unwrap: range.unwrap.as_ref(),
            after_unwrap: &after_unwrap,
            grouping,
            range_ns: range.range_ns,
            offset_ns: range.offset_ns,
            steps: self.steps,
            hashing: DefaultHashBuilder::default(),
        };
        let counting = if pipeline.reads_lines() { None } else { Counting::of(range, grouping) };
        let gathered = self.collect(range, &extraction, counting.as_ref())?;
        let rows = gathered::rows(&gathered, |points| {
            self.hold_values(1, size_of::<Option<f64>>())?;
            Ok(match points {
                Points::Changes(changes) => summed(range, changes, self.steps),
                Points::Samples(samples) => windowed(range, samples, self.steps),
            })
        })?;
        if range.op == RangeOp::Absent { Ok(absent(range, &rows, self.steps)) } else { Ok(rows) }
    }

    /// Charges a value of so many bytes for each step of each series.
    pub(super) fn hold_values(&self, series: usize, value_bytes: usize) -> Result<(), EvalError> {
        let bytes = (series as u64).saturating_mul((self.steps.count * value_bytes) as u64);
        Ok(self.context.hold_memory(bytes)?)
    }

    fn collect(
        &self,
        range: &RangeAggregation,
        extraction: &Extraction<'_>,
        counting: Option<&Counting>,
    ) -> Result<Vec<Gathered>, EvalError> {
        let start = self.steps.first_ns.saturating_sub(range.offset_ns).saturating_sub(range.range_ns - 1);
        let end = self.steps.last_ns().saturating_sub(range.offset_ns).saturating_add(1);
        let request = LogRequest {
            matchers: range.log.matchers.clone(),
            range: TimeRange::new(start, end),
            filters: extraction.pipeline.store_filters().to_vec(),
            metadata_hints: Vec::new(),
            direction: Direction::Forward,
        };
        let scan = self.store.scan(&request, self.context)?;
        let rows: u64 = scan.units().iter().map(|unit| unit.rows_max).sum();
        let useful = (rows / ROWS_PER_WORKER).clamp(1, scan.units().len().max(1) as u64);
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(useful as usize);
        let next = AtomicUsize::new(0);
        if threads <= 1 {
            return Ok(vec![self.work(extraction, counting, scan.as_ref(), &next)?]);
        }
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let result = self.work(extraction, counting, scan.as_ref(), &next);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                });
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect()
    }

    /// Reads units until none is left.
    fn work(
        &self,
        extraction: &Extraction<'_>,
        counting: Option<&Counting>,
        scan: &dyn LogScan,
        next: &AtomicUsize,
    ) -> Result<Gathered, EvalError> {
        let mut collector = Collector::new(extraction, self.context);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= scan.units().len() {
                return Ok(collector.finish());
            }
            let done = match counting {
                Some(counting) => counting.unit(index, extraction, scan, self.context, &mut collector),
                None if extraction.takes_shapes() => shaped::read(index, scan, self.context, &mut collector),
                None => self.read(index, scan, &mut collector),
            };
            if done.is_err() {
                // The other workers need not go on.
                next.store(usize::MAX / 2, Ordering::Relaxed);
                done?;
            }
        }
    }

    fn read(&self, index: usize, scan: &dyn LogScan, collector: &mut Collector<'_>) -> Result<(), EvalError> {
        let mut failed = Ok(());
        scan.read(index, self.context, &mut |row: store::Row<'_>| match collector.row(row) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failed
    }
}

/// Which labels the parsers must find.
pub(super) fn hints(range: &RangeAggregation, grouping: Option<&Grouping>) -> Hints {
    let needed = || {
        let grouping = grouping.filter(|grouping| !grouping.without)?;
        let mut required = grouping.labels.clone();
        required.extend(pipeline::labels_read(&range.log.stages)?);
        if let Some(unwrap) = &range.unwrap {
            required.push(unwrap.label.clone());
            let filters: Vec<_> =
                unwrap.filters.iter().map(|filter| Stage::LabelFilter(filter.clone())).collect();
            required.extend(pipeline::labels_read(&filters)?);
        }
        // Whether a line has an error shows only when all of it is read.
        let asks_for_errors = required.iter().any(|name| name == ERROR || name == ERROR_DETAILS);
        required.sort_unstable();
        required.dedup();
        (!asks_for_errors).then_some(required)
    };
    Hints { required: needed() }
}

fn summed(range: &RangeAggregation, changes: &Changes, steps: Steps) -> Vec<Option<f64>> {
    let seconds = range.range_ns as f64 / 1e9;
    let (mut row_count, mut byte_count) = (0i64, 0i64);
    let mut values = Vec::with_capacity(steps.count);
    for (k, change) in changes.rows.iter().take(steps.count).enumerate() {
        row_count += change;
        byte_count += changes.bytes.get(k).copied().unwrap_or(0);
        values.push((row_count > 0).then(|| match range.op {
            RangeOp::Rate => row_count as f64 / seconds,
            RangeOp::Bytes => byte_count as f64,
            RangeOp::BytesRate => byte_count as f64 / seconds,
            _ => row_count as f64,
        }));
    }
    values
}

fn windowed(range: &RangeAggregation, samples: &mut [Sample], steps: Steps) -> Vec<Option<f64>> {
    let parameter = range.parameter.unwrap_or(f64::NAN);
    if steps.count == 1 && !samples.is_empty() && !window::needs_order(range.op) {
        // Only samples of some window are collected, and there is but one.
        let end = steps.at(0).saturating_sub(range.offset_ns);
        return vec![Some(window::compute(range.op, parameter, samples, range.range_ns, end))];
    }
    samples.sort_by_key(|(timestamp_ns, _)| *timestamp_ns);
    let (mut from, mut to) = (0, 0);
    let mut values = Vec::with_capacity(steps.count);
    for k in 0..steps.count {
        let end = steps.at(k).saturating_sub(range.offset_ns);
        while samples.get(to).is_some_and(|(timestamp_ns, _)| *timestamp_ns <= end) {
            to += 1;
        }
        while from < to && samples[from].0 <= end.saturating_sub(range.range_ns) {
            from += 1;
        }
        let window = &samples[from..to];
        values.push(
            (!window.is_empty()).then(|| window::compute(range.op, parameter, window, range.range_ns, end)),
        );
    }
    values
}

/// One series that is 1 wherever there is nothing, with the labels that the selector pins down.
fn absent(range: &RangeAggregation, rows: &[Row], steps: Steps) -> Vec<Row> {
    let present = |k: usize| rows.iter().any(|row| row.values[k].is_some());
    let values: Vec<_> = (0..steps.count).map(|k| (!present(k)).then_some(1.0)).collect();
    if values.iter().all(Option::is_none) {
        return Vec::new();
    }
    // A label that two matchers speak of is pinned down by neither.
    let is_alone =
        |name: &str| range.log.matchers.iter().filter(|matcher| matcher.name() == name).count() == 1;
    let equalities = range
        .log
        .matchers
        .iter()
        .filter(|matcher| matcher.op() == MatchOp::Equal && is_alone(matcher.name()));
    let labels = Labels::from_pairs(equalities.map(|matcher| (matcher.name(), matcher.value())));
    vec![Row { labels, values }]
}
