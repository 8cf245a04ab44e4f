//! Figures of native histograms.

use crate::histogram;
use model::Histogram;

/// The computation behind a function of one histogram.
pub(super) fn find(name: &str) -> Option<fn(&Histogram) -> f64> {
    Some(match name {
        "histogram_avg" => |h| h.sum / h.count,
        "histogram_count" => |h| h.count,
        "histogram_stddev" => histogram::stddev,
        "histogram_stdvar" => histogram::variance,
        "histogram_sum" => |h| h.sum,
        _ => return None,
    })
}
