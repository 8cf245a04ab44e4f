//! Whether a histogram counter started anew.

use super::{combine::widen_zero_bucket, rebucket, reduce_to_schema, same_bounds, sparse};
use model::{Buckets, Histogram, ResetHint};

/// Whether a reset lies between `previous` and `current`: the hint says so, or some count fell, or
/// the layout changed in a way that only a restart explains.
pub(crate) fn detect_reset(current: &Histogram, previous: &Histogram) -> bool {
    match current.reset_hint {
        ResetHint::Reset => return true,
        ResetHint::NotReset => return false,
        ResetHint::Unknown | ResetHint::Gauge => {}
    }
    if current.count < previous.count || current.has_custom_buckets() != previous.has_custom_buckets() {
        return true;
    }
    if current.has_custom_buckets() {
        return custom_reset(current, previous);
    }
    if current.schema > previous.schema || current.zero_threshold < previous.zero_threshold {
        return true;
    }
    let widened = widen_zero_bucket(previous, current.zero_threshold);
    if widened.zero_threshold != current.zero_threshold || current.zero_count < widened.zero_count {
        return true;
    }
    let reduced = reduce_to_schema(&widened, current.schema);
    fell(&current.positive, &reduced.positive) || fell(&current.negative, &reduced.negative)
}

fn custom_reset(current: &Histogram, previous: &Histogram) -> bool {
    if same_bounds(current, previous) {
        return fell(&current.positive, &previous.positive);
    }
    let common: Vec<f64> = current
        .custom_values
        .iter()
        .copied()
        .filter(|bound| previous.custom_values.contains(bound))
        .collect();
    fell(&rebucket(current, &common).positive, &rebucket(previous, &common).positive)
}

/// Whether some bucket holds less than before.
fn fell(current: &Buckets, previous: &Buckets) -> bool {
    let current = sparse(current);
    sparse(previous).iter().any(|(index, before)| {
        let now = current.binary_search_by_key(index, |(index, _)| *index).map_or(0.0, |at| current[at].1);
        now < *before
    })
}
