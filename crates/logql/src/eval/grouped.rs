//! Aggregations that ask how many rows there are, not what they say: the store counts them by
//! group, and the pipeline runs once for each group instead of once for each row.

use super::{
    collect::{Collector, Extraction},
    range::hints,
};
use crate::{
    EvalError,
    ast::{Grouping, LabelChoice, LabelFilter, RangeAggregation, RangeOp, Stage},
};
use model::TimeRange;
use std::ops::ControlFlow;
use store::{GroupRequest, GroupRows, LogScan, QueryContext, RowGroup};

/// Appended to the name of metadata that the stream has as a label too.
const EXTRACTED: &str = "_extracted";

/// By what the rows of a group are alike.
pub(super) struct Counting {
    /// Names of structured metadata that matter; `None` for all.
    metadata: Option<Vec<String>>,
    with_bytes: bool,
}

impl Counting {
    /// How to count rows whose pipeline reads no line; `None` where their values are wanted.
    pub(super) fn of(range: &RangeAggregation, grouping: Option<&Grouping>) -> Option<Counting> {
        if range.unwrap.is_some() {
            return None;
        }
        // A comparison that fails shows all labels of its row.
        let is_safe = |stage: &Stage| !matches!(stage, Stage::LabelFilter(filter) if can_fail(filter));
        let named = hints(range, grouping).required.filter(|_| range.log.stages.iter().all(is_safe));
        let with_bytes = matches!(range.op, RangeOp::Bytes | RangeOp::BytesRate);
        Some(Counting { metadata: named.map(|names| metadata_behind(names, &range.log.stages)), with_bytes })
    }

    /// Counts one unit into the collector.
    pub(super) fn unit(
        &self,
        index: usize,
        extraction: &Extraction<'_>,
        scan: &dyn LogScan,
        context: &QueryContext,
        collector: &mut Collector<'_>,
    ) -> Result<(), EvalError> {
        let is_one_time = |times: TimeRange| {
            let windows = extraction.windows(times.start);
            windows.is_some() && windows == extraction.windows(times.end)
        };
        let request = GroupRequest {
            metadata: self.metadata.as_deref(),
            is_one_time: &is_one_time,
            with_bytes: self.with_bytes,
        };
        let mut failed = Ok(());
        scan.count(index, &request, context, &mut |group: RowGroup<'_>| match collector.group(group) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Err(error);
                ControlFlow::Break(())
            }
        })?;
        failed
    }
}

fn can_fail(filter: &LabelFilter) -> bool {
    match filter {
        LabelFilter::And(a, b) | LabelFilter::Or(a, b) => can_fail(a) || can_fail(b),
        LabelFilter::Text(_) => false,
        LabelFilter::Compare { .. } | LabelFilter::Ip { .. } => true,
    }
}

/// The metadata that labels of these names, and those that stages choose, may come from.
fn metadata_behind(mut names: Vec<String>, stages: &[Stage]) -> Vec<String> {
    for stage in stages {
        if let Stage::Drop(choices) | Stage::Keep(choices) = stage {
            names.extend(choices.iter().map(LabelChoice::name).map(str::to_owned));
        }
    }
    let hidden: Vec<String> =
        names.iter().filter_map(|name| name.strip_suffix(EXTRACTED)).map(str::to_owned).collect();
    names.extend(hidden);
    names
}

impl Collector<'_> {
    /// Takes rows that have the same labels.
    fn group(&mut self, group: RowGroup<'_>) -> Result<(), EvalError> {
        let any_ns = match group.rows {
            GroupRows::OneTime { timestamp_ns, .. } => timestamp_ns,
            GroupRows::Each { times_ns, .. } => times_ns.first().copied().unwrap_or_default(),
        };
        let Some(index) = self.series_of(group.stream, group.labels, group.metadata, any_ns)? else {
            return Ok(());
        };
        match group.rows {
            GroupRows::OneTime { timestamp_ns, rows, bytes } => {
                self.add_many(index, timestamp_ns, rows, bytes)
            }
            GroupRows::Each { times_ns, line_bytes } => self.add_each(index, times_ns, line_bytes),
        }
        Ok(())
    }

    /// Adds rows, those of the same windows together where they follow each other.
    fn add_each(&mut self, index: usize, times_ns: &[i64], line_bytes: &[u32]) {
        let mut row = 0;
        while let Some(&first_ns) = times_ns.get(row) {
            let windows = self.extraction().windows(first_ns);
            if windows.is_none() {
                row += 1;
                continue;
            }
            let rest = &times_ns[row..];
            // Times mostly ascend, so a stretch's end is found by halves and then looked at again.
            let mut rows = rest.partition_point(|&time| self.extraction().windows(time) == windows).max(1);
            if !rest[..rows].is_sorted() {
                rows = 1;
            }
            let bytes = line_bytes.get(row..row + rows).unwrap_or_default();
            let bytes = bytes.iter().map(|&bytes| u64::from(bytes)).sum();
            self.add_many(index, first_ns, rows as u64, bytes);
            row += rows;
        }
    }
}
