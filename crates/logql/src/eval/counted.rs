//! Counts that the store answers by itself, without touching lines.
//!
//! `sum by (…) (count_over_time({…}[r]))` and its kin need only how many rows and bytes fall into
//! buckets so narrow that every window is a whole number of them.

use super::{Steps, gathered::Changes, range::hints};
use crate::{
    EvalError,
    ast::{Grouping, LabelChoice, RangeAggregation, RangeOp, Stage},
    pipeline::{
        is_parser,
        labels::{ERROR, ERROR_DETAILS},
    },
};
use model::{Labels, TimeRange};
use std::collections::BTreeMap;
use store::{CountRequest, LogStore, QueryContext};

/// Buckets above which reading the rows is no worse.
const BUCKETS_MAX: i64 = 200_000;

/// Asks the store, where it can tell; `None` where the rows must be read.
pub(super) fn counted(
    range: &RangeAggregation,
    grouping: Option<&Grouping>,
    steps: Steps,
    store: &dyn LogStore,
    context: &QueryContext,
) -> Result<Option<BTreeMap<Labels, Changes>>, EvalError> {
    let Some(by) = countable(range, grouping) else {
        return Ok(None);
    };
    let bucket_ns = if steps.count == 1 { range.range_ns } else { gcd(range.range_ns, steps.step_ns) };
    let Some(span) = span(range, steps) else {
        return Ok(None);
    };
    if bucket_ns <= 0 || (span.end - span.start) / bucket_ns > BUCKETS_MAX {
        return Ok(None);
    }
    let request = CountRequest {
        matchers: range.log.matchers.clone(),
        range: span,
        step_ns: bucket_ns,
        by: by.to_vec(),
    };
    let mut series: BTreeMap<Labels, Changes> = BTreeMap::new();
    for bucket in store.counts(&request, context)? {
        let windows = windows_of(bucket.bucket as i64, bucket_ns, range.range_ns, steps);
        let Some((from, to)) = windows else {
            continue;
        };
        let changes = series.entry(bucket.group).or_insert_with(|| Changes::none(steps.count, true));
        changes.add(from..to + 1, bucket.rows as i64, bucket.bytes as i64);
    }
    context.hold_memory(series.len() as u64 * (steps.count as u64 + 1) * 16)?;
    Ok(Some(series))
}

/// All windows together, half-open; `None` beyond what nanoseconds can tell. Windows exclude their
/// first instant and include their last, ranges do the reverse.
fn span(range: &RangeAggregation, steps: Steps) -> Option<TimeRange> {
    let start = steps.first_ns.checked_sub(range.offset_ns)?.checked_sub(range.range_ns)?.checked_add(1)?;
    let end = steps.last_ns().checked_sub(range.offset_ns)?.checked_add(1)?;
    end.checked_sub(start)?;
    Some(TimeRange::new(start, end))
}

/// The labels to count by, if rows and bytes by label are all that is asked for.
fn countable<'a>(range: &RangeAggregation, grouping: Option<&'a Grouping>) -> Option<&'a [String]> {
    let counts = matches!(range.op, RangeOp::Count | RangeOp::Rate | RangeOp::Bytes | RangeOp::BytesRate);
    let needs_none = hints(range, grouping).needs_none();
    let is_idle = |stage: &Stage| drops_errors_only(stage) || (needs_none && is_parser(stage));
    let plain = range.unwrap.is_none() && range.log.stages.iter().all(is_idle);
    let labels = &grouping.filter(|grouping| !grouping.without)?.labels;
    // A name that metadata got because the stream has it already is the engine's business.
    let known = labels.iter().all(|label| !label.ends_with("_extracted") && !label.starts_with("__"));
    (counts && plain && known).then_some(labels)
}

/// Without a stage that can fail there is no error to drop, so this does nothing.
fn drops_errors_only(stage: &Stage) -> bool {
    let is_error = |choice: &LabelChoice| [ERROR, ERROR_DETAILS].contains(&choice.name());
    matches!(stage, Stage::Drop(choices) if choices.iter().all(is_error))
}

/// First and last step whose window has the bucket.
fn windows_of(bucket: i64, bucket_ns: i64, range_ns: i64, steps: Steps) -> Option<(usize, usize)> {
    let offset_ns = bucket * bucket_ns;
    let before = offset_ns + bucket_ns - range_ns;
    let from = (before.div_euclid(steps.step_ns) + i64::from(before.rem_euclid(steps.step_ns) != 0)).max(0);
    let to = offset_ns.div_euclid(steps.step_ns).min(steps.count as i64 - 1);
    (from <= to).then_some((from as usize, to as usize))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_a_whole_number_of_buckets() {
        let steps = Steps { first_ns: 0, step_ns: 20, count: 4 };
        let bucket_ns = gcd(50, 20);
        for step in 0..4 {
            let has = |bucket: i64| {
                windows_of(bucket, bucket_ns, 50, steps).is_some_and(|(from, to)| (from..=to).contains(&step))
            };
            let buckets: Vec<i64> = (0..11).filter(|bucket| has(*bucket)).collect();
            let first = step as i64 * 2;
            assert_eq!(buckets, (first..first + 5).collect::<Vec<_>>(), "step {step}");
        }
    }
}
